//! Native histograms of every kind.

use ephemeris_ingest::proto::write_v1::{BucketSpan, Count, Histogram, ZeroCount};
use ephemeris_ingest::proto::write_v2::{Exemplar, Metadata};
use serde_json::{Value, json};

use super::{Batch, accepted, found, get, refused, value};
use crate::support::{TestServer, minute_ms};

fn spans(parts: &[(i32, u32)]) -> Vec<BucketSpan> {
    parts.iter().map(|&(offset, length)| BucketSpan { offset, length }).collect()
}

/// An exponential histogram of factor 2 with nothing in it.
fn empty(at_ms: i64) -> Histogram {
    Histogram {
        count: Some(Count::Integer(0)),
        sum: Some(0.0),
        zero_threshold: 0.001,
        zero_count: Some(ZeroCount::Integer(0)),
        timestamp: at_ms,
        ..Histogram::default()
    }
}

fn with_count(at_ms: i64, count: u64, sum: f64) -> Histogram {
    Histogram { count: Some(Count::Integer(count)), sum: Some(sum), ..empty(at_ms) }
}

fn positive(at_ms: i64) -> Histogram {
    Histogram {
        positive_spans: spans(&[(0, 2), (1, 1)]),
        positive_deltas: vec![1, 2, -1],
        ..with_count(at_ms, 6, 20.5)
    }
}

fn custom(at_ms: i64) -> Histogram {
    Histogram {
        schema: -53,
        zero_threshold: 0.0,
        zero_count: None,
        custom_values: vec![0.1, 0.5, 1.0, 2.0, 5.0, 10.0],
        positive_spans: spans(&[(0, 7)]),
        positive_deltas: vec![1, 1, 1, -1, -1, 1, 1],
        ..with_count(at_ms, 14, 40.0)
    }
}

/// Every kind with the count and the buckets it must be read back with.
fn kinds(at: i64) -> Vec<(&'static str, Histogram, Value)> {
    let negative = Histogram {
        negative_spans: spans(&[(1, 2)]),
        negative_deltas: vec![2, 1],
        ..with_count(at, 5, -12.0)
    };
    let zero = Histogram { zero_count: Some(ZeroCount::Integer(4)), ..with_count(at, 4, 0.0) };
    let both = Histogram {
        positive_spans: spans(&[(1, 1)]),
        positive_deltas: vec![3],
        negative_spans: spans(&[(1, 1)]),
        negative_deltas: vec![2],
        zero_count: Some(ZeroCount::Integer(1)),
        ..with_count(at, 6, 1.5)
    };
    let float = Histogram {
        count: Some(Count::Float(4.5)),
        zero_count: Some(ZeroCount::Float(0.5)),
        positive_spans: spans(&[(1, 2)]),
        positive_counts: vec![1.5, 2.5],
        ..with_count(at, 0, 9.25)
    };
    vec![
        ("none", empty(at), json!({"count": "0", "sum": "0"})),
        (
            "positive",
            positive(at),
            json!({"count": "6", "sum": "20.5", "buckets": [
                [0, "0.5", "1", "1"], [0, "1", "2", "3"], [0, "4", "8", "2"]]}),
        ),
        (
            "negative",
            negative,
            json!({"count": "5", "sum": "-12", "buckets": [
                [1, "-4", "-2", "3"], [1, "-2", "-1", "2"]]}),
        ),
        ("zero", zero, json!({"count": "4", "sum": "0", "buckets": [[3, "-0.001", "0.001", "4"]]})),
        (
            "both",
            both,
            json!({"count": "6", "sum": "1.5", "buckets": [[1, "-2", "-1", "2"],
                [3, "-0.001", "0.001", "1"], [0, "1", "2", "3"]]}),
        ),
        (
            "float",
            float,
            json!({"count": "4.5", "sum": "9.25", "buckets": [[3, "-0.001", "0.001", "0.5"],
                [0, "1", "2", "1.5"], [0, "2", "4", "2.5"]]}),
        ),
        (
            "custom",
            custom(at),
            json!({"count": "14", "sum": "40", "buckets": [
                [3, "-Inf", "0.1", "1"], [0, "0.1", "0.5", "2"], [0, "0.5", "1", "3"],
                [0, "1", "2", "2"], [0, "2", "5", "1"], [0, "5", "10", "2"],
                [0, "10", "+Inf", "3"]]}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_taken_and_read_back() {
    let server = TestServer::start().await;
    let at = minute_ms();
    for (name, histogram, expected) in kinds(at) {
        let mut batch = Batch::default();
        batch.series(&[("__name__", name), ("job", "x")]).histograms.push(histogram);
        accepted(&server, batch, [0, 1, 0]).await;
        let found = found(&server, name, at).await;
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0]["histogram"][1], expected, "{name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_in_a_series_with_start_metadata_and_exemplar() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let mut batch = Batch::default();
    let help_ref = batch.symbols.number("Time of requests.");
    let unit_ref = batch.symbols.number("seconds");
    let labels_refs = batch.symbols.labels_refs([("trace_id", "abc")]);
    let series = batch.series(&[("__name__", "latency_seconds"), ("job", "x")]);
    for i in 0..3 {
        series.histograms.push(Histogram { start_timestamp: at - 5000, ..positive(at + i) });
    }
    series.exemplars = vec![Exemplar { labels_refs, value: Some(0.75), timestamp: at }];
    series.metadata = Some(Metadata { r#type: 3, help_ref, unit_ref });
    batch.series(&[("__name__", "custom_seconds")]).histograms.push(custom(at));
    accepted(&server, batch, [0, 4, 1]).await;
    let query = "count_over_time(latency_seconds[1m])";
    assert_eq!(value(&server, query, at + 2).await, "3");
    assert_eq!(value(&server, "histogram_sum(latency_seconds)", at + 2).await, "20.5");
    let query = "start_timestamp(latency_seconds) * 1000";
    assert_eq!(value(&server, query, at).await, (at - 5000).to_string());
    assert_eq!(value(&server, "histogram_count(custom_seconds)", at).await, "14");
    let known = get(&server, "/api/v1/metadata?metric=", "latency_seconds").await;
    let expected = json!([{"type": "histogram", "help": "Time of requests.", "unit": "seconds"}]);
    assert_eq!(known["latency_seconds"], expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staleness_marker_ends_a_series_of_histograms() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let mut batch = Batch::default();
    let marker = Histogram { sum: Some(ephemeris_model::stale_nan()), ..empty(at + 1) };
    batch.series(&[("__name__", "ends")]).histograms = vec![positive(at), marker];
    accepted(&server, batch, [0, 2, 0]).await;
    assert_eq!(value(&server, "histogram_count(ends)", at).await, "6");
    assert!(found(&server, "ends", at + 1).await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_contradict_themselves_are_refused_alone() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let bad = [
        ("count", Histogram { count: Some(Count::Integer(99)), ..positive(at) }),
        ("spans", Histogram { positive_spans: spans(&[(0, 2)]), ..positive(at) }),
        ("negative bucket", Histogram { positive_deltas: vec![1, -2, 1], ..positive(at) }),
        ("schema", Histogram { schema: 53, ..positive(at) }),
        ("bounds", Histogram { custom_values: vec![1.0, 0.5], ..custom(at) }),
        ("both kinds", Histogram { custom_values: vec![1.0], ..positive(at) }),
    ];
    for (what, histogram) in bad {
        let mut batch = Batch::default();
        batch.series(&[("__name__", "bad"), ("what", what)]).histograms.push(histogram);
        batch.sample(&[("__name__", "good"), ("what", what)], at, 1.0);
        refused(&server, batch, [1, 0, 0], "1 rejected (invalid_histogram)").await;
        assert_eq!(value(&server, &format!("good{{what={what:?}}}"), at).await, "1");
    }
    assert!(found(&server, "bad", at).await.is_empty());
    let mut batch = Batch::default();
    batch.series(&[("job", "nameless")]).histograms.push(positive(at));
    refused(&server, batch, [0, 0, 0], "1 rejected (no_metric_name)").await;
    server.stop().await;
}
