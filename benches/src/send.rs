//! Sends lanes of bodies, each over a connection of its own, and takes the time of each.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, REMOTE_WRITE_1};
use crate::recorded::LaneReader;
use crate::workload::Body;
use crate::{BenchError, Result, fail};

/// Where remote write is sent.
pub const WRITE_PATH: &str = "/api/v1/write";
/// How often one body is sent again while the server asks for it.
const RETRIES_MAX: u32 = 100;

/// What sending took.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Samples in all bodies.
    pub sample_count: usize,
    /// From the first byte sent to the last answer.
    pub elapsed: Duration,
    /// Milliseconds from sending a body to its answer, ascending.
    pub latencies_ms: Vec<f64>,
    /// How often a body had to be sent again.
    pub retry_count: u64,
    /// Bodies that were refused for good; only [`replay`] goes on after one.
    pub refused_count: u64,
    /// What the server said to one of them.
    pub refusal: Option<String>,
}

/// Makes of a body of remote write 1.0 one of another protocol.
pub type Translate = fn(&[u8]) -> Result<Vec<u8>>;

/// How the bodies of a workload go to a server.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Where they are sent.
    pub path: &'static str,
    /// Header lines.
    pub headers: &'static str,
    /// Makes of a body what is sent in its place; time of the sender, not of the server.
    pub translate: Option<Translate>,
}

impl Way {
    /// Remote write 1.0, as the bodies are.
    pub const REMOTE_WRITE_1: Self =
        Self { path: WRITE_PATH, headers: REMOTE_WRITE_1, translate: None };
    /// Remote write 2.0, of bodies that are.
    pub const REMOTE_WRITE_2: Self = Self {
        path: WRITE_PATH,
        headers: "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n\
            Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 2.0.0\r\n",
        translate: None,
    };
    /// OTLP over HTTP in protobuf, of bodies that are.
    pub const OTLP: Self = Self {
        path: "/v1/metrics",
        headers: "Content-Type: application/x-protobuf\r\n",
        translate: None,
    };
    /// Loki push in protobuf, as the bodies are.
    pub const LOKI_PUSH: Self = Self {
        path: "/loki/api/v1/push",
        headers: "Content-Type: application/x-protobuf\r\n",
        translate: None,
    };
}

/// Sends all lanes by remote write 1.0 at the same time, the bodies of each one after the other.
///
/// # Errors
/// If a connection fails, or a body is refused.
pub fn send(address: SocketAddr, lanes: &[Vec<Body>]) -> Result<Sent> {
    send_all(lanes, |lane| send_lane(Way::REMOTE_WRITE_1, address, lane))
}

/// The same by another way.
///
/// # Errors
/// As [`send`].
pub fn send_by(way: Way, address: SocketAddr, lanes: &[&[Body]]) -> Result<Sent> {
    send_all(lanes, |lane| send_lane(way, address, lane))
}

/// The same with bodies recorded in files, by a way they were recorded for. A body that is refused
/// for good is counted, not an
/// error: a peer may not take what Ephemeris takes.
///
/// # Errors
/// If a connection fails or a file cannot be read.
pub fn replay(way: Way, address: SocketAddr, lanes: &[PathBuf]) -> Result<Sent> {
    send_all(lanes, |path| {
        let mut reader = LaneReader::open(path)?;
        let mut client = Client::connect(address)?;
        let (mut sent, mut bytes) = (Sent::default(), Vec::new());
        while let Some(samples) = reader.next(&mut bytes)? {
            replay_one(&mut client, way, &bytes, samples, &mut sent)?;
        }
        Ok(sent)
    })
}

/// Sends one body and books it.
///
/// # Errors
/// If the connection fails, or the server asks for it again too often.
pub fn replay_one(
    client: &mut Client,
    way: Way,
    body: &[u8],
    sample_count: usize,
    sent: &mut Sent,
) -> Result<()> {
    let start = Instant::now();
    let (retries, answer) = push(client, way, body)?;
    sent.latencies_ms.push(start.elapsed().as_secs_f64() * 1e3);
    sent.retry_count += retries;
    if answer.status < 300 {
        sent.sample_count += sample_count;
    } else {
        sent.refused_count += 1;
        sent.refusal.get_or_insert_with(|| format!("{} {}", answer.status, answer.excerpt()));
    }
    Ok(())
}

/// Runs `send` for all lanes at the same time and adds up.
///
/// # Errors
/// The first of `send`.
pub fn send_all<L: Sync>(lanes: &[L], send: impl Fn(&L) -> Result<Sent> + Sync) -> Result<Sent> {
    let start = Instant::now();
    let send = &send;
    let results: Vec<Result<Sent>> = thread::scope(|scope| {
        let handles: Vec<_> = lanes.iter().map(|lane| scope.spawn(move || send(lane))).collect();
        let joined = handles.into_iter().map(|handle| {
            handle.join().map_err(|_| BenchError("a sender thread failed".to_owned()))?
        });
        joined.collect()
    });
    let elapsed = start.elapsed();
    let mut all = Sent { elapsed, ..Sent::default() };
    for result in results {
        let lane = result?;
        all.sample_count += lane.sample_count;
        all.latencies_ms.extend(lane.latencies_ms);
        all.retry_count += lane.retry_count;
        all.refused_count += lane.refused_count;
        all.refusal = all.refusal.or(lane.refusal);
    }
    all.latencies_ms.sort_by(f64::total_cmp);
    Ok(all)
}

fn send_lane(way: Way, address: SocketAddr, lane: &[Body]) -> Result<Sent> {
    let mut client = Client::connect(address)?;
    let mut sent = Sent::default();
    for body in lane {
        let translated = way.translate.map(|translate| translate(&body.bytes)).transpose()?;
        let bytes = translated.as_deref().unwrap_or(&body.bytes);
        let start = Instant::now();
        sent.retry_count += send_body(&mut client, way, bytes)?;
        sent.latencies_ms.push(start.elapsed().as_secs_f64() * 1e3);
        sent.sample_count += body.sample_count;
    }
    Ok(sent)
}

/// Sends one body, again if the server asks for it; gives the number of times it did.
fn send_body(client: &mut Client, way: Way, body: &[u8]) -> Result<u64> {
    match push(client, way, body)? {
        (retries, answer) if answer.status < 300 => Ok(retries),
        (_, answer) => fail(format!("write was refused: {} {}", answer.status, answer.excerpt())),
    }
}

/// Sends one body, again if the server asks for it: how often, and the last answer.
fn push(client: &mut Client, way: Way, body: &[u8]) -> Result<(u64, Answer)> {
    for retry in 0..RETRIES_MAX {
        let answer = client.post(way.path, way.headers, body)?;
        match (answer.status, answer.retry_after_s) {
            (429 | 503, Some(after_s)) => thread::sleep(Duration::from_secs(after_s.min(10))),
            _ => return Ok((retry.into(), answer)),
        }
    }
    fail(format!("write was not taken after {RETRIES_MAX} times"))
}
