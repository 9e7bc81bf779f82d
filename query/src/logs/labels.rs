//! Label sets of log queries. Unlike those of stored series they may hold labels with an empty
//! value, which differ from labels that are not there.

use std::fmt;
use std::sync::Arc;

use ephemeris_model::Labels;

use crate::promql::text::quote;

/// Names and values, sorted by name, each name once; a clone costs a reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Arc<[(Box<str>, Box<str>)]>);

impl LabelSet {
    /// Builds from pairs in any order; of a repeated name the first pair counts.
    #[must_use]
    pub fn from_pairs<N: Into<Box<str>>, V: Into<Box<str>>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut pairs: Vec<(Box<str>, Box<str>)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        // The sort is stable, so the first of a repeated name stays first.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, first| later.0 == first.0);
        Self(pairs.into())
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of label `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(n, _)| (**n).cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Names and values in order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Only the labels whose name satisfies `wanted`.
    #[must_use]
    pub fn filter(&self, wanted: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| wanted(name)).cloned().collect())
    }

    /// With label `name` set to `value`, or without it if `value` is nothing.
    #[must_use]
    pub fn with(&self, name: &str, value: Option<&str>) -> Self {
        let others = self.iter().filter(|(n, _)| *n != name);
        Self::from_pairs(others.chain(value.map(|value| (name, value))))
    }
}

impl Default for LabelSet {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl From<&Labels> for LabelSet {
    fn from(labels: &Labels) -> Self {
        Self(labels.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// As Loki shows a label set: `{a="1", b=""}`.
impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{name}={}", quote(value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_a_label() {
        let labels = LabelSet::from_pairs([("b", ""), ("a", "1"), ("b", "2")]);
        assert_eq!(labels.to_string(), r#"{a="1", b=""}"#);
        assert_ne!(labels, LabelSet::from_pairs([("a", "1")]));
        assert_eq!(labels.with("b", None).to_string(), r#"{a="1"}"#);
    }
}
