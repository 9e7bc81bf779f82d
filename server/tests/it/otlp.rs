//! OTLP metrics: over HTTP in protobuf and JSON, over gRPC; what is stored, what is answered.

use std::io::Write as _;

use bytes::Bytes;
use ephemeris_ingest::otlp::Naming;
use ephemeris_ingest::otlp::json::metrics_to_protobuf;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer, minute_ms};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// A request with this metric of a service.
pub(crate) fn request(metric: &Value) -> String {
    json!({"resourceMetrics": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "service.instance.id", "value": {"stringValue": "i1"}},
            {"key": "host.name", "value": {"stringValue": "h1"}},
        ]},
        "scopeMetrics": [{"scope": {"name": "lib"}, "metrics": [metric]}],
    }]})
    .to_string()
}

pub(crate) fn gauge(name: &str, at_ms: i64, value: f64) -> Value {
    json!({"name": name, "gauge": {"dataPoints": [
        {"timeUnixNano": format!("{at_ms}000000"), "asDouble": value}]}})
}

fn delta(name: &str, start_ms: i64, at_ms: i64, value: i64) -> Value {
    json!({"name": name, "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [
        {"startTimeUnixNano": format!("{start_ms}000000"),
         "timeUnixNano": format!("{at_ms}000000"), "asInt": value.to_string()}]}})
}

pub(crate) fn protobuf(json: &str) -> Vec<u8> {
    let mut message = Vec::new();
    metrics_to_protobuf(json.as_bytes(), 1 << 20, &mut message).expect("valid JSON");
    message
}

async fn post(server: &TestServer, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    server.send_to(server.otlp_http, "POST", "/v1/metrics", headers, body.into()).await
}

async fn value(server: &TestServer, query: &str, at_ms: i64) -> Value {
    let answer = server.query(query, at_ms).await.json();
    answer["data"]["result"][0]["value"][1].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn points_in_protobuf_and_json_are_found_again() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let answer = post(&server, &[JSON], request(&gauge("a.b", at, 1.5))).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}".to_owned()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = post(&server, &[PROTOBUF], protobuf(&request(&gauge("c", at, 2.5)))).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, String::new()));
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(value(&server, r#"a_b{job="shop",instance="i1"}"#, at).await, "1.5");
    assert_eq!(value(&server, "c", at).await, "2.5");
    assert_eq!(value(&server, r#"target_info{host_name="h1"}"#, at).await, "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_and_compression_is_taken() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&protobuf(&request(&gauge("gzip", at, 1.0)))).expect("memory");
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&protobuf(&request(&gauge("deflate", at, 1.0)))).expect("memory");
    let zstd = protobuf(&request(&gauge("zstd", at, 1.0)));
    let snappy = protobuf(&request(&gauge("snappy", at, 1.0)));
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&protobuf(&request(&gauge("lz4", at, 1.0)))).expect("memory");
    for (path, name, body) in [
        ("/v1/metrics", "gzip", gzip.finish().expect("memory")),
        ("/otlp/v1/metrics", "deflate", zlib.finish().expect("memory")),
        ("/api/v1/otlp/v1/metrics", "zstd", zstd::encode_all(&zstd[..], 1).expect("memory")),
        ("/opentelemetry/v1/metrics", "snappy", crate::support::compress(&snappy)),
        ("/v1/metrics", "lz4", lz4.finish().expect("memory")),
    ] {
        let headers = [PROTOBUF, ("content-encoding", name)];
        let answer = server.send("POST", path, &headers, body.into()).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text());
        assert_eq!(value(&server, name, at).await, "1", "{name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_empty_block_of_lz4_is_read_too() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let json = request(&gauge("lz4", at, 1.0));
    for (rest, status) in [(" ", StatusCode::OK), ("garbage", StatusCode::BAD_REQUEST)] {
        let mut body = b"\x04\x22\x4d\x18\x60\x40\x82".to_vec();
        for block in [&json, "", rest] {
            let bytes = u32::try_from(block.len()).expect("small") | 1 << 31;
            body.extend_from_slice(&bytes.to_le_bytes());
            body.extend_from_slice(block.as_bytes());
        }
        body.extend_from_slice(&[0; 4]);
        let headers = [JSON, ("content-encoding", "lz4")];
        let answer = server.send("POST", "/v1/metrics", &headers, body.into()).await;
        assert_eq!(answer.status, status, "{rest}: {}", answer.text());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_is_stored_and_told_when_points_are_bad() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let year = 366 * 24 * 3_600_000_i64;
    let bad = json!({"name": "a", "gauge": {"dataPoints": [
        {"timeUnixNano": format!("{at}000000"), "asDouble": 1},
        {"timeUnixNano": format!("{at}000000")},
        {"timeUnixNano": format!("{}000000", at - 2 * year), "asDouble": 1},
        {"timeUnixNano": format!("{}000000", at + year), "asDouble": 1}]}});
    let answer = post(&server, &[JSON], request(&bad)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let partial = &answer.json()["partialSuccess"];
    assert_eq!(partial["rejectedDataPoints"], "3", "{partial}");
    let text = partial["errorMessage"].as_str().expect("a text");
    for part in ["point has no value", "too_old", "too_far_in_future", "600000 ms after now"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(value(&server, "a", at).await, "1");
    // A histogram that is too old has many samples, but is one point.
    let old = json!({"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [
        {"timeUnixNano": format!("{}000000", at - 2 * year), "count": 3, "sum": 1,
         "bucketCounts": [1, 2], "explicitBounds": [1]}]}});
    let answer = post(&server, &[JSON], request(&old)).await;
    assert_eq!(answer.json()["partialSuccess"]["rejectedDataPoints"], "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_in_its_own_encoding() {
    let server = TestServer::start().await;
    let answer = post(&server, &[JSON], "{").await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (StatusCode::BAD_REQUEST, Some(3)));
    let answer = post(&server, &[PROTOBUF], "\u{7}garbage").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(answer.body.first_chunk(), Some(&[0x08, 3]), "a google.rpc.Status");
    for headers in [[("content-type", "text/plain"), ("x", "")], [JSON, ("content-encoding", "br")]]
    {
        let answer = post(&server, &headers, "{}").await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}");
    }
    let answer = post(&server, &[("content-type", "application/json; charset=utf-8")], "{}").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let answer = post(&server, &[PROTOBUF], "").await;
    assert_eq!(answer.status, StatusCode::OK, "an empty request is fine");
    let headers = [JSON, ("x-scope-orgid", "a/b")];
    assert_eq!(post(&server, &headers, "{}").await.status, StatusCode::BAD_REQUEST);
    let answer = server.send_to(server.otlp_http, "GET", "/v1/metrics", &[], Bytes::new()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused() {
    let server = TestServer::start_with(|c| c.bodies.decompressed_bytes_max = 1 << 20).await;
    let zeros = vec![0_u8; 64 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd = zstd::encode_all(&zeros[..], 1).expect("memory");
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&zeros).expect("memory");
    for (name, bomb) in [
        ("gzip", gzip),
        ("zstd", zstd),
        ("snappy", crate::support::compress(&zeros)),
        ("lz4", lz4.finish().expect("memory")),
    ] {
        let answer = post(&server, &[PROTOBUF, ("content-encoding", name)], bomb).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{name}");
        let text = answer.text();
        assert!(text.contains("limits.decompressed_bytes_max"), "{name}: {text}");
    }
    // Short in JSON, long in protobuf; and millions of messages of two bytes.
    let many = [0x0a, 0x00].repeat(400_000);
    let answer = post(&server, &[PROTOBUF], many).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_read_as_a_counter_also_after_a_restart() {
    let server = TestServer::start().await;
    let at = minute_ms() - 60_000;
    let send = |start: i64, end: i64, n| request(&delta("d", at + start, at + end, n));
    for (start, end, n) in [(0, 1000, 5), (1000, 2000, 7), (1000, 2000, 7)] {
        let answer = post(&server, &[JSON], send(start, end, n)).await;
        assert_eq!(answer.text(), "{}");
    }
    assert_eq!(value(&server, "d_total", at + 2000).await, "12");
    let dir = server.stop().await;
    let server = TestServer::start_in(dir, |_| {}).await;
    for (start, end, n) in [(1000, 2000, 7), (2000, 3000, 3)] {
        let answer = post(&server, &[JSON], send(start, end, n)).await;
        assert_eq!(answer.text(), "{}");
    }
    assert_eq!(value(&server, "d_total", at + 3000).await, "15");
    assert_eq!(value(&server, "count_over_time(d_total[5m])", at + 3000).await, "3");
    let answer = post(&server, &[JSON], send(500, 1500, 3)).await;
    assert_eq!(answer.json()["partialSuccess"]["rejectedDataPoints"], "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_stays_within_its_bound_whatever_a_request_brings() {
    let server = TestServer::start_with(|config| {
        config.ingest.threads = 2;
        config.otlp.cache_bytes_max = 64 << 10;
    })
    .await;
    let at = minute_ms();
    post(&server, &[JSON], request(&gauge("a", at, 1.0))).await;
    assert!((1..=64 << 10).contains(&server.app.translations.bytes()), "a little is remembered");
    let point = |i: u32| {
        let value = json!({"stringValue": format!("terminal {i}")});
        json!({"timeUnixNano": format!("{at}000000"), "asDouble": 1.0,
               "attributes": [{"key": "terminal", "value": value}]})
    };
    let points: Vec<Value> = (0..2000).map(point).collect();
    let metric = json!({"name": "b", "gauge": {"dataPoints": points}});
    let answer = post(&server, &[JSON], request(&metric)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(value(&server, "count(b)", at).await, "2000");
    let left = server.app.translations.bytes();
    assert!(left <= 64 << 10, "{left} bytes are left");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_are_kept_as_they_are_if_so_set() {
    let keep = ephemeris_ingest::otlp::DeltaMode::Keep;
    let server = TestServer::start_with(|c| c.otlp.options.delta = keep).await;
    let at = minute_ms();
    for (start, end, n) in [(0, 1000, 5), (1000, 2000, 7)] {
        let body = request(&delta("d", at + start, at + end, n));
        assert_eq!(post(&server, &[JSON], body).await.text(), "{}");
    }
    assert_eq!(value(&server, "sum_over_time(d_total[5m])", at + 2000).await, "12");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exponential_histogram_is_a_native_one() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let point = |start: i64, end: i64| {
        json!({"name": "e", "unit": "s", "exponentialHistogram": {
            "aggregationTemporality": 1, "dataPoints": [{
            "startTimeUnixNano": format!("{}000000", at + start),
            "timeUnixNano": format!("{}000000", at + end), "count": "6", "sum": 7.5, "scale": 0,
            "zeroCount": 1, "positive": {"offset": 0, "bucketCounts": [2, 3]}}]}})
    };
    for (start, end) in [(0, 1000), (1000, 2000)] {
        assert_eq!(post(&server, &[JSON], request(&point(start, end))).await.text(), "{}");
    }
    assert_eq!(value(&server, "histogram_count(e_seconds)", at + 2000).await, "12");
    assert_eq!(value(&server, "histogram_sum(e_seconds)", at + 2000).await, "15");
    let query = "histogram_fraction(1, 2, e_seconds) * histogram_count(e_seconds)";
    assert_eq!(value(&server, query, at + 2000).await, "4");
    server.stop().await;
}

/// Captured requests, if they lie beside the repository: every point is found again.
#[tokio::test(flavor = "multi_thread")]
async fn captured_requests_are_found_again() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/data/metrics/oteldb/otlp-metrics.json.zst"
    );
    let Ok(file) = std::fs::read(path) else { return };
    let text = String::from_utf8(zstd::decode_all(&file[..]).expect("zstd")).expect("UTF-8");
    let decade = 10 * 366 * 24 * 3_600_000_i64;
    let server = TestServer::start_with(|c| {
        c.retention_ms = decade;
        c.otlp.options.naming = Naming::NoTranslation;
        c.otlp.options.scope_labels = true;
        c.otlp.options.promoted = vec!["*".to_owned()];
    })
    .await;
    let mut points = Vec::new();
    for line in text.lines() {
        let answer = post(&server, &[JSON], line.to_owned()).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}".to_owned()));
        captured::points(&serde_json::from_str(line).expect("JSON"), &mut points);
    }
    assert_eq!(points.len(), 12_812);
    let stored = captured::stored(&server, &points).await;
    for point in &points {
        point.check(&stored);
    }
    server.stop().await;
}

mod captured {
    //! The points of the captured requests, and what is stored of them.

    use std::collections::HashMap;

    use super::*;

    /// A point: its name as words, its labels' values, its time, its value.
    pub(super) struct Point {
        name: String,
        values: Vec<String>,
        pub(super) time_ms: i64,
        value: Expected,
    }

    enum Expected {
        Number(f64),
        /// Of a summary: its quantiles are the buckets.
        Histogram {
            count: f64,
            sum: f64,
            buckets: Vec<f64>,
        },
    }

    /// Samples by time: name, values of the labels, and the value.
    pub(super) type Stored = HashMap<i64, Vec<(String, Vec<String>, f64)>>;

    fn number(value: &Value) -> f64 {
        match value {
            Value::Null => 0.0,
            Value::String(text) => text.parse().expect("a number"),
            value => value.as_f64().expect("a number"),
        }
    }

    fn values(attributes: &Value, out: &mut Vec<String>) {
        for attribute in attributes.as_array().into_iter().flatten() {
            let value = attribute["value"].as_object().expect("a value");
            let value = value.values().next().expect("a value");
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !text.is_empty() && value.as_object().is_none() {
                out.push(text);
            }
        }
    }

    pub(super) fn points(request: &Value, out: &mut Vec<Point>) {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for resource in list(&request["resourceMetrics"]) {
            for scope in list(&resource["scopeMetrics"]) {
                for metric in list(&scope["metrics"]) {
                    for kind in ["gauge", "sum", "histogram", "summary"] {
                        for point in list(&metric[kind]["dataPoints"]) {
                            let mut labels = Vec::new();
                            values(&point["attributes"], &mut labels);
                            values(&resource["resource"]["attributes"], &mut labels);
                            labels.extend(scope["scope"]["name"].as_str().map(str::to_owned));
                            out.push(one(&metric, &point, labels));
                        }
                    }
                }
            }
        }
    }

    fn one(metric: &Value, point: &Value, values: Vec<String>) -> Point {
        let name = metric["name"].as_str().expect("a name").to_owned();
        let nanos = point["timeUnixNano"].as_str().expect("a time");
        let time_ms = nanos.parse::<i64>().expect("a time") / 1_000_000;
        let value = if point["bucketCounts"].is_array() {
            let mut sum = 0.0;
            let counts = point["bucketCounts"].as_array().expect("buckets");
            let buckets = counts.iter().map(|count| {
                sum += number(count);
                sum
            });
            let buckets = buckets.collect();
            let (count, sum) = (number(&point["count"]), number(&point["sum"]));
            Expected::Histogram { count, sum, buckets }
        } else if point["quantileValues"].is_array() {
            let quantiles = point["quantileValues"].as_array().expect("quantiles");
            let buckets = quantiles.iter().map(|q| number(&q["value"])).collect();
            let (count, sum) = (number(&point["count"]), number(&point["sum"]));
            Expected::Histogram { count, sum, buckets }
        } else {
            let value = if point["asInt"].is_null() { &point["asDouble"] } else { &point["asInt"] };
            Expected::Number(number(value))
        };
        Point { name, values, time_ms, value }
    }

    pub(super) async fn stored(server: &TestServer, points: &[Point]) -> Stored {
        let first = points.iter().map(|p| p.time_ms).min().expect("points");
        let last = points.iter().map(|p| p.time_ms).max().expect("points");
        let query = format!("{{__name__=~\".+\"}}[{}ms]", last - first + 1000);
        let answer = server.query(&query, last).await.json();
        let mut stored = Stored::new();
        for series in answer["data"]["result"].as_array().expect("a matrix") {
            let metric = series["metric"].as_object().expect("labels");
            let labels: Vec<String> =
                metric.values().map(|v| v.as_str().expect("a text").to_owned()).collect();
            let name = metric["__name__"].as_str().expect("a name");
            for pair in series["values"].as_array().into_iter().flatten() {
                let (seconds, value) = (pair[0].as_f64().expect("a time"), number(&pair[1]));
                #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds")]
                let time_ms = (seconds * 1000.0).round() as i64;
                stored.entry(time_ms).or_default().push((name.to_owned(), labels.clone(), value));
            }
        }
        stored
    }

    impl Point {
        fn find(&self, stored: &Stored, suffixes: &[&str], wanted: f64) -> bool {
            stored.get(&self.time_ms).into_iter().flatten().any(|(name, labels, value)| {
                name.starts_with(&self.name)
                    && (suffixes.is_empty() || suffixes.iter().any(|s| name.ends_with(s)))
                    && value.to_bits() == wanted.to_bits()
                    && self.values.iter().all(|value| labels.contains(value))
            })
        }

        pub(super) fn check(&self, stored: &Stored) {
            let at = format!("{} {:?} at {}", self.name, self.values, self.time_ms);
            match &self.value {
                Expected::Number(n) => assert!(self.find(stored, &[], *n), "{at}: {n}"),
                Expected::Histogram { count, sum, buckets } => {
                    assert!(self.find(stored, &["_count"], *count), "{at}: count {count}");
                    assert!(self.find(stored, &["_sum"], *sum), "{at}: sum {sum}");
                    for bucket in buckets {
                        assert!(self.find(stored, &[], *bucket), "{at}: {bucket}");
                    }
                }
            }
        }
    }
}
