//! The constellation dashboard works on a generated constellation: every panel gets data.

use std::time::{SystemTime, UNIX_EPOCH};

use ephemeris_benches::client::Client;
use ephemeris_benches::constellation::bodies::record;
use ephemeris_benches::constellation::entities::Tier;
use ephemeris_benches::constellation::{Constellation, Dumps, INTERVAL_MS};
use ephemeris_benches::query;
use ephemeris_benches::send::{Way, replay};
use ephemeris_benches::server::Server;
use ephemeris_benches::side_by_side::panels;

#[test]
fn every_panel_of_the_constellation_dashboard_has_data() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let end_ms = i64::try_from(now.as_millis()).expect("in range");
    let constellation = Constellation {
        seed: 1,
        tier: Tier::named("ci").expect("a tier"),
        start_ms: end_ms - 60 * INTERVAL_MS,
        scrape_count: 60,
        churn_per_mille: 0,
        storm_ms: Some(end_ms - 30 * INTERVAL_MS),
        dumps: Dumps::Late,
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let manifest = record(&constellation, 2, dir.path()).expect("bodies are written");
    let binary = Server::default_binary().expect("the server is built with the tests");
    let flags = ["--self-metrics-interval".to_owned(), "0s".to_owned()];
    let server = Server::start(&binary, &dir.path().join("data"), &flags).expect("it starts");
    let sent =
        replay(Way::REMOTE_WRITE_1, server.address(), &manifest.lanes).expect("bodies are sent");
    assert_eq!((sent.sample_count, sent.refusal), (manifest.sent_count, None));

    let questions = panels::questions(constellation.start_ms, end_ms).expect("it is read");
    let mut client = Client::connect(server.address()).expect("it listens");
    for question in &questions {
        let answer = question.ask(&mut client).expect("the query is answered");
        let answered = query::read(&question.expression, &answer).expect("without a warning");
        assert!(!answered.is_empty(), "{}: {}: no data", question.name, question.expression);
    }
    assert!(questions.len() >= 20, "only {} queries", questions.len());
}
