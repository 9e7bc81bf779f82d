//! All that a request may hold, together.

use ephemeris_ingest::proto::write_v1::{BucketSpan, Count, Histogram};
use serde_json::json;

use super::{Batch, accepted, exemplars, metadata, refused, sample, value};
use crate::support::{TestServer, minute_ms};

fn histogram(at_ms: i64) -> Histogram {
    Histogram {
        count: Some(Count::Integer(5)),
        sum: Some(8.0),
        positive_spans: vec![BucketSpan { offset: 1, length: 1 }],
        positive_deltas: vec![5],
        timestamp: at_ms,
        ..Histogram::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_series_with_samples_metadata_and_exemplars() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let mut batch = Batch::default();
    for i in 0..50 {
        let (name, instance) = (format!("many_{i}_total"), format!("caf\u{e9}-{i}"));
        batch.sample(&[("__name__", &name), ("instance", &instance)], at, f64::from(i));
        metadata::add(&mut batch, 1, &format!("Help {i}."), "bytes");
        exemplars::add(&mut batch, &[("trace_id", &format!("t{i}"))], at, 1.0);
    }
    accepted(&server, batch, [50, 0, 50]).await;
    let query = "sum({__name__=~\"many_.*\"})";
    assert_eq!(value(&server, query, at).await, (49 * 50 / 2).to_string());
    for i in [0, 7, 49] {
        let name = format!("many_{i}_total");
        let expected = json!([{"type": "counter", "help": format!("Help {i}."), "unit": "bytes"}]);
        assert_eq!(metadata::known(&server, &name).await, expected);
        let stored = exemplars::stored(&server, &name, at).await;
        assert_eq!(stored[0]["labels"]["trace_id"], format!("t{i}"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_and_histograms_of_different_series_and_times() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let mut batch = Batch::default();
    batch.series(&[("__name__", "floats")]).samples =
        vec![sample(at - 3_600_000, 1.0), sample(at, 2.0)];
    metadata::add(&mut batch, 2, "Floats.", "");
    batch.series(&[("__name__", "histograms")]).histograms =
        vec![histogram(at - 3_600_000), histogram(at)];
    exemplars::add(&mut batch, &[("trace_id", "a")], at, 1.0);
    accepted(&server, batch, [2, 2, 1]).await;
    assert_eq!(value(&server, "sum(sum_over_time(floats[2h]))", at).await, "3");
    assert_eq!(value(&server, "count_over_time(histograms[2h])", at).await, "2");
    // Both kinds in one series: not to be sent, and nothing of it is lost.
    let mut batch = Batch::default();
    let series = batch.series(&[("__name__", "mixed")]);
    series.samples.push(sample(at, 1.0));
    series.histograms.push(histogram(at + 1));
    accepted(&server, batch, [1, 1, 0]).await;
    assert_eq!(value(&server, "mixed", at).await, "1");
    assert_eq!(value(&server, "histogram_count(mixed)", at + 1).await, "5");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_is_refused_item_by_item() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let mut batch = Batch::default();
    batch.series(&[("__name__", "parts")]).samples =
        vec![sample(at, 1.0), sample(at + 86_400_000, 2.0), sample(1000, 3.0)];
    exemplars::add(&mut batch, &[("trace_id", "a")], at, 1.0);
    batch.series(&[("__name__", "parts_histogram")]).histograms =
        vec![histogram(at), Histogram { count: Some(Count::Integer(6)), ..histogram(at + 1) }];
    batch.sample(&[("nameless", "yes")], at, 1.0);
    refused(&server, batch, [1, 1, 1], "1 rejected (too_far_in_future)").await;
    assert_eq!(value(&server, "count_over_time(parts[1h])", at).await, "1");
    assert_eq!(value(&server, "histogram_count(parts_histogram)", at + 1).await, "5");
    server.stop().await;
}
