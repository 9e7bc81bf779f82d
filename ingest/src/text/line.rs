//! One line of text: a sample, or what a comment says of a family.

use ephemeris_model::MetricType;

use super::{Format, metric_type};

/// Labels of one line; one with more is refused.
const LABELS_MAX: usize = 1024;

/// A line with a sample.
#[derive(Debug, PartialEq)]
pub(super) struct SampleLine {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) exemplar: Option<Exemplar>,
}

/// What follows a sample after `#`.
#[derive(Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
    pub(super) timestamp_ms: Option<i64>,
}

/// A comment that says something of a family.
#[derive(Debug, PartialEq)]
pub(super) enum Comment {
    Type(String, MetricType),
    Help(String, String),
    Unit(String, String),
}

/// Reads what follows `#`. Comments of other kinds are none of ours.
pub(super) fn comment(text: &str) -> Result<Option<Comment>, String> {
    let text = text.trim_start();
    let (keyword, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    if !matches!(keyword, "TYPE" | "HELP" | "UNIT") {
        return Ok(None);
    }
    let mut cursor = Cursor { rest: rest.trim_start() };
    let name = if cursor.rest.starts_with('"') {
        cursor.quoted()?
    } else {
        cursor.until([' ', '\t']).to_owned()
    };
    if name.is_empty() {
        return Err(format!("{keyword} without a name"));
    }
    let text = cursor.rest.trim_start();
    Ok(Some(match keyword {
        "TYPE" => {
            let known = metric_type(text.trim());
            Comment::Type(name, known.ok_or_else(|| format!("{text:?} is no type of a metric"))?)
        }
        "HELP" => Comment::Help(name, unescape(text)),
        _ => Comment::Unit(name, text.trim().to_owned()),
    }))
}

/// Reads a line with a sample.
pub(super) fn sample(line: &str, format: Format) -> Result<SampleLine, String> {
    let mut cursor = Cursor { rest: line };
    let mut name = cursor.until(['{', ' ', '\t']).to_owned();
    let mut labels = Vec::new();
    cursor.skip_spaces();
    if cursor.rest.starts_with('{') {
        labels = cursor.labels(Some(&mut name))?;
    }
    if name.is_empty() {
        return Err("the line has no metric name".to_owned());
    }
    if name.contains('"') {
        return Err(format!("{name:?} is no metric name"));
    }
    let value = cursor.number()?.ok_or("the line has no value")?;
    let timestamp_ms = cursor.timestamp(format)?;
    cursor.skip_spaces();
    let exemplar = match cursor.rest.strip_prefix('#') {
        Some(rest) => {
            cursor.rest = rest;
            cursor.skip_spaces();
            let labels = cursor.labels(None)?;
            let value = cursor.number()?.ok_or("the exemplar has no value")?;
            // Seconds in both formats.
            let timestamp_ms = cursor.timestamp(Format::OpenMetrics)?;
            Some(Exemplar { labels, value, timestamp_ms })
        }
        None => None,
    };
    cursor.skip_spaces();
    if !cursor.rest.is_empty() {
        return Err(format!("{:?} after the sample", shorten(cursor.rest)));
    }
    Ok(SampleLine { name, labels, value, timestamp_ms, exemplar })
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// What comes before any of `ends`.
    fn until<const N: usize>(&mut self, ends: [char; N]) -> &'a str {
        let at = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(at);
        self.rest = rest;
        word
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A text in quotes.
    fn quoted(&mut self) -> Result<String, String> {
        if !self.take('"') {
            return Err(format!("expected a quote before {:?}", shorten(self.rest)));
        }
        let mut escaped = false;
        let end = self.rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.ok_or("a quote is not closed")?;
        let text = unescape(&self.rest[..end]);
        self.rest = &self.rest[end + 1..];
        Ok(text)
    }

    /// Labels in braces; a text alone is the name of the metric, where one is wanted.
    fn labels(&mut self, mut name: Option<&mut String>) -> Result<Vec<(String, String)>, String> {
        if !self.take('{') {
            return Err(format!("expected {{ before {:?}", shorten(self.rest)));
        }
        let mut labels: Vec<(String, String)> = Vec::new();
        loop {
            self.skip_spaces();
            if self.take('}') {
                return Ok(labels);
            }
            let quoted = self.rest.starts_with('"');
            let label = if quoted {
                self.quoted()?
            } else {
                self.until(['=', ',', '}', ' ', '\t']).to_owned()
            };
            self.skip_spaces();
            if self.take('=') {
                self.skip_spaces();
                let value = self.quoted()?;
                if label.is_empty() {
                    return Err("a label has no name".to_owned());
                }
                labels.push((label, value));
            } else if let Some(name) = name.as_deref_mut().filter(|n| quoted && n.is_empty()) {
                *name = label;
            } else {
                return Err(format!("label {:?} has no value", shorten(&label)));
            }
            if labels.len() > LABELS_MAX {
                return Err(format!("more than {LABELS_MAX} labels"));
            }
            self.skip_spaces();
            if !self.take(',') && !self.rest.starts_with('}') {
                return Err("labels are not closed by }".to_owned());
            }
        }
    }

    fn number(&mut self) -> Result<Option<f64>, String> {
        self.skip_spaces();
        let word = self.until([' ', '\t', '#']);
        if word.is_empty() {
            return Ok(None);
        }
        let number =
            word.parse::<f64>().map_err(|_| format!("{:?} is no number", shorten(word)))?;
        Ok(Some(number))
    }

    fn timestamp(&mut self, format: Format) -> Result<Option<i64>, String> {
        self.skip_spaces();
        let word = self.until([' ', '\t', '#']);
        if word.is_empty() {
            return Ok(None);
        }
        let bad = || format!("{:?} is no timestamp", shorten(word));
        match format {
            Format::Prometheus => word.parse().map(Some).map_err(|_| bad()),
            Format::OpenMetrics => {
                let seconds: f64 = word.parse().map_err(|_| bad())?;
                let ms = (seconds * 1000.0).round();
                if ms.is_nan() || ms.abs() > 9e15 {
                    return Err(bad());
                }
                #[expect(clippy::cast_possible_truncation, reason = "whole and within the bound")]
                Ok(Some(ms as i64))
            }
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c @ ('\\' | '"')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(60)]
}
