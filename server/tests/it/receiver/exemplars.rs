//! Exemplars: their labels, values and times.

use ephemeris_ingest::proto::write_v2::Exemplar;
use serde_json::{Value, json};

use super::{Batch, accepted, refused, sample, value};
use crate::support::{TestServer, minute_ms, seconds};

/// Adds an exemplar to the newest series of a batch.
pub(super) fn add(batch: &mut Batch, labels: &[(&str, &str)], at_ms: i64, number: f64) {
    let labels_refs = batch.symbols.labels_refs(labels.iter().rev().copied());
    let exemplar = Exemplar { labels_refs, value: Some(number), timestamp: at_ms };
    batch.series.last_mut().expect("a series").exemplars.push(exemplar);
}

/// The exemplars of a metric in two hours around a time.
pub(super) async fn stored(server: &TestServer, metric: &str, at_ms: i64) -> Vec<Value> {
    let (start, end) = (seconds(at_ms - 7_200_000), seconds(at_ms + 60_000));
    let path = format!("/api/v1/query_exemplars?query={metric}&start={start}&end={end}");
    let answer = server.get(&path).await.json();
    let Some(of_series) = answer["data"].as_array().and_then(|all| all.first()) else {
        return Vec::new();
    };
    of_series["exemplars"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_every_sort_are_taken() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let cases: [&[(&str, &str)]; 6] = [
        &[("trace_id", "0123456789abcdef")],
        &[("trace_id", "0123456789abcdef"), ("span_id", "01234567")],
        &[("user_id", "u1"), ("request_id", "r1")],
        &[],
        &[("trace_id", "\u{1f6f0} caf\u{e9} \u{6f22}")],
        &[("dotted.name", "a\nb \"c\"")],
    ];
    for (i, labels) in cases.iter().enumerate() {
        let name = format!("case_{i}_total");
        let mut batch = Batch::default();
        batch.sample(&[("__name__", &name), ("job", "x")], at, 7.0);
        add(&mut batch, labels, at, 1.5);
        accepted(&server, batch, [1, 0, 1]).await;
        let expected: serde_json::Map<String, Value> =
            labels.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        let stored = stored(&server, &name, at).await;
        assert_eq!(stored.len(), 1, "{labels:?}");
        assert_eq!(stored[0]["labels"], Value::Object(expected));
        assert_eq!(stored[0]["value"], "1.5");
        assert_eq!(stored[0]["timestamp"].to_string(), seconds(at));
        assert_eq!(value(&server, &name, at).await, "7");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_times_of_every_sort_are_taken() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let numbers = [
        (0.0, "0"),
        (-3.5, "-3.5"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ];
    for (i, (number, text)) in numbers.iter().enumerate() {
        let name = format!("value_{i}_total");
        let mut batch = Batch::default();
        batch.sample(&[("__name__", &name)], at, 1.0);
        add(&mut batch, &[("trace_id", "a")], at, *number);
        accepted(&server, batch, [1, 0, 1]).await;
        assert_eq!(stored(&server, &name, at).await[0]["value"], *text);
    }
    // An hour ago, a minute ago and now, in one request.
    let mut batch = Batch::default();
    batch.sample(&[("__name__", "times_total")], at, 1.0);
    for (i, late) in [3_600_000, 60_000, 0].into_iter().enumerate() {
        add(&mut batch, &[("trace_id", &i.to_string())], at - late, 1.0);
    }
    accepted(&server, batch, [1, 0, 3]).await;
    let times = stored(&server, "times_total", at).await;
    let times: Vec<String> = times.iter().map(|e| e["timestamp"].to_string()).collect();
    assert_eq!(times, [at - 3_600_000, at - 60_000, at].map(seconds));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_may_have_exemplars_alone_or_several() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let mut batch = Batch::default();
    batch.series(&[("__name__", "alone_total")]);
    add(&mut batch, &[("trace_id", "a")], at, 1.0);
    accepted(&server, batch, [0, 0, 1]).await;
    assert_eq!(stored(&server, "alone_total", at).await.len(), 1);
    // Sent again it is there already, which counts as written.
    for _ in 0..2 {
        let mut batch = Batch::default();
        batch.series(&[("__name__", "many_total")]).samples.push(sample(at, 2.0));
        for i in 0..5 {
            add(&mut batch, &[("trace_id", &format!("t{i}"))], at + i, 1.0);
        }
        accepted(&server, batch, [1, 0, 5]).await;
    }
    assert_eq!(stored(&server, "many_total", at).await.len(), 5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_nameless_series_and_those_too_long_are_refused() {
    let server = TestServer::start().await;
    let at = minute_ms();
    for labels in [&[("job", "x")][..], &[("__name__", "")]] {
        let mut batch = Batch::default();
        batch.sample(labels, at, 1.0);
        add(&mut batch, &[("trace_id", "a")], at, 1.0);
        refused(&server, batch, [0, 0, 0], "2 rejected (no_metric_name)").await;
    }
    let mut batch = Batch::default();
    batch.sample(&[("__name__", "long_total")], at, 1.0);
    add(&mut batch, &[("trace_id", &"a".repeat(129))], at, 1.0);
    add(&mut batch, &[("trace_id", "b")], at, 1.0);
    refused(&server, batch, [1, 0, 1], "1 rejected (invalid_exemplar)").await;
    assert_eq!(stored(&server, "long_total", at).await.len(), 1);
    server.stop().await;
}
