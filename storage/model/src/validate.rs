//! The rules for a label set. They run only when a series is seen for the first time.

use crate::labels::METRIC_NAME;
use crate::reject::RejectReason;

/// Limits on what one request may bring. Every limit names itself in the text of its reject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Labels of one series, the metric name included.
    pub labels_per_series_max: usize,
    /// Bytes of a label name.
    pub label_name_bytes_max: usize,
    /// Bytes of a label value.
    pub label_value_bytes_max: usize,
    /// How far after now a sample may lie, in milliseconds.
    pub future_ms_max: i64,
    /// Active series of one tenant.
    pub active_series_max: u64,
    /// Bytes of a log line.
    pub line_bytes_max: usize,
    /// Pairs of structured metadata of one entry.
    pub metadata_pairs_max: usize,
    /// Bytes of structured metadata of one entry.
    pub metadata_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            labels_per_series_max: 128,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 16 << 10,
            future_ms_max: 10 * 60 * 1000,
            active_series_max: 20_000_000,
            line_bytes_max: 256 << 10,
            metadata_pairs_max: 128,
            metadata_bytes_max: 64 << 10,
        }
    }
}

/// Brings name/value pairs as received into the form of a label set: sorted by name, pairs with an
/// empty value dropped.
///
/// # Errors
/// The first rule that is broken, with the text for the sender.
pub fn canonicalize<'a>(
    pairs: &mut Vec<(&'a [u8], &'a [u8])>,
    limits: &Limits,
) -> Result<Vec<(&'a str, &'a str)>, (RejectReason, String)> {
    if pairs.len() > limits.labels_per_series_max {
        return Err((
            RejectReason::TooManyLabels,
            format!(
                "series has {} labels; limit is {} (limits.labels_per_series_max)",
                pairs.len(),
                limits.labels_per_series_max
            ),
        ));
    }
    pairs.sort_unstable_by(|a, b| a.0.cmp(b.0));
    let mut labels: Vec<(&str, &str)> = Vec::with_capacity(pairs.len());
    let mut previous: Option<&[u8]> = None;
    for &(name, value) in pairs.iter() {
        if previous.replace(name) == Some(name) {
            let name = String::from_utf8_lossy(name);
            return Err((RejectReason::DuplicateLabel, format!("label {name:?} comes twice")));
        }
        let (name, value) = check_pair(name, value, limits)?;
        if !value.is_empty() {
            labels.push((name, value));
        }
    }
    if !labels.iter().any(|(name, _)| *name == METRIC_NAME) {
        return Err((RejectReason::NoMetricName, describe_nameless(&labels)));
    }
    Ok(labels)
}

fn check_pair<'a>(
    name: &'a [u8],
    value: &'a [u8],
    limits: &Limits,
) -> Result<(&'a str, &'a str), (RejectReason, String)> {
    let too_long = |reason, what, length, limit, setting| {
        Err((reason, format!("{what} is {length} bytes; limit is {limit} (limits.{setting})")))
    };
    if name.len() > limits.label_name_bytes_max {
        return too_long(
            RejectReason::LabelNameTooLong,
            "label name".to_owned(),
            name.len(),
            limits.label_name_bytes_max,
            "label_name_bytes_max",
        );
    }
    let Ok(name) = simdutf8::basic::from_utf8(name) else {
        let text = format!("label name {:?} is not UTF-8", String::from_utf8_lossy(name));
        return Err((RejectReason::InvalidUtf8, text));
    };
    if name.is_empty() {
        return Err((RejectReason::EmptyLabelName, "a label has an empty name".to_owned()));
    }
    if value.len() > limits.label_value_bytes_max {
        return too_long(
            RejectReason::LabelValueTooLong,
            format!("value of label {name:?}"),
            value.len(),
            limits.label_value_bytes_max,
            "label_value_bytes_max",
        );
    }
    let Ok(value) = simdutf8::basic::from_utf8(value) else {
        return Err((RejectReason::InvalidUtf8, format!("value of label {name:?} is not UTF-8")));
    };
    Ok((name, value))
}

fn describe_nameless(labels: &[(&str, &str)]) -> String {
    let shown: Vec<String> = labels.iter().take(5).map(|(n, v)| format!("{n}={v:?}")).collect();
    let more = if labels.len() > 5 { ", …" } else { "" };
    format!("series {{{}{more}}} has no metric name (__name__)", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(pairs: &[(&[u8], &[u8])]) -> Option<RejectReason> {
        canonicalize(&mut pairs.to_vec(), &Limits::default()).err().map(|(reason, _)| reason)
    }

    #[test]
    fn pairs_are_sorted_and_empty_values_dropped() {
        let mut pairs: Vec<(&[u8], &[u8])> = vec![(b"b", b"2"), (b"__name__", b"x"), (b"a", b"")];
        let labels = canonicalize(&mut pairs, &Limits::default()).expect("all rules are kept");
        assert_eq!(labels, [("__name__", "x"), ("b", "2")]);
    }

    #[test]
    fn each_rule_has_its_reason() {
        let long = vec![b'a'; 20_000];
        assert_eq!(reason(&[(b"a", b"1")]), Some(RejectReason::NoMetricName));
        assert_eq!(reason(&[(b"__name__", b"")]), Some(RejectReason::NoMetricName));
        assert_eq!(reason(&[(b"", b"1")]), Some(RejectReason::EmptyLabelName));
        assert_eq!(reason(&[(b"a", b"\xff")]), Some(RejectReason::InvalidUtf8));
        assert_eq!(reason(&[(b"\xff", b"a")]), Some(RejectReason::InvalidUtf8));
        assert_eq!(reason(&[(b"a", b"1"), (b"a", b"1")]), Some(RejectReason::DuplicateLabel));
        assert_eq!(reason(&[(b"a", &long)]), Some(RejectReason::LabelValueTooLong));
        assert_eq!(reason(&[(&long, b"a")]), Some(RejectReason::LabelNameTooLong));
        assert_eq!(reason(&vec![(&b"a"[..], &b"1"[..]); 129]), Some(RejectReason::TooManyLabels));
    }
}
