//! Float samples: values, label sets, start timestamps, and series that must be refused.

use http::StatusCode;

use super::{Batch, accepted, found, get, refused, sample, selector, value};
use crate::support::{TestServer, WRITE2_HEADERS, minute_ms};

/// Label sets of the suite, and what else is allowed.
const LABELS: [&[(&str, &str)]; 6] = [
    &[("__name__", "only_a_name")],
    &[("__name__", "up"), ("job", "node"), ("instance", "host:9100")],
    &[("__name__", "newline"), ("text", "first\nsecond\ttab \"quoted\" \\")],
    &[("__name__", "resource.cpu.usage"), ("service.name", "web")],
    &[("__name__", "name with spaces"), ("a label", "a value")],
    &[("__name__", "grüße"), ("emoji", "\u{1f6f0}")],
];

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_taken_under_every_label_set() {
    let server = TestServer::start().await;
    let at = minute_ms();
    for (i, (number, text)) in (0..).zip([
        (1.0, "1"),
        (0.0, "0"),
        (-1.5e300, "-1.5e+300"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ]) {
        let time = at + i * 1000;
        for labels in LABELS {
            let mut batch = Batch::default();
            batch.sample(labels, time, number);
            accepted(&server, batch, [1, 0, 0]).await;
            let found = found(&server, &selector(labels), time).await;
            assert_eq!(found.len(), 1, "{labels:?}: {found:?}");
            assert_eq!(found[0]["value"][1], text, "{labels:?}");
            let all = found[0]["metric"].as_object().expect("labels");
            assert_eq!(all.len(), labels.len());
            assert!(labels.iter().all(|(name, value)| all[*name] == *value), "{all:?}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staleness_marker_counts_as_a_sample_and_ends_the_series() {
    let server = TestServer::start().await;
    let at = minute_ms();
    for labels in LABELS {
        let mut batch = Batch::default();
        let series = batch.series(labels);
        series.samples = vec![sample(at, 1.0), sample(at + 1, ephemeris_model::stale_nan())];
        accepted(&server, batch, [2, 0, 0]).await;
        assert_eq!(value(&server, &selector(labels), at).await, "1");
        assert!(found(&server, &selector(labels), at + 1).await.is_empty(), "{labels:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_without_a_name_are_refused_and_the_others_are_not() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let nameless: [&[(&str, &str)]; 3] =
        [&[], &[("job", "x"), ("instance", "y")], &[("__name__", ""), ("job", "x")]];
    for labels in nameless {
        let mut batch = Batch::default();
        batch.sample(labels, at, 1.0);
        refused(&server, batch, [0, 0, 0], "1 rejected (no_metric_name)").await;
    }
    let names = ["one", "two", "three", "four"];
    let mut batch = Batch::default();
    for name in names {
        batch.sample(&[("__name__", name), ("case", "all")], at, 1.0);
    }
    accepted(&server, batch, [4, 0, 0]).await;
    assert_eq!(value(&server, "count({case=\"all\"})", at).await, "4");

    let mut batch = Batch::default();
    for name in names {
        batch.sample(&[("case", "none"), ("n", name)], at, 1.0);
    }
    refused(&server, batch, [0, 0, 0], "4 rejected (no_metric_name)").await;
    assert!(found(&server, "{case=\"none\"}", at).await.is_empty());

    let mut batch = Batch::default();
    for name in names {
        let labels = [("__name__", name), ("case", "some")];
        batch.sample(if name == "two" { &labels[1..] } else { &labels }, at, 1.0);
    }
    refused(&server, batch, [3, 0, 0], "1 rejected (no_metric_name)").await;
    assert_eq!(value(&server, "count({case=\"some\"})", at).await, "3");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn symbols_that_break_a_rule_are_refused() {
    let server = TestServer::start().await;
    let at = minute_ms();
    for refs in [&[1, 99][..], &[1], &[1, 2, 3], &[1, 2, u32::MAX, 0]] {
        let mut batch = Batch::default();
        batch.sample(&[("__name__", "good")], at, 1.0);
        batch.sample(&[("__name__", "bad")], at, 1.0);
        batch.series[1].labels_refs = refs.to_vec();
        refused(&server, batch, [1, 0, 0], "1 rejected (bad_symbol_reference)").await;
    }
    let twice = [("__name__", "bad"), ("a", "1"), ("a", "2")];
    let mut batch = Batch::default();
    batch.sample(&twice, at, 1.0);
    refused(&server, batch, [0, 0, 0], "1 rejected (duplicate_label)").await;
    // An empty value is as good as no label.
    let mut batch = Batch::default();
    batch.sample(&[("__name__", "good"), ("empty", "")], at, 1.0);
    accepted(&server, batch, [1, 0, 0]).await;
    assert_eq!(found(&server, "good", at).await.len(), 1);
    assert!(found(&server, "bad", at).await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_timestamps_are_taken_in_their_place_of_today_and_in_the_older_one() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let start = at - 30_000;
    let mut batch = Batch::default();
    let series = batch.series(&[("__name__", "now_total")]);
    series.samples.push(sample(at, 5.0));
    series.samples[0].start_timestamp = start;
    let series = batch.series(&[("__name__", "then_total")]);
    series.samples.push(sample(at, 6.0));
    series.created_timestamp = start;
    accepted(&server, batch, [2, 0, 0]).await;
    for (name, last) in [("now_total", "5"), ("then_total", "6")] {
        assert_eq!(value(&server, name, at).await, last);
        let query = format!("start_timestamp({name}) * 1000");
        assert_eq!(value(&server, &query, at).await, start.to_string(), "{name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_come_in_any_order_and_again() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let labels = [("__name__", "again"), ("job", "x")];
    let times = [0, 10, -3_600_000, -60_000, 0, -1, 10];
    for late in times {
        let mut batch = Batch::default();
        batch.sample(&labels, at + late, 1.0);
        accepted(&server, batch, [1, 0, 0]).await;
    }
    assert_eq!(value(&server, "count_over_time(again[2h])", at + 10).await, "5");
    // The same series twice in one request.
    let mut batch = Batch::default();
    for i in [1, 2] {
        batch.sample(&labels, at + 10 + i, 1.0);
    }
    accepted(&server, batch, [2, 0, 0]).await;
    assert_eq!(value(&server, "count_over_time(again[2h])", at + 12).await, "7");
    let names = get(&server, "/api/v1/series?match[]=", "again").await;
    assert_eq!(names.as_array().map(Vec::len), Some(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_series_is_a_success() {
    let server = TestServer::start().await;
    accepted(&server, Batch::default(), [0, 0, 0]).await;
    // Symbols that nothing uses are allowed.
    let mut batch = Batch::default();
    batch.symbols.number("unused");
    let answer = server.send("POST", "/api/v1/push", &WRITE2_HEADERS, batch.body()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    server.stop().await;
}
