//! Queries of death, some at a time, beside a light query that is asked all the time: each must end
//! within the time limit with an answer or a clean error, and the light one must stay light.

pub mod queries;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

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
use crate::{BenchError, Result, fail};

/// Samples of each series, a quarter of a minute apart.
const SAMPLES: i64 = 120;
const INTERVAL_MS: i64 = 15_000;
/// Series of the light query.
const LIGHT_SERIES: usize = 100;
const LIGHT: &str = "sum by (group) (rate(light[5m]))";
/// Between two light queries.
const LIGHT_PAUSE: Duration = Duration::from_millis(2);
/// Between two rounds of queries of death: what the light query takes then is the measure.
const QUIET: Duration = Duration::from_millis(300);
/// How long after its time limit a query may still run: it looks at the clock now and then, and the
/// machine may be busy with other things.
const GRACE: Duration = Duration::from_secs(4);
/// Series in one body.
const BODY_SERIES: usize = 500;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Series the queries of death are about.
    pub series: usize,
    /// Queries of death that run at the same time.
    pub at_a_time: usize,
    /// Their time limit.
    pub timeout: Duration,
    /// The light query may take so many times as long beside them, at its median and its p99.
    pub ratio_max: f64,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for the server.
    pub server_flags: Vec<String>,
}

/// How the queries of death ended.
#[derive(Debug, Default)]
struct Ends {
    answered: usize,
    refused: usize,
    timed_out: usize,
    slowest: Duration,
    wrong: Vec<String>,
}

/// What the light query took, in milliseconds.
#[derive(Debug, Default)]
struct Latencies {
    quiet: Vec<f64>,
    loaded: Vec<f64>,
}

/// Measures with a server and a data directory of its own; both are gone afterwards.
///
/// # Errors
/// If a query ends too late or not cleanly, or the light one becomes slow.
pub fn run(options: &Options) -> Result<Report> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let limit = ["--query.timeout".to_owned(), format!("{}ms", options.timeout.as_millis())];
    // The light query is to be computed each time.
    let computed = ["--query.reuse-bytes-max".to_owned(), "0".to_owned()];
    let flags = [&limit[..], &computed, &options.server_flags].concat();
    let dir = tempfile::tempdir()?;
    let server = Server::start(&binary, &dir.path().join("data"), &flags)?;
    let end_ms = now_ms()?;
    send(server.address(), &[bodies(options.series, end_ms)?])?;
    let cpu = server.cpu_seconds()?;
    let (running, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (ends, latencies) = thread::scope(|scope| {
        let light = scope.spawn(|| ask_light(&server, end_ms, (&running, &done)));
        let ends = ask_all(&server, options, end_ms, &running);
        done.store(true, Ordering::Relaxed);
        let latencies = light.join().map_err(|_| BenchError("the light client failed".into()))?;
        Ok::<_, BenchError>((ends?, latencies?))
    })?;
    let cpu = server.cpu_seconds()? - cpu;
    let peak = server.memory()?.peak;
    server.stop()?;
    report(options, ends, latencies, (cpu, peak))
}

fn report(
    options: &Options,
    ends: Ends,
    latencies: Latencies,
    (cpu, peak): (f64, u64),
) -> Result<Report> {
    let Latencies { mut quiet, mut loaded } = latencies;
    quiet.sort_by(f64::total_cmp);
    loaded.sort_by(f64::total_cmp);
    let mut wrong = ends.wrong;
    let mut report = Report::default();
    let Ends { answered, refused, timed_out, slowest, .. } = ends;
    let text = format!("{answered} answered, {refused} refused, {timed_out} at their time limit");
    report.add("queries of death", text);
    report.add("at a time", options.at_a_time.to_string());
    report.add("slowest", format!("{slowest:.1?} (limit {:?})", options.timeout));
    report.add("light queries", format!("{} quiet, {} beside", quiet.len(), loaded.len()));
    for (name, share) in [("median", 0.5), ("p99", 0.99)] {
        let (alone, beside) = (quantile(&quiet, share), quantile(&loaded, share));
        let ratio = beside / alone.max(f64::MIN_POSITIVE);
        let text = format!("{alone:.2} ms quiet, {beside:.2} ms beside: {ratio:.2} times");
        if ratio > options.ratio_max {
            wrong.push(format!("light query, {name}: {text}; {} are allowed", options.ratio_max));
        }
        report.add(format!("light query, {name}"), text);
    }
    report.add("CPU of the server", format!("{cpu:.1} s"));
    report.add("peak memory", crate::report::megabytes(peak));
    if quiet.is_empty() || loaded.is_empty() {
        wrong.push("no light query was measured".to_owned());
    }
    if wrong.is_empty() { Ok(report) } else { fail(format!("{}\n{report}", wrong.join("\n"))) }
}

fn bodies(series: usize, end_ms: i64) -> Result<Vec<Body>> {
    let all: Vec<(&str, usize)> =
        (0..series).map(|i| ("m", i)).chain((0..LIGHT_SERIES).map(|i| ("light", i))).collect();
    all.chunks(BODY_SERIES).map(|part| body(part, end_ms)).collect()
}

fn body(series: &[(&str, usize)], end_ms: i64) -> Result<Body> {
    let timeseries = series.iter().map(|(name, i)| TimeSeries {
        labels: vec![
            Label::new("__name__", *name),
            Label::new("group", (i % 10).to_string()),
            Label::new("id", i.to_string()),
            Label::new("text", "x".repeat(100) + &i.to_string()),
        ],
        samples: (0..SAMPLES)
            .map(|k| Sample {
                value: Some((k * 37 + i64::try_from(i % 1000).unwrap_or(0)) as f64 / 100.0),
                timestamp: end_ms - (SAMPLES - k) * INTERVAL_MS,
            })
            .collect(),
        ..TimeSeries::default()
    });
    let request = WriteRequest { timeseries: timeseries.collect(), metadata: Vec::new() };
    let bytes = compress_snappy(&request.encode_to_vec())?;
    let sample_count = series.len() * usize::try_from(SAMPLES).unwrap_or(0);
    Ok(Body { bytes, sample_count })
}

/// Asks the light query until `done`.
fn ask_light(
    server: &Server,
    end_ms: i64,
    (running, done): (&AtomicUsize, &AtomicBool),
) -> Result<Latencies> {
    let mut client = Client::connect(server.address())?;
    let (start, end) = (seconds(end_ms - 1_200_000), seconds(end_ms));
    let form = [("query", LIGHT), ("start", &*start), ("end", &*end), ("step", "15")];
    let mut latencies = Latencies::default();
    while !done.load(Ordering::Relaxed) {
        let (before, began) = (running.load(Ordering::Relaxed), Instant::now());
        let answer = client.form("/api/v1/query_range", &form)?;
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        if answer.status != 200 {
            return fail(format!("light query: {} {}", answer.status, answer.excerpt()));
        }
        match (before > 0, running.load(Ordering::Relaxed) > 0) {
            (true, true) => latencies.loaded.push(ms),
            (false, false) => latencies.quiet.push(ms),
            // Neither.
            _ => {}
        }
        thread::sleep(LIGHT_PAUSE);
    }
    Ok(latencies)
}

/// Asks all queries of death, at one moment and over half an hour.
fn ask_all(server: &Server, options: &Options, end_ms: i64, running: &AtomicUsize) -> Result<Ends> {
    let queries = queries::queries();
    let paths = ["/api/v1/query", "/api/v1/query_range"];
    let asked: Vec<(&str, &str)> =
        queries.iter().flat_map(|query| paths.map(|path| (path, &**query))).collect();
    let ends = Mutex::new(Ends::default());
    for round in asked.chunks(options.at_a_time.max(1)) {
        thread::sleep(QUIET);
        running.store(round.len(), Ordering::Relaxed);
        let asked = thread::scope(|scope| {
            let ask = |(path, query)| {
                let ended = ask(server, (path, query), end_ms);
                running.fetch_sub(1, Ordering::Relaxed);
                note(&ends, (path, query), ended?, options)
            };
            let clients: Vec<_> =
                round.iter().map(|asked| scope.spawn(move || ask(*asked))).collect();
            let join = |client: thread::ScopedJoinHandle<'_, Result<()>>| {
                client.join().map_err(|_| BenchError("a client failed".to_owned()))?
            };
            clients.into_iter().map(join).collect::<Result<Vec<()>>>()
        });
        asked?;
    }
    ends.into_inner().map_err(|_| BenchError("a client failed".to_owned()))
}

/// Status, text, and time of the answer.
type Ended = (u16, String, Duration);

fn ask(server: &Server, (path, query): (&str, &str), end_ms: i64) -> Result<Ended> {
    let mut client = Client::connect(server.address())?;
    let (start, end) = (seconds(end_ms - 1_800_000), seconds(end_ms));
    // It is the query that is asked about, not the sending of hundreds of megabytes.
    let mut form = vec![("query", query), ("limit", "10")];
    match path {
        "/api/v1/query" => form.push(("time", &end)),
        _ => form.extend([("start", &*start), ("end", &*end), ("step", "1")]),
    }
    let began = Instant::now();
    let answer = client.form(path, &form)?;
    Ok((answer.status, answer.excerpt(), began.elapsed()))
}

fn note(
    ends: &Mutex<Ends>,
    (path, query): (&str, &str),
    (status, text, took): Ended,
    options: &Options,
) -> Result<()> {
    let mut ends = ends.lock().map_err(|_| BenchError("a client failed".to_owned()))?;
    let shown: String = query.chars().take(60).collect();
    match status {
        200 => ends.answered += 1,
        503 if text.contains("\"errorType\":\"timeout\"") => ends.timed_out += 1,
        400 | 422 | 503 if text.contains("\"errorType\":") => ends.refused += 1,
        _ => ends.wrong.push(format!("{path} {shown}: {status} {text}")),
    }
    if took > options.timeout + GRACE {
        ends.wrong.push(format!("{path} {shown}: took {took:.1?}"));
    }
    ends.slowest = ends.slowest.max(took);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(quiet: f64, loaded: f64) -> Result<Report> {
        let options = Options {
            series: 1,
            at_a_time: 2,
            timeout: Duration::from_secs(1),
            ratio_max: 3.0,
            binary: None,
            server_flags: Vec::new(),
        };
        let latencies = Latencies { quiet: vec![quiet; 10], loaded: vec![loaded; 10] };
        report(&options, Ends::default(), latencies, (0.0, 0))
    }

    #[test]
    fn a_light_query_that_becomes_slow_is_an_error() {
        assert!(told(1.0, 2.9).is_ok());
        let error = told(1.0, 3.1).expect_err("too slow").to_string();
        assert!(error.starts_with("light query, median: 1.00 ms quiet, 3.10 ms beside"), "{error}");
    }

    #[test]
    fn there_are_fifty_queries_of_death_and_none_twice() {
        let all = queries::queries();
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert!(all.len() >= 50 && different.len() == all.len());
    }

    #[test]
    fn bodies_hold_all_series() {
        let all = bodies(1_000, 10_000_000).expect("small");
        let samples: usize = all.iter().map(|body| body.sample_count).sum();
        assert_eq!(samples, (1_000 + LIGHT_SERIES) * 120);
    }
}
