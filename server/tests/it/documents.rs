//! The pages made from the code are as the code is. `UPDATE_DOCS=1` writes them anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use ephemeris::config::Config;
use ephemeris::config::settings::SETTINGS;

use crate::support::TestServer;

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn compare(name: &str, expected: &str) {
    let path = page(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).expect("the page is there");
    assert!(found == expected, "{name} is not as the code is; run the tests with UPDATE_DOCS=1");
}

#[test]
fn configuration() {
    let defaults = Config::default();
    let mut text = "# Configuration\n\n\
        Made from the code; a test compares. Each setting is a flag of `ephemeris serve`, a key of the YAML\n\
        file given with `--config` (keys may be nested at the dots), and an environment variable. A flag beats\n\
        the environment, the environment beats the file. Unknown keys of the file are refused.\n\n\
        Durations are written as in Prometheus (`15s`, `1h30m`, `400d`), sizes as bytes or with a unit\n\
        (`512MiB`, `4GB`).\n\n\
        | flag | key | variable | default | |\n|---|---|---|---|---|\n"
        .to_owned();
    for setting in SETTINGS {
        let value = setting.value.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `--{} {value}` | `{}` | `{}` | `{}` | {} |",
            setting.flag(),
            setting.key,
            setting.variable(),
            (setting.show)(&defaults),
            setting.help,
        );
    }
    compare("configuration.md", &text);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics() {
    let server = TestServer::start().await;
    let mut text = "# Metrics\n\n\
        Made from the code; a test compares. The server serves these at `/metrics` and stores them in itself\n\
        (`job=\"ephemeris\"`, `instance` its address), as often as `--self-metrics-interval` says.\n\n\
        | metric | type | labels | |\n|---|---|---|---|\n"
        .to_owned();
    for family in server.app.metric_families() {
        let mut labels: Vec<&str> =
            family.points.iter().flat_map(|p| p.labels.iter().map(|(name, _)| *name)).collect();
        match family.name {
            "ephemeris_http_requests_total" => labels = vec!["code", "route"],
            "ephemeris_received_rejects_total" => labels = vec!["protocol", "reason"],
            _ => {}
        }
        labels.sort_unstable();
        labels.dedup();
        let kind = family.kind.as_str();
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {} |",
            family.name,
            labels.join(", "),
            family.help
        );
    }
    compare("metrics.md", &text);
    server.stop().await;
}

/// Every route is in the page on the API.
#[test]
fn routes() {
    let page = std::fs::read_to_string(page("http-api.md")).expect("the page is there");
    let router = include_str!("../../src/router.rs");
    let routes = router.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    let mut count = 0;
    for route in routes {
        assert!(page.contains(route), "{route} is not in docs/http-api.md");
        count += 1;
    }
    assert!(count > 30, "only {count} routes found");
}
