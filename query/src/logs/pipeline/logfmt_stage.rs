//! `logfmt`, with and without expressions.

use super::fail_parse;
use super::hints::Hints;
use super::logfmt::Fields;
use super::names::{sanitized, text_of};
use super::state::{Category, EntryState};
use crate::logs::ast::{Extraction, LogfmtFlags};

/// The error of a line that is not well formed.
const LOGFMT_ERROR: &str = "LogfmtParserErr";

/// Makes a label of every field.
pub(super) fn parse_all(line: &[u8], flags: LogfmtFlags, state: &mut EntryState, hints: &Hints) {
    if hints.is_done(state) {
        return;
    }
    let mut fields = Fields::new(line);
    for field in fields.by_ref() {
        let Some((key, value)) = field else {
            if flags.strict {
                break;
            }
            continue;
        };
        // A label that is renamed because its name is taken is needed only if the name is.
        if hints.skips(key) {
            continue;
        }
        let name = sanitized(&text_of(key));
        let name = state.parsed_name(&name);
        if name.is_empty() || !hints.wants(&name) || state.has_parsed(&name) {
            continue;
        }
        let value = value_of(&value);
        if value.is_empty() && !flags.keep_empty {
            continue;
        }
        state.set(Category::Parsed, &name, value);
        if hints.is_done(state) {
            break;
        }
    }
    report(fields, flags, state, hints);
}

/// What is no UTF-8 is no value.
fn value_of(value: &[u8]) -> &str {
    let text = std::str::from_utf8(value).unwrap_or_default();
    if text.contains(char::REPLACEMENT_CHARACTER) { "" } else { text }
}

fn report(fields: Fields<'_>, flags: LogfmtFlags, state: &mut EntryState, hints: &Hints) {
    if let Some(error) = fields.into_error().filter(|_| flags.strict) {
        fail_parse(state, hints, LOGFMT_ERROR, &error);
    }
}

/// Expressions of `logfmt a="b"`.
#[derive(Debug)]
pub(super) struct LogfmtExpressions {
    flags: LogfmtFlags,
    /// Names of labels and the fields they come from.
    fields: Vec<(String, String)>,
}

impl LogfmtExpressions {
    pub(super) fn new(flags: LogfmtFlags, extractions: &[Extraction]) -> Result<Self, String> {
        let field = |extraction: &Extraction| {
            let path = extraction.path.trim();
            if path.is_empty() || path.contains(|c: char| c.is_whitespace() || c == '=' || c == '"')
            {
                return Err(format!("cannot parse expression [{}]", extraction.path));
            }
            Ok((sanitized(&extraction.name), sanitized(path)))
        };
        let fields = extractions.iter().map(field).collect::<Result<_, _>>()?;
        Ok(Self { flags, fields })
    }

    /// Makes a label of each expression; one that finds nothing is empty.
    pub(super) fn parse(&self, line: &[u8], state: &mut EntryState, hints: &Hints) {
        if hints.is_done(state) {
            return;
        }
        for (name, _) in &self.fields {
            if state.get(name).is_none() {
                state.set(Category::Parsed, name, "");
            }
        }
        let mut fields = Fields::new(line);
        for field in fields.by_ref() {
            let Some((key, value)) = field else {
                if self.flags.strict {
                    break;
                }
                continue;
            };
            let value = value_of(&value);
            if value.is_empty() && !self.flags.keep_empty {
                continue;
            }
            let key = sanitized(&text_of(key));
            for (name, _) in self.fields.iter().filter(|(_, path)| *path == key) {
                let name = state.parsed_name(name).into_owned();
                // Of a repeated key the first value counts.
                if state.get(&name).is_none_or(str::is_empty) {
                    state.set(Category::Parsed, &name, value);
                }
            }
        }
        report(fields, self.flags, state, hints);
    }
}
