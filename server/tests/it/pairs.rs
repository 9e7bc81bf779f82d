//! Pairs of Prometheus agents that send the same: one is stored, and the other takes its place.

use std::sync::Arc;

use bytes::Bytes;
use ephemeris_ingest::proto::write_v2::{Request, Sample, SymbolTable, TimeSeries};
use ephemeris_model::TimestampMs;
use ephemeris_storage::ManualClock;
use http::StatusCode;
use prost::Message as _;
use serde_json::json;

use crate::support::{
    Answer, TestServer, WRITE_HEADERS, WRITE2_HEADERS, compress, minute_ms, request, series,
};

/// A server whose clock is moved by hand, for a tenant whose agents come in pairs.
async fn start(at_ms: i64) -> (TestServer, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(TimestampMs(at_ms)));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = TestServer::start_at(dir, Arc::clone(&clock) as _, |config| {
        "paired".clone_into(&mut config.pairs.tenants);
        config.pairs.clusters_max = 3;
    })
    .await;
    (server, clock)
}

/// What one agent of a pair sends by 1.0.
async fn v1(
    server: &TestServer,
    (tenant, cluster): (&str, &str),
    replica: &str,
    at_ms: i64,
    value: f64,
) -> Answer {
    let labels = [("__name__", "up"), ("__replica__", replica), ("cluster", cluster), ("job", "x")];
    let body = compress(&request(vec![series(&labels, &[(at_ms, value)])]).encode_to_vec());
    let headers = [WRITE_HEADERS[0], WRITE_HEADERS[1], ("x-scope-orgid", tenant)];
    server.send("POST", "/api/v1/write", &headers, body.into()).await
}

fn v2_body(cluster: &str, replica: &str, at_ms: i64, value: f64) -> Bytes {
    let mut symbols = SymbolTable::default();
    let labels = [("__name__", "up"), ("__replica__", replica), ("cluster", cluster), ("job", "x")];
    let sample = Sample { value: Some(value), timestamp: at_ms, start_timestamp: 0 };
    let series = TimeSeries {
        labels_refs: symbols.labels_refs(labels),
        samples: vec![sample],
        ..TimeSeries::default()
    };
    let request = Request { symbols: symbols.into_symbols(), timeseries: vec![series] };
    compress(&request.encode_to_vec()).into()
}

async fn v2(server: &TestServer, body: Bytes) -> Answer {
    let headers = [WRITE2_HEADERS[0], WRITE2_HEADERS[1], ("x-scope-orgid", "paired")];
    server.send("POST", "/api/v1/write", &headers, body).await
}

/// All samples of `up` of a tenant: labels, and values in order of time.
async fn stored(server: &TestServer, tenant: &str, at_ms: i64) -> serde_json::Value {
    let path = format!("/api/v1/query?query=up[1h]&time={}", crate::support::seconds(at_ms));
    let answer = server.send("GET", &path, &[("x-scope-orgid", tenant)], Bytes::new()).await.json();
    let series = answer["data"]["result"].as_array().expect("a list").clone();
    let shown = series.iter().map(|series| {
        let values = series["values"].as_array().expect("values").iter();
        json!([series["metric"], values.map(|pair| pair[1].clone()).collect::<Vec<_>>()])
    });
    shown.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_pair_is_stored_until_it_falls_silent() {
    let at = minute_ms();
    let (server, clock) = start(at).await;
    let second = 1000;
    let sent = [
        ("a", 0, 1.0),
        ("b", 0, 2.0),
        ("a", 20, 3.0),
        ("b", 20, 4.0),
        // Here `a` ends; its place is free 30 seconds after it was heard last.
        ("b", 35, 5.0),
        ("b", 49, 6.0),
        ("b", 50, 7.0),
        ("a", 51, 8.0),
        ("b", 65, 9.0),
    ];
    for (replica, after, value) in sent {
        clock.move_to(TimestampMs(at + after * second));
        let answer = v1(&server, ("paired", "c"), replica, at + after * second, value).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
        assert!(answer.body.is_empty());
    }
    let labels = json!({"__name__": "up", "cluster": "c", "job": "x"});
    let expected = json!([[labels, ["1", "3", "7", "9"]]]);
    assert_eq!(stored(&server, "paired", at + 65 * second).await, expected);
    let metrics = server.get("/metrics").await.text();
    for line in [
        "ephemeris_ha_deduplicated_total 5",
        "ephemeris_ha_elections_total 2",
        "ephemeris_ha_clusters 1",
        "ephemeris_received_items_total{protocol=\"remote_write_1\",kind=\"sample\"} 4",
    ] {
        assert!(metrics.lines().any(|got| got == line), "{line} is not in {metrics}");
    }
    let headers = [("x-scope-orgid", "paired")];
    let shown = server.send("GET", "/api/v1/status/ingest", &headers, Bytes::new()).await.json();
    let shown = &shown["data"]["protocols"][0];
    assert_eq!(shown["deduplicated"], 5, "{shown}");
    assert_eq!(shown["requests"], 9, "those that were dropped are requests too: {shown}");
    let sender = json!({
        "sender": "(unnamed)", "requests": 9, "failedRequests": 0, "stored": 9, "refused": 0,
        "lastReceived": shown["lastReceived"],
    });
    assert_eq!(shown["senders"], json!([sender]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_of_version_2_is_told_that_all_is_written() {
    let at = minute_ms();
    let (server, clock) = start(at).await;
    for (replica, value) in [("a", 1.0), ("b", 2.0)] {
        let answer = v2(&server, v2_body("c", replica, at, value)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
        let written = answer.header("x-prometheus-remote-write-samples-written");
        assert_eq!(written, Some("1"), "a sender that is told of none gives up");
    }
    let labels = json!({"__name__": "up", "cluster": "c", "job": "x"});
    assert_eq!(stored(&server, "paired", at).await, json!([[labels, ["1"]]]));
    // What was stored is there after a restart, and the label is not.
    let dir = server.stop().await;
    let server = TestServer::start_at(dir, clock, |_| {}).await;
    assert_eq!(stored(&server, "paired", at).await, json!([[labels, ["1"]]]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_off_for_other_tenants_and_for_series_without_the_labels() {
    let at = minute_ms();
    let (server, _clock) = start(at).await;
    for replica in ["a", "b"] {
        let answer = v1(&server, ("single", "c"), replica, at, 1.0).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
    let both = stored(&server, "single", at).await;
    assert_eq!(both.as_array().map(Vec::len), Some(2), "{both}");
    assert_eq!(both[0][0]["__replica__"], "a", "{both}");

    let body = request(vec![
        series(&[("__name__", "up"), ("__replica__", "a")], &[(at, 1.0)]),
        series(&[("__name__", "up"), ("cluster", "c")], &[(at, 2.0)]),
    ]);
    let body = compress(&body.encode_to_vec());
    let headers = [WRITE_HEADERS[0], WRITE_HEADERS[1], ("x-scope-orgid", "paired")];
    let answer = server.send("POST", "/api/v1/write", &headers, body.into()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let all = stored(&server, "paired", at).await;
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_over_the_limit_are_refused_and_the_rest_is_stored() {
    let at = minute_ms();
    let (server, _clock) = start(at).await;
    for cluster in ["c", "d", "e"] {
        let answer = v2(&server, v2_body(cluster, "a", at, 1.0)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    }
    let answer = v2(&server, v2_body("f", "a", at, 1.0)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let text = answer.text();
    assert!(text.contains("1 rejected (too_many_clusters)"), "{text}");
    assert!(text.contains("ha.clusters_max"), "{text}");
    let written = answer.header("x-prometheus-remote-write-samples-written");
    assert_eq!(written, Some("0"));
    assert_eq!(v2(&server, v2_body("c", "a", at + 1, 1.0)).await.status, StatusCode::NO_CONTENT);
    let refused = v1(&server, ("paired", "f"), "a", at, 1.0).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let headers = [("x-scope-orgid", "paired")];
    let shown = server.send("GET", "/api/v1/status/ingest", &headers, Bytes::new()).await.json();
    let requests = shown["data"]["protocols"].as_array().expect("a list").iter();
    let requests: Vec<_> = requests.map(|p| json!([p["protocol"], p["requests"]])).collect();
    assert_eq!(requests, [json!(["remote_write_1", 1]), json!(["remote_write_2", 5])]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_refused_always_does_not_keep_out_the_other() {
    let at = minute_ms();
    let (server, clock) = start(at).await;
    let year = 366 * 24 * 3_600_000_i64;
    for (replica, sample_ms, status) in [
        ("bad", at + year, StatusCode::BAD_REQUEST),
        ("good", at, StatusCode::NO_CONTENT),
        ("bad", at + year, StatusCode::NO_CONTENT),
    ] {
        let answer = v1(&server, ("paired", "c"), replica, sample_ms, 1.0).await;
        assert_eq!(answer.status, status, "{replica}: {}", answer.text());
    }
    // The chosen one fails from now on, so its place is free in 30 seconds.
    for (after, replica, sample_ms, status) in [
        (20_000, "good", at + year, StatusCode::BAD_REQUEST),
        (29_999, "bad", at + 1, StatusCode::NO_CONTENT),
        (30_000, "bad", at + 2, StatusCode::NO_CONTENT),
    ] {
        clock.move_to(TimestampMs(at + i64::from(after)));
        let value = f64::from(after);
        let answer = v1(&server, ("paired", "c"), replica, sample_ms, value).await;
        assert_eq!(answer.status, status, "{replica}: {}", answer.text());
    }
    let labels = json!({"__name__": "up", "cluster": "c", "job": "x"});
    let expected = json!([[labels, ["1", "30000"]]]);
    assert_eq!(stored(&server, "paired", at + 30_000).await, expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_does_not_hold_up_the_other() {
    let at = minute_ms();
    let (server, clock) = start(at).await;
    let hour = 3_600_000;
    v1(&server, ("paired", "c"), "a", at, 1.0).await;
    clock.move_to(TimestampMs(at - hour));
    v1(&server, ("paired", "c"), "b", at - hour, 2.0).await;
    clock.move_to(TimestampMs(at - hour + 29_999));
    v1(&server, ("paired", "c"), "b", at - hour + 29_999, 3.0).await;
    clock.move_to(TimestampMs(at - hour + 30_000));
    v1(&server, ("paired", "c"), "b", at - hour + 30_000, 4.0).await;
    let labels = json!({"__name__": "up", "cluster": "c", "job": "x"});
    let expected = json!([[labels, ["4"]]]);
    assert_eq!(stored(&server, "paired", at - hour + 30_000).await, expected);
    server.stop().await;
}

/// What one collector of a pair sends by OTLP: a gauge of two points and a delta sum.
async fn otlp(
    server: &TestServer,
    (cluster, replica): (&str, &str),
    at_ms: i64,
    value: i64,
) -> Answer {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let time = format!("{at_ms}000000");
    let body = json!({"resourceMetrics": [{
        "resource": {"attributes": [
            attribute("service.name", "x"),
            attribute("cluster", cluster),
            attribute("__replica__", replica),
        ]},
        "scopeMetrics": [{"metrics": [
            {"name": "up", "gauge": {"dataPoints": [
                {"timeUnixNano": time, "asInt": value},
                {"timeUnixNano": time, "asInt": value, "attributes": [attribute("a", "b")]},
            ]}},
            {"name": "work", "sum": {"aggregationTemporality": 1, "isMonotonic": true,
                "dataPoints": [{"timeUnixNano": time, "asInt": value}]}},
        ]}],
    }]});
    let headers = [("content-type", "application/json"), ("x-scope-orgid", "paired")];
    let body = Bytes::from(body.to_string());
    server.send_to(server.otlp_http, "POST", "/v1/metrics", &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pair_of_collectors_one_is_stored() {
    let at = minute_ms();
    let (server, clock) = start(at).await;
    let sent = [("a", 0, 1), ("b", 0, 1), ("b", 20, 4), ("a", 20, 2), ("b", 50, 8), ("a", 55, 16)];
    for (replica, after, value) in sent {
        clock.move_to(TimestampMs(at + after * 1000));
        let answer = otlp(&server, ("c", replica), at + after * 1000, value).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}".to_owned()));
    }
    let end = at + 55_000;
    // The label of the cluster is only in `target_info`, that of the replica nowhere.
    let expected = json!([
        [{"__name__": "up", "a": "b", "job": "x"}, ["1", "2", "8"]],
        [{"__name__": "up", "job": "x"}, ["1", "2", "8"]],
    ]);
    assert_eq!(stored(&server, "paired", end).await, expected);
    let headers = [("x-scope-orgid", "paired")];
    let time = crate::support::seconds(end);
    for (query, labels, value) in [
        ("target_info", json!({"__name__": "target_info", "cluster": "c", "job": "x"}), "1"),
        ("work_total", json!({"__name__": "work_total", "job": "x"}), "11"),
    ] {
        let path = format!("/api/v1/query?query={query}&time={time}");
        let answer = server.send("GET", &path, &headers, Bytes::new()).await.json();
        let found = &answer["data"]["result"];
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{answer}");
        assert_eq!((&found[0]["metric"], &found[0]["value"][1]), (&labels, &json!(value)));
    }
    let metrics = server.get("/metrics").await.text();
    let line = "ephemeris_ha_deduplicated_total 9";
    assert!(metrics.lines().any(|got| got == line), "{line} is not in {metrics}");
    let shown = server.send("GET", "/api/v1/status/ingest", &headers, Bytes::new()).await.json();
    let shown = &shown["data"]["protocols"][0];
    assert_eq!((&shown["deduplicated"], &shown["requests"]), (&json!(9), &json!(6)), "{shown}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_of_a_cluster_too_many_are_told() {
    let at = minute_ms();
    let (server, _clock) = start(at).await;
    for cluster in ["1", "2", "3"] {
        let answer = otlp(&server, (cluster, "a"), at, 1).await;
        assert_eq!(answer.text(), "{}");
    }
    let answer = otlp(&server, ("4", "a"), at, 1).await;
    assert_eq!(answer.status, StatusCode::OK);
    let told = answer.json();
    assert_eq!(told["partialSuccess"]["rejectedDataPoints"], "3", "{told}");
    let text = told["partialSuccess"]["errorMessage"].as_str().expect("a text");
    assert!(text.contains("ha.clusters_max"), "{text}");
    server.stop().await;
}
