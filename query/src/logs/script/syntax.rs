//! Text of a script to commands.

use ephemeris_model::Labels;
use ephemeris_model::logs::Direction;

use super::words::{Escapes, bracket, labels, pairs, points, quoted, time, without_comment, word};
use crate::logs::labels::LabelSet;
use crate::logs::units::parse_float;

/// A script cannot be read.
#[derive(Debug)]
pub(super) struct ScriptError {
    /// Line, from 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// What a script does.
#[derive(Debug)]
pub(super) enum Command {
    Clear,
    Load(Vec<LoadedEntry>),
    Eval(Box<Eval>),
}

/// An entry that is stored.
#[derive(Clone, Debug)]
pub(super) struct LoadedEntry {
    pub(super) labels: Labels,
    pub(super) timestamp_ns: i64,
    pub(super) line: String,
    pub(super) metadata: Vec<(String, String)>,
}

/// A query and what it must answer.
#[derive(Debug)]
pub(super) struct Eval {
    /// Line, from 1.
    pub(super) line: usize,
    pub(super) when: When,
    pub(super) query: String,
    pub(super) expected: Expected,
}

/// How a query is evaluated; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
    Logs(Logs),
}

/// How a log query is evaluated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logs {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) limit: usize,
    pub(super) direction: Direction,
    pub(super) interval: i64,
    pub(super) categorized: bool,
}

/// What a query must answer.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) fail: Option<FailText>,
    pub(super) is_empty: bool,
    pub(super) is_ordered: bool,
    pub(super) scalar: Option<f64>,
    pub(super) series: Vec<(LabelSet, Vec<Option<f64>>)>,
    pub(super) entries: Vec<ExpectedEntry>,
}

/// What an error must say.
#[derive(Debug)]
pub(super) enum FailText {
    Any,
    Part(String),
    Regex(regex::Regex),
}

/// An entry of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExpectedEntry {
    pub(super) labels: LabelSet,
    pub(super) line: String,
    pub(super) timestamp_ns: i64,
    pub(super) metadata: LabelSet,
    pub(super) parsed: LabelSet,
}

impl Expected {
    fn is_missing(&self) -> bool {
        self.fail.is_none()
            && !self.is_empty
            && self.scalar.is_none()
            && self.series.is_empty()
            && self.entries.is_empty()
    }
}

/// Reads a script.
pub(super) fn parse_script(text: &str) -> Result<Vec<Command>, ScriptError> {
    let mut commands: Vec<Command> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let fail = |message: String| ScriptError { line: i + 1, message };
        let is_indented = line.starts_with(char::is_whitespace);
        let in_load = is_indented && matches!(commands.last(), Some(Command::Load(_)));
        let escapes = if in_load { Escapes::Unknown } else { Escapes::Known };
        let content = without_comment(line, escapes).trim_start();
        if content.is_empty() {
            continue;
        }
        match (is_indented, commands.last_mut()) {
            (true, Some(Command::Load(entries))) => {
                entries.extend(loaded(content).map_err(fail)?);
            }
            (true, Some(Command::Eval(eval))) => expectation(content, eval).map_err(fail)?,
            _ => commands.push(command(content, i + 1).map_err(fail)?),
        }
    }
    let missing = commands.iter().find_map(|command| match command {
        Command::Eval(eval) if eval.expected.is_missing() => Some(eval.line),
        _ => None,
    });
    match missing {
        Some(line) => Err(ScriptError { line, message: "nothing is expected".to_owned() }),
        None => Ok(commands),
    }
}

fn command(content: &str, line: usize) -> Result<Command, String> {
    let (name, rest) = word(content);
    match name {
        "clear" => Ok(Command::Clear),
        "load" => Ok(Command::Load(Vec::new())),
        "eval" => {
            let (when, query) = when(rest)?;
            let query = query.to_owned();
            Ok(Command::Eval(Box::new(Eval { line, when, query, expected: Expected::default() })))
        }
        // Says that a value is not compared; the comparison here has no such need.
        "skip" => Err(format!("only an expectation can be skipped: {content}")),
        _ => Err(format!("unknown command: {content}")),
    }
}

fn when(text: &str) -> Result<(When, &str), String> {
    let (kind, rest) = word(text);
    if kind == "instant" {
        let (at, query) = time(keyword(rest, "at")?)?;
        return Ok((When::Instant(at), query));
    }
    let (start, rest) = time(keyword(rest, "from")?)?;
    let (end, rest) = time(keyword(rest, "to")?)?;
    match kind {
        "range" => {
            let (step, query) = time(keyword(rest, "step")?)?;
            Ok((When::Range { start, end, step }, query))
        }
        "logs" => logs(start, end, rest),
        _ => Err(format!("unknown kind of evaluation: {kind}")),
    }
}

fn keyword<'a>(text: &'a str, name: &str) -> Result<&'a str, String> {
    let (found, rest) = word(text);
    if found == name { Ok(rest) } else { Err(format!("expected {name}, got {found}")) }
}

fn logs(start: i64, end: i64, mut rest: &str) -> Result<(When, &str), String> {
    let mut logs = Logs {
        start,
        end,
        limit: 100,
        direction: Direction::Backward,
        interval: 0,
        categorized: false,
    };
    loop {
        let (name, behind) = word(rest);
        rest = match name {
            "limit" => {
                let (count, behind) = word(behind);
                logs.limit = count.parse().map_err(|_| format!("no number: {count}"))?;
                behind
            }
            "interval" => {
                let (interval, behind) = time(behind)?;
                logs.interval = interval;
                behind
            }
            "forward" => {
                logs.direction = Direction::Forward;
                behind
            }
            "backward" => behind,
            "categorized" => {
                logs.categorized = true;
                behind
            }
            _ => return Ok((When::Logs(logs), rest)),
        };
    }
}

/// A line of `load`: one entry, or several at a distance.
fn loaded(content: &str) -> Result<Vec<LoadedEntry>, String> {
    let line = entry_line(content)?;
    let labels = Labels::from_pairs(line.labels);
    let entry = |i: i64| LoadedEntry {
        labels: labels.clone(),
        timestamp_ns: line.timestamp_ns + i * line.step,
        line: line.text.replace("{{.i}}", &i.to_string()),
        metadata: line.metadata.clone(),
    };
    Ok((0..line.count).map(entry).collect())
}

/// `{labels} "line" @ time [repeat every D for N] [metadata …] [parsed …]`
struct EntryLine<'a> {
    labels: Vec<(String, String)>,
    text: &'a str,
    timestamp_ns: i64,
    step: i64,
    count: i64,
    metadata: Vec<(String, String)>,
    parsed: Vec<(String, String)>,
}

fn entry_line(content: &str) -> Result<EntryLine<'_>, String> {
    let (labels, rest) = labels(content)?;
    let (text, rest) = quoted(rest)?;
    let (timestamp_ns, mut rest) = time(keyword(rest, "@")?)?;
    let mut line = EntryLine {
        labels,
        text,
        timestamp_ns,
        step: 0,
        count: 1,
        metadata: Vec::new(),
        parsed: Vec::new(),
    };
    while let Some((inside, behind)) = bracket(rest) {
        let (kind, inside) = word(inside);
        match kind {
            "repeat" => {
                let (step, inside) = time(keyword(inside, "every")?)?;
                line.step = step;
                let count = keyword(inside, "for")?;
                line.count = count.trim().parse().map_err(|_| format!("no count: {count}"))?;
            }
            "metadata" => line.metadata = pairs(inside)?,
            "parsed" => line.parsed = pairs(inside)?,
            _ => return Err(format!("unknown bracket: {kind}")),
        }
        rest = behind;
    }
    if rest.is_empty() { Ok(line) } else { Err(format!("what is this: {rest}")) }
}

fn expectation(content: &str, eval: &mut Eval) -> Result<(), String> {
    let expected = &mut eval.expected;
    let (first, rest) = word(content);
    match first {
        "skip" => return Ok(()),
        "expect" => return expect(rest, expected),
        _ => {}
    }
    if !content.starts_with('{') {
        expected.scalar = Some(parse_float(content)?);
        return Ok(());
    }
    if matches!(eval.when, When::Logs(_)) {
        let line = entry_line(content)?;
        expected.entries.push(ExpectedEntry {
            labels: LabelSet::from_pairs(line.labels),
            line: line.text.to_owned(),
            timestamp_ns: line.timestamp_ns,
            metadata: LabelSet::from_pairs(line.metadata),
            parsed: LabelSet::from_pairs(line.parsed),
        });
        return Ok(());
    }
    let (labels, rest) = labels(content)?;
    expected.series.push((LabelSet::from_pairs(labels), points(rest)?));
    Ok(())
}

fn expect(text: &str, expected: &mut Expected) -> Result<(), String> {
    let (what, rest) = word(text);
    match what {
        "empty" => expected.is_empty = true,
        "ordered" => expected.is_ordered = true,
        "fail" => {
            let text = if let Some(part) = rest.strip_prefix("msg:") {
                FailText::Part(part.trim().to_owned())
            } else if let Some(pattern) = rest.strip_prefix("regex:") {
                let regex = regex::Regex::new(pattern.trim()).map_err(|e| e.to_string())?;
                FailText::Regex(regex)
            } else if rest.is_empty() {
                FailText::Any
            } else {
                return Err(format!("unknown expectation: fail {rest}"));
            };
            expected.fail = Some(text);
        }
        _ => return Err(format!("unknown expectation: {text}")),
    }
    Ok(())
}
