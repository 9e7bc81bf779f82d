//! Whether a counter histogram was reset.

use ephemeris_model::{CounterResetHint, FloatHistogram, Span};

use super::buckets::{bound, indexed};
use super::layout::{Side, coarser_index, zip_union};
use super::{custom, is_custom, zero};

/// Whether the counter was reset between `previous` and `current`.
///
/// The hint of `current` is believed. Without one it was reset if any count fell or a populated
/// bucket is gone; if the resolution rose, the zero bucket shrank, or it grew into the middle of a
/// populated bucket. The sum is not looked at: it may fall with negative observations.
#[must_use]
pub fn is_reset(current: &FloatHistogram, previous: &FloatHistogram) -> bool {
    match current.reset_hint {
        CounterResetHint::Reset => return true,
        CounterResetHint::NotReset => return false,
        CounterResetHint::Unknown | CounterResetHint::Gauge => {}
    }
    if current.count < previous.count || is_custom(current) != is_custom(previous) {
        return true;
    }
    if is_custom(current) {
        return custom_fell(current, previous);
    }
    if current.schema > previous.schema || current.zero_threshold < previous.zero_threshold {
        return true;
    }
    let (zero_count, threshold) = zero::widened(previous, current.zero_threshold);
    if threshold != current.zero_threshold || current.zero_count < zero_count {
        return true;
    }
    side_fell(current, previous, |h| (&h.positive_spans, &h.positive_buckets))
        || side_fell(current, previous, |h| (&h.negative_spans, &h.negative_buckets))
}

fn custom_fell(current: &FloatHistogram, previous: &FloatHistogram) -> bool {
    if current.custom_values == previous.custom_values {
        return any_fell(
            indexed(&current.positive_spans, &current.positive_buckets),
            indexed(&previous.positive_spans, &previous.positive_buckets),
        );
    }
    let bounds = custom::intersection(&current.custom_values, &previous.custom_values);
    let (now, before) = (custom::regroup(current, &bounds), custom::regroup(previous, &bounds));
    any_fell(indexed(&now.spans, &now.counts), indexed(&before.spans, &before.counts))
}

/// Compares the buckets outside of the zero bucket under the schema of `current`.
fn side_fell<'a>(
    current: &'a FloatHistogram,
    previous: &'a FloatHistogram,
    side: impl Fn(&'a FloatHistogram) -> (&'a Vec<Span>, &'a Vec<f64>),
) -> bool {
    let threshold = current.zero_threshold;
    let outside = |h: &FloatHistogram| {
        let schema = h.schema;
        move |(index, _): &(i32, f64)| bound(*index, schema, &[]) > threshold
    };
    let (spans, counts) = side(current);
    let now = indexed(spans, counts).filter(outside(current));
    let (spans, counts) = side(previous);
    let before = indexed(spans, counts).filter(outside(previous));
    if current.schema == previous.schema {
        return any_fell(now, before);
    }
    let by = previous.schema.abs_diff(current.schema);
    let mut merged = Side::default();
    for (index, count) in before {
        merged.add(coarser_index(index, by), count);
    }
    any_fell(now, indexed(&merged.spans, &merged.counts))
}

fn any_fell<'a>(
    now: impl Iterator<Item = (i32, f64)> + 'a,
    before: impl Iterator<Item = (i32, f64)> + 'a,
) -> bool {
    zip_union(now, before).any(|(_, now, before)| now < before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::samples::{any_histogram, custom, exponential};
    use crate::promql::histogram::{add, reduce_resolution};
    use proptest::prelude::*;

    #[test]
    fn falling_counts_are_resets() {
        let before = exponential(0, &[(0, 3.0), (1, 4.0)], &[]);
        let mut after = exponential(0, &[(0, 3.0), (1, 4.0), (5, 1.0)], &[]);
        assert!(!is_reset(&after, &before));
        assert!(is_reset(&before, &after));
        after.positive_buckets[0] = 2.0;
        assert!(is_reset(&after, &before));
        after.reset_hint = CounterResetHint::NotReset;
        assert!(!is_reset(&after, &before));
        let mut same = before.clone();
        same.reset_hint = CounterResetHint::Reset;
        assert!(is_reset(&same, &before));
    }

    #[test]
    fn a_finer_schema_is_a_reset_and_a_coarser_is_none() {
        let fine = exponential(1, &[(1, 1.0), (2, 2.0)], &[]);
        let coarse = exponential(0, &[(1, 3.0)], &[]);
        assert!(!is_reset(&coarse, &fine));
        assert!(is_reset(&fine, &coarse));
    }

    #[test]
    fn custom_bounds_are_compared_where_both_have_them() {
        let before = custom(&[1.0, 2.0], &[1.0, 2.0, 3.0]);
        let after = custom(&[2.0, 4.0], &[3.0, 3.0, 0.0]);
        assert!(!is_reset(&after, &before));
        let after = custom(&[2.0, 4.0], &[2.0, 4.0, 0.0]);
        assert!(is_reset(&after, &before));
        assert!(is_reset(&exponential(0, &[(0, 9.0)], &[]), &before));
    }

    proptest! {
        #[test]
        fn what_grew_was_not_reset(a in any_histogram(), b in any_histogram()) {
            let mut sum = add(&a, &b).expect("both exponential").histogram;
            sum.reset_hint = CounterResetHint::Unknown;
            prop_assert!(!is_reset(&sum, &a), "{sum:?} after {a:?}");
            let schema = sum.schema - 1;
            if schema >= -4 {
                reduce_resolution(&mut sum, schema);
                prop_assert!(!is_reset(&sum, &b), "{sum:?} after {b:?}");
            }
        }
    }
}
