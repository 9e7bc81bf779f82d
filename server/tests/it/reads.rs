//! `/api/v1/read` and `/api/v1/search/…`.

use std::time::Duration;

use bytes::Bytes;
use ephemeris::app::read_slots;
use ephemeris::config::Config;
use ephemeris_ingest::proto::write_v1::{
    BucketSpan, Count, Histogram, Label, MetricMetadata, Sample, TimeSeries, WriteRequest,
    ZeroCount,
};
use ephemeris_ingest::remote_read::chunked::ChunkedReadResponse;
use http::StatusCode;
use prost::Message;
use tokio::time::timeout;

use super::support::{Answer, TestServer, compress, minute_ms};

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
    #[prost(int32, repeated, tag = "2")]
    accepted: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<Matcher>,
}

#[derive(Clone, PartialEq, Message)]
struct Matcher {
    #[prost(int32, tag = "1")]
    op: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

fn series(name: &str, instance: &str, samples: Vec<Sample>) -> TimeSeries {
    let labels = vec![Label::new("__name__", name), Label::new("instance", instance)];
    TimeSeries { labels, samples, ..TimeSeries::default() }
}

fn histogram(at: i64) -> TimeSeries {
    let histogram = Histogram {
        count: Some(Count::Integer(3)),
        sum: Some(1.5),
        zero_count: Some(ZeroCount::Integer(1)),
        zero_threshold: 0.001,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_deltas: vec![1, 0],
        timestamp: at,
        ..Histogram::default()
    };
    TimeSeries {
        labels: vec![Label::new("__name__", "sizes")],
        histograms: vec![histogram],
        ..TimeSeries::default()
    }
}

fn request(pattern: &str, (start, end): (i64, i64), accepted: &[i32]) -> Bytes {
    let name = "__name__".to_owned();
    let matchers = vec![Matcher { op: 2, name, value: pattern.to_owned() }];
    let queries = vec![Query { start, end, matchers }];
    compress(&ReadRequest { queries, accepted: accepted.to_vec() }.encode_to_vec()).into()
}

async fn read(server: &TestServer, body: Bytes) -> Answer {
    server.send("POST", "/api/v1/read", &[("content-encoding", "snappy")], body).await
}

async fn filled(now: i64) -> TestServer {
    let server = TestServer::start().await;
    let samples = |from: f64| {
        (0..300).map(|i| Sample::new(now - 300_000 + i * 1000, from + i as f64)).collect()
    };
    let metadata = MetricMetadata {
        r#type: 1,
        metric_family_name: b"load".to_vec(),
        help: b"Load, told by hand.".to_vec(),
        unit: Vec::new(),
    };
    let timeseries = vec![
        series("load", "b", samples(0.5)),
        series("load", "a", samples(-0.0)),
        series("overload", "a", vec![Sample::new(now, f64::NAN)]),
        histogram(now),
    ];
    let answer = server.write(&WriteRequest { timeseries, metadata: vec![metadata] }).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    server
}

fn messages(mut body: &[u8]) -> Vec<ChunkedReadResponse> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        let length = prost::encoding::decode_varint(&mut body).expect("a length") as usize;
        let (message, rest) = body[4..].split_at(length);
        messages.push(ChunkedReadResponse::decode(message).expect("a message"));
        body = rest;
    }
    messages
}

#[tokio::test]
async fn a_remote_read_gives_samples_or_chunks() {
    let now = minute_ms();
    let server = filled(now).await;
    let range = (now - 299_000, now - 1000);
    let answer = read(&server, request("load|sizes", range, &[])).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(answer.header("content-encoding"), Some("snappy"));
    let message = snap::raw::Decoder::new().decompress_vec(&answer.body).expect("snappy");
    let result = &ReadResponse::decode(message.as_slice()).expect("a message").results[0];
    assert_eq!(result.timeseries.len(), 2, "the histogram lies outside");
    assert_eq!(result.timeseries[0].labels[1].value, b"a", "series are sorted");
    assert_eq!(result.timeseries[0].samples.len(), 299);
    assert_eq!(result.timeseries[0].samples[0].value, Some(1.0));

    let answer = read(&server, request("load", range, &[1, 0])).await;
    let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert_eq!(answer.header("content-type"), Some(kind));
    let messages = messages(&answer.body);
    assert_eq!(messages.len(), 2, "one frame a series");
    let chunks = &messages[1].chunked_series[0].chunks;
    assert_eq!(chunks.len(), 3, "299 samples, 120 to a chunk");
    assert_eq!(chunks[0].min_time_ms, range.0);
    assert_eq!(chunks[2].max_time_ms, range.1);
    server.stop().await;
}

#[tokio::test]
async fn remote_reads_leave_workers_for_queries_and_hold_nothing_in_the_end() {
    let now = minute_ms();
    let server = filled(now).await;
    let all = server.app.read_slots.available_permits();
    assert_eq!(all, read_slots(Config::default().query.concurrency_max));
    let slots = server.app.read_slots.clone().acquire_many_owned(all as u32).await;
    let refused = read(&server, request("load", (now, now), &[1])).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(refused.text().contains("query.concurrency_max"), "{}", refused.text());
    drop(slots);
    for accepted in [&[][..], &[1]] {
        let answer = read(&server, request("load", (0, now), accepted)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    let range = request(r"\pL{60}y17|", (now, now), &[]);
    assert_eq!(read(&server, range).await.status, StatusCode::OK, "one large pattern is fine");
    let app = &server.app;
    let given_back = async {
        while app.query_memory.held() > 0 || app.read_slots.available_permits() < all {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), given_back).await.expect("all is given back");
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("ephemeris_queries_total{result=\"answered\"} 3\n"), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn histograms_are_read_as_samples() {
    let now = minute_ms();
    let server = filled(now).await;
    let range = (now, now);
    let answer = read(&server, request("sizes", range, &[1, 0])).await;
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"), "not chunks");
    let message = snap::raw::Decoder::new().decompress_vec(&answer.body).expect("snappy");
    let answer = ReadResponse::decode(message.as_slice()).expect("a message");
    let histogram = &answer.results[0].timeseries[0].histograms[0];
    assert_eq!(histogram.count, Some(Count::Float(3.0)));
    assert_eq!(histogram.positive_counts, [1.0, 1.0]);
    let refused = read(&server, request("sizes", range, &[1])).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("accepted_response_types"), "{}", refused.text());
    for body in
        [Bytes::new(), Bytes::from_static(b"\xff\xff\xff\xff\x0f"), request("(", range, &[])]
    {
        assert_eq!(read(&server, body).await.status, StatusCode::BAD_REQUEST);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_search_gives_lines_of_names() {
    let server = filled(minute_ms()).await;
    let lines = |answer: &Answer| -> Vec<String> {
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson; charset=utf-8"));
        answer.text().lines().map(str::to_owned).collect()
    };
    let path = "/api/v1/search/metric_names?search[]=LOAD&case_sensitive=false&sort_by=score";
    let answer = server.get(&format!("{path}&include_metadata=true&include_score=true")).await;
    assert_eq!(
        lines(&answer),
        [
            r#"{"results":[{"name":"load","type":"counter","help":"Load, told by hand.","score":1.0000},{"name":"overload","score":0.9200}]}"#,
            r#"{"status":"success","has_more":false}"#,
        ]
    );
    let answer = server.get("/api/v1/search/label_names?batch_size=1&sort_dir=dsc").await;
    assert_eq!(
        lines(&answer),
        [
            r#"{"results":[{"name":"instance"}]}"#,
            r#"{"results":[{"name":"__name__"}]}"#,
            r#"{"status":"success","has_more":false}"#,
        ]
    );
    let form = "label=instance&limit=1&match[]=load&fuzz_threshold=80&fuzz_alg=jarowinkler";
    let answer = server.post_form("/api/v1/search/label_values", form).await;
    let expected = [r#"{"results":[{"value":"a"}]}"#, r#"{"status":"success","has_more":true}"#];
    assert_eq!(lines(&answer), expected);
    for wrong in ["label=", "label=a&limit=0", "label=a&fuzz_threshold=101", "label=a&sort_by=x"] {
        let answer = server.get(&format!("/api/v1/search/label_values?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(answer.json()["errorType"], "bad_data");
    }
    server.stop().await;
}
