//! `export`: all entries as lines of JSON; and `/api/v1/status/ingest` for logs.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{TestServer, encode, minute_ms};

const API: &str = "/loki/api/v1";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn push(server: &TestServer, labels: &Value, values: &[Value]) {
    let body = json!({"streams": [{"stream": labels, "values": values}]}).to_string();
    let answer = server.send("POST", &format!("{API}/push"), &[JSON], Bytes::from(body)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
}

async fn export(server: &TestServer, query: &str, more: &str) -> Vec<Value> {
    let path = format!("{API}/export?query={}&start=0{more}", encode(query));
    let answer = server.get(&path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = answer.text();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test]
async fn an_export_has_no_limit_and_holds_head_and_blocks() {
    let server = TestServer::start().await;
    let now = minute_ms() * 1_000_000;
    let count = 12_000_i64;
    for half in 0..2 {
        let values: Vec<Value> = (0..count / 2)
            .map(|n| n * 2 + half)
            .map(|n| json!([(now + n).to_string(), format!("line {n} of many")]))
            .collect();
        push(&server, &json!({"app": "a"}), &values).await;
        if half == 0 {
            server.app.store().expect("the store").seal().expect("it seals");
        }
    }
    push(&server, &json!({"app": "b"}), &[json!([now.to_string(), "x", {"trace": "ff"}])]).await;
    let lines = export(&server, "{app=~\".+\"}", &format!("&end={}", now + count)).await;
    assert_eq!(lines.len(), usize::try_from(count).expect("positive") + 1);
    for (n, line) in (0..count).zip(&lines) {
        assert_eq!(
            *line,
            json!({
                "timestamp": (now + n).to_string(),
                "line": format!("line {n} of many"),
                "labels": {"app": "a", "service_name": "a"},
                "structuredMetadata": {"detected_level": "unknown"},
            })
        );
    }
    let last = lines.last().expect("a line");
    assert_eq!(last["structuredMetadata"], json!({"detected_level": "unknown", "trace": "ff"}));
    let found =
        export(&server, "{app=\"a\"} |= \" 7\" |= \"77 \" | pattern \"line <n> of\"", "").await;
    // 77, 777, 7077, 7177 … 7977, and what has 77 at the end behind a leading 7.
    let want = (0..count).filter(|n| n.to_string().starts_with('7') && n % 100 == 77).count();
    assert_eq!(found.len(), want);
    assert_eq!(found[0]["parsed"], json!({"n": "77"}));
    assert_eq!(export(&server, "{app=\"a\"}", "&limit=5001").await.len(), 5001);
    assert_eq!(export(&server, "{app=\"none\"}", "").await, Vec::<Value>::new());
    server.stop().await;
}

#[tokio::test]
async fn an_export_of_something_damaged_does_not_look_whole() {
    let server = TestServer::start().await;
    let now = minute_ms() * 1_000_000;
    let values: Vec<Value> = (0..1000_u32)
        .map(|n| {
            json!([
                (now + i64::from(n)).to_string(),
                format!("{:032x}", u128::from(n) * 0x9e37_79b9_7f4a_7c15)
            ])
        })
        .collect();
    push(&server, &json!({"app": "a"}), &values).await;
    server.app.store().expect("the store").seal().expect("it seals");
    assert_eq!(export(&server, "{app=\"a\"}", "").await.len(), 1000);
    let dir = server.stop().await;
    damage_largest_file(dir.path());
    let server = TestServer::start_in(dir, |_| {}).await;
    let mut socket = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
    let query = encode("{app=\"a\"}");
    let head = format!("GET {API}/export?query={query}&start=0 HTTP/1.1\r\nhost: x\r\n\r\n");
    socket.write_all(head.as_bytes()).await.expect("it is sent");
    let mut answer = Vec::new();
    // An aborted connection may also end in an error.
    let _ = socket.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains("{\"error\":\"not whole: "), "{text}");
    assert!(!text.ends_with("0\r\n\r\n"), "the body must not end as a whole one: {text}");
    server.stop().await;
}

#[tokio::test]
async fn an_export_in_a_version_that_cannot_tell_its_end_is_refused() {
    let server = TestServer::start().await;
    let mut socket = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
    let query = encode("{app=\"a\"}");
    let head = format!("GET {API}/export?query={query} HTTP/1.0\r\nhost: x\r\n\r\n");
    socket.write_all(head.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.0 400"), "{answer}");
    assert!(answer.contains("export takes HTTP/1.1 or later, got HTTP/1.0"), "{answer}");
    server.stop().await;
}

/// Turns over bytes in the middle of the largest table below `dir`.
fn damage_largest_file(dir: &std::path::Path) {
    let (mut folders, mut files) = (vec![dir.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.extension().and_then(std::ffi::OsStr::to_str) {
                _ if path.is_dir() => folders.push(path),
                Some("sst") => files.push(path),
                _ => {}
            }
        }
    }
    let size = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
    files.sort_by_key(size);
    let largest = files.last().expect("there are tables");
    let mut bytes = std::fs::read(largest).expect("it is read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte = !*byte);
    std::fs::write(largest, bytes).expect("it is written");
}

#[tokio::test]
async fn what_is_wrong_with_an_export_is_told_before_it_begins() {
    let server = TestServer::start().await;
    for (query, want) in [
        ("{", "parse error"),
        ("vector(1)", "export takes a log query"),
        ("{a=\"b\"} | line_format \"{{\"", ""),
    ] {
        let answer = server.get(&format!("{API}/export?query={}", encode(query))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {}", answer.text());
        assert!(answer.text().starts_with(want), "{query}: {}", answer.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn arrivals_of_logs_are_shown_and_their_rate_is_limited() {
    let limit = |config: &mut ephemeris::config::Config| {
        config.rates.log_bytes_per_second_max = 10;
    };
    let server = TestServer::start_with(limit).await;
    let now = minute_ms() * 1_000_000;
    let line = "x".repeat(100_000);
    push(&server, &json!({"app": "a"}), &[json!([now.to_string(), line])]).await;
    let body = json!({"streams": [{"stream": {"app": "a"}, "values": [[now.to_string(), "y"]]}]});
    let body = Bytes::from(body.to_string());
    let answer = server.send("POST", &format!("{API}/push"), &[JSON], body).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    assert!(answer.text().starts_with("ingestion rate limit exceeded for user anonymous"));
    let otlp = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": now.to_string(), "body": {"stringValue": "z"}}
    ]}]}]});
    let body = Bytes::from(otlp.to_string());
    let answer = server.send("POST", "/v1/logs", &[JSON], body).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    let shown = server.get("/api/v1/status/ingest").await.json();
    let protocols = shown["data"]["protocols"].as_array().expect("protocols");
    let push = &protocols[0];
    assert_eq!(push["protocol"], "loki_push");
    assert_eq!((&push["entries"], &push["lineBytes"]), (&json!(1), &json!(100_000)));
    assert_eq!((&push["requests"], &push["seriesCreated"]), (&json!(1), &json!(1)));
    assert_eq!(push["rejects"][0]["reason"], "rate_limited");
    let late: u64 = push["lateness"]
        .as_array()
        .expect("lateness")
        .iter()
        .map(|bucket| bucket["count"].as_u64().expect("a count"))
        .sum();
    assert_eq!(late, 1);
    assert_eq!(protocols[1]["protocol"], "otlp_logs");
    assert_eq!(protocols[1]["rejects"][0]["count"], 1);
    server.stop().await;
}
