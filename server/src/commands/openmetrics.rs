//! Lines of OpenMetrics text: samples, and what is no sample.

use ephemeris_model::{Labels, METRIC_NAME};

/// A sample as a line has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) labels: Labels,
    pub(super) timestamp_ms: i64,
    pub(super) value: f64,
}

/// Reads a line; `None` for a comment or an empty one. Exemplars are passed over.
pub(super) fn parse(line: &str) -> Result<Option<Line>, String> {
    let mut text = Text { rest: line.trim() };
    if text.rest.is_empty() || text.rest.starts_with('#') {
        return Ok(None);
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    let name = text.plain_name();
    if !name.is_empty() {
        pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
    }
    if text.take('{') {
        text.labels(&mut pairs)?;
    }
    if pairs.iter().all(|(label, _)| label != METRIC_NAME) {
        return Err("the sample has no name".to_owned());
    }
    let mut words = text.rest.split_whitespace();
    let value = words.next().ok_or("the sample has no value")?;
    let value: f64 = value.parse().map_err(|_| format!("{value:?} is no value"))?;
    let timestamp_ms = match words.next() {
        None | Some("#") => return Err("the sample has no time".to_owned()),
        Some(time) => parse_seconds(time)?,
    };
    match words.next() {
        None | Some("#") => {}
        Some(more) => return Err(format!("{more:?} follows the time")),
    }
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(Some(Line { labels: Labels::from_pairs(pairs), timestamp_ms, value }))
}

/// Seconds with a fraction, as milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "it is within bounds")]
fn parse_seconds(text: &str) -> Result<i64, String> {
    let invalid = || format!("{text:?} is no time in seconds");
    let ms = text.parse::<f64>().map_err(|_| invalid())? * 1000.0;
    if ms.is_finite() && ms.abs() < 9e15 { Ok(ms.round() as i64) } else { Err(invalid()) }
}

struct Text<'a> {
    rest: &'a str,
}

impl<'a> Text<'a> {
    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn plain_name(&mut self) -> &'a str {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        let end = self.rest.find(|c| !plain(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }

    /// What stands between the braces: labels, and the metric's name in quotes.
    fn labels(&mut self, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
        loop {
            self.skip_blanks();
            if self.take('}') {
                return Ok(());
            }
            let quoted = self.rest.starts_with('"');
            let name = if quoted { self.quoted()? } else { self.plain_name().to_owned() };
            self.skip_blanks();
            if self.take('=') {
                self.skip_blanks();
                let value = self.quoted()?;
                pairs.push((name, value));
            } else if quoted {
                pairs.push((METRIC_NAME.to_owned(), name));
            } else {
                return Err(format!("label {name:?} has no value"));
            }
            self.skip_blanks();
            if !self.take(',') && !self.rest.starts_with('}') {
                return Err("labels are not separated by a comma".to_owned());
            }
        }
    }

    fn quoted(&mut self) -> Result<String, String> {
        if !self.take('"') {
            return Err("a value is not in quotes".to_owned());
        }
        let mut found = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(found);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => found.push('\n'),
                    Some((_, escaped)) => found.push(escaped),
                    None => break,
                },
                c => found.push(c),
            }
        }
        Err("a quote is not closed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn samples_are_read_with_labels_time_and_value() {
        let line = parse(r#"up{job="a\"b\\c\n",x="}"} -0.5 1.0015 # {trace_id="1"} 1 1"#);
        let line = line.expect("it is valid").expect("it is a sample");
        assert_eq!((line.timestamp_ms, line.value), (1002, -0.5));
        let wanted = [("__name__", "up"), ("job", "a\"b\\c\n"), ("x", "}")];
        assert_eq!(line.labels, labels(&wanted));
        let line = parse(r#"{"http.code", "a b"="c",} NaN 7"#);
        let line = line.expect("it is valid").expect("it is a sample");
        assert!(line.value.is_nan());
        assert_eq!(line.labels, labels(&[("__name__", "http.code"), ("a b", "c")]));
        assert_eq!(parse("# TYPE up gauge"), Ok(None));
        assert_eq!(parse("  "), Ok(None));
    }

    #[test]
    fn what_is_no_sample_is_named() {
        for (line, error) in [
            ("up", "the sample has no value"),
            ("up 1", "the sample has no time"),
            ("up x 1", "\"x\" is no value"),
            ("up 1 x", "\"x\" is no time in seconds"),
            ("up 1 2 3", "\"3\" follows the time"),
            ("{a=\"b\"} 1 1", "the sample has no name"),
            ("up{a} 1 1", "label \"a\" has no value"),
            ("up{a=\"b 1 1", "a quote is not closed"),
            ("up{a=\"b\" c=\"d\"} 1 1", "labels are not separated by a comma"),
        ] {
            assert_eq!(parse(line), Err(error.to_owned()), "{line}");
        }
    }
}
