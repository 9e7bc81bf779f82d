//! Regular expressions in RE2's syntax, over bytes, with RE2's error texts.

use ephemeris_model::re2::translate;
use regex::bytes::{Regex, RegexBuilder};

use crate::promql::text::quote;

/// Size limit of a compiled pattern, in bytes.
const COMPILED_BYTES_MAX: usize = 10 << 20;
/// Deepest nesting of a pattern.
const NEST_MAX: u32 = 250;

/// Compiles a pattern that may match anywhere.
pub(super) fn anywhere(pattern: &str) -> Result<Regex, String> {
    compile(&translate(pattern), pattern)
}

/// Compiles a pattern that must match all of a text; `.` matches a newline too.
pub(super) fn anchored(pattern: &str) -> Result<Regex, String> {
    // Compiled alone first, so that an unbalanced parenthesis cannot pair with the anchors' own.
    anywhere(pattern)?;
    compile(&format!("^(?s:{})$", translate(pattern)), pattern)
}

fn compile(translated: &str, pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated)
        .size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NEST_MAX)
        .build()
        .map_err(|error| go_error(pattern, &error.to_string()))
}

/// The error RE2 gives for a pattern, from that of the crate.
pub(super) fn go_error(pattern: &str, error: &str) -> String {
    let cause = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
    let known = match cause {
        "repetition operator missing expression" => "missing argument to repetition operator",
        "unclosed group" => "missing closing )",
        "unopened group" => "unexpected )",
        "unclosed character class" => "missing closing ]",
        "unrecognized escape sequence" => "invalid escape sequence",
        "duplicate capture group name" => "duplicate capture group name",
        _ if error.starts_with("error parsing regexp: ") => {
            // Already in RE2's words, but for the part of the pattern that is at fault.
            return match bad_escape(pattern) {
                Some(escape) if error.contains("invalid escape sequence") => {
                    format!("error parsing regexp: invalid escape sequence: `{escape}`")
                }
                _ => error.to_owned(),
            };
        }
        _ => cause,
    };
    let part = match bad_escape(pattern) {
        Some(escape) if known == "invalid escape sequence" => escape,
        _ => pattern,
    };
    // A pattern with a backquote is shown in quotes.
    if part.contains('`') {
        return format!("error parsing regexp: {known}: {}", quote(part));
    }
    format!("error parsing regexp: {known}: `{part}`")
}

/// The first escape RE2 does not know.
fn bad_escape(pattern: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(found) = pattern[at..].find('\\') {
        let start = at + found;
        let escaped = pattern[start + 1..].chars().next()?;
        let end = start + 1 + escaped.len_utf8();
        let known =
            escaped.is_ascii_punctuation() || "0123456789AbBCdDEfnpPQrsStvwWxzaZ".contains(escaped);
        if !known {
            return Some(&pattern[start..end]);
        }
        at = end;
    }
    None
}
