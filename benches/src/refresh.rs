//! A dashboard that refreshes with each scrape: one panel whose window of steps moves on by one, with
//! answers that are kept by the server and without; and queries of one series, which cost little but
//! the way there and back.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::write_v1::{Label, Sample, TimeSeries, WriteRequest};
use prost::Message as _;

use crate::client::Client;
use crate::query::seconds;
use crate::report::{Report, quantile};
use crate::send::send;
use crate::server::Server;
use crate::terminals::now_ms;
use crate::workload::Body;
use crate::{Result, fail};

/// The panel.
const PANEL: &str = "sum by (plane) (rate(packets_total[5m]))";
/// A query of one series.
const ONE: &str = "packets_total{satellite=\"A-000007\"}";
/// Steps of the panel.
const STEPS: i64 = 240;
const INTERVAL_MS: i64 = 15_000;
/// Scrapes before the first step, which looks back on them.
const BEFORE: i64 = 20;
const SERIES_PER_PLANE: usize = 64;
/// Samples in one body, about.
const BODY_SAMPLES: usize = 200_000;
/// How often the queries of one series are asked.
const ONE_COUNT: usize = 2000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Series of the panel.
    pub series: usize,
    /// Refreshes that are measured.
    pub refreshes: usize,
    /// Scrapes from one step of the panel to the next, and from one refresh to the next.
    pub scrapes: usize,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for the server.
    pub server_flags: Vec<String>,
}

/// Measures with servers and data directories of their own; all are gone afterwards.
///
/// # Errors
/// If a server fails or refuses something.
pub fn run(options: &Options) -> Result<Report> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let mut report = Report::default();
    for (name, kept) in [("computed anew", "0"), ("with kept answers", "32MiB")] {
        let reuse = ["--query.reuse-bytes-max".to_owned(), kept.to_owned()];
        let flags = [&reuse[..], &options.server_flags].concat();
        one_server(options, (&binary, &flags), name, &mut report)?;
    }
    Ok(report)
}

fn one_server(
    options: &Options,
    (binary, flags): (&Path, &[String]),
    name: &str,
    report: &mut Report,
) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data_dir = dir.path().join("data");
    let refreshes = i64::try_from(options.refreshes).unwrap_or(i64::MAX);
    let each = i64::try_from(options.scrapes.max(1)).unwrap_or(1);
    let history = STEPS * each + BEFORE;
    // The last refresh is about now.
    let first = now_ms()?.div_euclid(INTERVAL_MS) - history - (refreshes + 1) * each;
    let server = Server::start(binary, &data_dir, flags)?;
    send(server.address(), &[bodies(options.series, first..first + history)?])?;
    // What it has in memory is sealed when it ends.
    server.stop()?;
    let server = Server::start(binary, &data_dir, flags)?;
    let mut client = Client::connect(server.address())?;
    let (mut times, mut cpu) = (Vec::new(), 0.0);
    let mut end = first + history;
    for refresh in 0..=refreshes {
        send(server.address(), &[bodies(options.series, end..end + each)?])?;
        end += each;
        let before = server.cpu_seconds()?;
        let panel = Question::new(PANEL, (end - 1) * INTERVAL_MS, STEPS - 1, each);
        let took = panel.ask(&mut client)?;
        // The first answer is computed in any case.
        if refresh > 0 {
            times.push(took);
            cpu += server.cpu_seconds()? - before;
        }
    }
    report.add(format!("a refresh, {name}"), told(times, cpu));
    let end_ms = (end - 1) * INTERVAL_MS;
    for (kind, steps) in [("one step", 0), ("240 steps", STEPS - 1)] {
        let question = Question::new(ONE, end_ms, steps, 1);
        let (before, mut times) = (server.cpu_seconds()?, Vec::with_capacity(ONE_COUNT));
        for _ in 0..ONE_COUNT {
            times.push(question.ask(&mut client)?);
        }
        report.add(
            format!("one series, {kind}, {name}"),
            told(times, server.cpu_seconds()? - before),
        );
    }
    server.stop()?;
    Ok(())
}

/// A query, as it is asked.
struct Question {
    path: &'static str,
    form: Vec<(&'static str, String)>,
}

impl Question {
    /// `query` at the steps up to `end_ms`, `steps` of them before it, so many scrapes apart.
    fn new(query: &str, end_ms: i64, steps: i64, scrapes: i64) -> Self {
        let query = ("query", query.to_owned());
        if steps == 0 {
            return Self { path: "/api/v1/query", form: vec![query, ("time", seconds(end_ms))] };
        }
        let start = seconds(end_ms - steps * scrapes * INTERVAL_MS);
        let step = (scrapes * INTERVAL_MS / 1000).to_string();
        let form = vec![query, ("start", start), ("end", seconds(end_ms)), ("step", step)];
        Self { path: "/api/v1/query_range", form }
    }

    /// Milliseconds until the answer was there.
    fn ask(&self, client: &mut Client) -> Result<f64> {
        let form: Vec<(&str, &str)> = self.form.iter().map(|(k, v)| (*k, &**v)).collect();
        let began = Instant::now();
        let answer = client.form(self.path, &form)?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        if answer.status != 200 || !answer.body.windows(8).any(|part| part == b"\"metric\"") {
            return fail(format!("{:?}: {} {}", self.form, answer.status, answer.excerpt()));
        }
        Ok(took)
    }
}

/// Times in milliseconds and seconds of CPU of as many queries, in words.
fn told(mut times: Vec<f64>, cpu_s: f64) -> String {
    times.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let cpu_ms = 1000.0 * cpu_s / times.len().max(1) as f64;
    let (p50, p99) = (quantile(&times, 0.5), quantile(&times, 0.99));
    format!("{p50:.2} ms median, {p99:.2} ms p99, {cpu_ms:.2} ms of CPU")
}

/// The samples of all series in some scrapes.
fn bodies(series: usize, scrapes: Range<i64>) -> Result<Vec<Body>> {
    let all: Vec<usize> = (0..series).collect();
    let each = (BODY_SAMPLES / scrapes.clone().count().max(1)).max(1);
    all.chunks(each).map(|part| body(part, scrapes.clone())).collect()
}

fn body(series: &[usize], scrapes: Range<i64>) -> Result<Body> {
    let sample_count = series.len() * scrapes.clone().count();
    let timeseries = series.iter().map(|&i| TimeSeries {
        labels: vec![
            Label::new("__name__", "packets_total"),
            Label::new("plane", format!("p{:04}", i / SERIES_PER_PLANE)),
            Label::new("satellite", format!("A-{i:06}")),
        ],
        samples: scrapes.clone().map(|scrape| sample(i, scrape)).collect(),
        ..TimeSeries::default()
    });
    let request = WriteRequest { timeseries: timeseries.collect(), metadata: Vec::new() };
    Ok(Body { bytes: compress_snappy(&request.encode_to_vec())?, sample_count })
}

/// A counter of whole numbers that rises by another number each time.
#[expect(clippy::cast_precision_loss, reason = "they stay below 2^53")]
fn sample(series: usize, scrape: i64) -> Sample {
    let series = i64::try_from(series).unwrap_or(0);
    let value = scrape * (100 + series % 50) + scrape * 37 % 90;
    Sample { value: Some(value as f64), timestamp: scrape * INTERVAL_MS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_rise() {
        let values = (0..1000).map(|scrape| sample(7, scrape).value.expect("a value"));
        assert!(values.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn bodies_hold_all_series() {
        let all = bodies(1_700, 0..200).expect("small");
        let counts: Vec<usize> = all.iter().map(|body| body.sample_count).collect();
        assert_eq!(counts, [200_000, 140_000]);
    }
}
