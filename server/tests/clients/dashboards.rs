//! Every query of every dashboard runs against a server that watches itself, and names only
//! metrics the server has.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::programs::{Server, get, start_server, wait_for_own_metrics};

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_every_dashboard_has_a_working_query() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(dir.path()).await;
    wait_for_own_metrics(&server).await;
    let known = metric_names(&server).await;

    let dashboards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let mut queries = 0;
    for entry in std::fs::read_dir(dashboards).expect("the repository has dashboards") {
        let path = entry.expect("the folder can be read").path();
        let text = std::fs::read_to_string(&path).expect("a dashboard can be read");
        let dashboard: Value = serde_json::from_str(&text).expect("a dashboard is JSON");
        for (panel, expr) in expressions(&dashboard) {
            check(&server, &known, &panel, &expr).await;
            queries += 1;
        }
    }
    assert!(queries >= 30, "only {queries} queries found");
}

/// Titles and queries of all panels.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("a dashboard has panels");
    let mut found = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().expect("a panel has a title");
        let targets = panel["targets"].as_array().expect("a panel has targets");
        assert!(!targets.is_empty(), "panel {title:?} has no query");
        for target in targets {
            let expr = target["expr"].as_str().expect("a target has an expression");
            found.push((title.to_owned(), expr.to_owned()));
        }
    }
    found
}

async fn check(server: &Server, known: &BTreeSet<String>, panel: &str, expr: &str) {
    for name in words(expr).filter(|w| w.starts_with("ephemeris_") || w.starts_with("process_")) {
        assert!(known.contains(name), "panel {panel:?} asks for {name}, which is not exposed");
    }
    let query = expr.replace("$__rate_interval", "1m").replace("$instance", ".*");
    let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
    let path = format!("/api/v1/query?query={encoded}");
    let (status, body) = get(server.address, &path).await.expect("the server answers");
    let text = String::from_utf8_lossy(&body);
    assert_eq!(status, 200, "panel {panel:?}: {query}: {text}");
    assert!(!text.contains("\"warnings\""), "panel {panel:?}: {query}: {text}");
}

/// Words that may be names of metrics; label values are left out.
fn words(expr: &str) -> impl Iterator<Item = &str> {
    let outside_quotes = expr.split('"').step_by(2);
    outside_quotes.flat_map(|part| {
        part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| !w.is_empty())
    })
}

/// Names of samples at `/metrics`.
async fn metric_names(server: &Server) -> BTreeSet<String> {
    let (_, body) = get(server.address, "/metrics").await.expect("the server answers");
    let text = String::from_utf8_lossy(&body).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}
