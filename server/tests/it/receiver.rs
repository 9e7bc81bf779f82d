//! What the receiver tests of Prometheus' remote-write compliance suite check, and more strictly:
//! what is right is answered with 204 and exact counts, and read back.
//!
//! As the suite does, labels are sent in no order.

mod combined;
mod exemplars;
mod histograms;
mod metadata;
mod samples;

use bytes::Bytes;
use ephemeris_ingest::proto::write_v2::{Request, Sample, SymbolTable, TimeSeries};
use http::StatusCode;
use prost::Message as _;
use serde_json::Value;

use crate::support::{
    Answer, TestServer, WRITE_HEADERS, WRITE2_HEADERS, compress, encode, minute_ms, request, series,
};

/// A remote-write 2.0 request being put together.
#[derive(Default)]
struct Batch {
    symbols: SymbolTable,
    series: Vec<TimeSeries>,
}

impl Batch {
    /// Adds a series; its labels are sent in reverse of the order given.
    fn series(&mut self, labels: &[(&str, &str)]) -> &mut TimeSeries {
        let labels_refs = self.symbols.labels_refs(labels.iter().rev().copied());
        self.series.push(TimeSeries { labels_refs, ..TimeSeries::default() });
        self.series.last_mut().expect("just pushed")
    }

    /// Adds a series with one sample.
    fn sample(&mut self, labels: &[(&str, &str)], at_ms: i64, value: f64) {
        self.series(labels).samples.push(sample(at_ms, value));
    }

    fn body(self) -> Bytes {
        let request = Request { symbols: self.symbols.into_symbols(), timeseries: self.series };
        compress(&request.encode_to_vec()).into()
    }
}

fn sample(at_ms: i64, value: f64) -> Sample {
    Sample { value: Some(value), timestamp: at_ms, start_timestamp: 0 }
}

/// Samples, histograms and exemplars written, as an answer tells.
fn written(answer: &Answer) -> [Option<u64>; 3] {
    ["samples", "histograms", "exemplars"].map(|name| {
        let header = format!("x-prometheus-remote-write-{name}-written");
        answer.header(&header).map(|count| count.parse().expect("a count"))
    })
}

/// Sends a request all of which must be taken.
async fn accepted(server: &TestServer, batch: Batch, counts: [u64; 3]) {
    let answer = server.send("POST", "/api/v1/write", &WRITE2_HEADERS, batch.body()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    assert!(answer.body.is_empty(), "{}", answer.text());
    assert_eq!(written(&answer), counts.map(Some));
}

/// Sends a request of which only `counts` must be taken, for a reason.
async fn refused(server: &TestServer, batch: Batch, counts: [u64; 3], reason: &str) {
    let answer = server.send("POST", "/api/v1/write", &WRITE2_HEADERS, batch.body()).await;
    let text = answer.text();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{text}");
    assert!(text.contains(reason), "{reason} is not in {text}");
    assert_eq!(written(&answer), counts.map(Some), "{text}");
}

/// What a query finds: its results.
async fn found(server: &TestServer, query: &str, at_ms: i64) -> Vec<Value> {
    let answer = server.query(query, at_ms).await.json();
    answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{query}: {answer}")).clone()
}

/// The one value a query finds.
async fn value(server: &TestServer, query: &str, at_ms: i64) -> String {
    let found = found(server, query, at_ms).await;
    assert_eq!(found.len(), 1, "{query}: {found:?}");
    found[0]["value"][1].as_str().expect("a value").to_owned()
}

/// A selector of exactly these labels that must be there.
fn selector(labels: &[(&str, &str)]) -> String {
    let parts: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name:?}={value:?}")).collect();
    format!("{{{}}}", parts.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_judged_before_what_is_in_the_body() {
    let server = TestServer::start().await;
    let corrupt = || Bytes::from_static(b"\xff\xff\xffthis is neither snappy nor protobuf");
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    for (content_type, encoding) in [
        ("application/json", "snappy"),
        ("image/png", "snappy"),
        ("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy"),
        (v2, "gzip"),
        (v2, "deflate"),
        (v2, "zstd"),
        ("application/x-protobuf", "gzip"),
    ] {
        let headers = [("content-type", content_type), ("content-encoding", encoding)];
        let answer = server.send("POST", "/api/v1/write", &headers, corrupt()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}");
    }
    // The parameter is written in many ways.
    for content_type in [
        "application/x-protobuf; proto=io.prometheus.write.v2.Request",
        "Application/X-Protobuf;proto=\"io.prometheus.write.v2.Request\"",
    ] {
        let mut batch = Batch::default();
        batch.sample(&[("__name__", "spelled")], minute_ms(), 1.0);
        let headers = [("content-type", content_type), ("content-encoding", "snappy")];
        let answer = server.send("POST", "/api/v1/write", &headers, batch.body()).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{content_type}: {}", answer.text());
        assert_eq!(written(&answer), [Some(1), Some(0), Some(0)]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_corrupt_are_the_fault_of_the_sender() {
    let server = TestServer::start().await;
    let not_protobuf = compress(b"\x2a\xff\xff\xff\xff\x0f");
    for body in [b"not snappy".to_vec(), not_protobuf, Vec::new()] {
        let answer =
            server.send("POST", "/api/v1/write", &WRITE2_HEADERS, body.clone().into()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(written(&answer), [Some(0); 3]);
        let answer = server.send("POST", "/api/v1/write", &WRITE_HEADERS, body.into()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(written(&answer), [None; 3], "1.0 has no such headers");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_of_version_1_are_served_without_the_headers_of_version_2() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let batch = request(vec![series(&[("job", "old"), ("__name__", "v1")], &[(at, 4.0)])]);
    let answer = server.write(&batch).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(written(&answer), [None; 3]);
    assert_eq!(value(&server, "v1{job=\"old\"}", at).await, "4");
    server.stop().await;
}

/// The text behind a path with a query.
async fn get(server: &TestServer, path: &str, query: &str) -> Value {
    let answer = server.get(&format!("{path}{}", encode(query))).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}{query}: {}", answer.text());
    answer.json()["data"].clone()
}
