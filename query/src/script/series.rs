//! Series lines: `name{label="value"} 1 2+3x4 _ stale {{schema:0 count:1}}`.

use std::sync::Arc;

use ephemeris_model::{FloatHistogram, Labels, LabelsBuilder, METRIC_NAME, stale_nan};

use super::histogram::{HistogramLiteral, combined, parse_histogram};
use crate::promql::parse::parse_number;
use crate::promql::text::unquote;

/// Most values one line may spell out.
const VALUES_MAX: usize = 1_000_000;

/// One position of a series.
#[derive(Clone, Debug)]
pub enum Value {
    /// `_`
    Missing,
    /// A number, or the staleness marker.
    Float(f64),
    /// A histogram, and whether its literal stated a counter-reset hint.
    Histogram(Arc<FloatHistogram>, bool),
}

/// A series and its values, one a step.
#[derive(Clone, Debug)]
pub struct SeriesLine {
    /// The labels, metric name among them.
    pub labels: Labels,
    /// The values.
    pub values: Vec<Value>,
}

/// Parses a series line.
///
/// # Errors
/// What is wrong with it.
pub fn parse_series(line: &str) -> Result<SeriesLine, String> {
    let (labels, rest) = parse_metric(line)?;
    let mut values = Vec::new();
    let mut rest = rest;
    loop {
        let trimmed = rest.trim_start();
        if trimmed.is_empty() {
            return Ok(SeriesLine { labels, values });
        }
        if trimmed.len() == rest.len() {
            return Err(format!("expected a blank before {trimmed:?}"));
        }
        rest = parse_item(trimmed, &mut values)?;
        if values.len() > VALUES_MAX {
            return Err(format!("a line spells more than {VALUES_MAX} values"));
        }
    }
}

/// The labels, and what stands behind them.
pub(super) fn parse_metric(line: &str) -> Result<(Labels, &str), String> {
    let name_end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(line.len());
    let (name, mut rest) = line.split_at(name_end);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("{name:?} is not a metric name"));
    }
    let mut labels = LabelsBuilder::default();
    let braces = rest.trim_start();
    // A brace right behind the name, or any before blanks and values: `{{` opens a histogram.
    if braces.starts_with('{') && !braces.starts_with("{{") {
        rest = parse_label_set(&braces[1..], &mut labels)?;
    } else if name.is_empty() {
        return Err(format!("expected a metric, got {line:?}"));
    }
    if !name.is_empty() {
        labels.set(METRIC_NAME, name);
    }
    Ok((labels.build(), rest))
}

/// Pairs up to and including `}`; gives what stands behind.
fn parse_label_set<'a>(text: &'a str, labels: &mut LabelsBuilder) -> Result<&'a str, String> {
    let mut rest = text.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok(behind);
        }
        let quoted = rest.starts_with(['"', '\'', '`']);
        let (name, behind) = if quoted { quoted_text(rest)? } else { word(rest)? };
        let behind = behind.trim_start();
        if let Some(value) = behind.strip_prefix('=') {
            let (value, behind) = quoted_text(value.trim_start())?;
            labels.set(name, value);
            rest = behind.trim_start();
        } else if quoted {
            labels.set(METRIC_NAME, name);
            rest = behind;
        } else {
            return Err(format!("expected '=' behind label {name:?}"));
        }
        if let Some(behind) = rest.strip_prefix(',') {
            rest = behind.trim_start();
        } else if !rest.starts_with('}') {
            return Err(format!("expected ',' or '}}', got {rest:?}"));
        }
    }
}

fn word(text: &str) -> Result<(String, &str), String> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err(format!("expected a label, got {text:?}")),
        (word, rest) => Ok((word.to_owned(), rest)),
    }
}

/// A string literal at the start of `text`, and what stands behind it.
fn quoted_text(text: &str) -> Result<(String, &str), String> {
    let fail = || format!("expected a text in quotes, got {text:?}");
    let quote = text.chars().next().filter(|c| "\"'`".contains(*c)).ok_or_else(fail)?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            let (literal, rest) = text.split_at(at + 1);
            return Ok((unquote(literal).map_err(|_| fail())?, rest));
        }
    }
    Err(fail())
}

/// One item; gives what stands behind.
fn parse_item<'a>(text: &'a str, values: &mut Vec<Value>) -> Result<&'a str, String> {
    if text.starts_with("{{") {
        return parse_histograms(text, values);
    }
    let (item, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    match item {
        "_" => values.push(Value::Missing),
        "stale" => values.push(Value::Float(stale_nan())),
        _ => match item.strip_prefix("_x") {
            Some(count) => {
                let count = repetitions(count)?;
                values.extend(std::iter::repeat_n(Value::Missing, count));
            }
            None => parse_floats(item, values)?,
        },
    }
    Ok(rest)
}

/// `a`, `axN`, `a+bxN`, `a-bxN`
fn parse_floats(item: &str, values: &mut Vec<Value>) -> Result<(), String> {
    let (mut value, rest) = signed_number(item)?;
    if rest.is_empty() {
        values.push(Value::Float(value));
        return Ok(());
    }
    let (change, rest) = match rest.strip_prefix('x') {
        Some(_) => (0.0, rest),
        None => signed_number(rest)?,
    };
    let count = rest.strip_prefix('x').ok_or_else(|| format!("expected 'xN' in {item:?}"))?;
    for _ in 0..=repetitions(count)? {
        values.push(Value::Float(value));
        value += change;
    }
    Ok(())
}

/// A number with or without a sign at the start of `text`, and what stands behind it.
fn signed_number(text: &str) -> Result<(f64, &str), String> {
    let digits = text.trim_start_matches(['+', '-']);
    let sign = &text[..text.len() - digits.len()];
    let end = number_length(digits);
    let (number, rest) = digits.split_at(end);
    let value = parse_number(number).map_err(|_| format!("{text:?} is not a value"))?;
    match sign {
        "" | "+" => Ok((value, rest)),
        "-" => Ok((-value, rest)),
        _ => Err(format!("{text:?} is not a value")),
    }
}

/// How far an unsigned number without hexadecimal digits reaches.
fn number_length(text: &str) -> usize {
    for word in ["inf", "nan"] {
        if text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
            return 3;
        }
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' | b'.' | b'_' => at += 1,
            b'e' | b'E' => {
                let signed = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
                at += if signed { 2 } else { 1 };
            }
            _ => break,
        }
    }
    at.min(text.len())
}

fn repetitions(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(count) if count <= VALUES_MAX => Ok(count),
        _ => Err(format!("{text:?} is not a number of repetitions up to {VALUES_MAX}")),
    }
}

/// `h`, `hxN`, `h+hxN`, `h-hxN`; gives what stands behind.
fn parse_histograms<'a>(text: &'a str, values: &mut Vec<Value>) -> Result<&'a str, String> {
    let (base, rest) = parse_histogram(text)?;
    let end = |text: &'a str| text.find(char::is_whitespace).unwrap_or(text.len());
    if let Some(behind) = rest.strip_prefix('x') {
        let (count, behind) = behind.split_at(end(behind));
        let value = Value::Histogram(Arc::new(base.histogram), base.hint_written);
        values.extend(std::iter::repeat_n(value, repetitions(count)? + 1));
        return Ok(behind);
    }
    let Some(behind) = rest.strip_prefix(['+', '-']) else {
        values.push(Value::Histogram(Arc::new(base.histogram), base.hint_written));
        return Ok(rest);
    };
    let adds = rest.starts_with('+');
    let (change, behind) = parse_histogram(behind)?;
    let behind = behind.strip_prefix('x').ok_or("expected 'xN' behind the second histogram")?;
    let (count, behind) = behind.split_at(end(behind));
    push_combined(base, &change, adds, repetitions(count)?, values)?;
    Ok(behind)
}

fn push_combined(
    base: HistogramLiteral,
    change: &HistogramLiteral,
    adds: bool,
    count: usize,
    values: &mut Vec<Value>,
) -> Result<(), String> {
    let mut current = base.histogram;
    for _ in 0..count {
        let next = combined(&current, &change.histogram, adds)?;
        values.push(Value::Histogram(Arc::new(current), change.hint_written));
        current = next;
    }
    values.push(Value::Histogram(Arc::new(current), change.hint_written));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(line: &str) -> Vec<Option<f64>> {
        let line = parse_series(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let one = |value: &Value| match value {
            Value::Missing => None,
            Value::Float(value) => Some(*value),
            Value::Histogram(..) => panic!("a histogram"),
        };
        line.values.iter().map(one).collect()
    }

    #[test]
    fn values_are_spelled_out() {
        let some = |values: &[f64]| values.iter().map(|v| Some(*v)).collect::<Vec<_>>();
        assert_eq!(floats("a 1 2x2 -2+4x2"), some(&[1.0, 2.0, 2.0, 2.0, -2.0, 2.0, 6.0]));
        assert_eq!(floats("a _ _x2 1e+3-1e2x1"), [None, None, None, Some(1000.0), Some(900.0)]);
        assert_eq!(floats("a{} Inf -inf +1"), some(&[f64::INFINITY, f64::NEG_INFINITY, 1.0]));
        assert_eq!(floats("a"), []);
        assert!(ephemeris_model::is_stale(floats("a stale")[0].unwrap()));
    }

    #[test]
    fn metrics() {
        for (line, labels) in [
            ("a:b 1", r#"{__name__="a:b"}"#),
            ("sum{by='x' , \"c d\"=`e`,} 1", r#"{__name__="sum", by="x", c d="e"}"#),
            (r#"{"a.b", c=""} 1"#, r#"{__name__="a.b"}"#),
            ("{} 1", "{}"),
            ("a {b=\"}\"} 1", r#"{__name__="a", b="}"}"#),
        ] {
            assert_eq!(parse_series(line).unwrap().labels.to_string(), labels, "{line}");
        }
        for bad in ["", "1 1", "a{b} 1", "a{b=1} 1", "a{b=\"c\" 1", "a 1y", "a 1+2", "a 0x1g"] {
            assert!(parse_series(bad).is_err(), "{bad}");
        }
    }
}
