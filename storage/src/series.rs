//! What identifies a series, and the one order all blocks keep series in.

use std::cmp::Ordering;

use ephemeris_model::METRIC_NAME;

use crate::encoding::put_bytes;

/// Number of a tenant; its name is in the catalog. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

/// Labels that sort before all others, in this order.
const LEADING: [&str; 3] = [METRIC_NAME, "job", "instance"];

/// The order of series in every block and in every answer of the store: metric name, `job`,
/// `instance`, then the other labels by name. An absent leading label sorts as the empty value.
///
/// Neighbours then come from one target and share their timestamps, and a label has few runs.
/// Both sets are sorted by name, without empty values. Equal means the same label set.
#[must_use]
pub fn series_order(a: &[(&str, &str)], b: &[(&str, &str)]) -> Ordering {
    series_order_of(a.iter().copied(), b.iter().copied())
}

/// [`series_order`] of labels that come from an iterator.
#[must_use]
pub fn series_order_of<'a>(
    a: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    b: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Ordering {
    let (leading_a, leading_b) = (leading_values(a.clone()), leading_values(b.clone()));
    leading_a.cmp(&leading_b).then_with(|| others(a).cmp(others(b)))
}

fn leading_values<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> [&'a str; 3] {
    let mut found = [""; 3];
    for (name, value) in labels {
        if let Some(at) = LEADING.iter().position(|leading| *leading == name) {
            found[at] = value;
        }
    }
    found
}

fn others<'a>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    labels.filter(|(name, _)| !LEADING.contains(name))
}

/// Canonical bytes of a label set sorted by name: length and bytes of each name and each value.
/// Equal bytes mean the same label set.
#[must_use]
pub fn encode_labels(labels: &[(&str, &str)]) -> Vec<u8> {
    let length: usize = labels.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out = Vec::with_capacity(length);
    for (name, value) in labels {
        put_bytes(&mut out, name.as_bytes());
        put_bytes(&mut out, value.as_bytes());
    }
    out
}

/// Appends bytes that sort, compared as bytes, as [`series_order`] sorts the label sets. Sorting
/// many series by them is several times faster.
pub fn order_key(labels: &[(&str, &str)], out: &mut Vec<u8>) {
    leading_key(labels, out);
    for (name, value) in others(labels.iter().copied()) {
        put_text(name, out);
        put_text(value, out);
    }
}

/// The beginning of [`order_key`]: what label sets are sorted by first.
pub fn leading_key(labels: &[(&str, &str)], out: &mut Vec<u8>) {
    for value in leading_values(labels.iter().copied()) {
        put_text(value, out);
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(2);
        }
    }
    // Ends a text so that it sorts before all it is the beginning of.
    out.extend_from_slice(&[0, 1]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: [(&str, &str); 3] = [("__name__", "m"), ("cpu", "9"), ("instance", "a")];

    #[test]
    fn name_then_job_then_instance_then_the_rest() {
        let later = [("__name__", "m"), ("cpu", "0"), ("instance", "b")];
        assert_eq!(series_order(&SMALL, &later), Ordering::Less);
        let with_job = [("__name__", "m"), ("cpu", "0"), ("instance", "a"), ("job", "j")];
        assert_eq!(series_order(&SMALL, &with_job), Ordering::Less);
        let other_metric = [("__name__", "n")];
        assert_eq!(series_order(&with_job, &other_metric), Ordering::Less);
        assert_eq!(series_order(&SMALL, &SMALL), Ordering::Equal);
    }

    fn label_set() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
        let names = ["__name__", "a", "b", "instance", "job", "z"];
        let values = proptest::sample::select(vec!["", "", "1", "2", "x"]);
        proptest::collection::vec(values, names.len()).prop_map(move |values| {
            names.into_iter().zip(values).filter(|(_, value)| !value.is_empty()).collect()
        })
    }

    fn odd_label_set() -> impl Strategy<Value = Vec<(String, String)>> {
        let name = proptest::sample::select(vec!["__name__", "a", "a\0", "job", "j", "instance"]);
        let value = proptest::collection::vec(
            proptest::sample::select(vec!['\0', '\u{1}', '\u{2}', 'a']),
            1..3,
        );
        proptest::collection::btree_map(name, value, 0..5).prop_map(|pairs| {
            let text = |(n, v): (&str, Vec<char>)| (n.to_owned(), v.into_iter().collect());
            pairs.into_iter().map(text).collect()
        })
    }

    proptest! {
        #[test]
        fn keys_sort_as_label_sets_do(
            a in odd_label_set(), b in odd_label_set()
        ) {
            let key = |labels: &[(String, String)]| {
                let pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let mut key = Vec::new();
                order_key(&pairs, &mut key);
                key
            };
            let pairs = |labels: &'_ [(String, String)]| -> Vec<(String, String)> { labels.to_vec() };
            let (a, b) = (pairs(&a), pairs(&b));
            let (pa, pb): (Vec<_>, Vec<_>) = (
                a.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect(),
                b.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect(),
            );
            prop_assert_eq!(key(&a).cmp(&key(&b)), series_order(&pa, &pb));
        }

        #[test]
        fn it_is_a_total_order_that_equals_only_itself(
            a in label_set(), b in label_set(), c in label_set()
        ) {
            prop_assert_eq!(series_order(&a, &b), series_order(&b, &a).reverse());
            prop_assert_eq!(series_order(&a, &b) == Ordering::Equal, a == b);
            prop_assert_eq!(encode_labels(&a) == encode_labels(&b), a == b);
            if series_order(&a, &b).is_le() && series_order(&b, &c).is_le() {
                prop_assert!(series_order(&a, &c).is_le());
            }
        }
    }
}
