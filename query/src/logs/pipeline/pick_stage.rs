//! `drop`, `keep` and `decolorize`.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::state::{ERROR, ERROR_DETAILS, EntryState};
use crate::logs::ast::LabelPick;

/// Takes labels away.
pub(super) fn drop_labels(picks: &[LabelPick], state: &mut EntryState) {
    for pick in picks {
        let (name, drops) = match pick {
            LabelPick::Name(name) => (name.as_str(), true),
            LabelPick::Matcher(matcher) => {
                let name = matcher.name.as_str();
                let is_error = name == ERROR || name == ERROR_DETAILS;
                let value = if is_error { Some(state.text_of(name)) } else { state.get(name) };
                (name, value.is_some_and(|value| matcher.matches(value)))
            }
        };
        match name {
            _ if !drops => {}
            ERROR => state.drop_error(),
            ERROR_DETAILS => state.drop_error_details(),
            _ => state.delete(name),
        }
    }
}

/// Takes all other labels away; errors stay.
pub(super) fn keep_labels(picks: &[LabelPick], state: &mut EntryState) {
    let is_kept = |name: &str, value: &str| {
        name == ERROR
            || name == ERROR_DETAILS
            || picks.iter().any(|pick| match pick {
                LabelPick::Name(kept) => kept == name,
                LabelPick::Matcher(matcher) => matcher.name == name && matcher.matches(value),
            })
    };
    let gone: Vec<String> = state
        .all()
        .filter(|(name, value)| !is_kept(name, value))
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in gone {
        state.delete(&name);
    }
}

/// Terminal colours and their kind.
static ANSI: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let controls = r"[\x{1b}\x{9b}][\[\]()#;?]*";
    let title = r"(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\x07)";
    let other = r"(?:(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~])";
    Regex::new(&format!("{controls}(?:{title}|{other})")).ok()
});

/// A line without colours, if it had any.
pub(super) fn decolorize(line: &[u8]) -> Option<Vec<u8>> {
    // Every sequence starts with one of these two, the second of them in UTF-8.
    memchr::memchr2(0x1b, 0xc2, line)?;
    match ANSI.as_ref()?.replace_all(line, b"".as_slice()) {
        std::borrow::Cow::Owned(line) => Some(line),
        std::borrow::Cow::Borrowed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go() {
        assert!(ANSI.is_some());
        assert_eq!(decolorize(b"\x1b[31mred\x1b[0m ok").as_deref(), Some(b"red ok".as_slice()));
        assert_eq!(decolorize(b"plain"), None);
    }
}
