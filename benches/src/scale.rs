//! How the server bears very many active series: memory for each, the rate at which they are
//! created and written, the time until it is ready after a kill, and a search in a label with as
//! many values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::query;
use crate::report::{Report, grouped, megabytes, quantile};
use crate::send::{Sent, send};
use crate::server::Server;
use crate::terminals;
use crate::workload::Body;
use crate::{Result, fail};

/// Connections.
const LANES: u64 = 4;
/// Series of a request.
const SERIES_PER_BODY: u64 = 2_000;
/// Series generated at a time, while the server waits.
const SERIES_PER_PART: u64 = 400_000;
/// Milliseconds from a round to the next.
pub(crate) const INTERVAL_MS: i64 = 15_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of series.
    pub series: u64,
    /// Samples of each; the first creates it.
    pub rounds: u32,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for the server.
    pub server_flags: Vec<String>,
}

/// One round over all series.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Round {
    pub(crate) elapsed: Duration,
    pub(crate) cpu_s: f64,
    latency_p99_ms: f64,
    latency_max_ms: f64,
    retries: u64,
}

/// Measures with a server and a data directory of its own; both are gone afterwards.
///
/// # Errors
/// If the server fails, refuses a body, or lacks a series afterwards.
pub fn run(options: &Options) -> Result<Report> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let dir = tempfile::tempdir()?;
    let data_dir = dir.path().join("data");
    let server = Server::start(&binary, &data_dir, &options.server_flags)?;
    let before = server.memory()?.now;
    let rounds = options.rounds.max(1);
    let start_ms = terminals::now_ms()? - i64::from(rounds) * INTERVAL_MS;
    let at = |round: u32| start_ms + i64::from(round) * INTERVAL_MS;
    let created = round(&server, options.series, at(0))?;
    let after_first = server.memory()?;
    let mut known = Round::default();
    for number in 1..rounds {
        known = round(&server, options.series, at(number))?;
    }
    let memory = server.memory()?;
    let last_ms = at(rounds - 1);
    let found = check(server.address(), options.series, last_ms)?;
    let searched = search(server.address(), options.series)?;
    server.kill()?;
    let started = Instant::now();
    let server = Server::start(&binary, &data_dir, &options.server_flags)?;
    let ready = started.elapsed();
    check(server.address(), options.series, last_ms)?;
    let replayed = server.memory()?;
    let searched_again = search(server.address(), options.series)?;
    server.kill()?;
    let per_series =
        |bytes: u64| format!("{} B", bytes.saturating_sub(before) / options.series.max(1));
    let mut report = Report::default();
    report.add("series", grouped(options.series)).add("samples of each", rounds.to_string());
    add_round(&mut report, "new series", options.series, &created);
    if rounds > 1 {
        add_round(&mut report, "known series, last round", options.series, &known);
    }
    report
        .add("memory a series, after the first sample", per_series(after_first.now))
        .add("memory a series, at the end", per_series(memory.now))
        .add("memory, peak", megabytes(memory.peak))
        .add("ready after kill -9", format!("{:.2} s", ready.as_secs_f64()))
        .add("memory, peak of replay", megabytes(replayed.peak))
        .add("series found by a query, before and after", grouped(found as u64))
        .add("label values with a regex", format!("{:.0} ms", searched.as_secs_f64() * 1e3))
        .add("the same after replay", format!("{:.0} ms", searched_again.as_secs_f64() * 1e3));
    Ok(report)
}

/// Sends one sample of each series.
pub(crate) fn round(server: &Server, series: u64, time_ms: i64) -> Result<Round> {
    let cpu_before = server.cpu_seconds()?;
    let mut all = Sent::default();
    for first in (0..series).step_by(usize::try_from(SERIES_PER_PART).unwrap_or(usize::MAX)) {
        let lanes = part(first, (first + SERIES_PER_PART).min(series), time_ms)?;
        let sent = send(server.address(), &lanes)?;
        all.elapsed += sent.elapsed;
        all.latencies_ms.extend(sent.latencies_ms);
        all.retry_count += sent.retry_count;
    }
    all.latencies_ms.sort_by(f64::total_cmp);
    Ok(Round {
        elapsed: all.elapsed,
        cpu_s: server.cpu_seconds()? - cpu_before,
        latency_p99_ms: quantile(&all.latencies_ms, 0.99),
        latency_max_ms: quantile(&all.latencies_ms, 1.0),
        retries: all.retry_count,
    })
}

/// The bodies of a part of the series, for all connections.
fn part(first: u64, end: u64, time_ms: i64) -> Result<Vec<Vec<Body>>> {
    let per_lane = (end - first).div_ceil(LANES).max(1);
    (0..LANES)
        .map(|lane| {
            let lane_first = (first + lane * per_lane).min(end);
            let lane_end = (lane_first + per_lane).min(end);
            let step = usize::try_from(SERIES_PER_BODY).unwrap_or(usize::MAX);
            (lane_first..lane_end)
                .step_by(step)
                .map(|at| terminals::body(at..(at + SERIES_PER_BODY).min(lane_end), time_ms))
                .collect()
        })
        .collect()
}

/// Counts a part of the series; answers how many there are.
fn check(address: SocketAddr, series: u64, time_ms: i64) -> Result<usize> {
    let (selector, expected) = terminals::some(series);
    let mut client = Client::connect(address)?;
    let found = query::single(&mut client, &format!("count({selector}) or vector(0)"), time_ms)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    if found != expected as f64 {
        return fail(format!("{found} series of {expected} are found by {selector}"));
    }
    Ok(expected)
}

/// Asks for the values of the label with many; answers what the second of two times took.
fn search(address: SocketAddr, series: u64) -> Result<Duration> {
    let expected = terminals::rare_count(series);
    let mut client = Client::connect(address)?;
    let matcher = format!("{{{}=~\"{}\"}}", terminals::LABEL, terminals::RARE);
    let encoded: String = matcher.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/api/v1/label/{}/values?match[]={encoded}", terminals::LABEL);
    let mut took = Duration::ZERO;
    for _ in 0..2 {
        let started = Instant::now();
        let answer = client.get(&path)?;
        took = started.elapsed();
        let text = String::from_utf8_lossy(&answer.body);
        let found = text.matches("\"ut-").count();
        if answer.status != 200 || found != expected {
            return fail(format!("{found} values of {expected}: {}", answer.excerpt()));
        }
    }
    Ok(took)
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "for people")]
#[expect(clippy::cast_sign_loss, reason = "no rate is negative")]
fn add_round(report: &mut Report, name: &str, series: u64, round: &Round) {
    let seconds = round.elapsed.as_secs_f64().max(1e-9);
    report
        .add(format!("{name}: samples per second"), grouped((series as f64 / seconds) as u64))
        .add(
            format!("{name}: server CPU per sample"),
            format!("{:.3} µs", round.cpu_s * 1e6 / series as f64),
        )
        .add(
            format!("{name}: write latency p99 / max"),
            format!("{:.1} / {:.1} ms", round.latency_p99_ms, round.latency_max_ms),
        )
        .add(format!("{name}: writes sent again"), round.retries.to_string());
}
