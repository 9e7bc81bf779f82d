//! `regexp` and `pattern`.

use regex::bytes::Regex;

use super::hints::Hints;
use super::names::{sanitized, text_of};
use super::pattern::CapturePattern;
use super::state::{Category, EntryState};
use crate::logs::regexes;

/// A regular expression whose named groups become labels.
#[derive(Debug)]
pub(super) struct RegexParser {
    regex: Regex,
    /// Number and label name of each named group.
    groups: Vec<(usize, String)>,
}

impl RegexParser {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if let Some(name) = repeated_group(pattern) {
            return Err(format!("duplicate extracted label name '{name}'"));
        }
        let regex = regexes::anywhere(pattern)?;
        let mut groups: Vec<(usize, String)> = Vec::new();
        for (i, name) in regex.capture_names().enumerate() {
            let Some(name) = name else { continue };
            let name = sanitized(name);
            if groups.iter().any(|(_, other)| *other == name) {
                return Err(format!("duplicate extracted label name '{name}'"));
            }
            groups.push((i, name));
        }
        if groups.is_empty() {
            return Err("at least one named capture must be supplied".to_owned());
        }
        Ok(Self { regex, groups })
    }

    pub(super) fn parse(&self, line: &[u8], state: &mut EntryState, hints: &Hints) {
        if hints.is_done(state) {
            return;
        }
        let Some(captures) = self.regex.captures(line) else { return };
        for (i, name) in &self.groups {
            let value = captures.get(*i).map_or(b"".as_slice(), |found| found.as_bytes());
            if !label(name, value, state, hints) {
                return;
            }
        }
    }
}

/// The first group name that comes twice: the crate's own error does not say which.
fn repeated_group(pattern: &str) -> Option<&str> {
    let mut seen: Vec<&str> = Vec::new();
    for part in pattern.split("(?").skip(1) {
        let name = part.strip_prefix("P<").or_else(|| part.strip_prefix('<'));
        let Some((name, _)) = name.and_then(|name| name.split_once('>')) else { continue };
        if seen.contains(&name) {
            return Some(name);
        }
        seen.push(name);
    }
    None
}

/// Sets a label; tells whether there may be more to find.
fn label(name: &str, value: &[u8], state: &mut EntryState, hints: &Hints) -> bool {
    if !hints.wants(name) {
        return true;
    }
    let name = state.parsed_name(name);
    if !state.has_parsed(&name) {
        state.set(Category::Parsed, &name, &text_of(value));
    }
    !hints.is_done(state)
}

/// Makes a label of each capture of a pattern.
pub(super) fn parse_pattern(
    pattern: &CapturePattern,
    line: &[u8],
    state: &mut EntryState,
    hints: &Hints,
) {
    if hints.is_done(state) {
        return;
    }
    let mut goes_on = true;
    pattern.captures(line, |name, value| {
        if goes_on {
            goes_on = label(name, value, state, hints);
        }
    });
}
