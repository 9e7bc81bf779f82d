//! Remote write 1.0 and 2.0: what is stored, what is answered.

use bytes::Bytes;
use ephemeris_ingest::proto::write_v2;
use http::StatusCode;
use prost::Message;
use serde_json::json;

use crate::support::{
    TestServer, WRITE_HEADERS, WRITE2_HEADERS, compress, minute_ms, request, seconds, series,
};

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_as_they_were() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let values = [
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        5e-324,
        f64::MAX,
        0.1 + 0.2,
        1e21,
        9_007_199_254_740_993.0,
    ];
    let step = 1000;
    let samples: Vec<(i64, f64)> = (0..).zip(values).map(|(i, v)| (at + i * step, v)).collect();
    let batch = request(vec![series(&[("__name__", "x")], &samples)]);
    assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    let end = at + 10 * step;
    let answer = server.query("x[5m]", end).await.json();
    let pairs = answer["data"]["result"][0]["values"].as_array().expect("a series").clone();
    assert_eq!(pairs.len(), values.len());
    for (pair, (at, value)) in pairs.iter().zip(&samples) {
        assert_eq!(pair[0].to_string(), seconds(*at));
        let text = pair[1].as_str().expect("values are texts");
        let back: f64 = text.parse().expect("values are numbers");
        assert_eq!(back.to_bits(), value.to_bits(), "{text}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nan_is_a_value_and_a_staleness_marker_is_an_end() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let payload = f64::from_bits(0x7ff8_0000_0000_0abc);
    let samples = [(at, payload), (at + 1000, ephemeris_model::stale_nan())];
    let batch = request(vec![series(&[("__name__", "x")], &samples)]);
    assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    let answer = server.query("x", at).await.json();
    assert_eq!(answer["data"]["result"][0]["value"][1], "NaN");
    let answer = server.query("x", at + 1000).await.json();
    assert_eq!(answer["data"]["result"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_harmless_and_late_samples_are_welcome() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let batch = request(vec![series(&[("__name__", "x")], &[(at, 1.0), (at + 1000, 2.0)])]);
    for _ in 0..3 {
        assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    }
    let hour = 3_600_000;
    let late =
        request(vec![series(&[("__name__", "x")], &[(at - 30 * hour, 0.5), (at + 500, 1.5)])]);
    assert_eq!(server.write(&late).await.status, StatusCode::NO_CONTENT);
    let answer = server.query("count_over_time(x[2d])", at + 1000).await.json();
    assert_eq!(answer["data"]["result"][0]["value"][1], "4");
    // Same time, another value: the greater one stays, in whatever order they come.
    for value in [9.0, 3.0] {
        let other = request(vec![series(&[("__name__", "x")], &[(at + 1000, value)])]);
        assert_eq!(server.write(&other).await.status, StatusCode::NO_CONTENT);
    }
    let answer = server.query("x", at + 1000).await.json();
    assert_eq!(answer["data"]["result"][0]["value"][1], "9");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alias_takes_the_same() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let batch = request(vec![series(&[("__name__", "x")], &[(at, 1.0)])]).encode_to_vec();
    let body = Bytes::from(compress(&batch));
    let answer = server.send("POST", "/api/v1/push", &WRITE_HEADERS, body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    for name in ["samples", "histograms", "exemplars"] {
        let header = format!("x-prometheus-remote-write-{name}-written");
        assert_eq!(answer.header(&header), None, "1.0 has no such header");
    }
    server.stop().await;
}

fn v2(series: Vec<write_v2::TimeSeries>, symbols: &[&str]) -> Bytes {
    let symbols = symbols.iter().map(|s| s.as_bytes().to_vec()).collect();
    let request = write_v2::Request { symbols, timeseries: series };
    compress(&request.encode_to_vec()).into()
}

fn v2_series(refs: &[u32], at: i64, value: f64) -> write_v2::TimeSeries {
    let sample =
        write_v2::Sample { value: Some(value), timestamp: at, ..write_v2::Sample::default() };
    write_v2::TimeSeries {
        labels_refs: refs.to_vec(),
        samples: vec![sample],
        ..write_v2::TimeSeries::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_tells_what_was_written() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let symbols = ["", "__name__", "x", "job", "a"];
    let written = |answer: &crate::support::Answer| {
        ["samples", "histograms", "exemplars"].map(|name| {
            let header = format!("x-prometheus-remote-write-{name}-written");
            answer.header(&header).unwrap_or("missing").to_owned()
        })
    };
    let good = v2(vec![v2_series(&[3, 4, 1, 2], at, 1.0)], &symbols);
    let answer = server.send("POST", "/api/v1/write", &WRITE2_HEADERS, good).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    assert_eq!(written(&answer), ["1", "0", "0"]);
    let answer = server.query("x", at).await.json();
    assert_eq!(answer["data"]["result"][0]["metric"], json!({"__name__": "x", "job": "a"}));

    let bad_ref = v2_series(&[1, 99], at, 1.0);
    let half = v2(vec![bad_ref, v2_series(&[1, 2], at, 2.0)], &symbols);
    let answer = server.send("POST", "/api/v1/write", &WRITE2_HEADERS, half).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(written(&answer), ["1", "0", "0"]);
    assert!(answer.text().contains("bad_symbol_reference"), "{}", answer.text());

    let garbage = Bytes::from_static(b"garbage");
    let answer = server.send("POST", "/api/v1/write", &WRITE2_HEADERS, garbage).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(written(&answer), ["0", "0", "0"]);
    server.stop().await;
}
