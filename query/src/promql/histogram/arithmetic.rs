//! `+`, `-`, `*`, `/` and equality.

use ephemeris_model::{CounterResetHint, FloatHistogram};

use super::buckets::indexed;
use super::layout::{Side, reduce_resolution, zip_union};
use super::{Incompatible, custom, is_custom, zero};

/// A combination of two histograms and what happened on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Combined {
    /// The result, not compacted.
    pub histogram: FloatHistogram,
    /// One was marked as reset, the other as not reset.
    pub reset_collision: bool,
    /// Custom bounds differed; those that both had were kept.
    pub bounds_reconciled: bool,
}

/// `a + b`. Of the hints, equal ones stay, a gauge makes a gauge, all else is unknown.
///
/// # Errors
/// If one has exponential and the other custom buckets.
pub fn add(a: &FloatHistogram, b: &FloatHistogram) -> Result<Combined, Incompatible> {
    combine(a, b, |x, y| x + y)
}

/// `a - b`, with the hint as [`add`] has it. For the operator of PromQL the result is a gauge;
/// that is for the caller to mark.
///
/// # Errors
/// If one has exponential and the other custom buckets.
pub fn subtract(a: &FloatHistogram, b: &FloatHistogram) -> Result<Combined, Incompatible> {
    combine(a, b, |x, y| x - y)
}

fn combine(
    a: &FloatHistogram,
    b: &FloatHistogram,
    operate: impl Fn(f64, f64) -> f64,
) -> Result<Combined, Incompatible> {
    let (reset_hint, reset_collision) = combined_hint(a.reset_hint, b.reset_hint);
    let mut histogram;
    let bounds_reconciled;
    if has_same_layout(a, b) {
        bounds_reconciled = false;
        histogram = a.clone();
        zip_into(&mut histogram.positive_buckets, &b.positive_buckets, &operate);
        zip_into(&mut histogram.negative_buckets, &b.negative_buckets, &operate);
        histogram.zero_count = operate(a.zero_count, b.zero_count);
    } else {
        let (left, right, reconciled) = same_terms(a, b)?;
        bounds_reconciled = reconciled;
        let side = |left: (&[_], &[_]), right: (&[_], &[_])| -> Side {
            zip_union(indexed(left.0, left.1), indexed(right.0, right.1))
                .map(|(index, x, y)| (index, operate(x, y)))
                .collect()
        };
        let positive = side(
            (&left.positive_spans, &left.positive_buckets),
            (&right.positive_spans, &right.positive_buckets),
        );
        let negative = side(
            (&left.negative_spans, &left.negative_buckets),
            (&right.negative_spans, &right.negative_buckets),
        );
        histogram = left;
        (histogram.positive_spans, histogram.positive_buckets) = (positive.spans, positive.counts);
        (histogram.negative_spans, histogram.negative_buckets) = (negative.spans, negative.counts);
        histogram.zero_count = operate(histogram.zero_count, right.zero_count);
    }
    histogram.count = operate(a.count, b.count);
    histogram.sum = operate(a.sum, b.sum);
    histogram.reset_hint = reset_hint;
    Ok(Combined { histogram, reset_collision, bounds_reconciled })
}

fn zip_into(counts: &mut [f64], others: &[f64], operate: impl Fn(f64, f64) -> f64) {
    for (count, other) in counts.iter_mut().zip(others) {
        *count = operate(*count, *other);
    }
}

/// Whether counts can be combined place by place.
pub(super) fn has_same_layout(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.positive_buckets.len() == b.positive_buckets.len()
        && a.negative_buckets.len() == b.negative_buckets.len()
        && (!is_custom(a) || a.custom_values == b.custom_values)
}

/// Both under one schema, one zero threshold and one set of bounds, and whether bounds differed.
pub(super) fn same_terms(
    a: &FloatHistogram,
    b: &FloatHistogram,
) -> Result<(FloatHistogram, FloatHistogram, bool), Incompatible> {
    if is_custom(a) != is_custom(b) {
        return Err(Incompatible);
    }
    let (mut a, mut b) = (a.clone(), b.clone());
    if is_custom(&a) {
        let differ = a.custom_values != b.custom_values;
        if differ {
            let bounds = custom::intersection(&a.custom_values, &b.custom_values);
            custom::rebound(&mut a, &bounds);
            custom::rebound(&mut b, &bounds);
        }
        return Ok((a, b, differ));
    }
    zero::reconcile(&mut a, &mut b);
    let schema = a.schema.min(b.schema);
    reduce_resolution(&mut a, schema);
    reduce_resolution(&mut b, schema);
    Ok((a, b, false))
}

/// Hint of a combination, and whether reset and not-reset met.
pub(super) fn combined_hint(a: CounterResetHint, b: CounterResetHint) -> (CounterResetHint, bool) {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    match (a, b) {
        _ if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Reset, NotReset) | (NotReset, Reset) => (Unknown, true),
        _ => (Unknown, false),
    }
}

/// All counts and the sum times `factor`. A negative factor makes a gauge.
#[must_use]
pub fn multiply(histogram: &FloatHistogram, factor: f64) -> FloatHistogram {
    map(histogram, factor < 0.0, |value| value * factor)
}

/// All counts and the sum by `divisor`. A negative divisor makes a gauge; zero removes the
/// buckets.
#[must_use]
pub fn divide(histogram: &FloatHistogram, divisor: f64) -> FloatHistogram {
    let mut result = map(histogram, divisor < 0.0, |value| value / divisor);
    if divisor == 0.0 {
        result.positive_spans.clear();
        result.positive_buckets.clear();
        result.negative_spans.clear();
        result.negative_buckets.clear();
    }
    result
}

/// `-histogram`, a gauge.
#[must_use]
pub fn negate(histogram: &FloatHistogram) -> FloatHistogram {
    multiply(histogram, -1.0)
}

fn map(
    histogram: &FloatHistogram,
    becomes_gauge: bool,
    change: impl Fn(f64) -> f64,
) -> FloatHistogram {
    let mut result = histogram.clone();
    result.count = change(result.count);
    result.sum = change(result.sum);
    result.zero_count = change(result.zero_count);
    for count in result.positive_buckets.iter_mut().chain(&mut result.negative_buckets) {
        *count = change(*count);
    }
    if becomes_gauge {
        result.reset_hint = CounterResetHint::Gauge;
    }
    result
}

/// Whether two histograms are the same: schema, threshold, bounds, and each count and bucket, empty
/// ones included. Hints are not compared; sums and counts are, by their bits, so that NaN is equal
/// to itself.
#[must_use]
pub fn equal(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let side = |x: (&[_], &[f64]), y: (&[_], &[f64])| {
        let (x, y) = (indexed(x.0, x.1), indexed(y.0, y.1));
        let bits = |(index, count): (i32, f64)| (index, same_bits(count));
        x.map(bits).eq(y.map(bits))
    };
    let same_bounds = || {
        let bits = |bounds: &[f64]| bounds.iter().map(|b| same_bits(*b)).collect::<Vec<_>>();
        bits(&a.custom_values) == bits(&b.custom_values)
    };
    a.schema == b.schema
        && same_bits(a.count) == same_bits(b.count)
        && same_bits(a.sum) == same_bits(b.sum)
        && (is_custom(a)
            || (same_bits(a.zero_threshold) == same_bits(b.zero_threshold)
                && same_bits(a.zero_count) == same_bits(b.zero_count)))
        && (!is_custom(a) || same_bounds())
        && side((&a.positive_spans, &a.positive_buckets), (&b.positive_spans, &b.positive_buckets))
        && side((&a.negative_spans, &a.negative_buckets), (&b.negative_spans, &b.negative_buckets))
}

/// Bits to compare by: -0 is 0.
fn same_bits(value: f64) -> u64 {
    if value == 0.0 { 0 } else { value.to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::compact;
    use crate::promql::histogram::samples::{any_histogram, custom, exponential};
    use proptest::prelude::*;

    #[test]
    fn buckets_of_different_layouts_are_added() {
        let a = exponential(0, &[(0, 1.0), (1, 2.0)], &[]);
        let b = exponential(0, &[(1, 3.0), (4, 5.0)], &[(2, 7.0)]);
        let sum = add(&a, &b).expect("both exponential").histogram;
        let wanted = exponential(0, &[(0, 1.0), (1, 5.0), (4, 5.0)], &[(2, 7.0)]);
        assert_eq!(sum.positive_buckets, wanted.positive_buckets);
        assert_eq!(sum.positive_spans, wanted.positive_spans);
        assert_eq!(sum.negative_spans, wanted.negative_spans);
    }

    #[test]
    fn the_lower_resolution_wins() {
        let fine = exponential(1, &[(1, 1.0), (2, 2.0), (3, 4.0)], &[]);
        let coarse = exponential(0, &[(1, 10.0)], &[]);
        for sum in [add(&fine, &coarse), add(&coarse, &fine)] {
            let sum = sum.expect("both exponential").histogram;
            assert_eq!(sum.schema, 0);
            assert_eq!(sum.positive_buckets, [13.0, 4.0]);
        }
    }

    #[test]
    fn custom_bounds_are_reconciled() {
        let a = custom(&[1.0, 2.0], &[1.0, 2.0, 3.0]);
        let b = custom(&[2.0, 5.0], &[10.0, 20.0, 30.0]);
        let sum = add(&a, &b).expect("both custom");
        assert!(sum.bounds_reconciled);
        assert_eq!(sum.histogram.custom_values, [2.0]);
        assert_eq!(sum.histogram.positive_buckets, [13.0, 53.0]);
        assert_eq!(add(&a, &exponential(0, &[], &[])), Err(Incompatible));
    }

    #[test]
    fn hints_combine() {
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        assert_eq!(combined_hint(Reset, Reset), (Reset, false));
        assert_eq!(combined_hint(Reset, Gauge), (Gauge, false));
        assert_eq!(combined_hint(Reset, NotReset), (Unknown, true));
        assert_eq!(combined_hint(Unknown, NotReset), (Unknown, false));
    }

    #[test]
    fn division_by_zero_leaves_no_bucket() {
        let mut histogram = exponential(0, &[(0, 1.0)], &[(1, 1.0)]);
        histogram.sum = 4.0;
        let result = divide(&histogram, 0.0);
        assert!(result.positive_buckets.is_empty() && result.negative_spans.is_empty());
        assert_eq!((result.count, result.sum), (f64::INFINITY, f64::INFINITY));
        assert_eq!(multiply(&histogram, -1.0).reset_hint, CounterResetHint::Gauge);
    }

    proptest! {
        #[test]
        fn a_sum_less_one_part_is_the_other(a in any_histogram(), b in any_histogram()) {
            let sum = add(&a, &b).expect("both exponential").histogram;
            let mut back = subtract(&sum, &b).expect("both exponential").histogram;
            // `a` under the terms of the sum.
            let (mut wanted, ..) = same_terms(&a, &sum).expect("both exponential");
            compact(&mut back);
            compact(&mut wanted);
            prop_assert!(equal(&back, &wanted), "{back:?} is not {wanted:?}");
        }

        #[test]
        fn addition_commutes(a in any_histogram(), b in any_histogram()) {
            let (mut x, mut y) = (
                add(&a, &b).expect("both exponential").histogram,
                add(&b, &a).expect("both exponential").histogram,
            );
            compact(&mut x);
            compact(&mut y);
            prop_assert!(equal(&x, &y));
        }
    }
}
