//! Prometheus text and OpenMetrics by POST; rates; what arrived.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::support::{Answer, TestServer, minute_ms};

async fn import(server: &TestServer, path: &str, text: &str) -> Answer {
    server.send("POST", path, &[], Bytes::copy_from_slice(text.as_bytes())).await
}

const PATH: &str = "/api/v1/import/prometheus";

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_stored_with_its_times_or_the_time_of_arrival() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let text = format!("# TYPE x counter\n# HELP x Help.\nx{{a=\"b\"}} 1.5 {at}\nnow 2\n");
    let answer = import(&server, PATH, &text).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, String::new()));
    let answer = server.query("x", at).await.json();
    assert_eq!(answer["data"]["result"][0]["value"][1], "1.5");
    let answer = server.get("/api/v1/query?query=now").await.json();
    assert_eq!(answer["data"]["result"][0]["value"][1], "2");
    let metadata = server.get("/api/v1/metadata?metric=x").await.json();
    assert_eq!(metadata["data"]["x"][0], json!({"type": "counter", "help": "Help.", "unit": ""}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_lines_are_named_and_good_ones_stored() {
    let server = TestServer::start().await;
    let answer = import(&server, PATH, "good 1\nbad\ngood{a=\"b\"} 2\n{\n").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answer.text(),
        "2 samples stored; 2 lines refused\nline 2: the line has no value\n\
         line 4: label \"\" has no value\n"
    );
    let answer = server.get("/api/v1/query?query=count(good)").await.json();
    assert_eq!(answer["data"]["result"][0]["value"][1], "2");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_paths_of_the_pushgateway_set_labels() {
    let server = TestServer::start().await;
    for (method, path) in
        [("PUT", "/metrics/job/backup/instance/h%201"), ("POST", "/metrics/job@base64/Yi9j")]
    {
        let answer = server.send(method, path, &[], Bytes::from_static(b"took 3\n")).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}: {}", answer.text());
    }
    let query =
        crate::support::encode(r#"took{job="backup",instance="h 1"} + on() took{job="b/c"}"#);
    let answer = server.get(&format!("/api/v1/query?query={query}")).await.json();
    assert_eq!(answer["data"]["result"][0]["value"][1], "6");
    let answer = import(&server, "/metrics/job", "x 1\n").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("has no value"), "{}", answer.text());
    assert_eq!(server.get("/metrics").await.status, StatusCode::OK, "own metrics are still there");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_over_its_rate_is_told_to_wait() {
    let server = TestServer::start_with(|c| c.rates.samples_per_second_max = 1).await;
    let many: String = (0..10_000).map(|i| format!("x{{i=\"{i}\"}} 1\n")).collect();
    assert_eq!(import(&server, PATH, &many).await.status, StatusCode::NO_CONTENT);
    let answer = import(&server, PATH, "x 1\n").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.text().contains("limits.samples_per_second_max"), "{}", answer.text());
    let batch = crate::support::request(vec![crate::support::series(
        &[("__name__", "x")],
        &[(minute_ms(), 1.0)],
    )]);
    assert_eq!(server.write(&batch).await.status, StatusCode::TOO_MANY_REQUESTS);
    let other = [("x-scope-orgid", "other")];
    let answer = server.send("POST", PATH, &other, Bytes::from_static(b"x 1\n")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "another tenant");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_can_be_seen() {
    let server = TestServer::start().await;
    let at = minute_ms();
    import(&server, PATH, &format!("x 1 {at}\nx 1 1\ny 2 {at}\n")).await;
    let status = server.get("/api/v1/status/ingest").await.json();
    let text = &status["data"]["protocols"][0];
    assert_eq!(text["protocol"], "text");
    assert_eq!((&text["samples"], &text["seriesCreated"]), (&json!(2), &json!(2)));
    assert_eq!(text["rejects"][0]["reason"], "too_old");
    assert_eq!(text["rejects"][0]["count"], 1);
    let late: u64 = text["lateness"]
        .as_array()
        .expect("a histogram")
        .iter()
        .map(|bucket| bucket["count"].as_u64().expect("a count"))
        .sum();
    assert_eq!(late, 3);
    server.stop().await;
}
