//! Metadata that comes with series.

use ephemeris_ingest::proto::write_v2::Metadata;
use serde_json::{Value, json};

use super::{Batch, accepted, get, refused, value};
use crate::support::{TestServer, minute_ms};

/// Adds metadata to the newest series of a batch.
pub(super) fn add(batch: &mut Batch, metric_type: i32, help: &str, unit: &str) {
    let (help_ref, unit_ref) = (batch.symbols.number(help), batch.symbols.number(unit));
    let series = batch.series.last_mut().expect("a series");
    series.metadata = Some(Metadata { r#type: metric_type, help_ref, unit_ref });
}

/// What is known of a metric.
pub(super) async fn known(server: &TestServer, metric: &str) -> Value {
    get(server, "/api/v1/metadata?metric=", metric).await[metric].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_kept() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let types = [
        "unknown",
        "counter",
        "gauge",
        "histogram",
        "gaugehistogram",
        "summary",
        "info",
        "stateset",
    ];
    for (number, name) in (0..).zip(types) {
        let metric = format!("of_type_{name}");
        let mut batch = Batch::default();
        batch.sample(&[("__name__", &metric)], at, 1.0);
        add(&mut batch, number, "Help.", "bytes");
        accepted(&server, batch, [1, 0, 0]).await;
        let expected = json!([{"type": name, "help": "Help.", "unit": "bytes"}]);
        assert_eq!(known(&server, &metric).await, expected);
        assert_eq!(value(&server, &metric, at).await, "1");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_may_be_empty_or_of_any_characters() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let long = "x".repeat(4_000);
    let texts = [
        ("", "seconds"),
        ("Help.", ""),
        ("", ""),
        ("caf\u{e9} \u{1f6f0} \"quoted\" \\ line\nbreak", "\u{b5}s"),
        (&long, "bytes"),
    ];
    for (i, (help, unit)) in texts.into_iter().enumerate() {
        let metric = format!("text_{i}");
        let mut batch = Batch::default();
        batch.sample(&[("__name__", &metric)], at, 1.0);
        add(&mut batch, 2, help, unit);
        accepted(&server, batch, [1, 0, 0]).await;
        let expected = json!([{"type": "gauge", "help": help, "unit": unit}]);
        assert_eq!(known(&server, &metric).await, expected, "{i}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_of_a_nameless_series_is_refused_with_it() {
    let server = TestServer::start().await;
    let mut batch = Batch::default();
    batch.sample(&[("job", "x")], minute_ms(), 1.0);
    add(&mut batch, 1, "Help.", "");
    refused(&server, batch, [0, 0, 0], "1 rejected (no_metric_name)").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_with_nothing_else_is_refused_and_its_metadata_is_kept() {
    let server = TestServer::start().await;
    let mut batch = Batch::default();
    batch.series(&[("__name__", "nothing_total")]);
    add(&mut batch, 1, "Help.", "");
    refused(&server, batch, [0, 0, 0], "1 rejected (empty_series)").await;
    let expected = json!([{"type": "counter", "help": "Help.", "unit": ""}]);
    assert_eq!(known(&server, "nothing_total").await, expected);
    server.stop().await;
}
