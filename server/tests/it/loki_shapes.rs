//! Bodies of Loki's API field by field, in the situations Grafana asks in: its datasource and Logs
//! Drilldown. What the calls mean is tested in `loki_api`.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::support::{Answer, TestServer, encode, minute_ms};

const API: &str = "/loki/api/v1";
const CATEGORIZE: (&str, &str) = ("X-Loki-Response-Encoding-Flags", "categorize-labels");

/// A server with one stream of three lines a nanosecond apart, and another stream; and the time of
/// the first line.
async fn filled() -> (TestServer, i64) {
    let server = TestServer::start().await;
    let first = minute_ms() * 1_000_000 - 30_000_000_000;
    let at = |n: i64| (first + n).to_string();
    let metadata = json!({"foo": "a", "bar": "b", "detected_level": "info"});
    let body = json!({"streams": [
        {"stream": {"test": "test", "service_name": "s"}, "values": [
            [at(0), "super line", {"detected_level": "info"}],
            [at(1), "super line with labels", metadata],
            [at(2), "super line with labels msg=text", metadata],
        ]},
        {"stream": {"c": "3", "d": "4", "service_name": "s"}, "values": [[at(3), "level=info x=1"]]},
    ]});
    let headers = [("content-type", "application/json")];
    let answer =
        server.send("POST", &format!("{API}/push"), &headers, Bytes::from(body.to_string())).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    (server, first)
}

async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.send("GET", &format!("{API}{path}"), headers, Bytes::new()).await
}

async fn ask(server: &TestServer, path: &str) -> Value {
    let answer = get(server, path, &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn range(query: &str, first: i64, more: &str) -> String {
    let (start, end) = (first - 1_000_000_000, first + 1_000_000_000);
    format!("/query_range?query={}&start={start}&end={end}&step=1000ms{more}", encode(query))
}

#[tokio::test]
async fn streams_have_lokis_fields_with_labels_apart_and_without() {
    let (server, first) = filled().await;
    let path = range("{test=\"test\"} | logfmt", first, "&direction=forward&limit=1000");
    let apart = get(&server, &path, &[CATEGORIZE]).await.json();
    assert_eq!(keys(&apart), BTreeSet::from(["data", "status"]));
    assert_eq!(apart["status"], "success");
    let data = &apart["data"];
    let fields = ["encodingFlags", "result", "resultType", "stats"];
    assert_eq!(keys(data), BTreeSet::from(fields));
    assert_eq!(data["encodingFlags"], json!(["categorize-labels"]));
    let metadata = json!({"foo": "a", "bar": "b", "detected_level": "info"});
    let wanted = json!([{
        "stream": {"test": "test", "service_name": "s"},
        "values": [
            [first.to_string(), "super line", {"structuredMetadata": {"detected_level": "info"}}],
            [(first + 1).to_string(), "super line with labels", {"structuredMetadata": metadata}],
            [
                (first + 2).to_string(),
                "super line with labels msg=text",
                {"structuredMetadata": metadata, "parsed": {"msg": "text"}},
            ],
        ],
    }]);
    assert_eq!(data["result"], wanted);

    let merged = ask(&server, &path).await;
    assert_eq!(keys(&merged["data"]), BTreeSet::from(["result", "resultType", "stats"]));
    let streams = merged["data"]["result"].as_array().expect("streams");
    assert_eq!(streams.len(), 3, "metadata and parsed labels split it");
    for stream in streams {
        assert_eq!(keys(stream), BTreeSet::from(["stream", "values"]));
        assert_eq!(stream["values"][0].as_array().map(Vec::len), Some(2));
    }
    let drop = "{test=\"test\"} | drop detected_level, foo, bar";
    let bare = get(&server, &range(drop, first, ""), &[CATEGORIZE]).await.json();
    assert_eq!(bare["data"]["result"][0]["values"][0][2], json!({}), "none is an empty object");
    server.stop().await;
}

#[tokio::test]
async fn statistics_have_the_names_of_lokis() {
    let (server, first) = filled().await;
    // Of those Loki has; the datasource reads the first five.
    let known = BTreeSet::from([
        "bytesProcessedPerSecond",
        "linesProcessedPerSecond",
        "totalBytesProcessed",
        "totalLinesProcessed",
        "execTime",
        "queueTime",
        "shards",
        "splits",
        "subqueries",
        "totalEntriesReturned",
        "totalStructuredMetadataBytesProcessed",
        "totalPostFilterLines",
    ]);
    for query in ["{test=\"test\"}", "count_over_time({test=\"test\"}[1m])"] {
        let answer = ask(&server, &range(query, first, "")).await;
        let summary = &answer["data"]["stats"]["summary"];
        let found = keys(summary);
        assert!(found.is_subset(&known), "{found:?}");
        let read: Vec<&str> =
            known.iter().copied().filter(|name| name.contains("rocessed")).collect();
        for name in read.iter().filter(|name| !name.contains("Structured")).chain([&"execTime"]) {
            assert!(summary[*name].is_number(), "{name} of {summary}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn numbers_have_times_in_seconds_and_values_as_texts() {
    let (server, first) = filled().await;
    let count =
        "sum by (level, detected_level) (count_over_time({test=\"test\"} | drop __error__ [2s]))";
    let matrix = ask(&server, &range(count, first, "")).await["data"].take();
    assert_eq!(matrix["resultType"], "matrix");
    let series = &matrix["result"][0];
    assert_eq!(keys(series), BTreeSet::from(["metric", "values"]));
    assert_eq!(series["metric"], json!({"detected_level": "info"}), "level is not beside it");
    assert!(series["values"][0][0].is_number() && series["values"][0][1].is_string());
    let end = first / 1_000_000_000 + 1;
    let path = format!("/query?query={}&time={end}", encode(count));
    let vector = ask(&server, &path).await["data"].take();
    assert_eq!(vector["resultType"], "vector");
    let found = json!([{"metric": {"detected_level": "info"}, "value": [end, "3"]}]);
    assert_eq!(vector["result"], found);
    let answer = get(&server, &format!("/query?query={}", encode("{test=\"test\"}")), &[]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answer.text().trim_end(),
        "log queries are not supported as an instant query type, please change your query to a \
         range query type"
    );
    server.stop().await;
}

#[tokio::test]
async fn lists_have_data_and_none_of_it_is_an_empty_list() {
    let (server, first) = filled().await;
    let times = format!("start={}&end={}", first - 1, first + 1_000_000_000);
    let labels = ask(&server, &format!("/labels?{times}")).await;
    let all = json!({"status": "success", "data": ["c", "d", "service_name", "test"]});
    assert_eq!(labels, all);
    let query = encode("{test=\"test\"}");
    let values = ask(&server, &format!("/label/test/values?{times}&query={query}")).await;
    assert_eq!(values, json!({"status": "success", "data": ["test"]}));
    // Asked for by split queries; and a label nobody has. Loki leaves `data` out, which Grafana
    // takes for an empty list.
    for name in ["__stream_shard__", "none"] {
        let none = ask(&server, &format!("/label/{name}/values?{times}")).await;
        assert_eq!(none, json!({"status": "success", "data": []}));
    }
    let series = ask(&server, &format!("/series?{times}&match[]={}", encode("{c=\"3\"}"))).await;
    let one = json!([{"c": "3", "d": "4", "service_name": "s"}]);
    assert_eq!(series, json!({"status": "success", "data": one}));
    let none = ask(&server, &format!("/series?{times}&match[]={}", encode("{c=\"4\"}"))).await;
    assert_eq!(none, json!({"status": "success", "data": []}));
    let stats = ask(&server, &format!("/index/stats?{times}&query={query}")).await;
    assert_eq!(keys(&stats), BTreeSet::from(["bytes", "chunks", "entries", "streams"]));
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(1), &json!(3)));
    server.stop().await;
}

#[tokio::test]
async fn drilldown_asks_with_times_of_rfc_3339_and_gets_its_fields() {
    let (server, first) = filled().await;
    let rfc = |ns: i64| encode(&ephemeris::api::time::format_rfc3339(ns / 1_000_000));
    let times =
        format!("start={}&end={}", rfc(first - 60_000_000_000), rfc(first + 60_000_000_000));
    let all = encode("{service_name=~\".+\"}");
    let path = format!("/index/volume?query={all}&limit=5000&targetLabels=service_name&{times}");
    let volume = ask(&server, &path).await;
    assert_eq!(keys(&volume["data"]).contains("stats"), volume["data"].get("stats").is_some());
    assert_eq!(volume["data"]["resultType"], "vector");
    let result = &volume["data"]["result"];
    assert_eq!(result.as_array().map(Vec::len), Some(1));
    assert_eq!(keys(&result[0]), BTreeSet::from(["metric", "value"]));
    assert_eq!(result[0]["metric"], json!({"service_name": "s"}));
    assert_eq!(result[0]["value"][1], "77", "bytes of the lines, as a text");
    let labels = ask(&server, &format!("/detected_labels?query=&{times}")).await;
    assert_eq!(keys(&labels), BTreeSet::from(["detectedLabels"]));
    for label in labels["detectedLabels"].as_array().expect("labels") {
        assert_eq!(keys(label), BTreeSet::from(["cardinality", "label"]));
    }
    let query = encode("{service_name=\"s\"} | json | logfmt | drop __error__, __error_details__");
    let fields = ask(&server, &format!("/detected_fields?query={query}&{times}&limit=1000")).await;
    assert_eq!(keys(&fields), BTreeSet::from(["fields", "limit"]));
    for field in fields["fields"].as_array().expect("fields") {
        let known = BTreeSet::from(["cardinality", "jsonPath", "label", "parsers", "type"]);
        assert!(keys(field).is_subset(&known), "{field}");
        let parsers = &field["parsers"];
        let from_metadata =
            ["foo", "bar", "detected_level"].contains(&field["label"].as_str().expect("a name"));
        assert_eq!(parsers.is_null(), from_metadata, "{field}");
    }
    let query = encode("{service_name=\"s\"}");
    let patterns = ask(&server, &format!("/patterns?query={query}&{times}&step=30s")).await;
    assert_eq!(keys(&patterns), BTreeSet::from(["data", "status"]));
    let patterns = patterns["data"].as_array().expect("patterns");
    assert!(!patterns.is_empty());
    for pattern in patterns {
        assert_eq!(keys(pattern), BTreeSet::from(["level", "pattern", "samples"]));
        for sample in pattern["samples"].as_array().expect("samples") {
            assert!(sample[0].is_i64() && sample[1].is_i64(), "whole numbers: {sample}");
        }
    }
    let limits = ask(&server, "/drilldown-limits").await;
    let names = ["limits", "pattern_ingester_enabled", "version"];
    assert_eq!(keys(&limits), BTreeSet::from(names));
    server.stop().await;
}
