//! Keys of groups and of matches: the part of a label set that `by`, `without`, `on` or `ignoring`
//! leave. Found by hash and then compared, so a series whose key is known builds no label set.

use std::hash::{Hash, Hasher};

use ephemeris_model::{Labels, METRIC_NAME};
use rustc_hash::{FxHashMap, FxHasher};

/// Labels that are about the metric and go where its name goes.
const RESERVED: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// Whether a label goes where the metric name goes.
pub(super) fn is_reserved(label: &str) -> bool {
    label.starts_with("__") && RESERVED.contains(&label)
}

/// `labels` as they are once the metric name is dropped.
pub(super) fn without_name(labels: &Labels) -> Labels {
    labels.drop(&RESERVED)
}

/// Which labels belong to a key.
#[derive(Clone, Debug)]
pub(super) enum KeyLabels {
    /// These: `by`, `on`.
    Only(Vec<String>),
    /// All but these and the metric name: `without`, `ignoring`.
    AllBut(Vec<String>),
}

/// Whether the metric name of a label set counts as removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// It is there.
    Visible,
    /// It is as if it were not there.
    Hidden,
}

impl KeyLabels {
    fn holds(&self, label: &str, name: Name) -> bool {
        match self {
            Self::Only(names) => {
                names.iter().any(|n| n == label) && !(name == Name::Hidden && is_reserved(label))
            }
            Self::AllBut(names) => {
                label != METRIC_NAME
                    && !(name == Name::Hidden && is_reserved(label))
                    && names.iter().all(|n| n != label)
            }
        }
    }

    fn pairs<'a>(
        &'a self,
        labels: &'a Labels,
        name: Name,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        labels.iter().filter(move |(label, _)| self.holds(label, name))
    }

    /// The key as a label set.
    pub(super) fn of(&self, labels: &Labels, name: Name) -> Labels {
        Labels::from_sorted(self.pairs(labels, name))
    }
}

/// Keys by number, in order of appearance.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    which: KeyLabels,
    by_hash: FxHashMap<u64, Vec<u32>>,
    labels: Vec<Labels>,
}

impl Keys {
    pub(super) fn new(which: KeyLabels) -> Self {
        Self { which, by_hash: FxHashMap::default(), labels: Vec::new() }
    }

    /// The number of the key of `labels`; new keys get the next number.
    pub(super) fn number(&mut self, labels: &Labels, name: Name) -> usize {
        let mut hasher = FxHasher::default();
        for pair in self.which.pairs(labels, name) {
            pair.hash(&mut hasher);
        }
        let candidates = self.by_hash.entry(hasher.finish()).or_default();
        for candidate in candidates.iter() {
            let known = &self.labels[*candidate as usize];
            if known.iter().eq(self.which.pairs(labels, name)) {
                return *candidate as usize;
            }
        }
        let number = self.labels.len();
        candidates.push(u32::try_from(number).unwrap_or(u32::MAX));
        self.labels.push(self.which.of(labels, name));
        number
    }

    /// The keys, by number.
    pub(super) fn labels(&self) -> &[Labels] {
        &self.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_the_labels_asked_for() {
        let labels = Labels::from_pairs([("__name__", "up"), ("a", "1"), ("b", "2")]);
        let by = KeyLabels::Only(vec!["b".into(), "__name__".into(), "none".into()]);
        assert_eq!(by.of(&labels, Name::Visible).to_string(), r#"{__name__="up", b="2"}"#);
        assert_eq!(by.of(&labels, Name::Hidden).to_string(), r#"{b="2"}"#);
        let without = KeyLabels::AllBut(vec!["a".into()]);
        assert_eq!(without.of(&labels, Name::Visible).to_string(), r#"{b="2"}"#);
    }

    #[test]
    fn equal_keys_share_a_number() {
        let mut keys = Keys::new(KeyLabels::Only(vec!["a".into()]));
        let of = |a: &str, b: &str| Labels::from_pairs([("a", a), ("b", b)]);
        assert_eq!(keys.number(&of("1", "x"), Name::Visible), 0);
        assert_eq!(keys.number(&of("2", "x"), Name::Visible), 1);
        assert_eq!(keys.number(&of("1", "y"), Name::Visible), 0);
        assert_eq!(keys.labels().len(), 2);
    }
}
