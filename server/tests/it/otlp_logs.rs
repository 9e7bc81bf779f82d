//! OTLP logs: over HTTP in protobuf and JSON, over gRPC; queried back as Loki's clients do.

use std::io::Write as _;

use bytes::Bytes;
use ephemeris_ingest::otlp::json::logs_to_protobuf;
use http::StatusCode;
use serde_json::{Value, json};

use crate::grpc::{GRPC, call, frame};
use crate::support::{Answer, TestServer, encode, minute_ms};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

fn record(line: &str, at_ms: i64) -> Value {
    json!({
        "timeUnixNano": format!("{at_ms}000000"), "severityNumber": 17, "severityText": "ERROR",
        "body": {"stringValue": line}, "traceId": "0102030405060708090a0b0c0d0e0f10",
        "attributes": [{"key": "http.status", "value": {"intValue": "500"}}],
    })
}

/// A request with these records of a service.
fn request(service: &str, records: &[Value]) -> String {
    json!({"resourceLogs": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": service}},
            {"key": "k8s.namespace.name", "value": {"stringValue": "prod"}},
            {"key": "host.name", "value": {"stringValue": "h1"}},
        ]},
        "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": records}],
    }]})
    .to_string()
}

fn protobuf(json: &str) -> Vec<u8> {
    let mut message = Vec::new();
    logs_to_protobuf(json.as_bytes(), 1 << 20, &mut message).expect("valid JSON");
    message
}

async fn post(server: &TestServer, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    server.send_to(server.otlp_http, "POST", "/v1/logs", headers, body.into()).await
}

/// Streams of the minutes around `at_ms`, each entry with its structured metadata.
async fn streams(server: &TestServer, query: &str, at_ms: i64) -> Value {
    let (start, end) = (at_ms - 120_000, at_ms + 180_000);
    let path = format!(
        "/loki/api/v1/query_range?query={}&start={start}000000&end={end}000000",
        encode(query)
    );
    let headers = [("X-Loki-Response-Encoding-Flags", "categorize-labels")];
    let answer = server.send("GET", &path, &headers, Bytes::new()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["data"]["result"].clone()
}

fn stored(service: &str, line: &str, at_ms: i64) -> Value {
    json!([{
        "stream": {"service_name": service, "k8s_namespace_name": "prod"},
        "values": [[format!("{at_ms}000000"), line, {"structuredMetadata": {
            "detected_level": "error", "host_name": "h1", "http_status": "500",
            "scope_name": "lib", "severity_number": "17", "severity_text": "ERROR",
            "trace_id": "0102030405060708090a0b0c0d0e0f10",
        }}]],
    }])
}

#[tokio::test(flavor = "multi_thread")]
async fn records_in_protobuf_and_json_are_found_again() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let answer = post(&server, &[JSON], request("json", &[record("one", at)])).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}".to_owned()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = post(&server, &[PROTOBUF], protobuf(&request("pb", &[record("two", at)]))).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, String::new()));
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(answer.header("content-length"), Some("0"));
    for (service, line) in [("json", "one"), ("pb", "two")] {
        let query = format!("{{service_name=\"{service}\"}} | http_status=`500`");
        assert_eq!(streams(&server, &query, at).await, stored(service, line, at));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_grpc_stores_records() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let message = protobuf(&request("grpc", &[record("three", at)]));
    let reply = call(server.otlp_grpc, EXPORT, &[GRPC], frame(0, &message)).await;
    assert_eq!((reply.status, reply.meta("grpc-status")), (StatusCode::OK, "0"));
    assert_eq!(reply.message, &[0; 5][..], "an empty response");
    let found = streams(&server, "{service_name=\"grpc\"}", at).await;
    assert_eq!(found, stored("grpc", "three", at));
    let old = protobuf(&request("grpc", &[record("old", 1000)]));
    let reply = call(server.otlp_grpc, EXPORT, &[GRPC], frame(0, &old)).await;
    assert_eq!(reply.meta("grpc-status"), "0");
    let text = String::from_utf8_lossy(&reply.message).into_owned();
    assert!(text.contains("timestamp too old"), "{text:?}");
    let reply = call(server.otlp_grpc, EXPORT, &[GRPC], frame(0, b"\x07")).await;
    assert_eq!(reply.meta("grpc-status"), "3");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_and_compression_is_taken() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let body = |service: &str| protobuf(&request(service, &[record("x", at)]));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&body("gzip")).expect("memory");
    let zstd = zstd::encode_all(&body("zstd")[..], 1).expect("memory");
    let snappy = crate::support::compress(&body("snappy"));
    for (path, name, body) in [
        ("/v1/logs", "gzip", gzip.finish().expect("memory")),
        ("/otlp/v1/logs", "zstd", zstd),
        ("/v1/logs", "snappy", snappy),
    ] {
        let headers = [PROTOBUF, ("content-encoding", name), ("x-scope-orgid", name)];
        let answer = server.send("POST", path, &headers, body.into()).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text());
        let all = "/loki/api/v1/series";
        let tenant = [("x-scope-orgid", name)];
        let series = server.send("GET", all, &tenant, Bytes::new()).await.json();
        assert_eq!(series["data"][0]["service_name"], name, "{series}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_is_stored_and_told_when_records_are_bad() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let year = 366 * 24 * 3_600_000_i64;
    let records = [
        record("good", at),
        record("old", at - 2 * year),
        record("early", at + year),
        record(&"x".repeat(300_000), at),
    ];
    let answer = post(&server, &[JSON], request("shop", &records)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let partial = &answer.json()["partialSuccess"];
    assert_eq!(partial["rejectedLogRecords"], "3", "{partial}");
    let text = partial["errorMessage"].as_str().expect("a text");
    for part in ["too_old", "too_far_in_future", "line_too_long"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let found = streams(&server, "{service_name=\"shop\"}", at).await;
    assert_eq!(found, stored("shop", "good", at));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_time_are_the_same_after_a_restart() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let same = json!({"body": {"stringValue": "no time"}});
    let answer = post(&server, &[JSON], request("shop", &[same.clone(), same])).await;
    assert_eq!(answer.text(), "{}");
    let query = "{service_name=\"shop\"}";
    let before = streams(&server, query, at).await;
    assert_eq!(before[0]["values"].as_array().map(Vec::len), Some(2), "{before}");
    let server = TestServer::start_in(server.stop().await, |_| {}).await;
    assert_eq!(streams(&server, query, at).await, before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused() {
    let server = TestServer::start().await;
    for (headers, body, status) in [
        (&[JSON][..], "{", StatusCode::BAD_REQUEST),
        (&[JSON], r#"{"resourceLogs": 1}"#, StatusCode::BAD_REQUEST),
        (&[PROTOBUF], "\x07", StatusCode::BAD_REQUEST),
        (&[("content-type", "text/plain")], "", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[JSON, ("content-encoding", "br")], "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[JSON], "{}", StatusCode::OK),
    ] {
        let answer = post(&server, headers, body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let answer = server.send_to(server.otlp_http, "GET", "/v1/logs", &[], Bytes::new()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    server.stop().await;
}
