//! Loki's API, with the calls Grafana's Loki datasource and Logs Drilldown make.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::support::{TestServer, encode, minute_ms};

const API: &str = "/loki/api/v1";
const CATEGORIZE: (&str, &str) = ("X-Loki-Response-Encoding-Flags", "categorize-labels");

/// A server with two streams of a few lines, the last a second before `now`.
async fn filled() -> (TestServer, i64) {
    let server = TestServer::start().await;
    let now = minute_ms() * 1_000_000;
    let at = |seconds: i64| (now - seconds * 1_000_000_000).to_string();
    let body = json!({"streams": [
        {"stream": {"app": "a", "host": "h1"}, "values": [
            [at(3), "level=info msg=started took=5ms"],
            [at(2), "level=error msg=failed took=7ms", {"trace_id": "ff"}],
        ]},
        {"stream": {"app": "b"}, "values": [[at(1), "{\"level\":\"warn\",\"n\":5}"]]},
    ]});
    push(&server, &[], &body).await;
    (server, now)
}

async fn push(server: &TestServer, headers: &[(&str, &str)], body: &Value) {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    let body = Bytes::from(body.to_string());
    let answer = server.send("POST", &format!("{API}/push"), &all, body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
}

async fn ask(server: &TestServer, headers: &[(&str, &str)], path: &str) -> Value {
    let answer = server.send("GET", &format!("{API}{path}"), headers, Bytes::new()).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    answer.json()
}

async fn refused(server: &TestServer, path: &str) -> String {
    let answer = server.get(&format!("{API}{path}")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text());
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    answer.text()
}

/// `query_range` over the minute before `now`.
fn range(query: &str, now: i64, more: &str) -> String {
    let start = now - 60_000_000_000;
    format!("/query_range?query={}&start={start}&end={now}&step=15000ms{more}", encode(query))
}

#[tokio::test]
async fn the_datasource_is_tested_by_a_sum_at_four_seconds() {
    let server = TestServer::start().await;
    let query = encode("vector(1)+vector(1)");
    let path = format!("/query?query={query}&time=4000000000&direction=backward");
    let data = ask(&server, &[], &path).await["data"].take();
    assert_eq!(data["resultType"], "vector");
    assert_eq!(data["result"], json!([{"metric": {}, "value": [4_000_000_000_u64, "2"]}]));
    server.stop().await;
}

#[tokio::test]
async fn entries_come_newest_first_with_all_labels_in_the_stream() {
    let (server, now) = filled().await;
    let data = ask(&server, &[], &range("{app=\"a\"}", now, "")).await["data"].take();
    assert_eq!(data["resultType"], "streams");
    assert_eq!(data.get("encodingFlags"), None);
    let streams = data["result"].as_array().expect("streams");
    assert_eq!(streams.len(), 2, "structured metadata splits the stream");
    let error = json!({
        "stream": {"app": "a", "host": "h1", "service_name": "a", "detected_level": "error",
            "trace_id": "ff"},
        "values": [[(now - 2_000_000_000).to_string(), "level=error msg=failed took=7ms"]],
    });
    assert!(streams.contains(&error), "{streams:?}");
    assert!(data["stats"]["summary"]["totalLinesProcessed"].is_u64());
    server.stop().await;
}

#[tokio::test]
async fn labels_are_told_apart_if_asked_for() {
    let (server, now) = filled().await;
    let query = "{app=\"a\"} |= \"failed\" | logfmt";
    let path = range(query, now, "&limit=10&direction=forward");
    let answer = server.send("GET", &format!("{API}{path}"), &[CATEGORIZE], Bytes::new()).await;
    let text = answer.text();
    let (flags, result) = (text.find("encodingFlags"), text.find("\"result\":"));
    assert!(flags.is_some() && flags < result, "{text}");
    let data = answer.json()["data"].take();
    assert_eq!(data["encodingFlags"], json!(["categorize-labels"]));
    assert_eq!(
        data["result"],
        json!([{
            "stream": {"app": "a", "host": "h1", "service_name": "a"},
            "values": [[
                (now - 2_000_000_000).to_string(),
                "level=error msg=failed took=7ms",
                {
                    "structuredMetadata": {"detected_level": "error", "trace_id": "ff"},
                    "parsed": {"level": "error", "msg": "failed", "took": "7ms"},
                },
            ]],
        }])
    );
    server.stop().await;
}

#[tokio::test]
async fn the_limit_and_the_border_of_the_range_hold() {
    let (server, now) = filled().await;
    let data = ask(&server, &[], &range("{app=~\".+\"}", now, "&limit=1")).await["data"].take();
    let newest = (now - 1_000_000_000).to_string();
    assert_eq!(data["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(data["result"][0]["values"][0][0], newest);
    // The end does not belong to the range, the start does.
    let path = format!(
        "/query_range?query={}&start={}&end={newest}",
        encode("{app=~\".+\"}"),
        now - 2_000_000_000
    );
    let data = ask(&server, &[], &path).await["data"].take();
    assert_eq!(data["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(data["result"][0]["stream"]["detected_level"], "error");
    server.stop().await;
}

#[tokio::test]
async fn the_histogram_of_explore_counts_levels() {
    let (server, now) = filled().await;
    let query =
        "sum by (level, detected_level) (count_over_time({app=~\".+\"} | drop __error__ [15s]))";
    let data = ask(&server, &[CATEGORIZE], &range(query, now, "")).await["data"].take();
    assert_eq!(data["resultType"], "matrix");
    let at = now / 1_000_000_000;
    let one = |level: &str| json!({"metric": {"detected_level": level}, "values": [[at, "1"]]});
    assert_eq!(data["result"], json!([one("error"), one("info"), one("warn")]));
    server.stop().await;
}

#[tokio::test]
async fn labels_values_and_series_come_from_the_index() {
    let (server, _) = filled().await;
    let data = ask(&server, &[], "/labels").await;
    assert_eq!(data, json!({"status": "success", "data": ["app", "host", "service_name"]}));
    let query = encode("{app=\"b\"}");
    let data = ask(&server, &[], &format!("/labels?query={query}")).await;
    assert_eq!(data["data"], json!(["app", "service_name"]));
    let data = ask(&server, &[], "/label/app/values").await;
    assert_eq!(data["data"], json!(["a", "b"]));
    let data = ask(&server, &[], "/label/__stream_shard__/values").await;
    assert_eq!(data["data"], json!([]));
    let data = ask(&server, &[], &format!("/series?match[]={query}")).await;
    assert_eq!(data["data"], json!([{"app": "b", "service_name": "b"}]));
    let data = ask(&server, &[], "/labels?start=1&end=2").await;
    assert_eq!(data["data"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn stats_and_volumes_count_bytes() {
    let (server, now) = filled().await;
    let (a, b) = (31 + 31, 22);
    let data = ask(&server, &[], &format!("/index/stats?query={}", encode("{app=\"a\"}"))).await;
    assert_eq!(data, json!({"streams": 1, "chunks": 1, "bytes": a, "entries": 2}));
    let query = encode("{service_name=~\".+\"}");
    let path =
        format!("/index/volume?query={query}&limit=5000&start=1970-01-01T00:00:00.000Z&end={now}");
    let data = ask(&server, &[], &path).await["data"].take();
    assert_eq!(data["resultType"], "vector");
    let at = now / 1_000_000_000;
    assert_eq!(
        data["result"],
        json!([
            {"metric": {"service_name": "a"}, "value": [at, a.to_string()]},
            {"metric": {"service_name": "b"}, "value": [at, b.to_string()]},
        ])
    );
    let data = ask(&server, &[], &format!("/index/volume?query={query}&targetLabels=host")).await;
    assert_eq!(data["data"]["result"][0]["metric"], json!({"host": "h1"}));
    let path = format!("/index/volume?query={query}&aggregateBy=labels");
    let data = ask(&server, &[], &path).await["data"].take();
    assert_eq!(data["result"][0]["metric"], json!({"service_name": ""}));
    let path = format!(
        "/index/volume_range?query={query}&start={}&end={now}&step=60",
        now - 120_000_000_000
    );
    let data = ask(&server, &[], &path).await["data"].take();
    assert_eq!(data["resultType"], "matrix");
    assert_eq!(data["result"][0]["values"], json!([[at - 60, a.to_string()]]));
    server.stop().await;
}

#[tokio::test]
async fn drilldown_finds_labels_fields_and_patterns() {
    let (server, _) = filled().await;
    let data = ask(&server, &[], "/detected_labels?query=").await;
    let label = |name: &str, count: u64| json!({"label": name, "cardinality": count});
    let labels = [label("app", 2), label("host", 1), label("service_name", 2)];
    assert_eq!(data, json!({"detectedLabels": labels}));
    let query = encode("{app=~\".+\"} | json | logfmt | drop __error__, __error_details__");
    let data = ask(&server, &[], &format!("/detected_fields?query={query}&limit=1000")).await;
    assert_eq!(data["limit"], 1000);
    let fields = data["fields"].as_array().expect("fields");
    let field = |name: &str| fields.iter().find(|field| field["label"] == name).expect("a field");
    assert_eq!(field("trace_id")["parsers"], Value::Null);
    assert_eq!(
        *field("took"),
        json!({"label": "took", "type": "duration", "cardinality": 2, "parsers": ["logfmt"]})
    );
    assert_eq!(
        *field("n"),
        json!({"label": "n", "type": "int", "cardinality": 1, "parsers": ["json"]})
    );
    assert_eq!(field("level")["parsers"], json!(["json", "logfmt"]));
    assert!(fields.iter().all(|field| field["label"] != "app"), "{fields:?}");
    let data = ask(&server, &[], &format!("/detected_field/took/values?query={query}")).await;
    assert_eq!(data, json!({"values": ["5ms", "7ms"], "limit": 1000}));
    let data = ask(&server, &[], &format!("/detected_field/none/values?query={query}")).await;
    assert_eq!(data["values"], json!([]));
    let query = encode("{app=\"a\"}");
    let data = ask(&server, &[], &format!("/patterns?query={query}&step=30s")).await;
    let patterns = data["data"].as_array().expect("patterns");
    assert_eq!(patterns.len(), 2);
    assert!(
        patterns
            .iter()
            .any(|p| p["pattern"] == "level=info msg=started took=<_>" && p["level"] == "info")
    );
    let limits = ask(&server, &[], "/drilldown-limits").await;
    assert_eq!(limits["limits"]["volume_enabled"], true);
    server.stop().await;
}

#[tokio::test]
async fn several_tenants_are_read_at_once() {
    let (server, now) = filled().await;
    let stream = json!({"stream": {"app": "a"}, "values": [[(now - 1).to_string(), "other"]]});
    push(&server, &[("x-scope-orgid", "t2")], &json!({"streams": [stream]})).await;
    let both = [("x-scope-orgid", "anonymous|t2")];
    let data = ask(&server, &both, "/label/__tenant_id__/values").await;
    assert_eq!(data["data"], json!(["anonymous", "t2"]));
    let query = range("{app=\"a\", __tenant_id__=\"t2\"}", now, "");
    let data = ask(&server, &both, &query).await["data"].take();
    assert_eq!(data["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(data["result"][0]["stream"]["__tenant_id__"], "t2");
    let data = ask(&server, &[("x-scope-orgid", "t3")], "/labels").await;
    assert_eq!(data["data"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_in_plain_text() {
    let (server, now) = filled().await;
    let text = refused(&server, &format!("/query?query={}", encode("{app=\"a\"}"))).await;
    assert_eq!(
        text,
        "log queries are not supported as an instant query type, please change your query to a \
         range query type"
    );
    let text = refused(&server, &range("{app=\"a\"", now, "")).await;
    assert!(text.starts_with("parse error at line 1, col "), "{text}");
    let text = refused(&server, &range("{app=\"a\"}", now, "&limit=5001")).await;
    assert!(text.starts_with("max entries limit per query exceeded"), "{text}");
    let text = refused(&server, &range("{app=\"a\"}", now, "&direction=up")).await;
    assert_eq!(text, "invalid direction 'up'");
    let text = refused(&server, "/query_range?query=x&start=2&end=1").await;
    assert_eq!(text, "end timestamp must not be before or equal to start time");
    let answer = server.get(&format!("{API}/format_query?query=x")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["status"], "invalid-query");
    server.stop().await;
}

#[tokio::test]
async fn probes_are_answered() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/ready").await.status, StatusCode::OK);
    let build = ask(&server, &[], "/status/buildinfo").await;
    assert!(build["version"].as_str().is_some_and(|version| version.starts_with("3.")));
    assert_eq!(ask(&server, &[], "/delete").await, json!([]));
    let query = encode("{ a=\"b\"}|=\"x\"|json|  n>1");
    let formatted = ask(&server, &[], &format!("/format_query?query={query}")).await;
    assert_eq!(formatted["data"], "{a=\"b\"} |= \"x\" | json | n>1");
    server.stop().await;
}
