//! Labels of the entry at hand, by where they come from, while stages change them.
//!
//! A name belongs to the stream before it belongs to structured metadata, and to that before a
//! parser: what comes later and clashes is called `name_extracted`.

use std::borrow::Cow;

use crate::logs::labels::LabelSet;

/// Ending of a name that was taken.
pub(in crate::logs) const EXTRACTED: &str = "_extracted";
/// The label that holds what kind of error a stage met.
pub(in crate::logs) const ERROR: &str = "__error__";
/// The label that says more about the error.
pub(in crate::logs) const ERROR_DETAILS: &str = "__error_details__";

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::logs) enum Category {
    Stream,
    Metadata,
    Parsed,
}

/// Labels of one entry. Kept from entry to entry for its memory.
#[derive(Clone, Debug, Default)]
pub(in crate::logs) struct EntryState {
    base: LabelSet,
    added: [Vec<(String, String)>; 3],
    /// Labels of the stream that are gone.
    deleted: Vec<String>,
    error: String,
    details: String,
    /// Whether the error was asked for, so that it does not fail a metric query.
    preserved: bool,
}

impl EntryState {
    /// The next entries are of the stream with these labels.
    pub(in crate::logs) fn set_stream(&mut self, base: LabelSet) {
        self.base = base;
    }

    /// Starts with the next entry of the stream.
    pub(in crate::logs) fn reset(&mut self) {
        for added in &mut self.added {
            added.clear();
        }
        self.deleted.clear();
        self.error.clear();
        self.details.clear();
        self.preserved = false;
    }

    /// Adds what came with the entry.
    pub(in crate::logs) fn add_metadata(&mut self, name: &str, value: &str) {
        match name {
            ERROR => value.clone_into(&mut self.error),
            ERROR_DETAILS => value.clone_into(&mut self.details),
            _ if self.base_has(name) => {
                self.set(Category::Metadata, &format!("{name}{EXTRACTED}"), value);
            }
            _ => self.set(Category::Metadata, name, value),
        }
    }

    /// The value of a label.
    pub(in crate::logs) fn get(&self, name: &str) -> Option<&str> {
        self.get_with_category(name).map(|(value, _)| value)
    }

    /// The value of a label and where it comes from.
    pub(in crate::logs) fn get_with_category(&self, name: &str) -> Option<(&str, Category)> {
        for category in [Category::Stream, Category::Metadata, Category::Parsed] {
            if let Some((_, value)) = self.of(category).iter().find(|(n, _)| n == name) {
                return Some((value, category));
            }
        }
        if self.deleted.iter().any(|n| n == name) {
            return None;
        }
        self.base.get(name).map(|value| (value, Category::Stream))
    }

    /// As a filter on text sees a label: the error is one, and a missing label is empty.
    pub(in crate::logs) fn text_of(&self, name: &str) -> &str {
        match name {
            ERROR => &self.error,
            ERROR_DETAILS => &self.details,
            _ => self.get(name).unwrap_or_default(),
        }
    }

    fn of(&self, category: Category) -> &Vec<(String, String)> {
        &self.added[category as usize]
    }

    /// Sets a label, unless its name belongs to a category that comes later.
    pub(in crate::logs) fn set(&mut self, category: Category, name: &str, value: &str) {
        match category {
            Category::Parsed => {
                self.forget(Category::Metadata, name);
                self.forget(Category::Stream, name);
                self.forget_base(name);
            }
            Category::Metadata => {
                self.forget(Category::Stream, name);
                self.forget_base(name);
                if self.has_in(Category::Parsed, name) {
                    return;
                }
            }
            Category::Stream => {
                if self.has_in(Category::Metadata, name) || self.has_in(Category::Parsed, name) {
                    return;
                }
            }
        }
        let labels = &mut self.added[category as usize];
        match labels.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => labels.push((name.to_owned(), value.to_owned())),
        }
    }

    fn forget(&mut self, category: Category, name: &str) {
        self.added[category as usize].retain(|(n, _)| n != name);
    }

    fn forget_base(&mut self, name: &str) {
        if self.base.get(name).is_some() && !self.deleted.iter().any(|n| n == name) {
            self.deleted.push(name.to_owned());
        }
    }

    /// Takes a label away.
    pub(in crate::logs) fn delete(&mut self, name: &str) {
        for category in [Category::Stream, Category::Metadata, Category::Parsed] {
            self.forget(category, name);
        }
        self.forget_base(name);
    }

    fn base_has(&self, name: &str) -> bool {
        self.base.get(name).is_some()
    }

    fn has_in(&self, category: Category, name: &str) -> bool {
        self.of(category).iter().any(|(n, _)| n == name)
    }

    /// Whether a parser gave the entry this label.
    pub(in crate::logs) fn has_parsed(&self, name: &str) -> bool {
        self.has_in(Category::Parsed, name)
    }

    /// The name a parsed label gets.
    pub(in crate::logs) fn parsed_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.base_has(name) || self.has_in(Category::Metadata, name) {
            return Cow::Owned(format!("{name}{EXTRACTED}"));
        }
        Cow::Borrowed(name)
    }

    pub(in crate::logs) fn error(&self) -> &str {
        &self.error
    }

    pub(in crate::logs) fn is_preserved(&self) -> bool {
        self.preserved
    }

    /// A stage failed.
    pub(in crate::logs) fn fail(&mut self, error: &str, details: &str) {
        error.clone_into(&mut self.error);
        details.clone_into(&mut self.details);
    }

    /// The error of the entry was asked for.
    pub(in crate::logs) fn preserve_error(&mut self) {
        self.preserved = true;
    }

    pub(in crate::logs) fn drop_error(&mut self) {
        self.error.clear();
    }

    pub(in crate::logs) fn drop_error_details(&mut self) {
        self.details.clear();
    }

    /// Whether the labels are those of the stream.
    pub(in crate::logs) fn is_untouched(&self) -> bool {
        self.added.iter().all(Vec::is_empty)
            && self.deleted.is_empty()
            && self.error.is_empty()
            && self.details.is_empty()
    }

    /// Labels of the stream as they came.
    pub(in crate::logs) fn base(&self) -> &LabelSet {
        &self.base
    }

    /// Labels of one category; the error is among the parsed ones.
    pub(in crate::logs) fn category(
        &self,
        category: Category,
    ) -> impl Iterator<Item = (&str, &str)> {
        let from_base = matches!(category, Category::Stream).then(|| {
            let gone = |name: &str| {
                self.deleted.iter().any(|n| n == name) || self.has_in(Category::Stream, name)
            };
            self.base.iter().filter(move |(name, _)| !gone(name))
        });
        let errors = matches!(category, Category::Parsed)
            .then(|| [(ERROR, self.error.as_str()), (ERROR_DETAILS, self.details.as_str())])
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_empty());
        let added = self.of(category).iter().map(|(n, v)| (n.as_str(), v.as_str()));
        from_base.into_iter().flatten().chain(added).chain(errors)
    }

    /// All labels.
    pub(in crate::logs) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let rest = self.category(Category::Metadata).chain(self.category(Category::Parsed));
        self.category(Category::Stream).chain(rest)
    }
}
