//! Expected and got: values nearly, labels and kinds exactly.

use std::collections::BTreeMap;
use std::fmt::Write;

use ephemeris_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use ephemeris_model::{FloatHistogram, Labels, Span, is_stale};

use super::series::{SeriesLine, Value};
use super::syntax::Notes;
use crate::promql::exec::batch::Point;
use crate::promql::result::{MatrixSeries, VectorSample};

/// How far values may be apart, relative to their sum.
const EPSILON: f64 = 1e-6;

/// Whether two values are the same but for rounding.
pub(super) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    if a == b {
        return true;
    }
    let distance = (a - b).abs();
    let sum = a.abs() + b.abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return distance < EPSILON * f64::MIN_POSITIVE;
    }
    distance / sum.min(f64::MAX) < EPSILON
}

/// Populated buckets by index.
#[derive(Debug, Default, PartialEq)]
pub(super) struct BucketCounts {
    pub(super) positive: BTreeMap<i64, f64>,
    pub(super) negative: BTreeMap<i64, f64>,
}

pub(super) fn bucket_counts(h: &FloatHistogram) -> BucketCounts {
    BucketCounts {
        positive: populated(&h.positive_spans, &h.positive_buckets),
        negative: populated(&h.negative_spans, &h.negative_buckets),
    }
}

fn populated(spans: &[Span], counts: &[f64]) -> BTreeMap<i64, f64> {
    let mut index = 0_i64;
    let mut counts = counts.iter();
    let mut found = BTreeMap::new();
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                found.insert(index, *count);
            }
            index += 1;
        }
    }
    found
}

fn same_histogram(expected: &FloatHistogram, hint_written: bool, got: &FloatHistogram) -> bool {
    let same_buckets = |a: &BTreeMap<i64, f64>, b: &BTreeMap<i64, f64>| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && almost_equal(*a.1, *b.1))
    };
    let same_bounds = expected.schema != CUSTOM_BUCKETS_SCHEMA
        || expected.custom_values.len() == got.custom_values.len()
            && expected.custom_values.iter().zip(&got.custom_values).all(|(a, b)| a == b);
    let (a, b) = (bucket_counts(expected), bucket_counts(got));
    expected.schema == got.schema
        && expected.zero_threshold == got.zero_threshold
        && same_bounds
        && almost_equal(expected.count, got.count)
        && almost_equal(expected.sum, got.sum)
        && almost_equal(expected.zero_count, got.zero_count)
        && same_buckets(&a.positive, &b.positive)
        && same_buckets(&a.negative, &b.negative)
        && (!hint_written || expected.reset_hint == got.reset_hint)
}

fn same_point(expected: &Value, got: &Point) -> bool {
    match (expected, got) {
        (Value::Float(a), Point::Float(b)) => almost_equal(*a, *b),
        (Value::Histogram(a, hint_written), Point::Histogram(b)) => {
            same_histogram(a, *hint_written, b)
        }
        _ => false,
    }
}

/// Compares an instant vector.
pub(super) fn compare_vector(
    expected: &[SeriesLine],
    ordered: bool,
    got: &[VectorSample],
) -> Result<(), String> {
    let mut seen = vec![false; expected.len()];
    for (place, sample) in got.iter().enumerate() {
        let found = expected.iter().position(|line| line.labels == sample.labels);
        let Some(at) = found else { return Err(format!("unexpected {}", sample.labels)) };
        if std::mem::replace(&mut seen[at], true) {
            return Err(format!("{} comes twice", sample.labels));
        }
        if ordered && at != place {
            return Err(format!("{} is at place {place}, expected at {at}", sample.labels));
        }
        let value = expected[at].values.first().unwrap_or(&Value::Missing);
        if !same_point(value, &sample.point) {
            return Err(format!("another value for {}", sample.labels));
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(at) => Err(format!("{} is missing", expected[at].labels)),
        None => Ok(()),
    }
}

/// Compares series over time; value i of an expected series is at `first + i * step`.
pub(super) fn compare_matrix(
    expected: &[SeriesLine],
    (first, last, step): (i64, i64, i64),
    got: &[MatrixSeries],
) -> Result<(), String> {
    check_sorted(got)?;
    for series in got {
        let line = expected.iter().find(|line| line.labels == series.labels);
        let line = line.ok_or_else(|| format!("unexpected {}", series.labels))?;
        compare_series(line, (first, last, step), series)
            .map_err(|error| format!("{}: {error}", series.labels))?;
    }
    let is_missing = |line: &&SeriesLine| !got.iter().any(|series| series.labels == line.labels);
    match expected.iter().find(is_missing) {
        Some(line) => Err(format!("{} is missing", line.labels)),
        None => Ok(()),
    }
}

pub(super) fn check_sorted(got: &[MatrixSeries]) -> Result<(), String> {
    for pair in got.windows(2) {
        if let [a, b] = pair
            && a.labels >= b.labels
        {
            return Err(format!("not sorted by labels: {} before {}", a.labels, b.labels));
        }
    }
    match got.iter().find(|s| s.floats.is_empty() && s.histograms.is_empty()) {
        Some(empty) => Err(format!("{} has no samples", empty.labels)),
        None => Ok(()),
    }
}

fn compare_series(
    line: &SeriesLine,
    (first, last, step): (i64, i64, i64),
    got: &MatrixSeries,
) -> Result<(), String> {
    let mut floats = got.floats.iter();
    let mut histograms = got.histograms.iter();
    let mut at = first;
    for value in &line.values {
        if at > last {
            return Err(format!("{} values are expected, too many", line.values.len()));
        }
        let point = match value {
            Value::Missing => None,
            Value::Float(_) => {
                let next = floats.next().ok_or_else(|| format!("no float at {at} ms"))?;
                Some((next.0, Point::Float(next.1)))
            }
            Value::Histogram(..) => {
                let next = histograms.next().ok_or_else(|| format!("no histogram at {at} ms"))?;
                Some((next.0, Point::Histogram(std::sync::Arc::clone(&next.1))))
            }
        };
        if let Some((time, point)) = point {
            if time != at {
                return Err(format!("a sample is at {time} ms, expected at {at} ms"));
            }
            if !same_point(value, &point) {
                return Err(format!("another value at {at} ms"));
            }
        }
        at += step;
    }
    match floats.len() + histograms.len() {
        0 => Ok(()),
        more => Err(format!("{more} more samples than expected")),
    }
}

/// Checks annotations of one severity.
pub(super) fn compare_notes(expected: &Notes, got: &[String]) -> Result<(), String> {
    if expected.none && !got.is_empty() {
        return Err("an annotation where none is expected".to_owned());
    }
    if expected.some.is_empty() {
        return Ok(());
    }
    if got.is_empty() {
        return Err("no annotation where one is expected".to_owned());
    }
    if let Some(text) = expected.some.iter().find(|text| !got.iter().any(|note| text.fits(note))) {
        return Err(format!("no annotation with {}", text.describe()));
    }
    match got.iter().find(|note| !expected.some.iter().any(|text| text.fits(note))) {
        Some(note) => Err(format!("unexpected annotation `{note}`")),
        None => Ok(()),
    }
}

/// Of annotations that differ in nothing but their place, the first.
pub(super) fn without_repeats(notes: Vec<String>) -> Vec<String> {
    fn text(note: &str) -> &str {
        note.rsplit_once(" (").map_or(note, |(text, _)| text)
    }
    let mut kept: Vec<String> = Vec::new();
    for note in notes {
        if !kept.iter().any(|earlier| text(earlier) == text(&note)) {
            kept.push(note);
        }
    }
    kept
}

pub(super) fn describe_histogram(h: &FloatHistogram) -> String {
    let mut out = format!("{{{{schema:{} count:{} sum:{}", h.schema, h.count, h.sum);
    let counts = bucket_counts(h);
    for (name, buckets) in [("buckets", &counts.positive), ("n_buckets", &counts.negative)] {
        if !buckets.is_empty() {
            let list: Vec<String> = buckets.iter().map(|(i, n)| format!("{i}={n}")).collect();
            let _ = write!(out, " {name}:[{}]", list.join(" "));
        }
    }
    if h.zero_count != 0.0 || h.zero_threshold != 0.0 {
        let _ = write!(out, " z_bucket:{} z_bucket_w:{}", h.zero_count, h.zero_threshold);
    }
    if !h.custom_values.is_empty() {
        let _ = write!(out, " custom_values:{:?}", h.custom_values);
    }
    let _ = write!(out, " hint:{:?}}}}}", h.reset_hint);
    out
}

pub(super) fn describe_point(point: &Point) -> String {
    match point {
        Point::Float(value) => value.to_string(),
        Point::Histogram(histogram) => describe_histogram(histogram),
    }
}

pub(super) fn describe_lines(lines: &[SeriesLine]) -> String {
    let line = |line: &SeriesLine| {
        let values: Vec<String> = line.values.iter().map(Value::describe).collect();
        format!("{} {}", line.labels, values.join(" "))
    };
    listed(lines.iter().map(line))
}

pub(super) fn describe_vector(samples: &[VectorSample]) -> String {
    listed(samples.iter().map(|s| format!("{} {}", s.labels, describe_point(&s.point))))
}

pub(super) fn describe_matrix(series: &[MatrixSeries]) -> String {
    let one = |labels: &Labels, series: &MatrixSeries| {
        let mut points: Vec<(i64, String)> =
            series.floats.iter().map(|(at, value)| (*at, value.to_string())).collect();
        points.extend(series.histograms.iter().map(|(at, h)| (*at, describe_histogram(h))));
        points.sort_by_key(|(at, _)| *at);
        let points: Vec<String> = points.iter().map(|(at, v)| format!("{v} @{at}")).collect();
        format!("{labels} {}", points.join(", "))
    };
    listed(series.iter().map(|s| one(&s.labels, s)))
}

fn listed(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_nearly_equal_within_a_millionth() {
        for (a, b, same) in [
            (1.0, 1.000_000_9, true),
            (1.0, 1.000_003, false),
            (0.0, 1e-300, false),
            (0.0, -0.0, true),
            (f64::NAN, f64::NAN, true),
            (f64::NAN, ephemeris_model::stale_nan(), false),
            (f64::INFINITY, f64::INFINITY, true),
            (f64::INFINITY, f64::MAX, false),
            (f64::MAX, f64::MAX, true),
        ] {
            assert_eq!(almost_equal(a, b), same, "{a} {b}");
        }
    }

    #[test]
    fn empty_buckets_do_not_count() {
        let one = FloatHistogram {
            positive_spans: vec![Span { offset: 1, length: 3 }],
            positive_buckets: vec![1.0, 0.0, 2.0],
            ..FloatHistogram::default()
        };
        let other = FloatHistogram {
            positive_spans: vec![Span { offset: 1, length: 1 }, Span { offset: 1, length: 1 }],
            positive_buckets: vec![1.0, 2.0],
            ..FloatHistogram::default()
        };
        assert!(same_histogram(&one, false, &other));
        let moved =
            FloatHistogram { positive_spans: vec![Span { offset: 0, length: 3 }], ..one.clone() };
        assert!(!same_histogram(&one, false, &moved));
    }
}
