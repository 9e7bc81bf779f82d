//! Histogram literals: `{{schema:1 sum:3 count:4 buckets:[1 2 1] offset:-1}}`.

use ephemeris_model::{CounterResetHint, FloatHistogram, Span};

use crate::promql::histogram;
use crate::promql::parse::parse_number;

/// A histogram, and whether its literal stated a counter-reset hint.
#[derive(Clone, Debug, Default)]
pub(super) struct HistogramLiteral {
    pub(super) histogram: FloatHistogram,
    pub(super) hint_written: bool,
}

/// A literal at the start of `text`, and what stands behind it.
pub(super) fn parse_histogram(text: &str) -> Result<(HistogramLiteral, &str), String> {
    let inner = text.strip_prefix("{{").ok_or_else(|| format!("expected '{{{{', got {text:?}"))?;
    let (mut inner, rest) =
        inner.split_once("}}").ok_or_else(|| format!("a histogram is not closed in {text:?}"))?;
    let mut literal = HistogramLiteral::default();
    let (mut offset, mut n_offset) = (0, 0);
    let mut seen = Vec::new();
    loop {
        inner = inner.trim_start();
        if inner.is_empty() {
            break;
        }
        let (key, behind) =
            inner.split_once(':').ok_or_else(|| format!("expected 'key:value', got {inner:?}"))?;
        if seen.contains(&key) {
            return Err(format!("duplicate key {key:?} in histogram"));
        }
        seen.push(key);
        let end = if behind.starts_with('[') {
            behind.find(']').map(|at| at + 1)
        } else {
            behind.find(char::is_whitespace)
        };
        let (value, behind) = behind.split_at(end.unwrap_or(behind.len()));
        match key {
            "offset" => offset = integer(value)?,
            "n_offset" => n_offset = integer(value)?,
            _ => set(&mut literal, key, value)?,
        }
        inner = behind;
    }
    let h = &mut literal.histogram;
    h.positive_spans = spans(offset, h.positive_buckets.len());
    h.negative_spans = spans(n_offset, h.negative_buckets.len());
    Ok((literal, rest))
}

fn set(literal: &mut HistogramLiteral, key: &str, value: &str) -> Result<(), String> {
    let h = &mut literal.histogram;
    match key {
        "schema" => h.schema = integer(value)?,
        "sum" => h.sum = number(value)?,
        "count" => h.count = number(value)?,
        "z_bucket" => h.zero_count = number(value)?,
        "z_bucket_w" => h.zero_threshold = number(value)?,
        "buckets" => h.positive_buckets = numbers(value)?,
        "n_buckets" => h.negative_buckets = numbers(value)?,
        "custom_values" => h.custom_values = numbers(value)?,
        "counter_reset_hint" => {
            literal.hint_written = true;
            h.reset_hint = match value {
                "unknown" => CounterResetHint::Unknown,
                "reset" => CounterResetHint::Reset,
                "not_reset" => CounterResetHint::NotReset,
                "gauge" => CounterResetHint::Gauge,
                _ => return Err(format!("{value:?} is not a counter reset hint")),
            };
        }
        _ => return Err(format!("{key:?} is not a key of a histogram")),
    }
    Ok(())
}

fn integer(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number"))
}

fn number(text: &str) -> Result<f64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    parse_number(digits).map(|value| sign * value).map_err(|_| format!("{text:?} is not a number"))
}

fn numbers(text: &str) -> Result<Vec<f64>, String> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let inner = inner.ok_or_else(|| format!("expected '[…]', got {text:?}"))?;
    inner.split_whitespace().map(number).collect()
}

fn spans(offset: i32, length: usize) -> Vec<Span> {
    match u32::try_from(length) {
        Ok(0) | Err(_) => Vec::new(),
        Ok(length) => vec![Span { offset, length }],
    }
}

/// The next histogram of a series that grows or shrinks by `change`.
pub(super) fn combined(
    current: &FloatHistogram,
    change: &FloatHistogram,
    adds: bool,
) -> Result<FloatHistogram, String> {
    if current.schema > change.schema {
        return Err(format!(
            "error combining histograms: cannot merge from schema {} to {}",
            change.schema, current.schema
        ));
    }
    let result =
        if adds { histogram::add(current, change) } else { histogram::subtract(current, change) };
    let mut result =
        result.map_err(|_| "exponential and custom buckets do not go together")?.histogram;
    result.reset_hint = match (current.reset_hint, change.reset_hint) {
        (a, b) if a == b => a,
        (CounterResetHint::Gauge, _) | (_, CounterResetHint::Gauge) => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    Ok(result)
}
