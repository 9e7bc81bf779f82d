//! Blocks that Prometheus and promtool wrote are imported, and hold what was put into them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use ephemeris_ingest::proto::write_v1::{
    BucketSpan, Count, Histogram, Label, Sample, TimeSeries, WriteRequest, ZeroCount,
};
use ephemeris_model::stale_nan;
use http_body_util::Full;
use hyper::Request;
use prost::Message as _;
use serde_json::Value;

use crate::programs::{
    client_program, free_address, get, send, start_prometheus_with, start_server, wait_ready,
};

const MINUTE_MS: i64 = 60_000;

/// Samples by labels and time, as bits.
type Stored = BTreeMap<String, BTreeMap<i64, u64>>;

#[tokio::test(flavor = "multi_thread")]
async fn all_samples_of_promtools_blocks_are_imported() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // Five hours, so that there are several blocks.
    let start_ms = (now_ms() / MINUTE_MS - 320) * MINUTE_MS;
    let (text, expected) = samples(start_ms, 1_200);
    let blocks = dir.path().join("blocks");
    create_blocks(dir.path(), &text, &blocks);
    let data = dir.path().join("data");
    let told = succeed(&import(&data, &blocks));
    assert!(told.contains("6000 samples stored"), "{told}");
    // Once more changes nothing.
    succeed(&import(&data, &blocks));

    let server = start_server(&data).await;
    let query = "{__name__=~\"tsdb_.*\"}[6h]";
    let answer = ask(server.address, query, now_ms()).await;
    let mut found = Stored::new();
    for series in answer.as_array().expect("a list of series") {
        let samples = series["values"].as_array().expect("samples").iter().map(|pair| {
            let value: f64 = pair[1].as_str().and_then(|v| v.parse().ok()).expect("a value");
            (milliseconds(&pair[0]), value.to_bits())
        });
        let labels = &series["metric"];
        let key = format!("{}/{}", labels["__name__"], labels["series"]);
        found.insert(key.replace('"', ""), samples.collect());
    }
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_all_else_is_imported() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let start_ms = (now_ms() / MINUTE_MS / 120 * 120 - 120) * MINUTE_MS;
    let (text, _) = samples(start_ms, 100);
    let blocks = dir.path().join("blocks");
    create_blocks(dir.path(), &text, &blocks);
    let block = std::fs::read_dir(&blocks).expect("a list").next().expect("a block");
    let block = block.expect("an entry").path();
    let (segment, index) = (block.join("chunks/000001"), block.join("index"));
    flip(&segment, 40);
    let output = import(&dir.path().join("one"), &blocks);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let place = "chunks/000001: chunk at 8 of {__name__=\"tsdb_a\",series=\"0\"}, ";
    assert!(told.contains(place) && told.contains("checksum of a chunk"), "{told}");
    assert!(told.contains("400 samples stored\n1 damages"), "{told}");

    // The entry of a series: the others are found behind it.
    let bytes = std::fs::read(&index).expect("it is there");
    let place: [u8; 8] = bytes[bytes.len() - 44..][..8].try_into().expect("eight bytes");
    let place = usize::try_from(u64::from_be_bytes(place)).expect("it is small");
    flip(&index, place.next_multiple_of(16) + 2);
    let output = import(&dir.path().join("two"), &block);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("checksum of a series"), "{told}");
    assert!(told.contains("4 series were read, meta.json tells of 5"), "{told}");
    assert!(told.contains("400 samples stored"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_has_histograms_and_keeps_deletions() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let end_ms = (now_ms() / MINUTE_MS) * MINUTE_MS;
    let (text, _) = samples(end_ms - 400 * MINUTE_MS, 300);
    create_blocks(dir.path(), &text, &dir.path().join("prometheus"));
    let prometheus = free_address();
    let flags = [
        "--web.enable-remote-write-receiver",
        "--web.enable-admin-api",
        "--enable-feature=native-histograms",
    ];
    let _prometheus = start_prometheus_with(dir.path(), "", prometheus, &flags);
    wait_ready(prometheus, "/-/ready").await;
    let body = histograms(end_ms - 60 * MINUTE_MS).encode_to_vec();
    let body = snap::raw::Encoder::new().compress_vec(&body).expect("a small message");
    post(prometheus, "/api/v1/write", body).await;
    let (from, to) = ((end_ms / MINUTE_MS - 390) * 60, (end_ms / MINUTE_MS - 370) * 60);
    let deleted = format!("match[]=tsdb_a&start={from}&end={to}");
    post(prometheus, &format!("/api/v1/admin/tsdb/delete_series?{deleted}"), Vec::new()).await;
    let answer = post(prometheus, "/api/v1/admin/tsdb/snapshot", Vec::new()).await;
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let name = answer["data"]["name"].as_str().expect("a name");

    let data = dir.path().join("data");
    let snapshot = dir.path().join("prometheus/snapshots").join(name);
    let told = succeed(&import(&data, &snapshot));
    assert!(told.contains("samples are deleted there and were left out"), "{told}");
    let server = start_server(&data).await;
    for query in [
        "tsdb_a[10h]",
        "tsdb_b[10h]",
        "tsdb_integer[2h]",
        "tsdb_float[2h]",
        "tsdb_gauge[2h]",
        "rate(tsdb_integer[30m])",
    ] {
        let expected = ask(prometheus, query, end_ms).await;
        let count = expected.as_array().map_or(0, Vec::len);
        assert!(count > 0, "nothing is found by {query}");
        assert_eq!(ask(server.address, query, end_ms).await, expected, "{query}");
    }
}

/// An `OpenMetrics` text of five series with `count` samples each, and what it says.
fn samples(start_ms: i64, count: i64) -> (String, Stored) {
    let (mut text, mut stored) = (String::new(), Stored::new());
    for (name, series) in [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)] {
        let key = format!("tsdb_{name}/{series}");
        for i in 0..count {
            let mixed = (i * 7 + series).wrapping_mul(0x5851_f42d_4c95_7f2d).unsigned_abs();
            let value = match mixed % 7 {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => -0.0,
                3 => 5e-324,
                4 => (mixed >> 40) as f64 / 8.0,
                5 => i as f64,
                _ => (mixed >> 11) as f64 / 3.0,
            };
            let jitter = i64::try_from(mixed % 3).expect("small");
            let at = start_ms + i * 15_000 + if series == 1 { jitter } else { 0 };
            let (seconds, rest) = (at / 1000, at % 1000);
            let _ =
                writeln!(text, "tsdb_{name}{{series=\"{series}\"}} {value} {seconds}.{rest:03}");
            stored.entry(key.clone()).or_default().insert(at, value.to_bits());
        }
    }
    (text.replace(" inf ", " +Inf ") + "# EOF\n", stored)
}

/// Integer, float and gauge histograms whose buckets grow, move, and are reset.
fn histograms(start_ms: i64) -> WriteRequest {
    let mut request = WriteRequest::default();
    for name in ["tsdb_integer", "tsdb_float", "tsdb_gauge"] {
        let labels = vec![Label::new("__name__", name), Label::new("job", "h")];
        let is_float = name == "tsdb_float";
        let reset_hint = if name == "tsdb_gauge" { 3 } else { 0 };
        let histograms = (0..200).map(|i| {
            let histogram = histogram(i, is_float);
            Histogram { timestamp: start_ms + i * 15_000 + i % 7, reset_hint, ..histogram }
        });
        let histograms = histograms.collect();
        request.timeseries.push(TimeSeries { labels, histograms, ..TimeSeries::default() });
    }
    let labels = vec![Label::new("__name__", "tsdb_c"), Label::new("job", "h")];
    let samples = vec![Sample::new(start_ms, 1.0), Sample::new(start_ms + 1, stale_nan())];
    request.timeseries.push(TimeSeries { labels, samples, ..TimeSeries::default() });
    request
}

fn histogram(i: i64, is_float: bool) -> Histogram {
    if i == 150 {
        let sum = Some(stale_nan());
        let count = Some(if is_float { Count::Float(0.0) } else { Count::Integer(0) });
        return Histogram { sum, count, ..Histogram::default() };
    }
    // A reset in the middle, and more buckets as time goes on.
    let n = if i > 90 { i - 90 } else { i } + 1;
    let positive = if n > 40 { vec![n, 2 * n, n / 3, 5] } else { vec![n, n * 2] };
    let negative = vec![n * n, 3];
    let span = |offset, length| BucketSpan { offset, length };
    let positive_spans = if n > 40 { vec![span(-3, 2), span(4, 2)] } else { vec![span(-3, 2)] };
    let all: i64 = positive.iter().chain(&negative).sum::<i64>() + n;
    let deltas = |counts: &[i64]| {
        let before = std::iter::once(&0).chain(counts);
        counts.iter().zip(before).map(|(count, before)| count - before).collect()
    };
    let floats = |counts: &[i64]| counts.iter().map(|count| *count as f64 * 0.75).collect();
    let mut made = Histogram {
        sum: Some(n as f64 * 1.1),
        schema: 3,
        zero_threshold: if i > 90 { 0.001 } else { 2_f64.powi(-128) },
        positive_spans,
        negative_spans: vec![span(0, 1), span(2, 1)],
        ..Histogram::default()
    };
    if is_float {
        made.count = Some(Count::Float(all as f64 * 0.75));
        made.zero_count = Some(ZeroCount::Float(n as f64 * 0.75));
        (made.positive_counts, made.negative_counts) = (floats(&positive), floats(&negative));
    } else {
        made.count = Some(Count::Integer(all.unsigned_abs()));
        made.zero_count = Some(ZeroCount::Integer(n.unsigned_abs()));
        (made.positive_deltas, made.negative_deltas) = (deltas(&positive), deltas(&negative));
    }
    made
}

fn create_blocks(dir: &Path, text: &str, out: &Path) {
    let file = dir.join("samples.txt");
    std::fs::write(&file, text).expect("the directory is writable");
    let mut command = Command::new(client_program("promtool"));
    let command = command.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(file).arg(out);
    succeed(&command.output().expect("promtool can be started"));
}

fn import(data: &Path, blocks: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ephemeris"));
    let command = command.arg("import").arg("--data-dir").arg(data).arg(blocks);
    command.output().expect("the binary was built for this test")
}

/// What a command that must succeed tells on standard error.
fn succeed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("it is there");
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("it is writable");
}

/// What a query finds at a time.
async fn ask(address: SocketAddr, query: &str, at_ms: i64) -> Value {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let path = format!("/api/v1/query?query={query}&time={}", at_ms / 1000);
    let (status, body) = get(address, &path).await.expect("an answer");
    let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(status, 200, "{path}: {answer}");
    answer["data"]["result"].take()
}

async fn post(address: SocketAddr, path: &str, body: Vec<u8>) -> Bytes {
    let request = Request::post(path)
        .header("host", address.to_string())
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(Full::from(body))
        .expect("a request");
    let (status, body) = send(address, request).await.expect("an answer");
    assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
    body
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.expect("the clock is after 1970").as_millis()).expect("this century")
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
fn milliseconds(seconds: &Value) -> i64 {
    (seconds.as_f64().expect("a time is a number") * 1000.0).round() as i64
}
