//! The level of an entry, as Loki derives it: from labels, from structured metadata, from a field
//! of the line, or from the first word in it that names a level.

use std::borrow::Cow;

use ephemeris_model::log_batch::Pair;
use memchr::{memchr, memchr_iter};

/// Names of labels, metadata and fields that hold a level, the first that is there.
pub const LEVEL_FIELDS: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];
/// Metadata that holds the severity of an OTLP log record as a number.
const SEVERITY_NUMBER: &str = "severity_number";
/// The level of an entry nothing tells.
const UNKNOWN: &str = "unknown";
/// Bytes at the start of a line that are looked at.
const LINE_BYTES_MAX: usize = 4096;
/// Objects of a JSON line are looked into this deep.
const JSON_DEPTH_MAX: usize = 2;

/// The level among labels of a stream, if one of them holds it.
#[must_use]
pub fn of_labels(pairs: &[Pair<'_>]) -> Option<String> {
    field_of(pairs).map(|value| normalize(value).into_owned())
}

/// The level of an entry without one of its own, whose stream has none either.
#[must_use]
pub fn of_entry<'a>(metadata: &[Pair<'a>], line: &[u8]) -> Cow<'a, str> {
    if let Some(value) = field_of(metadata) {
        return match word(value.as_bytes()) {
            Some(level) => level.into(),
            None => value.to_owned().into(),
        };
    }
    let severity = metadata.iter().find(|(name, _)| name == SEVERITY_NUMBER);
    match severity {
        Some((_, number)) => of_severity(number).into(),
        None => of_line(line).into(),
    }
}

/// A level as it was sent, in the words all levels are told in if it is one of them.
#[must_use]
pub fn normalize(level: &str) -> Cow<'_, str> {
    word(level.as_bytes()).map_or(level.into(), Into::into)
}

fn field_of<'p>(pairs: &'p [Pair<'_>]) -> Option<&'p str> {
    if pairs.is_empty() {
        return None;
    }
    let value = |wanted: &&str| pairs.iter().find(|(name, _)| name == wanted);
    LEVEL_FIELDS.iter().find_map(value).map(|(_, value)| value.as_ref())
}

fn of_severity(number: &str) -> &'static str {
    match number.parse::<i64>() {
        Err(_) => "info",
        Ok(1..=4) => "trace",
        Ok(5..=8) => "debug",
        Ok(9..=12) => "info",
        Ok(13..=16) => "warn",
        Ok(17..=20) => "error",
        Ok(21..=24) => "fatal",
        Ok(_) => UNKNOWN,
    }
}

/// The level a line tells.
#[must_use]
pub fn of_line(line: &[u8]) -> &'static str {
    let line = &line[..line.len().min(LINE_BYTES_MAX)];
    let field = match line.trim_ascii() {
        [b'{', .., b'}'] => json_field(line),
        _ if memchr(b'=', line).is_some() => logfmt_field(line),
        _ => None,
    };
    field.and_then(word).or_else(|| first_word(line)).unwrap_or(UNKNOWN)
}

/// The value of the best field of a logfmt line.
fn logfmt_field(line: &[u8]) -> Option<&[u8]> {
    let mut best: Option<(usize, &[u8])> = None;
    for equals in memchr_iter(b'=', line) {
        let before = &line[..equals];
        let key = before.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
        let key = &before[key..];
        let is_key = |field: &str| key.eq_ignore_ascii_case(field.as_bytes());
        // Most keys are none of these, which their first letter tells.
        let known = matches!(key.first().map(u8::to_ascii_lowercase), Some(b'l' | b's'));
        let Some(rank) = known.then(|| LEVEL_FIELDS.iter().position(|f| is_key(f))).flatten()
        else {
            continue;
        };
        if best.is_none_or(|(other, _)| rank < other) {
            best = Some((rank, value_at(&line[equals + 1..])));
        }
        if rank == 0 {
            break;
        }
    }
    best.map(|(_, value)| value)
}

/// The value at the start of `rest`, without its quotes.
fn value_at(rest: &[u8]) -> &[u8] {
    let (rest, end) = match rest.strip_prefix(b"\"") {
        Some(inner) => (inner, memchr(b'"', inner)),
        None => (rest, rest.iter().position(u8::is_ascii_whitespace)),
    };
    &rest[..end.unwrap_or(rest.len())]
}

/// The first string field of a JSON line that holds a level, in objects up to two deep.
fn json_field(line: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    let mut at = 0;
    let mut key: Option<&[u8]> = None;
    while at < line.len() {
        match line[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => key = None,
            b'"' => {
                let start = at + 1;
                let end = string_end(line, start)?;
                let text = &line[start..end];
                at = end;
                let after = line[end + 1..].trim_ascii_start();
                if after.first() == Some(&b':') {
                    key = Some(text);
                } else if depth <= JSON_DEPTH_MAX
                    && key.is_some_and(|k| LEVEL_FIELDS.iter().any(|f| f.as_bytes() == k))
                {
                    return Some(text);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the string that begins at `start` has its closing quote.
fn string_end(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match line.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The level of the first word that names one.
fn first_word(line: &[u8]) -> Option<&'static str> {
    let mut at = 0;
    while at < line.len() {
        if !line[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let rest = &line[at..];
        let len = rest.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(rest.len());
        if (3..=11).contains(&len)
            && let Some(level) = word(&rest[..len])
        {
            return Some(level);
        }
        at += len;
    }
    None
}

/// The level a word names, in any case.
fn word(text: &[u8]) -> Option<&'static str> {
    let is = |wanted: &str| text.eq_ignore_ascii_case(wanted.as_bytes());
    match text.first()?.to_ascii_lowercase() {
        b't' if is("trace") || is("trc") => Some("trace"),
        b'd' if is("debug") || is("dbg") => Some("debug"),
        b'i' if is("info") || is("inf") || is("information") => Some("info"),
        b'w' if is("warn") || is("warning") || is("wrn") => Some("warn"),
        b'e' if is("error") || is("err") => Some("error"),
        b'c' if is("critical") => Some("critical"),
        b'f' if is("fatal") => Some("fatal"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_their_level() {
        for (line, want) in [
            ("", "unknown"),
            ("nothing here", "unknown"),
            ("2024-01-01 ERROR failed", "error"),
            ("[Warning] x", "warn"),
            ("informed by terror", "unknown"),
            ("an INFO and an error", "info"),
            ("ts=1 level=debug msg=\"an error\"", "debug"),
            ("ts=1 severity=warn level=\"ERR\" x=1", "error"),
            ("a=b fatal", "fatal"),
            (r#"{"msg":"an error","level":"info"}"#, "info"),
            (r#"{"a":{"lvl":"dbg"}}"#, "debug"),
            (r#"{"a":{"b":{"level":"debug"}},"x":"none"}"#, "debug"),
            (r#"{"msg":"say \"level\": no","severity":"CRITICAL"}"#, "critical"),
            (r#"{"level":30,"msg":"warn"}"#, "warn"),
        ] {
            assert_eq!(of_line(line.as_bytes()), want, "{line}");
        }
    }

    #[test]
    fn metadata_and_labels_come_before_the_line() {
        let pair = |name: &'static str, value: &'static str| (name.into(), value.into());
        assert_eq!(of_entry(&[pair("severity", "Warning")], b"error"), "warn");
        assert_eq!(of_entry(&[pair("level", "notice")], b"error"), "notice");
        assert_eq!(of_entry(&[pair("severity_number", "17")], b"info"), "error");
        assert_eq!(of_entry(&[pair("severity_number", "0")], b"info"), "unknown");
        assert_eq!(of_labels(&[pair("LVL", "ERR")]), Some("error".to_owned()));
        assert_eq!(of_labels(&[pair("job", "info")]), None);
    }
}
