//! `json`, with and without expressions, and `unpack`.

use super::fail_parse;
use super::hints::Hints;
use super::json::{Next, Value, each_field, element, unescape};
use super::json_path::{PathStep, parse_path};
use super::names::{push_sanitized, sanitized, text_of};
use super::state::{Category, EntryState};
use crate::logs::ast::Extraction;

/// The error of a line that is no JSON.
const JSON_ERROR: &str = "JSONParserErr";
/// Deepest object whose fields become labels.
const DEPTH_MAX: usize = 64;
/// The field `unpack` takes for the line.
const PACKED_ENTRY: &[u8] = b"_entry";
const NO_OBJECT: &str = "expecting json object(6), but it is not";

/// Makes a label of every field.
pub(super) fn parse_all(line: &[u8], state: &mut EntryState, hints: &Hints) {
    if hints.is_done(state) {
        return;
    }
    let mut walk = Walk { state, hints, prefix: String::new() };
    if let Err(error) = walk.object(line, DEPTH_MAX) {
        fail_parse(state, hints, JSON_ERROR, error);
    }
}

/// A walk over an object and those inside.
struct Walk<'a> {
    state: &'a mut EntryState,
    hints: &'a Hints,
    /// Names of the objects around, joined.
    prefix: String,
}

impl Walk<'_> {
    /// Tells whether there may be more to find.
    fn object(&mut self, text: &[u8], depth: usize) -> Result<Next, &'static str> {
        let mut next = Next::Continue;
        each_field(text, &mut |key, value| {
            next = self.field(key, value, depth)?;
            Ok(next)
        })?;
        Ok(next)
    }

    fn field(&mut self, key: &[u8], value: Value<'_>, depth: usize) -> Result<Next, &'static str> {
        let length = self.prefix.len();
        if length > 0 {
            self.prefix.push('_');
        }
        if memchr::memchr(b'\\', key).is_some() {
            push_sanitized(&mut self.prefix, &unescape(key));
        } else {
            push_sanitized(&mut self.prefix, &text_of(key));
        }
        let next = match value {
            Value::Object(inner) if depth > 0 && self.hints.wants_prefix(&self.prefix) => {
                self.object(inner, depth - 1)
            }
            Value::Object(_) | Value::Array(_) | Value::Null => Ok(Next::Continue),
            Value::Text(text) => Ok(self.label(|| unescape(text))),
            Value::Plain(text) => Ok(self.label(|| text_of(text).into_owned())),
        };
        self.prefix.truncate(length);
        next
    }

    fn label(&mut self, value: impl FnOnce() -> String) -> Next {
        // A label that is renamed because its name is taken is needed only if the name is.
        if !self.hints.wants(&self.prefix) {
            return Next::Continue;
        }
        let name = self.state.parsed_name(&self.prefix);
        if name.is_empty() || !self.hints.wants(&name) || self.state.has_parsed(&name) {
            return Next::Continue;
        }
        self.state.set(Category::Parsed, &name, &value());
        if self.hints.is_done(self.state) { Next::Stop } else { Next::Continue }
    }
}

/// Expressions of `json a="b.c[0]"`.
#[derive(Debug)]
pub(super) struct JsonExpressions(Vec<(String, Vec<PathStep>)>);

impl JsonExpressions {
    pub(super) fn new(extractions: &[Extraction]) -> Result<Self, String> {
        let parsed = extractions.iter().map(|extraction| {
            let steps = parse_path(&extraction.path).map_err(|error| {
                format!("cannot parse expression [{}]: {error}", extraction.path)
            })?;
            Ok((sanitized(&extraction.name), steps))
        });
        parsed.collect::<Result<_, String>>().map(Self)
    }

    /// Makes a label of each expression; one that finds nothing is empty.
    pub(super) fn parse(&self, line: &[u8], state: &mut EntryState, hints: &Hints) {
        if line.is_empty() || hints.is_done(state) {
            return;
        }
        let line = line.trim_ascii_start();
        if !matches!(line.first(), Some(b'{' | b'[' | b'"')) {
            fail_parse(state, hints, JSON_ERROR, "");
            return;
        }
        for (name, steps) in &self.0 {
            match find(line, steps) {
                Some(value) => {
                    let name = state.parsed_name(name).into_owned();
                    state.set(Category::Parsed, &name, &value);
                }
                None if state.get(name).is_none() => state.set(Category::Parsed, name, ""),
                None => {}
            }
        }
    }
}

/// The text of the value a path leads to.
fn find(line: &[u8], steps: &[PathStep]) -> Option<String> {
    let mut value = match line.first() {
        Some(b'[') => Value::Array(line),
        _ => Value::Object(line),
    };
    for step in steps {
        value = match (step, value) {
            (PathStep::Field(name), Value::Object(text)) => field(text, name)?,
            (PathStep::Index(index), Value::Array(text)) => element(text, *index)?,
            _ => return None,
        };
    }
    Some(match value {
        Value::Text(text) => unescape(text),
        Value::Plain(text) | Value::Object(text) | Value::Array(text) => text_of(text).into_owned(),
        Value::Null => String::new(),
    })
}

fn field<'a>(text: &'a [u8], name: &str) -> Option<Value<'a>> {
    let mut found = None;
    let walked = each_field(text, &mut |key, value| {
        let same = key == name.as_bytes()
            || (memchr::memchr(b'\\', key).is_some() && unescape(key) == name);
        if same {
            found = Some(value);
        }
        Ok(if same { Next::Stop } else { Next::Continue })
    });
    // What was found before an error counts.
    walked.ok().and(found).or(found)
}

/// Makes labels of the texts of a packed line; gives the line that was packed.
pub(super) fn unpack(line: &[u8], state: &mut EntryState, hints: &Hints) -> Option<String> {
    if line.is_empty() || hints.is_done(state) {
        return None;
    }
    if line[0] != b'{' {
        fail_parse(state, hints, JSON_ERROR, NO_OBJECT);
        return None;
    }
    let mut entry = None;
    let mut labels: Vec<(String, String)> = Vec::new();
    let walked = each_field(line, &mut |key, value| {
        let Value::Text(text) = value else { return Ok(Next::Continue) };
        if key == PACKED_ENTRY {
            entry = Some(unescape(text));
        } else {
            let name = state.parsed_name(&sanitized(&text_of(key))).into_owned();
            if hints.wants(&name) {
                labels.push((name, unescape(text)));
            }
        }
        Ok(Next::Continue)
    });
    if let Err(error) = walked {
        fail_parse(state, hints, JSON_ERROR, error);
        return None;
    }
    let entry = entry?;
    for (name, value) in labels {
        state.set(Category::Parsed, &name, &value);
    }
    Some(entry)
}

/// Fields of a flat object as text, `null` ones left out.
pub(in crate::logs) fn flat_fields(line: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    // What cannot be read ends the list.
    let _ = each_field(line.as_bytes(), &mut |key, value| {
        let text = match value {
            Value::Text(text) => unescape(text),
            Value::Plain(text) => text_of(text).into_owned(),
            Value::Null | Value::Object(_) | Value::Array(_) => return Ok(Next::Continue),
        };
        fields.push((unescape(key), text));
        Ok(Next::Continue)
    });
    fields
}
