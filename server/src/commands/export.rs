//! `ephemeris export`: samples as text, a line of JSON for each series, or OpenMetrics.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;
use ephemeris_model::{
    Labels, METRIC_NAME, Matcher, SampleBuffer, Select, Source, SourceError, TimeRange,
    TimestampMs, is_stale,
};
use ephemeris_query::promql::parse::parse_selector;
use ephemeris_storage::Reader;

use super::{CommandError, Progress, note, open, tenant_of};
use crate::api::histogram::write_histogram;
use crate::api::json::write_labels;
use crate::api::number::{write_timestamp, write_value};
use crate::api::time::parse_time;
use crate::metrics::text::{self, is_plain_name, write_quoted};

/// What is to be exported, and how.
pub(super) struct Wanted {
    tenant: String,
    matchers: Vec<Matcher>,
    range: TimeRange,
    write: fn(&mut Vec<u8>, &Labels, &SampleBuffer) -> u64,
    end: &'static str,
}

impl Wanted {
    pub(super) fn from_matches(matches: &ArgMatches) -> Result<Self, CommandError> {
        let invalid =
            |name: &str, cause: String| CommandError::Invalid(format!("--{name}: {cause}"));
        let get = |name: &str| matches.get_one::<String>(name).map(String::as_str);
        let matchers = match get("match") {
            Some(text) => parse_selector(text).map_err(|e| invalid("match", e.to_string()))?,
            None => Vec::new(),
        };
        let time = |name: &str, missing| match get(name) {
            Some(text) => parse_time(text).map_err(|cause| invalid(name, cause)),
            None => Ok(missing),
        };
        let range =
            TimeRange::inclusive(time("start", TimestampMs::MIN)?, time("end", TimestampMs::MAX)?);
        let openmetrics = get("format") == Some("openmetrics");
        Ok(Self {
            tenant: tenant_of(matches).to_owned(),
            matchers,
            range,
            write: if openmetrics { write_openmetrics } else { write_json },
            end: if openmetrics { "# EOF\n" } else { "" },
        })
    }
}

/// Writes what is wanted of a data directory to standard output.
pub(super) fn run(dir: &Path, wanted: &Wanted) -> Result<ExitCode, CommandError> {
    if !dir.is_dir() {
        return Err(CommandError::Invalid(format!("{} is no data directory", dir.display())));
    }
    // What is past the retention of the server is exported as long as it is there.
    let store = open(dir.to_owned(), i64::MAX / 4)?;
    let reader = store.reader(&wanted.tenant)?;
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let (mut series, mut samples, mut left_out) = (0u64, 0u64, 0u64);
    let mut progress = Progress::new();
    // Metric by metric, so that the samples of one lie together.
    let all = [wanted.matchers.clone()];
    let selectors: &[Vec<Matcher>] = if wanted.matchers.is_empty() { &[] } else { &all };
    for name in reader.label_values(METRIC_NAME, selectors, wanted.range)? {
        each_series(&reader, wanted, &name, &mut |labels, found| {
            let mut line = Vec::new();
            let unwritten = (wanted.write)(&mut line, labels, found);
            series += 1;
            samples += found.len() as u64 - unwritten;
            left_out += unwritten;
            out.write_all(&line)
        })?;
        progress.tell(|| format!("{series} series, {samples} samples"));
    }
    out.write_all(wanted.end.as_bytes())?;
    out.flush()?;
    for warning in reader.warnings() {
        note(&warning);
    }
    note(&format!("{series} series, {samples} samples exported, {left_out} left out"));
    Ok(ExitCode::SUCCESS)
}

fn each_series(
    reader: &Reader,
    wanted: &Wanted,
    name: &str,
    write: &mut dyn FnMut(&Labels, &SampleBuffer) -> io::Result<()>,
) -> Result<(), CommandError> {
    let mut matchers = wanted.matchers.clone();
    matchers.push(Matcher::equal(METRIC_NAME, name));
    let set = reader.select(&Select { matchers, range: wanted.range })?;
    let mut buffer = SampleBuffer::default();
    let mut written = Ok(());
    let read = set.read(0..set.len(), &mut buffer, &mut |index, samples| {
        if !samples.is_empty() {
            written = write(&set.labels(index), samples);
        }
        if written.is_ok() { Ok(()) } else { Err(SourceError::Canceled) }
    });
    written?;
    read?;
    set.warnings().iter().for_each(|warning| note(warning));
    Ok(())
}

/// `{"metric":{…},"values":[…],"timestamps":[…]}`; times in milliseconds; what JSON has no number
/// for is a string, the staleness marker is `"stale"`, a native histogram is an object.
fn write_json(out: &mut Vec<u8>, labels: &Labels, samples: &SampleBuffer) -> u64 {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, labels);
    out.extend_from_slice(br#","values":["#);
    for (at, &value) in samples.values.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b"," } else { b"" });
        match samples.histogram_at(at) {
            Some(histogram) => write_histogram(out, histogram),
            None => write_json_value(out, value),
        }
    }
    out.extend_from_slice(br#"],"timestamps":["#);
    for (at, time) in samples.timestamps.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b"," } else { b"" });
        out.extend_from_slice(time.to_string().as_bytes());
    }
    out.extend_from_slice(b"]}\n");
    0
}

fn write_json_value(out: &mut Vec<u8>, value: f64) {
    if is_stale(value) {
        out.extend_from_slice(br#""stale""#);
    } else if value.is_finite() {
        write_value(out, value);
    } else {
        out.push(b'"');
        write_value(out, value);
        out.push(b'"');
    }
}

/// A line for each sample. Native histograms and staleness markers have no form there; answers how
/// many were left out.
fn write_openmetrics(out: &mut Vec<u8>, labels: &Labels, samples: &SampleBuffer) -> u64 {
    let mut name = Vec::new();
    write_name(&mut name, labels);
    let mut left_out = 0;
    for (at, (&time, &value)) in samples.timestamps.iter().zip(&samples.values).enumerate() {
        if samples.histogram_at(at).is_some() || is_stale(value) {
            left_out += 1;
            continue;
        }
        out.extend_from_slice(&name);
        out.push(b' ');
        write_value(out, value);
        out.push(b' ');
        write_timestamp(out, time);
        out.push(b'\n');
    }
    left_out
}

/// `name{labels}`, or `{"name",labels}` if the name cannot stand alone.
fn write_name(out: &mut Vec<u8>, labels: &Labels) {
    let name = labels.metric_name().unwrap_or_default();
    let mut written = Vec::new();
    text::write_labels(&mut written, labels.iter().filter(|(label, _)| *label != METRIC_NAME));
    if is_plain_name(name) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&written);
        return;
    }
    out.push(b'{');
    write_quoted(out, name);
    match written.strip_prefix(b"{") {
        Some(rest) => {
            out.push(b',');
            out.extend_from_slice(rest);
        }
        None => out.push(b'}'),
    }
}
