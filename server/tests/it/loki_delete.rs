//! Deletion of log entries over Loki's API: shapes, status and texts, and what is hidden.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::support::{Answer, TestServer, encode, minute_ms};

const API: &str = "/loki/api/v1";

async fn send(server: &TestServer, method: &str, path: &str) -> Answer {
    server.send(method, &format!("{API}{path}"), &[], Bytes::new()).await
}

async fn list(server: &TestServer) -> Vec<Value> {
    let answer = send(server, "GET", "/delete").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json().as_array().expect("a list").clone()
}

/// A server with lines of two streams in the minute before the time answered, in seconds.
async fn filled() -> (TestServer, i64) {
    let server = TestServer::start().await;
    let now = minute_ms() / 1000;
    let at = |seconds: i64| ((now - seconds) * 1_000_000_000).to_string();
    let body = json!({"streams": [
        {"stream": {"app": "a"}, "values": [[at(9), "secret 1"], [at(8), "fine"], [at(2), "secret 2"]]},
        {"stream": {"app": "b"}, "values": [[at(9), "secret 3"]]},
    ]});
    let json = [("content-type", "application/json")];
    let body = Bytes::from(body.to_string());
    let answer = server.send("POST", &format!("{API}/push"), &json, body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    (server, now)
}

/// How many lines are read, counted by a query, counted for `index/stats` and for a volume.
async fn seen(server: &TestServer, now: i64) -> [u64; 4] {
    let (from, to) = (now - 60, now);
    let times = format!("start={from}&end={to}");
    let all = encode("{app=~\".+\"}");
    let get = async |path: String| send(server, "GET", &path).await.json();
    let read = get(format!("/query_range?query={all}&{times}")).await;
    let streams = read["data"]["result"].as_array().expect("streams").clone();
    let lines = streams.iter().map(|s| s["values"].as_array().map_or(0, Vec::len) as u64).sum();
    let query = encode("sum(count_over_time({app=~\".+\"}[1m]))");
    let counted = get(format!("/query?query={query}&time={to}")).await;
    let number = |value: &Value| value.as_str().and_then(|v| v.parse().ok()).unwrap_or(0);
    let counted = number(&counted["data"]["result"][0]["value"][1]);
    let stats = get(format!("/index/stats?query={all}&{times}")).await;
    let volume = get(format!("/index/volume?query={all}&{times}")).await;
    let volumes = volume["data"]["result"].as_array().expect("volumes").clone();
    let bytes = volumes.iter().map(|v| number(&v["value"][1])).sum();
    [lines, counted, stats["entries"].as_u64().expect("entries"), bytes]
}

#[tokio::test]
async fn deleted_lines_are_gone_from_every_answer_and_come_back_when_it_is_taken_back() {
    let (server, now) = filled().await;
    assert_eq!(list(&server).await, Vec::<Value>::new());
    assert_eq!(seen(&server, now).await, [4, 4, 4, 28]);
    let query = encode("{app=\"a\"} |= \"secret\"");
    let (start, end) = (now - 20, now - 5);
    for method in ["POST", "PUT"] {
        let path = format!("/delete?query={query}&start={start}&end={end}");
        let answer = send(&server, method, &path).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, String::new()));
        assert_eq!(
            seen(&server, now).await,
            [3, 3, 3, 20],
            "secret 2 is later, secret 3 another's"
        );
    }
    let listed = list(&server).await;
    assert_eq!(listed.len(), 2);
    let ids: Vec<&str> = listed.iter().filter_map(|one| one["request_id"].as_str()).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    let one = json!({
        "request_id": ids[0], "start_time": start, "end_time": end, "status": "received",
        "query": "{app=\"a\"} |= \"secret\"", "created_at": listed[0]["created_at"],
    });
    assert_eq!(listed[0], one);
    assert!(listed[0]["created_at"].as_f64().is_some_and(|at| at > now as f64 - 60.0));
    for id in &ids {
        let answer = send(&server, "DELETE", &format!("/delete?request_id={id}")).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, String::new()));
    }
    assert_eq!(seen(&server, now).await, [4, 4, 4, 28]);
    assert_eq!(list(&server).await, Vec::<Value>::new());
    server.stop().await;
}

#[tokio::test]
async fn what_is_done_on_disk_stays_gone() {
    let (server, now) = filled().await;
    let query = encode("{app=\"a\"}");
    let answer = send(&server, "POST", &format!("/delete?query={query}&start=0&end={now}")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let cleaned =
        server.send("POST", "/api/v1/admin/tsdb/clean_tombstones", &[], Bytes::new()).await;
    assert_eq!(cleaned.status, StatusCode::NO_CONTENT);
    let listed = list(&server).await;
    assert_eq!(listed[0]["status"], "processed");
    let id = listed[0]["request_id"].as_str().expect("an id");
    let answer = send(&server, "DELETE", &format!("/delete?request_id={id}")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("already processed is not allowed"), "{}", answer.text());
    let forced = send(&server, "DELETE", &format!("/delete?request_id={id}&force=true")).await;
    assert_eq!(forced.status, StatusCode::NO_CONTENT);
    assert_eq!(seen(&server, now).await, [1, 1, 1, 8]);
    let labels = send(&server, "GET", "/label/app/values").await.json();
    assert_eq!(labels["data"], json!(["b"]));
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_in_plain_text() {
    let (server, now) = filled().await;
    let query = encode("{app=\"a\"}");
    let later = now + 3600;
    for (method, path, status, text) in [
        ("POST", "/delete?start=1".to_owned(), 400, "query not set"),
        ("POST", format!("/delete?query={query}"), 400, "start time not set"),
        (
            "POST",
            format!("/delete?query={query}&start=1&end={later}"),
            400,
            "deletes in the future",
        ),
        ("POST", format!("/delete?query={query}&start=5&end=4"), 400, "greater than end time"),
        ("POST", format!("/delete?query={}&start=1", encode("{")), 400, "parse error"),
        (
            "POST",
            format!("/delete?query={}&start=1", encode("{a=\"b\"} | json")),
            400,
            "a deletion takes",
        ),
        ("DELETE", "/delete?request_id=x".to_owned(), 404, "could not find delete request"),
    ] {
        let answer = send(&server, method, &path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
        assert!(answer.text().contains(text), "{path}: {}", answer.text());
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    }
    assert_eq!(seen(&server, now).await, [4, 4, 4, 28], "nothing is deleted");
    server.stop().await;
}
