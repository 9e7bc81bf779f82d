//! Real orbital elements go in late and out of order, come back bit for bit, and answer a question.

use std::collections::BTreeMap;
use std::path::Path;

use ephemeris_benches::celestrak::{ALTITUDE_BY_SHELL, Elements};
use ephemeris_benches::client::Client;
use ephemeris_benches::query;
use ephemeris_benches::send::send;
use ephemeris_benches::server::Server;

/// Seven days of 11,947 satellites; beside the repository where the tests have it.
const REAL: &str =
    "../../shared/data/metrics/celestrak/constellation_elements_2026-05-24_30.csv.zst";
/// A few made-up rows of the same form: late, repeated, and repeated with other values.
const SMALL: &str = include_str!("elements.csv");

fn elements() -> (Elements, Option<usize>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(REAL);
    if path.is_file() {
        (Elements::read(&path).expect("the elements are valid"), Some(211_759))
    } else {
        (Elements::parse(SMALL).expect("the elements are valid"), None)
    }
}

#[test]
fn elements_come_back_bit_for_bit_and_give_altitudes_by_shell() {
    let (elements, pair_count) = elements();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let flags = ["--retention".to_owned(), "3650d".to_owned()];
    let binary = Server::default_binary().expect("the server is built with the tests");
    let server = Server::start(&binary, dir.path(), &flags).expect("the server starts");
    let bodies = elements.bodies().expect("bodies can be compressed");
    send(server.address(), &[bodies]).expect("every body is stored");

    let compared = elements.compare(server.address()).expect("nothing differs");
    if let Some(pair_count) = pair_count {
        assert_eq!(compared.pair_count(), pair_count);
    }
    check_altitudes(&elements, &server);

    // The same from sealed blocks, after an end and a start.
    server.stop().expect("the server ends with success");
    let server = Server::start(&binary, dir.path(), &flags).expect("the server starts again");
    assert_eq!(elements.compare(server.address()).expect("nothing differs"), compared);
    check_altitudes(&elements, &server);
}

fn check_altitudes(elements: &Elements, server: &Server) {
    let mut client = Client::connect(server.address()).expect("the server listens");
    let answered = query::instant(&mut client, ALTITUDE_BY_SHELL, elements.last_epoch_ms());
    let answered: BTreeMap<String, f64> = answered
        .expect("the query is answered")
        .into_iter()
        .map(|one| (one.labels.get("shell").unwrap_or_default().to_owned(), one.samples[0].1))
        .collect();
    let expected = elements.altitude_by_shell();
    assert_eq!(answered.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (shell, altitude) in &expected {
        let got = answered[shell];
        assert!((got - altitude).abs() < 1e-6, "shell {shell}: {got} km, expected {altitude} km");
    }
}
