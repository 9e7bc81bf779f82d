//! Input that is wrong: a clear error, the right status, nothing else of the request lost.

use std::fmt::Write as _;

use bytes::Bytes;
use ephemeris_ingest::proto::write_v1::{Label, TimeSeries};
use http::StatusCode;
use prost::Message;

use crate::support::{
    Answer, TestServer, WRITE_HEADERS, compress, encode, minute_ms, request, series,
};

/// Writes `bad` beside a good series and checks that the good one is stored.
async fn partly(server: &TestServer, bad: TimeSeries, name: &str) -> Answer {
    let at = minute_ms();
    let good = series(&[("__name__", name)], &[(at, 7.0)]);
    let answer = server.write(&request(vec![bad, good])).await;
    let stored = server.query(name, at).await.json();
    assert_eq!(stored["data"]["result"][0]["value"][1], "7", "the good series is lost: {stored}");
    answer
}

fn refused(answer: &Answer, words: &str) {
    let text = answer.text();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{text}");
    assert!(text.contains(words), "{words:?} is not in {text:?}");
    let length = answer.header("content-length").map(str::to_owned);
    assert_eq!(length, Some(answer.body.len().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_message() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let whole = request(vec![series(&[("__name__", "x")], &[(at, 1.0)])]).encode_to_vec();
    refused(&server.write_body(Vec::new()).await, "body is empty");
    refused(&server.write_body(b"not snappy at all".to_vec()).await, "snappy");
    // 4 GiB less one byte, and the longest length the format can say, in a few bytes.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    refused(&server.write_body(huge.to_vec()).await, "declared");
    refused(&server.write_body([0xff; 10].to_vec()).await, "snappy");
    for cut in 1..whole.len() {
        let answer = server.write_body(compress(&whole[..cut])).await;
        refused(&answer, "malformed message at byte");
    }
    refused(&server.write_body(compress(b"\x0a\xff\xff\xff\xff\x0f")).await, "malformed");
    // A valid request without series is a success, as metadata alone is.
    let empty = server.write_body(compress(b"")).await;
    assert_eq!(empty.status, StatusCode::NO_CONTENT, "{}", empty.text());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_large() {
    let server = TestServer::start_with(|config| {
        config.bodies.compressed_bytes_max = 10_000;
        config.bodies.decompressed_bytes_max = 20_000;
    })
    .await;
    let answer = server.write_body(vec![0; 10_001]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let text = "body is 10001 bytes; limit is 10000 (limits.compressed_bytes_max)\n";
    assert_eq!(answer.text(), text);
    let answer = server.write_body(compress(&vec![0; 30_000])).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().contains("limits.decompressed_bytes_max"), "{}", answer.text());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_judged_before_the_body() {
    let server = TestServer::start().await;
    for headers in [
        [("content-type", "text/plain"), ("content-encoding", "snappy")],
        [("content-type", "application/x-protobuf;proto=x.Y"), ("content-encoding", "snappy")],
        [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")],
    ] {
        let garbage = Bytes::from_static(b"\xff\xff\xff garbage");
        let answer = server.send("POST", "/api/v1/write", &headers, garbage).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}");
        assert!(answer.text().contains("not supported"), "{}", answer.text());
    }
    let get = server.send("GET", "/api/v1/write", &WRITE_HEADERS, Bytes::new()).await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get.header("allow"), Some("POST"));
    let tenant = [WRITE_HEADERS[0], WRITE_HEADERS[1], ("x-scope-orgid", "../../etc")];
    let answer = server.send("POST", "/api/v1/push", &tenant, Bytes::from_static(b"x")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_that_break_a_rule() {
    let server = TestServer::start().await;
    let at = [(minute_ms(), 1.0)];
    let nameless = series(&[("job", "x")], &at);
    refused(&partly(&server, nameless, "g1").await, "1 rejected (no_metric_name)");
    let empty_name = series(&[("__name__", ""), ("job", "x")], &at);
    refused(&partly(&server, empty_name, "g2").await, "no_metric_name");
    let mut invalid = series(&[("__name__", "bad")], &at);
    invalid.labels.push(Label::new("x", vec![0xff, 0xfe]));
    refused(&partly(&server, invalid, "g3").await, "1 rejected (invalid_utf8)");
    let twice = series(&[("__name__", "bad"), ("x", "1"), ("x", "2")], &at);
    refused(&partly(&server, twice, "g4").await, "label \"x\" comes twice");
    let names: Vec<String> = (0..10_000).map(|i| format!("l{i}")).collect();
    let mut pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    pairs.push(("__name__", "bad"));
    let many = series(&pairs, &at);
    refused(&partly(&server, many, "g5").await, "limits.labels_per_series_max");
    let long = "v".repeat(1 << 20);
    let long = series(&[("__name__", "bad"), ("x", &long)], &at);
    refused(&partly(&server, long, "g6").await, "value of label \"x\" is 1048576 bytes; limit is");
    let answer = server.query("bad", minute_ms()).await.json();
    assert_eq!(answer["data"]["result"], serde_json::json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_outside_the_bounds_of_time() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let labels = [("__name__", "x")];
    let in_1970 = series(&labels, &[(1_000_000, 1.0), (at, 2.0)]);
    let answer = partly(&server, in_1970, "g1").await;
    refused(&answer, "1 rejected (too_old)");
    assert!(answer.text().starts_with("2 samples, "), "{}", answer.text());
    let in_2150 = series(&labels, &[(5_680_281_600_000, 1.0), (at + 1, 3.0)]);
    refused(&partly(&server, in_2150, "g2").await, "1 rejected (too_far_in_future)");
    for edge in [i64::MIN, i64::MAX] {
        assert_eq!(partly(&server, series(&labels, &[(edge, 1.0)]), "g3").await.status, 400);
    }
    let answer = server.query("x[5m]", at + 1).await.json();
    assert_eq!(answer["data"]["result"][0]["values"].as_array().map(Vec::len), Some(2));
    server.stop().await;
}

async fn query_error(server: &TestServer, path: &str, words: &str) {
    let answer = server.get(path).await;
    let text = answer.text();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {text}");
    assert_eq!(answer.json()["errorType"], "bad_data", "{path}: {text}");
    assert_eq!(answer.json()["status"], "error");
    let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains(words), "{path}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_that_are_too_much() {
    let server = TestServer::start().await;
    let nested = format!("query={}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let answer = server.post_form("/api/v1/query", &nested).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let text = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(text.starts_with("invalid parameter \"query\": ") && text.len() < 500, "{text}");
    let mut long = "query=1".to_owned();
    while long.len() < 600_000 {
        let _ = write!(long, "%2B1");
    }
    let answer = server.post_form("/api/v1/query", &long).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.len() < 1000, "{}", answer.text());
    let answer =
        server.post_form("/api/v1/query", &format!("query={}", "x".repeat((1 << 20) + 1))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let many = encode(&[r#"{i=~"\\pL{60}y17"}"#; 50].join(" or "));
    for path in ["query?query=", "query_exemplars?query=", "parse_query?query="] {
        query_error(&server, &format!("/api/v1/{path}{many}"), "limit is 524288").await;
    }
    let many = format!("match[]={}&", encode(r#"{i=~"\\pL{60}y17"}"#)).repeat(50);
    for path in ["series", "labels", "label/a/values", "search/metric_names"] {
        query_error(&server, &format!("/api/v1/{path}?{many}"), "limit is 524288").await;
    }
    let values: Vec<String> = (0..4000).map(|i| format!("host-{i:08}")).collect();
    let all = format!("query=up{{instance=~%22{}%22}}", values.join("|"));
    assert_eq!(server.post_form("/api/v1/query", &all).await.status, StatusCode::OK);
    for range in ["up[inf]", "up[1e300]", "up[NaN]", "up[-1s]", "up[0s]", "up offset 1e300"] {
        let path = format!("/api/v1/query?query={}", encode(range));
        query_error(&server, &path, "parse error").await;
    }
    query_error(&server, "/api/v1/query?query=", "parse error").await;
    query_error(&server, "/api/v1/query", "parse error").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_wrong() {
    let server = TestServer::start().await;
    let range = "/api/v1/query_range?query=up";
    for (parameters, words) in [
        ("&start=0&end=10&step=0", "zero or negative query resolution step"),
        ("&start=0&end=10&step=-5", "zero or negative query resolution step"),
        ("&start=10&end=0&step=5", "end timestamp must not be before start time"),
        ("&start=0&end=12000&step=1", "exceeded maximum resolution of 11,000 points"),
        ("&start=x&end=10&step=5", "cannot parse \"x\" to a valid timestamp"),
        ("&start=0&end=10&step=5x", "cannot parse \"5x\" to a valid duration"),
        ("&start=0&end=10&step=5&timeout=x", "invalid parameter \"timeout\""),
        ("&start=0&end=10&step=5&limit=-1", "limit must be non-negative"),
        ("[5m]&start=0&end=10&step=5", "invalid expression type \"range vector\""),
    ] {
        query_error(&server, &format!("{range}{parameters}"), words).await;
    }
    query_error(&server, "/api/v1/series", "no match[] parameter provided").await;
    query_error(&server, "/api/v1/series?match[]=%7B%7D", "at least one non-empty matcher").await;
    query_error(&server, "/api/v1/labels?match[]=%7B", "invalid parameter \"match[]\"").await;
    query_error(&server, "/api/v1/label/U__/values", "invalid label name").await;
    query_error(&server, "/api/v1/label/%FF/values", "invalid label name").await;
    let long = format!("/api/v1/search/metric_names?search[]={}", "x".repeat(257));
    query_error(&server, &long, "term is 257 bytes; limit is 256").await;
    query_error(&server, "/api/v1/status/tsdb?limit=10001", "limit must not exceed").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_are_not_there() {
    let server = TestServer::start().await;
    let api = server.get("/api/v1/nothing").await;
    assert_eq!(api.status, StatusCode::NOT_FOUND);
    assert_eq!(api.json()["errorType"], "not_found");
    let page = server.get("/nothing").await;
    assert_eq!(
        (page.status, page.text().as_str()),
        (StatusCode::NOT_FOUND, "404 page not found\n")
    );
    let other = server.send("POST", "/v1/traces", &[], Bytes::new()).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    assert!(other.text().contains("remote write at /api/v1/write"), "{}", other.text());
    let deleted = server.send("DELETE", "/api/v1/query", &[], Bytes::new()).await;
    assert_eq!(deleted.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(deleted.header("allow"), Some("GET,HEAD,POST"));
    server.stop().await;
}
