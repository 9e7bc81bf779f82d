//! The queries, over HTTP, and how long each takes.

use std::net::SocketAddr;
use std::time::Instant;

use memchr::memmem;
use serde_json::Value;

use super::lines::Random;
use super::workload::Workload;
use crate::client::Client;
use crate::report::{Report, quantile};
use crate::{BenchError, Result, fail};

/// How often each query runs.
const REPEATS: usize = 5;
/// Substrings looked for.
const NEEDLES: usize = 20;
/// A substring that is in more lines is no needle.
const NEEDLE_LINES_MAX: usize = 3;
const NANOS: i64 = 1_000_000_000;

/// How long the runs of one query took.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    name: String,
    /// Ascending.
    ms: Vec<f64>,
}

impl Timing {
    pub(super) fn show(&self, report: &mut Report) {
        let at = |share| quantile(&self.ms, share);
        let figures = format!("{:.1} / {:.1} / {:.1} ms", at(0.5), at(0.9), at(1.0));
        report.add(format!("{}, p50 / p90 / max", self.name), figures);
    }
}

/// The number of entries the server counts.
///
/// # Errors
/// If it does not answer.
pub(super) fn count_all(address: SocketAddr, workload: &Workload) -> Result<u64> {
    let mut client = Client::connect(address)?;
    let query = format!("sum(count_over_time({{job=~\".+\"}}[{}s]))", seconds(workload));
    let json = instant(&mut client, workload, &query)?;
    Ok(total(&json))
}

/// Asks every question.
///
/// # Errors
/// If one is not answered, or a needle is not found.
pub(super) fn ask_all(address: SocketAddr, workload: &Workload, seed: u64) -> Result<Vec<Timing>> {
    let mut client = Client::connect(address)?;
    let mut timings = Vec::new();
    let mut needles = Timing { name: "needle of 5 to 24 bytes".to_owned(), ms: Vec::new() };
    for (needle, expected) in needles_of(workload, seed) {
        let quoted = serde_json::to_string(&needle).map_err(|e| BenchError(e.to_string()))?;
        let query = format!("{{job=~\".+\"}} |= {quoted}");
        let (json, ms) = timed(|| range(&mut client, workload, &query))?;
        let found = lines_of(&json);
        if found != expected {
            return fail(format!("{query}: {found} lines of {expected}"));
        }
        needles.ms.push(ms);
    }
    needles.ms.sort_by(f64::total_cmp);
    timings.push(needles);

    let window = seconds(workload);
    let mut instants = vec![
        (
            "count of a regex",
            r#"sum(count_over_time({job=~".+"} |~ "(?i)fail|err[a-z]+ [0-9]" [W]))"#.to_owned(),
        ),
        (
            "count of a needle nowhere",
            r#"sum(count_over_time({job=~".+"} |= "no-such-needle" [W]))"#.to_owned(),
        ),
        ("count by job", r#"sum by (job) (count_over_time({job=~".+"}[W]))"#.to_owned()),
        (
            "count by level",
            r#"sum by (detected_level) (count_over_time({job=~".+"}[W]))"#.to_owned(),
        ),
    ];
    if let Some(job) = &workload.logfmt_job {
        let query = r#"sum(count_over_time({job="JOB"} | logfmt | level="debug" [W]))"#;
        instants.push(("logfmt, level=debug", query.replace("JOB", job)));
    }
    if let Some((job, field)) = &workload.json_job {
        let query = r#"sum(count_over_time({job="JOB"} | json | FIELD > 5 | __error__="" [W]))"#;
        instants.push(("json, a number > 5", query.replace("JOB", job).replace("FIELD", field)));
    }
    for (name, query) in instants {
        let query = query.replace("[W]", &format!("[{window}s]"));
        timings.push(repeat(name, || instant(&mut client, workload, &query))?);
    }
    let by_minute = [
        ("by level per minute", r#"sum by (detected_level) (count_over_time({job=~".+"}[1m]))"#),
        ("bytes by job per minute", r#"sum by (job) (bytes_over_time({job=~".+"}[1m]))"#),
    ];
    for (name, query) in by_minute {
        timings.push(repeat(name, || range(&mut client, workload, query))?);
    }
    Ok(timings)
}

fn timed<T>(ask: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let started = Instant::now();
    let answer = ask()?;
    Ok((answer, started.elapsed().as_secs_f64() * 1e3))
}

fn repeat(name: &str, mut ask: impl FnMut() -> Result<Value>) -> Result<Timing> {
    let mut ms = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        ms.push(timed(&mut ask)?.1);
    }
    ms.sort_by(f64::total_cmp);
    Ok(Timing { name: name.to_owned(), ms })
}

/// Substrings of lines that are in few lines, with the number of lines that hold them.
pub(super) fn needles_of(workload: &Workload, seed: u64) -> Vec<(String, usize)> {
    let mut random = Random(seed ^ 0x6e65_6564_6c65);
    let text = &workload.text;
    let mut needles = Vec::new();
    // Most substrings of logs are everywhere; a bound on the tries keeps this from taking long.
    for _ in 0..NEEDLES * 100 {
        let length = 5 + random.below(20);
        let start = random.below(text.len().saturating_sub(length));
        let bytes = &text[start..(start + length).min(text.len())];
        let Ok(needle) = std::str::from_utf8(bytes) else { continue };
        if needle.contains('\n') || needles.len() == NEEDLES {
            continue;
        }
        let places = memmem::find_iter(text, bytes).take(NEEDLE_LINES_MAX + 1);
        let line = |at: usize| memchr::memrchr(b'\n', &text[..at]);
        let mut lines: Vec<_> = places.map(line).collect();
        lines.dedup();
        if lines.len() <= NEEDLE_LINES_MAX {
            needles.push((needle.to_owned(), lines.len()));
        }
    }
    needles
}

fn seconds(workload: &Workload) -> i64 {
    (workload.range_ns.1 - workload.range_ns.0) / NANOS
}

/// At the last nanosecond before the end: windows exclude their start.
fn instant(client: &mut Client, workload: &Workload, query: &str) -> Result<Value> {
    let time = (workload.range_ns.1 - 1).to_string();
    answer(client, "/loki/api/v1/query", &[("query", query), ("time", &time)])
}

fn range(client: &mut Client, workload: &Workload, query: &str) -> Result<Value> {
    let (start, end) = workload.range_ns;
    let (start, end) = (start.to_string(), end.to_string());
    let parameters =
        [("query", query), ("start", &*start), ("end", &*end), ("step", "60"), ("limit", "100")];
    answer(client, "/loki/api/v1/query_range", &parameters)
}

fn answer(client: &mut Client, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    let answer = client.form(path, parameters)?;
    let context = |what: &str| {
        let query = parameters.first().map_or("", |(_, query)| query);
        BenchError(format!("query {query}: {what}: {} {}", answer.status, answer.excerpt()))
    };
    if answer.status != 200 {
        return Err(context("refused"));
    }
    let json: Value =
        serde_json::from_slice(&answer.body).map_err(|e| context(&format!("not JSON ({e})")))?;
    if json.get("warnings").is_some() { Err(context("answered with a warning")) } else { Ok(json) }
}

fn results(json: &Value) -> &[Value] {
    json.pointer("/data/result").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The sum of a vector's values.
fn total(json: &Value) -> u64 {
    let value = |one: &Value| one.pointer("/value/1")?.as_str()?.parse::<u64>().ok();
    results(json).iter().filter_map(value).sum()
}

/// The number of lines of all streams.
fn lines_of(json: &Value) -> usize {
    let lines = |one: &Value| Some(one.get("values")?.as_array()?.len());
    results(json).iter().filter_map(lines).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        let text = r#"{"data":{"result":[{"value":[1,"20"]},{"value":[1,"3"]}]}}"#;
        assert_eq!(total(&serde_json::from_str(text).expect("JSON")), 23);
        let text =
            r#"{"data":{"result":[{"values":[["1","a"],["2","b"]]},{"values":[["1","c"]]}]}}"#;
        assert_eq!(lines_of(&serde_json::from_str(text).expect("JSON")), 3);
        assert_eq!(total(&Value::Null), 0);
    }
}
