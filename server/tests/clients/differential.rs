//! This server against a real Prometheus 2: both get the same remote write, both are asked the
//! same thousands of queries, and every answer must be equal to a relative 1e-12.
//!
//! Prometheus 2.42 and PromQL 3, which is what is served here, differ by design in places. Queries
//! and data stay away from them; [`queries`] lists each with its reason. No answer is excepted from
//! the comparison.

mod data;
mod queries;
mod random;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::programs::{free_address, send, start_prometheus_with, start_server, wait_ready};
use data::SPAN_MS;
use queries::Queries;
use random::Random;

/// Queries that are asked, unless `EPHEMERIS_DIFFERENTIAL` says another number.
const QUERIES: usize = 4_000;
/// Seed, unless `EPHEMERIS_DIFFERENTIAL_SEED` says another.
const SEED: u64 = 6;
/// Relative difference two right answers may have.
const TOLERANCE: f64 = 1e-12;

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_queries_are_answered_as_prometheus_does() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(&dir.path().join("data")).await;
    let address = free_address();
    let flags = ["--web.enable-remote-write-receiver"];
    let _prometheus = start_prometheus_with(dir.path(), "", address, &flags);
    wait_ready(address, "/-/ready").await;

    let seed = setting("EPHEMERIS_DIFFERENTIAL_SEED").unwrap_or(SEED);
    let start_ms = data_start_ms();
    for body in data::bodies(start_ms, seed) {
        for address in [server.address, address] {
            write(address, &body).await;
        }
    }
    let mut ours = Client::connect(server.address).await;
    let mut theirs = Client::connect(address).await;
    let mut queries = Queries { random: Random(seed), start_ms };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let (mut differences, mut answered) = (Vec::new(), 0);
    let count = setting("EPHEMERIS_DIFFERENTIAL").map_or(QUERIES, |count| count as usize);
    for _ in 0..count {
        let asked = Asked::any(&mut queries, start_ms);
        let renamed = asked.renamed();
        let (got, expected) = tokio::join!(ours.ask(&renamed), theirs.ask(&asked));
        for word in words::all() {
            if asked.query.contains(&word) {
                *seen.entry(word).or_default() += 1;
            }
        }
        answered +=
            usize::from(expected["data"]["result"].as_array().is_some_and(|r| !r.is_empty()));
        if let Err(difference) = compare(&got, &expected, &asked.query) {
            differences.push(format!("{}: {difference}", asked.path()));
        }
    }
    let shown = differences.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} of {count} (seed {seed}):\n{shown}", differences.len());
    // What was asked is worth asking: most queries find something, and every word turned up.
    assert!(answered * 2 > count, "only {answered} of {count} have an answer that is not empty");
    let missing: Vec<String> =
        words::all().into_iter().filter(|word| !seen.contains_key(word)).collect();
    assert!(missing.is_empty(), "never asked: {missing:?}");
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// A full minute, such that all data is in the past.
fn data_start_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = now.expect("the clock is after 1970").as_secs();
    let minute = i64::try_from(seconds).expect("a clock of this age") / 60 * 60_000;
    minute - SPAN_MS - 60_000
}

async fn write(address: SocketAddr, body: &[u8]) {
    let request = Request::post("/api/v1/write")
        .header("host", address.to_string())
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(Full::from(body.to_vec()))
        .expect("a valid request");
    let (status, body) = send(address, request).await.expect("an answer");
    assert_eq!(status, StatusCode::NO_CONTENT, "{}", String::from_utf8_lossy(&body));
}

/// One question: a query at a moment or over a range.
struct Asked {
    query: String,
    start_ms: i64,
    /// Number of steps and their distance in seconds, if it is a range.
    range: Option<(i64, i64)>,
}

impl Asked {
    fn any(queries: &mut Queries, start_ms: i64) -> Self {
        let random = &mut queries.random;
        let seconds = usize::try_from(SPAN_MS / 1000).expect("small");
        let at = i64::try_from(random.below(seconds)).expect("small");
        let range = match random.below(10) {
            0..=3 => None,
            _ => Some((
                i64::try_from(random.below(30)).expect("small") + 1,
                i64::try_from(random.below(90)).expect("small") + 5,
            )),
        };
        let query = if range.is_none() && queries.random.once_in(12) {
            queries.matrix_query()
        } else {
            queries.vector_query()
        };
        // Half a second beside the steps of subqueries.
        Self { query, start_ms: start_ms + at * 1000 + 500, range }
    }

    /// The same with the names functions have in 3.
    fn renamed(&self) -> Self {
        let query = self.query.replace("holt_winters", "double_exponential_smoothing");
        Self { query, ..*self }
    }

    fn path(&self) -> String {
        let query: String = form_urlencoded::byte_serialize(self.query.as_bytes()).collect();
        let start = seconds(self.start_ms);
        match self.range {
            None => format!("/api/v1/query?query={query}&time={start}"),
            Some((steps, step)) => {
                let end = seconds(self.start_ms + steps * step * 1000);
                format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}")
            }
        }
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// A connection that is kept.
struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<bytes::Bytes>>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("a fresh connection");
        tokio::spawn(connection);
        Self { address, sender }
    }

    async fn ask(&mut self, asked: &Asked) -> Value {
        let request = Request::get(asked.path())
            .header("host", self.address.to_string())
            .body(Full::default())
            .expect("a valid request");
        if self.sender.ready().await.is_err() {
            *self = Self::connect(self.address).await;
        }
        let response = self.sender.send_request(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a whole answer").to_bytes();
        serde_json::from_slice(&body).expect("the answer is JSON")
    }
}

/// Series of an answer by labels, each with its points.
type Points = BTreeMap<String, Vec<(f64, f64)>>;

fn compare(got: &Value, expected: &Value, query: &str) -> Result<(), String> {
    let both = format!("got {got}, expected {expected}");
    if got["status"] != expected["status"] || got["errorType"] != expected["errorType"] {
        return Err(both);
    }
    if expected["status"] != "success" {
        return Ok(());
    }
    let kind = &expected["data"]["resultType"];
    if got["data"]["resultType"] != *kind {
        return Err(both);
    }
    let (got_points, expected_points) = (points(&got["data"]), points(&expected["data"]));
    if got_points.keys().ne(expected_points.keys()) {
        return Err(both);
    }
    for (labels, points) in &expected_points {
        same_points(&got_points[labels], points).map_err(|text| format!("{labels}: {text}"))?;
    }
    // Only sorted vectors have an order; equal values among them have none.
    if *kind == "vector" && query.starts_with("sort") {
        return same_points(&values_in_order(&got["data"]), &values_in_order(&expected["data"]));
    }
    Ok(())
}

fn same_points(got: &[(f64, f64)], expected: &[(f64, f64)]) -> Result<(), String> {
    let same = |(got, expected): (&(f64, f64), &(f64, f64))| {
        got.0 == expected.0 && is_close(got.1, expected.1)
    };
    if got.len() == expected.len() && got.iter().zip(expected).all(same) {
        return Ok(());
    }
    Err(format!("got {got:?}, expected {expected:?}"))
}

fn is_close(got: f64, expected: f64) -> bool {
    got == expected
        || got.is_nan() && expected.is_nan()
        || (got - expected).abs() <= TOLERANCE * got.abs().max(expected.abs())
}

fn values_in_order(data: &Value) -> Vec<(f64, f64)> {
    let series = data["result"].as_array().expect("a vector is a list");
    series.iter().map(|one| point(&one["value"])).collect()
}

fn points(data: &Value) -> Points {
    let result = data["result"].as_array().expect("a result is a list");
    if data["resultType"] == "scalar" {
        return Points::from([(String::new(), vec![point(&data["result"])])]);
    }
    let mut all = Points::new();
    for one in result {
        let points = match one["values"].as_array() {
            Some(values) => values.iter().map(point).collect(),
            None => vec![point(&one["value"])],
        };
        let doubled = all.insert(one["metric"].to_string(), points);
        assert!(doubled.is_none(), "a series comes twice: {}", one["metric"]);
    }
    all
}

fn point(pair: &Value) -> (f64, f64) {
    let value = pair[1].as_str().expect("a value is a text");
    (pair[0].as_f64().expect("a time is a number"), value.parse().expect("a value is a number"))
}
