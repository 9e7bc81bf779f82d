//! What Grafana's Prometheus datasource sends, and what it needs back.

use bytes::Bytes;
use ephemeris_ingest::proto::write_v1::{BucketSpan, Count, Histogram, TimeSeries, ZeroCount};
use http::StatusCode;
use serde_json::json;

use crate::support::{TestServer, encode, minute_ms, request, seconds, series};

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_asks_for_1970() {
    let server = TestServer::start().await;
    let answer = server.post_form("/api/v1/query", "query=1%2B1&time=4").await;
    assert_eq!(answer.status, StatusCode::OK);
    let expected = r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#;
    assert_eq!(answer.text(), expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_asked_for_in_the_url_of_a_post() {
    let server = TestServer::start().await;
    let answer = server.post_form("/api/v1/query?stats=all", "query=1%2B1&time=4").await.json();
    assert_eq!(answer["data"]["result"], json!([4, "2"]));
    assert!(answer["data"]["stats"]["samples"]["totalQueryableSamples"].is_u64(), "{answer}");
    assert!(answer["data"]["stats"]["timings"]["evalTotalTime"].is_number(), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exemplars_are_asked_for_with_milliseconds_as_seconds() {
    let server = TestServer::start().await;
    let form = "query=test&start=1795399358684&end=1795402958684";
    let answer = server.post_form("/api/v1/query_exemplars", form).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text(), r#"{"status":"success","data":[]}"#);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn build_info_has_no_features_and_rules_are_empty() {
    let server = TestServer::start().await;
    let answer = server.get("/api/v1/status/buildinfo").await.json();
    assert_eq!(answer["status"], "success");
    assert_eq!(answer["data"]["version"], concat!("3.14.0+ephemeris.", env!("CARGO_PKG_VERSION")));
    assert!(answer["data"].get("features").is_none());
    let rules = server.get("/api/v1/rules").await.text();
    assert_eq!(rules, r#"{"status":"success","data":{"groups":[]}}"#);
    let alerts = server.get("/api/v1/alerts").await.text();
    assert_eq!(alerts, r#"{"status":"success","data":{"alerts":[]}}"#);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_with_dots_are_escaped_in_paths() {
    let server = TestServer::start().await;
    let labels = [("__name__", "up"), ("service.name", "b"), ("job", "x")];
    let more = [("__name__", "down"), ("service.name", "a")];
    let at = minute_ms();
    let batch = request(vec![series(&labels, &[(at, 1.0)]), series(&more, &[(at, 1.0)])]);
    assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    let answer = server.get("/api/v1/label/U__service_2e_name/values").await.text();
    assert_eq!(answer, r#"{"status":"success","data":["a","b"]}"#);
    let path = "/api/v1/label/__name__/values?match[]=%7Bjob%3D%22x%22%7D&limit=40000";
    assert_eq!(server.get(path).await.json()["data"], json!(["up"]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_selectors_are_a_union() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let batch = request(vec![
        series(&[("__name__", "a"), ("x", "1")], &[(at, 1.0)]),
        series(&[("__name__", "b"), ("y", "1")], &[(at, 1.0)]),
        series(&[("__name__", "c"), ("z", "1")], &[(at, 1.0)]),
    ]);
    assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    let form = "limit=40000&start=0&end=4000000000&match[]=a&match[]=b";
    let answer = server.post_form("/api/v1/labels", form).await.text();
    assert_eq!(answer, r#"{"status":"success","data":["__name__","x","y"]}"#);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_gzip_or_plain_whatever_the_client_offers() {
    let server = TestServer::start().await;
    let all = [("accept-encoding", "zstd;q=1.0, gzip, deflate, br")];
    for path in ["/api/v1/features", "/api/v1/labels", "/api/v1/status/flags"] {
        let answer = server.send("GET", path, &all, Bytes::new()).await;
        assert!(matches!(answer.header("content-encoding"), None | Some("gzip")), "{path}");
    }
    let only = [("accept-encoding", "zstd, deflate")];
    let answer = server.send("GET", "/api/v1/features", &only, Bytes::new()).await;
    assert_eq!(answer.header("content-encoding"), None);
    let answer = server.send("GET", "/api/v1/features", &all, Bytes::new()).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut plain = String::new();
    let mut decoder = flate2::read::GzDecoder::new(&answer.body[..]);
    std::io::Read::read_to_string(&mut decoder, &mut plain).expect("the body is gzip");
    assert!(plain.starts_with(r#"{"status":"success","data":{"#));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn native_histograms_come_back_as_histograms() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let histogram = Histogram {
        count: Some(Count::Integer(15)),
        sum: Some(20.5),
        schema: 0,
        zero_threshold: 0.001,
        zero_count: Some(ZeroCount::Integer(2)),
        positive_spans: vec![BucketSpan { offset: 1, length: 2 }],
        positive_deltas: vec![6, 1],
        timestamp: at,
        ..Histogram::default()
    };
    let labels = series(&[("__name__", "h"), ("job", "x")], &[]);
    let batch = request(vec![TimeSeries { histograms: vec![histogram], ..labels }]);
    let answer = server.write(&batch).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    let s = seconds(at);
    let path = format!("/api/v1/query_range?query=h&start={s}&end={s}&step=15");
    let expected = format!(
        concat!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":"#,
            r#"{{"__name__":"h","job":"x"}},"histograms":[[{},{{"count":"15","sum":"20.5","#,
            r#""buckets":[[3,"-0.001","0.001","2"],[0,"1","2","6"],[0,"2","4","7"]]}}]]}}]}}}}"#
        ),
        s
    );
    assert_eq!(server.get(&path).await.text(), expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matcher_for_an_absent_label_with_nothing_matches() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let batch = request(vec![series(&[("__name__", "up"), ("job", "x")], &[(at, 1.0)])]);
    assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    let answer = server.query(r#"{__ignore_usage__="",__name__="up"}"#, at).await.json();
    assert_eq!(answer["data"]["result"][0]["metric"], json!({"__name__": "up", "job": "x"}));
    let recent = r#"group by (__name__) ({__name__!="",__ignore_usage__=""}) unless
        (group by (__name__) ({__name__!="",__ignore_usage__=""} offset 1h))"#;
    let answer = server.query(recent, at).await.json();
    assert_eq!(answer["data"]["result"][0]["metric"], json!({"__name__": "up"}), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_in_the_very_next_answer() {
    let server = TestServer::start().await;
    let at = minute_ms();
    for round in 0..20_u32 {
        let value = f64::from(round);
        let name = format!("m{round}");
        let batch = request(vec![series(&[("__name__", &name)], &[(at, value)])]);
        assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
        let answer = server.query(&name, at).await.json();
        assert_eq!(answer["data"]["result"][0]["value"][1], value.to_string());
    }
    let all =
        server.get(&format!("/api/v1/series?match[]={}", encode("{__name__=~\"m.*\"}"))).await;
    assert_eq!(all.json()["data"].as_array().map(Vec::len), Some(20));
    server.stop().await;
}
