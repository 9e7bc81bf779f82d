//! The constellation dashboard works on a generated constellation: every panel gets data.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ephemeris_benches::client::Client;
use ephemeris_benches::constellation::bodies::record;
use ephemeris_benches::constellation::entities::Tier;
use ephemeris_benches::constellation::{Constellation, Dumps, INTERVAL_MS};
use ephemeris_benches::query;
use ephemeris_benches::send::replay;
use ephemeris_benches::server::Server;
use ephemeris_benches::side_by_side::questions::{Question, When};
use serde_json::Value;

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
    let sent = replay(server.address(), &manifest.lanes).expect("bodies are sent");
    assert_eq!((sent.sample_count, sent.refusal), (manifest.sent_count, None));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/constellation.json");
    let text = std::fs::read_to_string(path).expect("the dashboard can be read");
    let dashboard: Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let mut client = Client::connect(server.address()).expect("it listens");
    let mut count = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().expect("a panel has targets") {
            let expression = target["expr"].as_str().expect("a target has an expression");
            let range = When::Range { start_ms: end_ms - 600_000, end_ms, step_ms: 30_000 };
            let question = Question {
                name: panel["title"].to_string(),
                expression: expression.replace("$__rate_interval", "2m"),
                when: if target["range"] == true { range } else { When::At(end_ms) },
            };
            let answer = question.ask(&mut client).expect("the query is answered");
            let answered = query::read(expression, &answer).expect("without a warning");
            assert!(!answered.is_empty(), "{}: {expression}: no data", question.name);
            count += 1;
        }
    }
    assert!(count >= 20, "only {count} queries");
}
