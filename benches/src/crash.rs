//! Kills the server again and again under a mixed load, and compares what it has afterwards with
//! what it acknowledged: nothing may be lost, altered or doubled.
//!
//! The value of a sample follows from its series and time, so a wrong value shows whether the
//! sample was acknowledged or still on its way when the server died. What was on its way may be
//! there or not.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::write_v1::{Label, Sample, TimeSeries, WriteRequest};
use prost::Message as _;

use self::logs::LogLane;
use crate::client::Client;
use crate::power_cut::PowerCut;
use crate::query;
use crate::report::{Report, grouped};
use crate::server::Server;
use crate::{BenchError, Result, fail};

mod logs;

/// Writers, each with series of its own.
const LANES: u64 = 3;
/// Series of a writer.
const SERIES_PER_LANE: u64 = 200;
/// Late samples lie up to this far back.
const LATE_SECONDS: u64 = 3 * 86_400;
/// Pause between two requests of a writer.
const PACE: Duration = Duration::from_millis(10);
/// A complete comparison takes place every so many cycles, and at the end.
const COMPARE_EVERY: usize = 10;

/// Bounds so small that the server seals and merges all the time.
const SMALL_HEAD: [&str; 4] =
    ["--head.chunk-bytes-max", "128KiB", "--head.late-bytes-max", "64KiB"];

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the server dies.
    pub cycles: usize,
    /// Decides the load and the moments of death.
    pub seed: u64,
    /// Whether what was not synced is lost each time, as in a power cut.
    pub power_cut: bool,
    /// The server; default is the one beside this program.
    pub binary: Option<PathBuf>,
    /// Flags handed on to `ephemeris serve`.
    pub server_flags: Vec<String>,
}

/// Samples of one writer, by series and second: whether they were acknowledged.
type Ledger = HashMap<(u64, i64), bool>;

/// What one writer knows.
#[derive(Clone, Debug)]
struct Lane {
    number: u64,
    random: Random,
    /// The next second of live samples.
    live_at: i64,
    ledger: Ledger,
    /// The last request, to be repeated.
    last: Vec<(u64, i64)>,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    present: u64,
    lost: u64,
    altered: u64,
    unknown: u64,
}

/// Runs all cycles.
///
/// # Errors
/// If the server does not start or answer, or anything acknowledged is lost or altered.
pub fn run(options: &Options) -> Result<Report> {
    let binary = match &options.binary {
        Some(path) => path.clone(),
        None => Server::default_binary()?,
    };
    let flags = [&SMALL_HEAD.map(str::to_owned)[..], &options.server_flags].concat();
    let parent = tempfile::tempdir()?;
    let dir = parent.path().join("data");
    fs::create_dir(&dir)?;
    let power = if options.power_cut { Some(PowerCut::new(&binary, &dir)?) } else { None };
    let binary = power.as_ref().map_or(binary, PowerCut::server);
    let mut dropped = 0;
    let now = seconds_now()?;
    let mut random = Random(options.seed);
    let mut lanes: Vec<Lane> = (0..LANES)
        .map(|number| Lane {
            number,
            random: Random(random.next()),
            live_at: now - 3_600 * 6,
            ledger: Ledger::new(),
            last: Vec::new(),
        })
        .collect();
    let mut log_lane = LogLane::new(random.next(), now - 3_600 * 6);
    let mut slowest_start = Duration::ZERO;
    let (mut found, mut found_logs) = (Found::default(), Found::default());
    for cycle in 1..=options.cycles {
        let started = Instant::now();
        let server = Server::start(&binary, &dir, &flags)?;
        slowest_start = slowest_start.max(started.elapsed());
        let life = Duration::from_millis(200 + random.below(1_300));
        let is_settled = random.below(6) == 0;
        (lanes, log_lane) = live(server, (lanes, log_lane), life, is_settled)?;
        if let Some(power) = &power {
            dropped += power.cut(random.next())?;
        }
        if cycle % COMPARE_EVERY == 0 || cycle == options.cycles {
            let server = Server::start(&binary, &dir, &flags)?;
            found = compare(&server, &lanes)?;
            found_logs = log_lane.compare(&mut Client::connect(server.address())?)?;
            server.kill()?;
            for (what, found) in [("samples", found), ("log lines", found_logs)] {
                if found.lost + found.altered + found.unknown > 0 {
                    let seed = options.seed;
                    return fail(format!("{what} after {cycle} cycles of seed {seed}: {found:?}"));
                }
            }
        }
    }
    let acknowledged: usize =
        lanes.iter().map(|lane| lane.ledger.values().filter(|acked| **acked).count()).sum();
    let mut report = Report::default();
    report
        .add("cycles", options.cycles.to_string())
        .add("samples acknowledged", grouped(acknowledged as u64))
        .add("samples found", grouped(found.present))
        .add("log lines acknowledged", grouped(log_lane.acknowledged()))
        .add("log lines found", grouped(found_logs.present))
        .add("lost", (found.lost + found_logs.lost).to_string())
        .add("altered or doubled", (found.altered + found_logs.altered).to_string())
        .add("never sent", (found.unknown + found_logs.unknown).to_string())
        .add("slowest start", format!("{:.2} s", slowest_start.as_secs_f64()));
    if power.is_some() {
        report.add("bytes not synced, dropped", grouped(dropped));
    }
    Ok(report)
}

/// One life of the server: all writers write until it dies.
fn live(
    server: Server,
    (lanes, log_lane): (Vec<Lane>, LogLane),
    life: Duration,
    settle: bool,
) -> Result<(Vec<Lane>, LogLane)> {
    let ended = AtomicBool::new(false);
    let address = server.address();
    let write_on = |write: &mut dyn FnMut(&mut Client) -> bool| {
        if let Ok(mut client) = Client::connect(address) {
            while !ended.load(Ordering::Relaxed) && write(&mut client) {
                thread::sleep(PACE);
            }
        }
    };
    let write_on = &write_on;
    thread::scope(|scope| {
        let writers: Vec<_> = lanes
            .into_iter()
            .map(|mut lane| {
                scope.spawn(move || {
                    write_on(&mut |client| lane.write(client));
                    lane
                })
            })
            .collect();
        let mut log_lane = log_lane;
        let log_writer = scope.spawn(move || {
            write_on(&mut |client| log_lane.write(client));
            log_lane
        });
        thread::sleep(life);
        let died = if settle { server.stop().map(drop) } else { server.kill() };
        ended.store(true, Ordering::Relaxed);
        let lanes = writers.into_iter().map(thread::ScopedJoinHandle::join);
        let lanes: Option<Vec<Lane>> = lanes.map(std::result::Result::ok).collect();
        let log_lane = log_writer.join().ok();
        died?;
        lanes.zip(log_lane).ok_or_else(|| BenchError("a writer panicked".to_owned()))
    })
}

impl Lane {
    /// Sends one request; false if the connection is gone.
    fn write(&mut self, client: &mut Client) -> bool {
        let samples = match self.random.below(10) {
            0 if !self.last.is_empty() => self.last.clone(),
            1 | 2 => self.late(),
            _ => {
                self.live_at += 1;
                (0..SERIES_PER_LANE).map(|series| (series, self.live_at)).collect()
            }
        };
        for sample in &samples {
            self.ledger.entry(*sample).or_insert(false);
        }
        let answer = client.push("/api/v1/write", &self.body(&samples));
        let Ok(answer) = answer else { return false };
        if answer.status == 204 {
            for sample in &samples {
                self.ledger.insert(*sample, true);
            }
        }
        self.last = samples;
        // A server that is ending may refuse; it must not call anything of this wrong.
        answer.status == 204 || answer.status == 503
    }

    /// Some series, each at some time in the days before.
    fn late(&mut self) -> Vec<(u64, i64)> {
        let count = 1 + self.random.below(80);
        (0..count)
            .map(|_| {
                let back = i64::try_from(self.random.below(LATE_SECONDS)).unwrap_or(0);
                (self.random.below(SERIES_PER_LANE), self.live_at - back)
            })
            .collect()
    }

    fn body(&self, samples: &[(u64, i64)]) -> Vec<u8> {
        let timeseries = samples.iter().map(|(series, at)| TimeSeries {
            labels: vec![
                Label::new("__name__", "crash_value"),
                Label::new("lane", self.number.to_string()),
                Label::new("series", series.to_string()),
            ],
            samples: vec![Sample {
                value: Some(value(self.number, *series, *at)),
                timestamp: at * 1000,
            }],
            ..TimeSeries::default()
        });
        let request = WriteRequest { timeseries: timeseries.collect(), metadata: Vec::new() };
        let message = request.encode_to_vec();
        compress_snappy(&message).unwrap_or_default()
    }
}

/// Reads everything back.
fn compare(server: &Server, lanes: &[Lane]) -> Result<Found> {
    let mut client = Client::connect(server.address())?;
    let mut found = Found::default();
    for lane in lanes {
        let mut missing: u64 = lane.ledger.values().map(|acked| u64::from(*acked)).sum();
        let selector = format!("crash_value{{lane=\"{}\"}}[5d]", lane.number);
        for series in query::instant(&mut client, &selector, (lane.live_at + 60) * 1000)? {
            let number = series.labels.get("series").and_then(|text| text.parse().ok());
            let Some(number) = number else { return fail(format!("series {}", series.labels)) };
            let mut previous = i64::MIN;
            for (at_ms, got) in series.samples {
                found.present += 1;
                let at = at_ms / 1000;
                let is_right = got.to_bits() == value(lane.number, number, at).to_bits();
                found.altered += u64::from(!is_right || at_ms % 1000 != 0 || at_ms <= previous);
                previous = at_ms;
                match lane.ledger.get(&(number, at)) {
                    Some(true) => missing = missing.saturating_sub(1),
                    Some(false) => {}
                    None => found.unknown += 1,
                }
            }
        }
        found.lost += missing;
    }
    Ok(found)
}

/// The one value a sample can have: for some series small integers, for others any fraction.
#[expect(clippy::cast_precision_loss, reason = "any value will do, if it is always the same")]
fn value(lane: u64, series: u64, at: i64) -> f64 {
    let mixed = Random(lane << 40 ^ series << 20 ^ at.unsigned_abs()).next();
    match series % 3 {
        0 => (mixed % 1_000) as f64,
        1 => (mixed % 100_000) as f64 / 100.0,
        _ => (mixed >> 11) as f64 / (1_u64 << 53) as f64,
    }
}

/// A small generator, so that a seed tells a whole run (splitmix64).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn seconds_now() -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.ok().and_then(|d| i64::try_from(d.as_secs()).ok());
    seconds.ok_or_else(|| BenchError("the clock is before 1970".to_owned()))
}
