//! Which parsed labels a metric query needs: what it does not need is not parsed.

use super::state::{ERROR, EXTRACTED, EntryState};

/// What parsers may leave out.
#[derive(Clone, Debug, Default)]
pub(in crate::logs) struct Hints {
    /// Nothing is needed.
    none: bool,
    /// Only these are needed; all if there are none.
    required: Vec<String>,
    preserve_error: bool,
}

impl Hints {
    /// Only labels of these names are needed; none at all if there are none.
    pub(in crate::logs) fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut required: Vec<String> = Vec::new();
        for name in names {
            required.push(name.to_owned());
            // Parsers meet a name before it clashes.
            required.extend(name.strip_suffix(EXTRACTED).map(str::to_owned));
        }
        required.sort_unstable();
        required.dedup();
        let preserve_error = required.iter().any(|name| name == ERROR);
        Self { none: required.is_empty(), required, preserve_error }
    }

    pub(super) fn preserves_error(&self) -> bool {
        self.preserve_error
    }

    /// Whether a label of this name is needed.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.required.is_empty() || self.required.iter().any(|r| r == name)
    }

    /// Whether a label of this name is needed; nothing is if no label is.
    pub(in crate::logs) fn needs(&self, name: &str) -> bool {
        !self.none && self.wants(name)
    }

    /// Whether a field whose key is this is not needed, as is told without making a label of it.
    pub(super) fn skips(&self, key: &[u8]) -> bool {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        !self.required.is_empty()
            && !key.first().is_some_and(u8::is_ascii_digit)
            && key.iter().all(is_plain)
            && !self.required.iter().any(|name| name.as_bytes() == key)
    }

    /// Whether a label whose name starts so may be needed.
    pub(super) fn wants_prefix(&self, prefix: &str) -> bool {
        self.required.is_empty() || self.required.iter().any(|r| r.starts_with(prefix))
    }

    /// Whether there is nothing left to parse for.
    pub(super) fn is_done(&self, state: &EntryState) -> bool {
        let all = || self.required.iter().all(|name| state.has_parsed(name));
        self.none || (!self.required.is_empty() && all())
    }
}
