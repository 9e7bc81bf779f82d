//! Status and body of every endpoint.

use bytes::Bytes;
use ephemeris::config::Switch;
use ephemeris_ingest::proto::write_v1::{
    Exemplar, Label, MetricMetadata, TimeSeries, WriteRequest,
};
use http::StatusCode;
use prost::Message;
use serde_json::{Value, json};

use crate::support::{TestServer, WRITE_HEADERS, compress, minute_ms, request, seconds, series};

/// A server with two series, metadata and an exemplar, all at the minute returned.
async fn filled() -> (TestServer, i64) {
    let server = TestServer::start().await;
    let at = minute_ms();
    let exemplar =
        Exemplar { labels: vec![Label::new("trace_id", "abc")], value: Some(6.0), timestamp: at };
    let a = series(&[("__name__", "up"), ("job", "a<b")], &[(at - 15_000, 0.5), (at, 1.0)]);
    let b = series(&[("__name__", "up"), ("job", "b")], &[(at, -0.0)]);
    let metadata = MetricMetadata {
        r#type: 2,
        metric_family_name: b"up".to_vec(),
        help: b"Whether it is up.".to_vec(),
        unit: Vec::new(),
    };
    let batch = WriteRequest {
        timeseries: vec![TimeSeries { exemplars: vec![exemplar], ..a }, b],
        metadata: vec![metadata],
    };
    let answer = server.write(&batch).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    assert!(answer.body.is_empty());
    (server, at)
}

/// Wraps `data` as a successful answer.
fn success(data: &str) -> String {
    format!(r#"{{"status":"success","data":{data}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn queries() {
    let (server, at) = filled().await;
    let s = seconds(at);
    let vector = success(&format!(
        concat!(
            r#"{{"resultType":"vector","result":["#,
            r#"{{"metric":{{"__name__":"up","job":"a<b"}},"value":[{0},"1"]}},"#,
            r#"{{"metric":{{"__name__":"up","job":"b"}},"value":[{0},"-0"]}}]}}"#
        ),
        s
    ));
    assert_eq!(server.query("up", at).await.text(), vector);
    let form = format!("query=up&time={s}");
    assert_eq!(server.post_form("/api/v1/query", &form).await.text(), vector);

    let start = seconds(at - 15_000);
    let path = format!("/api/v1/query_range?query=up&start={start}&end={s}&step=15s");
    let matrix = success(&format!(
        concat!(
            r#"{{"resultType":"matrix","result":["#,
            r#"{{"metric":{{"__name__":"up","job":"a<b"}},"values":[[{0},"0.5"],[{1},"1"]]}},"#,
            r#"{{"metric":{{"__name__":"up","job":"b"}},"values":[[{1},"-0"]]}}]}}"#
        ),
        start, s
    ));
    assert_eq!(server.get(&path).await.text(), matrix);

    let cut = server.get(&format!("/api/v1/query?query=up&time={s}&limit=1")).await.json();
    assert_eq!(cut["data"]["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));

    let text = server.query("\"x\"", at).await.text();
    assert_eq!(text, success(&format!(r#"{{"resultType":"string","result":[{s},"x"]}}"#)));
    let empty = server.query("nothing", at).await.text();
    assert_eq!(empty, success(r#"{"resultType":"vector","result":[]}"#));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_are_told() {
    let (server, at) = filled().await;
    let answer = server.query("rate(up[1m])", at).await.json();
    let info = answer["infos"][0].as_str().unwrap_or_default();
    let text = "PromQL info: metric might not be a counter, name does not end in \
                _total/_sum/_count/_bucket: \"up\" (1:6)";
    assert_eq!(info, text);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_and_labels() {
    let (server, at) = filled().await;
    let both = success(r#"[{"__name__":"up","job":"a<b"},{"__name__":"up","job":"b"}]"#);
    assert_eq!(server.get("/api/v1/series?match[]=up").await.text(), both);
    let twice = "match[]=up&match[]=%7Bjob%3D%22b%22%7D";
    assert_eq!(server.post_form("/api/v1/series", twice).await.text(), both);
    let cut = server.get("/api/v1/series?match[]=up&limit=1").await.text();
    let one = r#"{"status":"success","data":[{"__name__":"up","job":"a<b"}],"warnings":["results truncated due to limit"]}"#;
    assert_eq!(cut, one);
    let later = format!("/api/v1/series?match[]=up&start={}", at / 1000 + 90 * 86_400);
    assert_eq!(server.get(&later).await.text(), success("[]"));

    assert_eq!(server.get("/api/v1/labels").await.text(), success(r#"["__name__","job"]"#));
    let values = server.get("/api/v1/label/job/values").await.text();
    assert_eq!(values, success(r#"["a<b","b"]"#));
    let none = server.get("/api/v1/label/nope/values").await.text();
    assert_eq!(none, success("[]"));
    let wrong = server.post_form("/api/v1/label/job/values", "").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.header("allow"), Some("GET,HEAD"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_exemplars() {
    let (server, at) = filled().await;
    let known = success(r#"{"up":[{"type":"gauge","help":"Whether it is up.","unit":""}]}"#);
    assert_eq!(server.get("/api/v1/metadata").await.text(), known);
    assert_eq!(server.get("/api/v1/metadata?metric=up&limit=40000").await.text(), known);
    assert_eq!(server.get("/api/v1/metadata?metric=down").await.text(), success("{}"));
    assert_eq!(server.get("/api/v1/targets/metadata").await.text(), success("[]"));

    let s = seconds(at);
    let found = success(&format!(
        concat!(
            r#"[{{"seriesLabels":{{"__name__":"up","job":"a<b"}},"exemplars":"#,
            r#"[{{"labels":{{"trace_id":"abc"}},"value":"6","timestamp":{}}}]}}]"#
        ),
        s
    ));
    let path = format!("/api/v1/query_exemplars?query=rate(up[5m])&start={s}&end={s}");
    assert_eq!(server.get(&path).await.text(), found);
    let none = server.get("/api/v1/query_exemplars?query=1").await;
    assert_eq!((none.status, none.body.len()), (StatusCode::NO_CONTENT, 0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions() {
    let server = TestServer::start().await;
    let answer = server.get("/api/v1/format_query?query=sum(up)by(job)").await.text();
    assert_eq!(answer, success(r#""sum by (job) (up)""#));
    let answer = server.post_form("/api/v1/parse_query", "query=-up").await.json();
    assert_eq!(answer["data"]["type"], "unaryExpr");
    assert_eq!(answer["data"]["expr"]["matchers"][0]["value"], "up");
    let wrong = server.get("/api/v1/parse_query?query=up%7B").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(wrong.json()["errorType"], "bad_data");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lists() {
    let server = TestServer::start().await;
    for (path, data) in [
        ("/api/v1/rules", r#"{"groups":[]}"#),
        ("/api/v1/alerts", r#"{"alerts":[]}"#),
        ("/api/v1/alertmanagers", r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#),
        ("/api/v1/targets", r#"{"activeTargets":[],"droppedTargetCounts":{},"droppedTargets":[]}"#),
        ("/api/v1/scrape_pools", r#"{"scrapePools":[]}"#),
        ("/api/v1/labels", "[]"),
        ("/api/v1/metadata", "{}"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.text(), success(data), "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status() {
    let (server, _) = filled().await;
    let data = |answer: Value| answer["data"].clone();
    let flags = data(server.get("/api/v1/status/flags").await.json());
    assert_eq!(flags["retention"], "400d");
    assert_eq!(flags["durability"], "sync");
    let config = data(server.get("/api/v1/status/config").await.json());
    let yaml = config["yaml"].as_str().unwrap_or_default();
    assert!(yaml.contains("query.timeout: \"2m\""), "{yaml}");
    let runtime = data(server.get("/api/v1/status/runtimeinfo").await.json());
    assert_eq!(runtime["storageRetention"], "400d");
    assert_eq!(runtime["corruptionCount"], 0);
    let replay = data(server.get("/api/v1/status/walreplay").await.json());
    assert_eq!(replay, json!({"min": 0, "max": 1, "current": 1}));
    let active = data(server.get("/api/v1/status/active_queries").await.json());
    assert_eq!(active, serde_json::json!([]), "nothing runs");
    let other = [WRITE_HEADERS[0], WRITE_HEADERS[1], ("x-scope-orgid", "other")];
    let theirs = request(vec![series(&[("__name__", "theirs")], &[(minute_ms(), 1.0)])]);
    let body = compress(&theirs.encode_to_vec()).into();
    let answer = server.send("POST", "/api/v1/write", &other, body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    let tsdb = data(server.get("/api/v1/status/tsdb").await.json());
    assert_eq!(tsdb["seriesCountByMetricName"], json!([{"name": "up", "value": 2}]));
    assert_eq!(tsdb["headStats"]["numSeries"], 2);
    assert_eq!(tsdb["labelValueCountByLabelName"][0], json!({"name": "job", "value": 2}));
    let features = data(server.get("/api/v1/features").await.json());
    assert_eq!(features["promql_functions"]["rate"], true);
    let version = server.get("/version").await.json();
    assert_eq!(version["version"], concat!("3.14.0+ephemeris.", env!("CARGO_PKG_VERSION")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics() {
    let (server, _) = filled().await;
    assert_eq!(server.get("/-/healthy").await.text(), "Ephemeris is Healthy.\n");
    assert_eq!(server.get("/-/ready").await.text(), "Ephemeris is Ready.\n");
    let head = server.send("HEAD", "/-/ready", &[], Bytes::new()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    let metrics = server.get("/metrics").await;
    let kind = metrics.header("content-type").map(str::to_owned);
    assert_eq!(kind.as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = metrics.text();
    for line in [
        "ephemeris_build_info{version=\"0.1.0\"} 1\n",
        "ephemeris_ingest_samples_total 3\n",
        "ephemeris_ingest_requests_total{result=\"stored\"} 1\n",
        "ephemeris_head_series 2\n",
        "ephemeris_http_requests_total{code=\"204\",route=\"/api/v1/write\"} 1\n",
        "# TYPE ephemeris_query_duration_seconds histogram\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn federation() {
    let (server, at) = filled().await;
    let answer = server.get("/federate?match[]=up").await;
    let expected = format!(
        "# TYPE up untyped\nup{{job=\"a<b\",instance=\"\"}} 1 {at}\nup{{job=\"b\",instance=\"\"}} -0 {at}\n"
    );
    assert_eq!(answer.text(), expected);
    assert_eq!(server.get("/federate").await.status, StatusCode::BAD_REQUEST);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administration() {
    let (server, at) = filled().await;
    let post = |path: &'static str| server.post_form(path, "");
    let made = post("/api/v1/admin/tsdb/snapshot").await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text());
    let name = made.json()["data"]["name"].as_str().unwrap_or_default().to_owned();
    assert!(name.len() > 20 && name.contains("Z-"), "{name}");
    let got = server.get("/api/v1/admin/tsdb/snapshot").await;
    assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(got.header("allow"), Some("POST,PUT"));
    let clean = post("/api/v1/admin/tsdb/clean_tombstones").await;
    assert_eq!((clean.status, clean.body.len()), (StatusCode::NO_CONTENT, 0));
    let nothing = post("/api/v1/admin/tsdb/delete_series").await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
    assert_eq!(nothing.json()["error"], "no match[] parameter provided");
    let names = || server.get("/api/v1/label/job/values");
    assert_eq!(names().await.json()["data"], json!(["a<b", "b"]));
    let form = "match[]=up{job=\"b\"}&start=0&end=9999999999";
    let gone = server.post_form("/api/v1/admin/tsdb/delete_series", form).await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0), "{}", gone.text());
    assert_eq!(names().await.json()["data"], json!(["a<b"]));
    assert_eq!(server.query("count(up)", at).await.json()["data"]["result"][0]["value"][1], "1");
    let clean = post("/api/v1/admin/tsdb/clean_tombstones").await;
    assert_eq!(clean.status, StatusCode::NO_CONTENT);
    assert_eq!(names().await.json()["data"], json!(["a<b"]));
    server.stop().await;

    let closed = TestServer::start_with(|config| config.admin_api = Switch::Off).await;
    let refused = closed.post_form("/api/v1/admin/tsdb/snapshot", "").await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(refused.json()["errorType"], "unavailable");
    closed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_see_each_other() {
    let (server, at) = filled().await;
    let other = [("x-scope-orgid", "other")];
    let path = format!("/api/v1/query?query=up&time={}", seconds(at));
    let answer = server.send("GET", &path, &other, Bytes::new()).await;
    assert_eq!(answer.json()["data"]["result"], json!([]));
    for tenant in ["..", "a/b", "", "%2e%2e", "a b"] {
        let header = [("x-scope-orgid", tenant)];
        let answer = server.send("GET", &path, &header, Bytes::new()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{tenant}");
    }
    let header = [("x-scope-orgid", "anonymous")];
    let answer = server.send("GET", &path, &header, Bytes::new()).await;
    assert_eq!(answer.json()["data"]["result"].as_array().map(Vec::len), Some(2));
    server.stop().await;
}
