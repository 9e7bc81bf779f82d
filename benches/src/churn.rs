//! New series all the time: each lives for two samples and is never seen again. No write may fail,
//! and memory must come back once they are sealed.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client};
use crate::report::{Report, grouped, megabytes, quantile};
use crate::server::Server;
use crate::{BenchError, Result, fail, query, terminals};

/// Connections; each sends its part of the series of a second.
const LANES: u64 = 4;
/// The second sample of a series comes so many seconds after the first.
const LIFE_S: u64 = 15;
/// A generation is sealed at this age, so that memory can be seen to return.
const SEAL: [&str; 2] = ["--head.age-max", "1m"];
/// How long memory may take to return.
const SETTLE: Duration = Duration::from_secs(240);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// New series in a minute.
    pub per_minute: u64,
    /// For how long.
    pub minutes: u64,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for the server.
    pub server_flags: Vec<String>,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Sent {
    latencies_ms: Vec<f64>,
    samples: u64,
    failed: Vec<String>,
    /// How late the last request of a second began at most.
    behind: Duration,
}

/// Measures with a server and a data directory of its own; both are gone afterwards.
///
/// # Errors
/// If the server fails, refuses a write, loses a series, or keeps the memory of series that are
/// gone.
pub fn run(options: &Options) -> Result<Report> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let flags = [&SEAL.map(str::to_owned)[..], &options.server_flags].concat();
    let dir = tempfile::tempdir()?;
    let server = Server::start(&binary, &dir.path().join("data"), &flags)?;
    let at_start = server.memory()?.now;
    let seconds = options.minutes * 60;
    let per_second = options.per_minute.div_ceil(60);
    let start_ms = terminals::now_ms()?;
    let (sent, by_minute) = thread::scope(|scope| {
        let started = Instant::now();
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let server = &server;
                scope.spawn(move || churn(server, lane, per_second, seconds, started))
            })
            .collect();
        let mut by_minute = Vec::new();
        for minute in 1..=options.minutes {
            sleep_until(started + Duration::from_secs(minute * 60));
            by_minute.push(server.memory()?.now);
        }
        let lanes = lanes.into_iter().map(|lane| {
            lane.join().map_err(|_| BenchError("a sender thread failed".to_owned()))?
        });
        Ok::<_, BenchError>((lanes.collect::<Result<Vec<Sent>>>()?, by_minute))
    })?;
    let failed: Vec<&String> = sent.iter().flat_map(|lane| &lane.failed).collect();
    if let Some(first) = failed.first() {
        return fail(format!("{} writes failed, the first: {first}", failed.len()));
    }
    let series = per_second * seconds;
    let end_ms = terminals::now_ms()?;
    let found = count(&server, series, start_ms, end_ms)?;
    let peak = server.memory()?.peak;
    let settled = settle(&server, at_start, peak)?;
    let mut latencies: Vec<f64> = sent.iter().flat_map(|lane| lane.latencies_ms.clone()).collect();
    latencies.sort_by(f64::total_cmp);
    let behind = sent.iter().map(|lane| lane.behind).max().unwrap_or_default();
    let by_minute: Vec<String> = by_minute.into_iter().map(megabytes).collect();
    let mut report = Report::default();
    report
        .add("new series", grouped(series))
        .add("new series a minute", grouped(per_second * 60))
        .add("samples", grouped(sent.iter().map(|lane| lane.samples).sum()))
        .add("writes failed", "0")
        .add(
            "write latency p50 / p99 / max",
            format!(
                "{:.1} / {:.1} / {:.1} ms",
                quantile(&latencies, 0.5),
                quantile(&latencies, 0.99),
                quantile(&latencies, 1.0)
            ),
        )
        .add("senders behind at most", format!("{:.2} s", behind.as_secs_f64()))
        .add("memory at the start", megabytes(at_start))
        .add("memory after each minute", by_minute.join(", "))
        .add("memory, peak", megabytes(peak))
        .add("memory once sealed", megabytes(settled))
        .add("series found by a query", grouped(found as u64));
    Ok(report)
}

/// The requests of one connection: each second new series, and those of some seconds ago again.
fn churn(
    server: &Server,
    lane: u64,
    per_second: u64,
    seconds: u64,
    start: Instant,
) -> Result<Sent> {
    let mut client = Client::connect(server.address())?;
    let mut sent = Sent::default();
    let first = per_second * lane / LANES;
    let end = per_second * (lane + 1) / LANES;
    for second in 0..seconds + LIFE_S {
        let due = start + Duration::from_secs(second);
        sleep_until(due);
        for born in [Some(second).filter(|at| *at < seconds), second.checked_sub(LIFE_S)] {
            let Some(born) = born else { continue };
            let base = born * per_second;
            let body = terminals::body(base + first..base + end, terminals::now_ms()?)?;
            let begun = Instant::now();
            let Answer { status, .. } = push(&mut client, &body.bytes, &mut sent)?;
            sent.latencies_ms.push(begun.elapsed().as_secs_f64() * 1e3);
            sent.samples += if status == 204 { body.sample_count as u64 } else { 0 };
        }
        sent.behind = sent.behind.max(Instant::now().saturating_duration_since(due));
    }
    Ok(sent)
}

/// Sends a body once; an answer that is no success is noted.
fn push(client: &mut Client, body: &[u8], sent: &mut Sent) -> Result<Answer> {
    let answer = client.push("/api/v1/write", body)?;
    if answer.status != 204 {
        sent.failed.push(format!("{} {}", answer.status, answer.excerpt()));
    }
    Ok(answer)
}

/// Counts a part of all series that there were.
fn count(server: &Server, series: u64, start_ms: i64, end_ms: i64) -> Result<usize> {
    let (selector, expected) = terminals::some(series);
    let mut client = Client::connect(server.address())?;
    let range = end_ms - start_ms + 1_000;
    // Both samples of each are counted.
    let samples = format!("sum(count_over_time({selector}[{range}ms])) or vector(0)");
    let found = query::single(&mut client, &samples, end_ms)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    if found != 2.0 * expected as f64 {
        return fail(format!("{found} samples are found of {} of {selector}", 2 * expected));
    }
    Ok(expected)
}

/// Waits until three quarters of what the load took are given back; answers what is left.
fn settle(server: &Server, at_start: u64, peak: u64) -> Result<u64> {
    let deadline = Instant::now() + SETTLE;
    let wanted = at_start + peak.saturating_sub(at_start) / 4;
    loop {
        let now = server.memory()?.now;
        if now <= wanted {
            return Ok(now);
        }
        if Instant::now() >= deadline {
            return fail(format!(
                "memory is {} after {} s of rest; {} at the start, {} at the peak",
                megabytes(now),
                SETTLE.as_secs(),
                megabytes(at_start),
                megabytes(peak)
            ));
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn sleep_until(at: Instant) {
    thread::sleep(at.saturating_duration_since(Instant::now()));
}
