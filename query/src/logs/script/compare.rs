//! Expected and got: values nearly, labels exactly.

use std::fmt::Write;

use super::syntax::{Expected, ExpectedEntry, FailText, Logs, When};
use crate::logs::labels::LabelSet;
use crate::logs::result::{EntriesAnswer, LogEntry, MetricSeries, MetricValue};
use crate::promql::text::quote;

/// How far values may be apart, relative to the larger.
const EPSILON: f64 = 1e-5;

fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    a == b || (a - b).abs() <= EPSILON * a.abs().max(b.abs())
}

impl FailText {
    pub(super) fn fits(&self, error: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Part(part) => error.contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(error),
        }
    }
}

/// Compares the answer to a metric query.
pub(super) fn compare_metric(
    expected: &Expected,
    when: When,
    got: &MetricValue,
) -> Result<(), String> {
    match (got, when) {
        (MetricValue::Scalar { value, .. }, _) => match expected.scalar {
            Some(wanted) if almost_equal(wanted, *value) => Ok(()),
            Some(_) => Err("another number".to_owned()),
            None => Err("a number".to_owned()),
        },
        _ if expected.scalar.is_some() => Err("no number".to_owned()),
        (MetricValue::Vector { samples, .. }, _) => {
            let series: Vec<(&LabelSet, Vec<Option<f64>>)> =
                samples.iter().map(|(labels, value)| (labels, vec![Some(*value)])).collect();
            compare_series(expected, &series)
        }
        (MetricValue::Matrix(matrix), When::Range { start, end, step }) => {
            let series: Vec<(&LabelSet, Vec<Option<f64>>)> = matrix
                .iter()
                .map(|one| Ok((&one.labels, on_steps(one, start, end, step)?)))
                .collect::<Result<_, String>>()?;
            compare_series(expected, &series)
        }
        (MetricValue::Matrix(_), _) => Err("a matrix".to_owned()),
    }
}

/// The points of a series, one a step.
fn on_steps(
    series: &MetricSeries,
    start: i64,
    end: i64,
    step: i64,
) -> Result<Vec<Option<f64>>, String> {
    let mut points = series.points.iter().peekable();
    let mut values = Vec::new();
    let mut at = start;
    while at <= end {
        let point = points.next_if(|(time, _)| *time == at);
        values.push(point.map(|(_, value)| *value));
        at += step;
    }
    match points.next() {
        Some((time, _)) => Err(format!("a point at {time} ns, which is no step")),
        None => Ok(values),
    }
}

fn compare_series(
    expected: &Expected,
    got: &[(&LabelSet, Vec<Option<f64>>)],
) -> Result<(), String> {
    let mut seen = vec![false; expected.series.len()];
    for (place, (labels, points)) in got.iter().enumerate() {
        let found = expected.series.iter().position(|(wanted, _)| wanted == *labels);
        let at = found.ok_or_else(|| format!("unexpected {labels}"))?;
        if std::mem::replace(&mut seen[at], true) {
            return Err(format!("{labels} comes twice"));
        }
        if expected.is_ordered && at != place {
            return Err(format!("{labels} is at place {place}, expected at {at}"));
        }
        let wanted = &expected.series[at].1;
        let same = wanted.len() == points.len()
            && wanted.iter().zip(points).all(|pair| match pair {
                (Some(a), Some(b)) => almost_equal(*a, *b),
                (None, None) => true,
                _ => false,
            });
        if !same {
            return Err(format!("another value for {labels}"));
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(at) => Err(format!("{} is missing", expected.series[at].0)),
        None => Ok(()),
    }
}

/// Compares the answer to a log query, entry by entry.
pub(super) fn compare_entries(
    expected: &Expected,
    logs: Logs,
    got: &EntriesAnswer,
) -> Result<(), String> {
    for (i, entry) in got.entries.iter().enumerate() {
        let Some(wanted) = expected.entries.get(i) else {
            return Err(format!("an entry too many: place {i}"));
        };
        if *wanted != as_expected(entry, logs) {
            return Err(format!("another entry at place {i}"));
        }
    }
    if got.entries.len() < expected.entries.len() {
        return Err(format!("{} entries are missing", expected.entries.len() - got.entries.len()));
    }
    Ok(())
}

fn as_expected(entry: &LogEntry, logs: Logs) -> ExpectedEntry {
    let line = String::from_utf8_lossy(&entry.line).into_owned();
    let timestamp_ns = entry.timestamp_ns;
    if logs.categorized {
        let (metadata, parsed) = (entry.metadata.clone(), entry.parsed.clone());
        return ExpectedEntry {
            labels: entry.stream.clone(),
            line,
            timestamp_ns,
            metadata,
            parsed,
        };
    }
    let (metadata, parsed) = (LabelSet::default(), LabelSet::default());
    ExpectedEntry { labels: entry.merged(), line, timestamp_ns, metadata, parsed }
}

/// What a script expects, as its lines say it.
pub(super) fn describe_expected(expected: &Expected) -> String {
    match &expected.fail {
        Some(FailText::Any) => return "an error".to_owned(),
        Some(FailText::Part(part)) => return format!("an error with {part}"),
        Some(FailText::Regex(regex)) => return format!("an error that fits {regex}"),
        None => {}
    }
    if let Some(scalar) = expected.scalar {
        return scalar.to_string();
    }
    let mut out = String::new();
    for (labels, points) in &expected.series {
        let _ = writeln!(out, "{labels} {}", describe_points(points));
    }
    for entry in &expected.entries {
        let _ = writeln!(out, "{}", describe_entry(entry));
    }
    out
}

fn describe_points(points: &[Option<f64>]) -> String {
    let texts: Vec<String> = points
        .iter()
        .map(|point| point.map_or_else(|| "_".to_owned(), |value| value.to_string()))
        .collect();
    texts.join(" ")
}

fn describe_entry(entry: &ExpectedEntry) -> String {
    format!(
        "{} {} @ {}ns [metadata {}] [parsed {}]",
        entry.labels,
        quote(&entry.line),
        entry.timestamp_ns,
        entry.metadata,
        entry.parsed
    )
}

pub(super) fn describe_metric(got: &MetricValue) -> String {
    let mut out = String::new();
    match got {
        MetricValue::Scalar { value, .. } => out.push_str(&value.to_string()),
        MetricValue::Vector { samples, .. } => {
            for (labels, value) in samples {
                let _ = writeln!(out, "{labels} {value}");
            }
        }
        MetricValue::Matrix(series) => {
            for one in series {
                let _ = writeln!(out, "{} {:?}", one.labels, one.points);
            }
        }
    }
    out
}

pub(super) fn describe_entries(got: &EntriesAnswer, logs: Logs) -> String {
    let lines = got.entries.iter().map(|entry| describe_entry(&as_expected(entry, logs)));
    lines.collect::<Vec<_>>().join("\n")
}
