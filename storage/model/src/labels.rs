//! Label sets: sorted by name, names unique, no empty values. A label set identifies a series.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// An immutable label set; a clone costs a reference count.
///
/// **Invariant**: names ascend bytewise and are unique; no value is empty (a label with an empty
/// value is the same as no label, as in Prometheus).
#[derive(Clone)]
pub struct Labels {
    inner: Arc<Inner>,
}

struct Inner {
    /// All names and values, one after the other.
    text: Box<str>,
    /// End of each name and each value in `text`, alternating.
    ends: Box<[u32]>,
}

impl Labels {
    /// The label set without labels.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_sorted(std::iter::empty())
    }

    /// Builds from pairs in any order. Pairs with an empty value are dropped; of a repeated name
    /// the last pair counts.
    #[must_use]
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name, value);
        }
        builder.build()
    }

    /// Builds from pairs the caller knows to be sorted by name, unique and without empty values.
    #[must_use]
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.into_iter();
        // Room for a label set of the usual size, since growing step by step costs more than the
        // labels.
        let mut text = String::with_capacity(256);
        let mut ends = Vec::with_capacity(2 * pairs.size_hint().0.max(8));
        for (name, value) in pairs {
            text.push_str(name);
            ends.push(offset(&text));
            text.push_str(value);
            ends.push(offset(&text));
        }
        Self { inner: Arc::new(Inner { text: text.into(), ends: ends.into() }) }
    }

    /// The same from a slice, which tells how much room is needed.
    #[must_use]
    pub fn from_sorted_slice(pairs: &[(&str, &str)]) -> Self {
        let bytes = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut text = String::with_capacity(bytes);
        let mut ends = Vec::with_capacity(2 * pairs.len());
        for (name, value) in pairs {
            text.push_str(name);
            ends.push(offset(&text));
            text.push_str(value);
            ends.push(offset(&text));
        }
        Self { inner: Arc::new(Inner { text: text.into(), ends: ends.into() }) }
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.ends.len() / 2
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.ends.is_empty()
    }

    /// The value of label `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The metric name, if there is one.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// Names and values in order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        let inner = &*self.inner;
        (0..self.len()).map(move |i| {
            let start = if i == 0 { 0 } else { inner.ends[2 * i - 1] as usize };
            let (middle, end) = (inner.ends[2 * i] as usize, inner.ends[2 * i + 1] as usize);
            (&inner.text[start..middle], &inner.text[middle..end])
        })
    }

    /// Only the labels in `names`.
    #[must_use]
    pub fn keep(&self, names: &[impl AsRef<str>]) -> Self {
        Self::from_sorted(self.iter().filter(|(n, _)| names.iter().any(|k| k.as_ref() == *n)))
    }

    /// All labels but those in `names`.
    #[must_use]
    pub fn drop(&self, names: &[impl AsRef<str>]) -> Self {
        Self::from_sorted(self.iter().filter(|(n, _)| !names.iter().any(|k| k.as_ref() == *n)))
    }

    /// All labels but the metric name.
    #[must_use]
    pub fn without_metric_name(&self) -> Self {
        self.drop(&[METRIC_NAME])
    }

    /// A builder that starts with these labels.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }
}

/// Position after the text so far. A label set over 4 GiB is refused long before, by the limits
/// of a request, so holding the value is enough.
fn offset(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
            || (self.inner.ends == other.inner.ends && self.inner.text == other.inner.text)
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.text.hash(state);
        self.inner.ends.hash(state);
    }
}

/// Name by name, value by value; a label set that is a prefix of another sorts first.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As PromQL errors show a label set: `{a="1", b="2"}`, `__name__` among the labels.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Changes a label set: set, remove, then build.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// Sorted by name, unique.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets label `name`; an empty value removes it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(&name)) {
            Ok(at) if value.is_empty() => drop(self.pairs.remove(at)),
            Ok(at) => self.pairs[at].1 = value,
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name, value)),
        }
        self
    }

    /// Removes label `name` if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value of label `name` so far.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The finished label set.
    #[must_use]
    pub fn build(&self) -> Labels {
        Labels::from_sorted(self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_and_empty_values_dropped() {
        let labels = Labels::from_pairs([("z", "1"), ("a", "2"), ("m", ""), ("z", "3")]);
        assert_eq!(labels.to_string(), r#"{a="2", z="3"}"#);
        assert_eq!(Labels::from_sorted_slice(&[("a", "2"), ("z", "3")]), labels);
        assert_eq!(labels.get("m"), None);
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn a_prefix_sorts_before_the_longer_set() {
        let short = Labels::from_pairs([("a", "1")]);
        let long = Labels::from_pairs([("a", "1"), ("b", "0")]);
        assert!(short < long);
        assert!(Labels::from_pairs([("a", "2")]) > long);
    }

    #[test]
    fn sets_with_the_same_text_but_other_borders_differ() {
        assert_ne!(Labels::from_pairs([("a", "bc")]), Labels::from_pairs([("ab", "c")]));
    }
}
