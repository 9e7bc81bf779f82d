//! Blocks of a script: `clear`, `load`, `eval` with what is expected.

use ephemeris_model::Labels;
use regex::Regex;

use super::series::{SeriesLine, Value, parse_metric, parse_series};
use crate::promql::ast::Expr;
use crate::promql::parse::{self, parse_duration, parse_number};
use crate::promql::text::unquote;

/// What a script does, in order.
#[derive(Debug)]
pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Data to be stored.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) line: usize,
    pub(super) interval_ms: i64,
    /// Classic histograms become native ones with custom buckets as well.
    pub(super) with_nhcb: bool,
    /// Each label set once.
    pub(super) series: Vec<LoadSeries>,
}

/// One series to be stored.
#[derive(Debug)]
pub(super) struct LoadSeries {
    pub(super) line: SeriesLine,
    /// Start timestamps as offsets to the timestamps; empty or one per value.
    pub(super) starts: Vec<Option<i64>>,
}

/// A query and its times.
#[derive(Debug)]
pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) expr: Expr,
    pub(super) when: When,
    pub(super) expected: Expected,
}

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// What the answer must be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) fail: Option<Text>,
    pub(super) warnings: Notes,
    pub(super) infos: Notes,
    pub(super) ordered: bool,
    /// The answer is a range vector with values at these times: first, last, step.
    pub(super) range_vector: Option<(i64, i64, i64)>,
    pub(super) string: Option<String>,
    pub(super) scalar: Option<f64>,
    pub(super) series: Vec<SeriesLine>,
}

/// What annotations of one severity must be.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// At least one, each matching a text and each text matched.
    pub(super) some: Vec<Text>,
    pub(super) none: bool,
}

/// A text a message must have.
#[derive(Debug)]
pub(super) enum Text {
    Any,
    Exactly(String),
    Matching(Regex),
}

impl Text {
    pub(super) fn fits(&self, message: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(text) => text == message,
            Self::Matching(regex) => regex.is_match(message),
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Any => "any text".to_owned(),
            Self::Exactly(text) => format!("the text `{text}`"),
            Self::Matching(regex) => format!("a text with /{regex}/"),
        }
    }
}

/// A script that cannot be read or run, and where.
#[derive(Debug)]
pub(super) struct ScriptError {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads a whole script.
pub(super) fn parse_script(text: &str) -> Result<Vec<Command>, ScriptError> {
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines.map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while let Some(header) = lines.get(at) {
        let first = at;
        at += 1;
        if header.is_empty() {
            continue;
        }
        let word = header.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        if word == "clear" {
            commands.push(Command::Clear);
            continue;
        }
        let length = lines[at..].iter().take_while(|line| !line.is_empty()).count();
        let body = &lines[at..at + length];
        let (command, read) = if word.starts_with("load") {
            parse_load(header, body, first + 1).map(|load| (Command::Load(load), length))?
        } else if word.starts_with("eval") {
            let (eval, read) = parse_eval(header, body, first + 1)?;
            (Command::Eval(Box::new(eval)), read)
        } else {
            return Err(ScriptError { line: first + 1, message: format!("no command: {header}") });
        };
        commands.push(command);
        at += read;
    }
    Ok(commands)
}

/// The first word and the rest, trimmed.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    (word, rest.trim_start())
}

fn parse_load(header: &str, body: &[&str], line: usize) -> Result<Load, ScriptError> {
    let fail = |line: usize, message: String| Err(ScriptError { line, message });
    let (word, interval) = split_word(header);
    let with_nhcb = match word {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return fail(line, format!("no command: {word}")),
    };
    let interval_ms = match parse_duration(interval) {
        Ok(ms) => ms,
        Err(message) => return fail(line, message),
    };
    let mut series: Vec<LoadSeries> = Vec::new();
    let mut starts: Option<(Labels, Vec<Option<i64>>)> = None;
    for (i, text) in body.iter().enumerate() {
        let here = line + 1 + i;
        let (first, rest) = split_word(text);
        if let Some(metric) = first.strip_suffix("@st") {
            let found = parse_metric(metric).and_then(|(labels, _)| Ok((labels, offsets(rest)?)));
            match found {
                Ok(found) if starts.is_none() => starts = Some(found),
                Ok(_) => return fail(here, "start timestamps without their series".to_owned()),
                Err(message) => return fail(here, message),
            }
            continue;
        }
        let parsed = parse_series(text).map_err(|message| ScriptError { line: here, message })?;
        let starts = match starts.take() {
            None => Vec::new(),
            Some((labels, starts))
                if labels == parsed.labels && starts.len() == parsed.values.len() =>
            {
                starts
            }
            Some(_) => return fail(here, "start timestamps do not fit the series".to_owned()),
        };
        // A later line with the same labels stands in place of the earlier one.
        series.retain(|s| s.line.labels != parsed.labels);
        series.push(LoadSeries { line: parsed, starts });
    }
    if starts.is_some() {
        return fail(line, "start timestamps without their series".to_owned());
    }
    Ok(Load { line, interval_ms, with_nhcb, series })
}

/// `_`, `_xN`, `d`, `dxN`, `d+dxN`, `d-dxN`
fn offsets(text: &str) -> Result<Vec<Option<i64>>, String> {
    let mut offsets = Vec::new();
    for item in text.split_whitespace() {
        let (values, count) = match item.split_once('x') {
            Some((values, count)) => {
                let count: usize = count.parse().map_err(|_| format!("bad count in {item:?}"))?;
                (values, Some(count.min(1_000_000)))
            }
            None => (item, None),
        };
        if values == "_" {
            offsets.extend(std::iter::repeat_n(None, count.unwrap_or(1)));
            continue;
        }
        let second = values.get(1..).and_then(|v| v.find(['+', '-'])).map(|at| at + 1);
        let (first, change) = values.split_at(second.unwrap_or(values.len()));
        let change = if change.is_empty() { 0 } else { signed_duration(change)? };
        let mut offset = signed_duration(first)?;
        for _ in 0..=count.unwrap_or(0) {
            offsets.push(Some(offset));
            offset = offset.saturating_add(change);
        }
    }
    Ok(offsets)
}

fn signed_duration(text: &str) -> Result<i64, String> {
    match text.strip_prefix('-') {
        Some(text) => parse_duration(text).map(|ms| -ms),
        None => parse_duration(text.strip_prefix('+').unwrap_or(text)),
    }
}

/// The command, and how many lines of the body belong to it.
fn parse_eval(header: &str, body: &[&str], line: usize) -> Result<(Eval, usize), ScriptError> {
    let error = |message: String| ScriptError { line, message };
    let mut expected = Expected::default();
    let (word, rest) = split_word(header);
    match word {
        "eval" => {}
        "eval_fail" => expected.fail = Some(Text::Any),
        "eval_warn" => expected.warnings.some.push(Text::Any),
        "eval_info" => expected.infos.some.push(Text::Any),
        "eval_ordered" => expected.ordered = true,
        _ => return Err(error(format!("no command: {word}"))),
    }
    let (when, query) = parse_when(rest).map_err(error)?;
    let expr = parse::parse(query).map_err(|e| error(format!("{query}: {e}")))?;
    let mut read = 0;
    for text in body {
        read += 1;
        let ends = expected.parse_line(text, when);
        let ends = ends.map_err(|message| ScriptError { line: line + read, message })?;
        if ends {
            break;
        }
    }
    expected.check(when).map_err(error)?;
    let mut eval = Eval { line, query: query.to_owned(), expr, when, expected };
    if let (When::Instant(_), Some((_, last, _))) = (when, eval.expected.range_vector) {
        eval.when = When::Instant(last);
    }
    Ok((eval, read))
}

/// `instant at T QUERY` or `range from A to B step S QUERY`
fn parse_when(text: &str) -> Result<(When, &str), String> {
    let (mode, rest) = split_word(text);
    let time = |rest: &'_ str, word: &str| -> Result<(i64, usize), String> {
        let (found, behind) = split_word(rest);
        if found != word {
            return Err(format!("expected {word:?}, got {found:?}"));
        }
        let (value, behind) = split_word(behind);
        Ok((parse_duration(value)?, rest.len() - behind.len()))
    };
    match mode {
        "instant" => {
            let (at, length) = time(rest, "at")?;
            Ok((When::Instant(at), &rest[length..]))
        }
        "range" => {
            let (start, length) = time(rest, "from")?;
            let rest = &rest[length..];
            let (end, length) = time(rest, "to")?;
            let rest = &rest[length..];
            let (step, length) = time(rest, "step")?;
            if end < start || step <= 0 {
                return Err("a range ends behind its start and has a step above 0".to_owned());
            }
            Ok((When::Range { start, end, step }, &rest[length..]))
        }
        _ => Err(format!("expected \"instant\" or \"range\", got {mode:?}")),
    }
}

impl Expected {
    /// Takes in one line; tells whether it is the last.
    fn parse_line(&mut self, line: &str, when: When) -> Result<bool, String> {
        let (word, rest) = split_word(line);
        match word {
            "expect" => return self.parse_expect(rest).map(|()| false),
            "expected_fail_message" => {
                self.fail = Some(Text::Exactly(rest.to_owned()));
                return Ok(false);
            }
            "expected_fail_regexp" => {
                self.fail = Some(Text::Matching(regex(rest)?));
                return Ok(false);
            }
            _ => {}
        }
        if let Some(value) = bare_number(line) {
            self.scalar = Some(value);
            return Ok(true);
        }
        let series = parse_series(line)?;
        let one = matches!(when, When::Instant(_)) && self.range_vector.is_none();
        if one && series.values.len() != 1 {
            return Err(format!("expected one value for an instant query: {line}"));
        }
        match self.series.iter_mut().find(|s| s.labels == series.labels) {
            Some(earlier) => *earlier = series,
            None => self.series.push(series),
        }
        Ok(false)
    }

    fn parse_expect(&mut self, text: &str) -> Result<(), String> {
        let (word, rest) = split_word(text);
        match word {
            "range" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let ["vector", "from", first, "to", last, "step", step] = words.as_slice() else {
                    return Err(format!("expected \"range vector from A to B step S\": {text}"));
                };
                let step = parse_duration(step)?;
                if step <= 0 {
                    return Err("a step is above 0".to_owned());
                }
                let times = (parse_duration(first)?, parse_duration(last)?, step);
                self.range_vector = Some(times);
            }
            "string" => {
                let text =
                    unquote(rest).map_err(|_| format!("expected a text in quotes: {rest}"))?;
                self.string = Some(text);
            }
            "fail" if self.fail.is_some() => return Err("\"expect fail\" comes twice".to_owned()),
            "fail" => self.fail = Some(message_text(rest)?),
            "warn" => self.warnings.some.push(message_text(rest)?),
            "info" => self.infos.some.push(message_text(rest)?),
            "no_warn" => self.warnings.none = true,
            "no_info" => self.infos.none = true,
            "ordered" => self.ordered = true,
            _ => return Err(format!("no expectation: {text}")),
        }
        Ok(())
    }

    fn check(&self, when: When) -> Result<(), String> {
        for (notes, kind) in [(&self.warnings, "warn"), (&self.infos, "info")] {
            if notes.none && !notes.some.is_empty() {
                return Err(format!("expects {kind} and no_{kind} at once"));
            }
        }
        if self.ordered && (matches!(when, When::Range { .. }) || self.range_vector.is_some()) {
            return Err("series over time are not ordered".to_owned());
        }
        Ok(())
    }
}

fn message_text(text: &str) -> Result<Text, String> {
    if text.is_empty() {
        Ok(Text::Any)
    } else if let Some(text) = text.strip_prefix("msg:") {
        Ok(Text::Exactly(text.trim().to_owned()))
    } else if let Some(pattern) = text.strip_prefix("regex:") {
        Ok(Text::Matching(regex(pattern.trim())?))
    } else {
        Err(format!("expected msg: or regex:, got {text:?}"))
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(&ephemeris_model::re2::translate(pattern)).map_err(|error| error.to_string())
}

fn bare_number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    parse_number(digits).ok().map(|value| sign * value)
}

impl Value {
    /// As a script spells it, but for histograms.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Missing => "_".to_owned(),
            Self::Float(value) if ephemeris_model::is_stale(*value) => "stale".to_owned(),
            Self::Float(value) => value.to_string(),
            Self::Histogram(histogram, _) => super::compare::describe_histogram(histogram),
        }
    }
}
