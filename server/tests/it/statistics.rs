//! `stats` of answers: what a query read, of the head and of sealed blocks.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{TestServer, encode, minute_ms, request, seconds, series};

const SERIES: usize = 200;
const SAMPLES: i64 = 40;

/// A server with [`SERIES`] series of [`SAMPLES`] samples, 15 s apart, sealed.
async fn sealed() -> (TestServer, i64) {
    let server = TestServer::start().await;
    let at = minute_ms();
    let one = |i: usize| {
        let (id, group) = (i.to_string(), (i % 4).to_string());
        let labels = [("__name__", "m"), ("group", &*group), ("id", &*id)];
        let sample = |k: i64| (at - (SAMPLES - 1 - k) * 15_000, (k * k) as f64);
        series(&labels, &(0..SAMPLES).map(sample).collect::<Vec<_>>())
    };
    let written = server.write(&request((0..SERIES).map(one).collect())).await;
    assert_eq!(written.status, StatusCode::NO_CONTENT, "{}", written.text());
    server.app.store().expect("the store").seal().expect("it seals");
    (server, at)
}

async fn asked(server: &TestServer, query: &str, times: &str, stats: &str) -> Value {
    let path = if times.contains("step") { "query_range" } else { "query" };
    let form = format!("query={}&{times}&stats={stats}", encode(query));
    let answer = server.post_form(&format!("/api/v1/{path}"), &form).await.json();
    assert_eq!(answer["status"], "success", "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_tells_the_pages_and_bytes_it_read() {
    let (server, at) = sealed().await;
    let query = "sum by (group) (rate(m[5m]))";
    let answer = asked(&server, query, &format!("time={}", seconds(at)), "all").await;
    let stats = &answer["data"]["stats"];
    // The window is open on the left, so it holds 20 of the samples of each series.
    let looked_at = 20 * SERIES;
    assert_eq!(stats["samples"]["totalQueryableSamples"], looked_at, "{stats}");
    let per_step = json!([[at as f64 / 1000.0, looked_at]]);
    assert_eq!(stats["samples"]["totalQueryableSamplesPerStep"][0][1], per_step[0][1]);
    let top = &stats["explain"]["operators"][0];
    assert_eq!((&top["operator"], &top["detail"]), (&json!("aggregate"), &json!("sum by (group)")));
    assert_eq!((&top["series"], &top["pages"]), (&json!(4), &json!(0)));
    let read = &top["below"][0];
    assert_eq!(read["detail"], "m[5m], rate");
    assert_eq!(read["series"], SERIES, "{read}");
    assert_eq!(read["samplesRead"], stats["samples"]["samplesRead"]);
    let bytes = read["bytes"].as_u64().expect("a number");
    assert!(read["pages"].as_u64().is_some_and(|pages| pages > 0) && bytes > 100, "{read}");
    assert!(read["time"].as_f64() <= top["time"].as_f64(), "{top}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_memory_is_read_without_pages() {
    let (server, at) = sealed().await;
    let now = request(vec![series(&[("__name__", "head")], &[(at, 1.0)])]);
    assert_eq!(server.write(&now).await.status, StatusCode::NO_CONTENT);
    let times = format!("start={}&end={}&step=15", seconds(at), seconds(at + 30_000));
    let answer = asked(&server, "head", &times, "all").await;
    let stats = &answer["data"]["stats"];
    let per_step = stats["samples"]["totalQueryableSamplesPerStep"].as_array().expect("steps");
    let counts: Vec<&Value> = per_step.iter().map(|step| &step[1]).collect();
    assert_eq!(counts, [1, 1, 1], "{stats}");
    let read = &stats["explain"]["operators"][0];
    assert_eq!((&read["detail"], &read["series"]), (&json!("head"), &json!(1)));
    assert_eq!((&read["samplesRead"], &read["pages"]), (&json!(1), &json!(0)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_values_of_the_parameter_tell_less() {
    let (server, at) = sealed().await;
    let time = format!("time={}", seconds(at));
    let answer = asked(&server, "m", &time, "true").await;
    assert_eq!(answer["data"]["stats"]["samples"]["totalQueryableSamples"], SERIES);
    assert!(answer["data"]["stats"]["explain"].is_null());
    assert!(answer["warnings"].is_null(), "{answer}");
    let answer = asked(&server, "m", &time, "1").await;
    assert!(answer["data"]["stats"]["timings"].is_object());
    assert_eq!(answer["warnings"], json!(["stats=\"1\" is deprecated; use \"true\" or \"all\""]));
    assert!(asked(&server, "m", &time, "").await["data"]["stats"].is_null());
    server.stop().await;
}
