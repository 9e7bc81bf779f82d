//! Quantiles, fractions and variance, interpolated inside buckets.

use ephemeris_model::FloatHistogram;

use super::{Bucket, all_buckets, is_custom};
use crate::promql::functions::KahanSum;

/// What NaN observations, which lie in no bucket, did to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanEffect {
    /// There were none.
    None,
    /// The result is NaN, since it lies among them.
    Result,
    /// The result lies higher than it would without them.
    Skew,
}

/// The `quantile`, and what NaN observations did to it: logarithmic interpolation in exponential
/// buckets, linear in the zero bucket and in custom ones.
#[must_use]
pub fn quantile(quantile: f64, histogram: &FloatHistogram) -> (f64, NanEffect) {
    if quantile < 0.0 {
        return (f64::NEG_INFINITY, NanEffect::None);
    }
    if quantile > 1.0 {
        return (f64::INFINITY, NanEffect::None);
    }
    if histogram.count == 0.0 || quantile.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    let buckets = all_buckets(histogram);
    // NaN observations raise the count but no bucket, so only the way up meets the rank.
    let upwards = histogram.sum.is_nan() || quantile < 0.5;
    let share = if upwards { quantile } else { 1.0 - quantile };
    let mut rank = share * histogram.count;
    let (mut bucket, mut count, in_buckets) =
        if upwards { find(buckets.iter(), rank) } else { find(buckets.iter().rev(), rank) };
    if is_custom(histogram) {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, NanEffect::None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, NanEffect::None);
        }
    } else {
        bucket = one_sided(histogram, bucket);
    }
    count = count.min(histogram.count);
    if count < rank {
        let effect = if histogram.sum.is_nan() { NanEffect::Result } else { NanEffect::None };
        return (if effect == NanEffect::Result { f64::NAN } else { bucket.upper }, effect);
    }
    rank = if upwards { rank - (count - bucket.count) } else { count - rank };
    let skewed = histogram.sum.is_nan() && in_buckets < histogram.count;
    let effect = if skewed { NanEffect::Skew } else { NanEffect::None };
    (interpolate(histogram, bucket, rank / bucket.count), effect)
}

/// The bucket in which the running count reaches `rank` (else the last one), the count up to and
/// with it, and the count of all buckets.
fn find<'a>(buckets: impl Iterator<Item = &'a Bucket>, rank: f64) -> (Bucket, f64, f64) {
    let nothing = Bucket {
        lower: 0.0,
        upper: 0.0,
        lower_inclusive: false,
        upper_inclusive: false,
        count: 0.0,
    };
    let (mut found, mut count, mut total, mut reached) = (nothing, 0.0, 0.0, false);
    for bucket in buckets {
        total += bucket.count;
        if reached {
            continue;
        }
        found = *bucket;
        count += bucket.count;
        reached = bucket.count != 0.0 && count >= rank;
    }
    (found, count, total)
}

/// A zero bucket of a histogram that has but positive (or negative) buckets begins (ends) at zero.
pub(super) fn one_sided(histogram: &FloatHistogram, mut bucket: Bucket) -> Bucket {
    if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
        let negative = !histogram.negative_buckets.is_empty();
        let positive = !histogram.positive_buckets.is_empty();
        match (negative, positive) {
            (false, true) => bucket.lower = 0.0,
            (true, false) => bucket.upper = 0.0,
            _ => {}
        }
    }
    bucket
}

fn interpolate(histogram: &FloatHistogram, bucket: Bucket, fraction: f64) -> f64 {
    let Bucket { lower, upper, .. } = bucket;
    if is_custom(histogram) || (lower <= 0.0 && upper >= 0.0) {
        return lower + (upper - lower) * fraction;
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        (log_lower + (log_upper - log_lower) * fraction).exp2()
    } else {
        -(log_upper + (log_lower - log_upper) * (1.0 - fraction)).exp2()
    }
}

/// How much of an exponential bucket lies below `value`, which lies inside it.
pub(super) fn exponential_fraction(bucket: &Bucket, value: f64) -> f64 {
    let (log_lower, log_upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    let log_value = value.abs().log2();
    if value > 0.0 {
        (log_value - log_lower) / (log_upper - log_lower)
    } else {
        1.0 - (log_value - log_upper) / (log_lower - log_upper)
    }
}

/// The share of observations between `lower` and `upper`, and whether NaN observations were left
/// out of it.
#[must_use]
pub fn fraction(lower: f64, upper: f64, histogram: &FloatHistogram) -> (f64, bool) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, false);
    }
    if lower >= upper {
        return (0.0, false);
    }
    let buckets = all_buckets(histogram);
    let mut in_buckets = histogram.count;
    if histogram.sum.is_nan() {
        in_buckets = buckets.iter().map(|bucket| bucket.count).sum();
    }
    let below = |value| below(value, histogram, &buckets).unwrap_or(in_buckets).min(in_buckets);
    let share = (below(upper) - below(lower)) / histogram.count;
    (share, histogram.sum.is_nan() && in_buckets < histogram.count)
}

/// Observations below `value`; none if no bucket ends above it.
fn below(value: f64, histogram: &FloatHistogram, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    for bucket in buckets {
        let is_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        let bucket = one_sided(histogram, *bucket);
        if bucket.lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            return Some(if !is_custom(histogram) && !is_zero {
                rank + bucket.count * exponential_fraction(&bucket, value)
            } else if bucket.lower == f64::NEG_INFINITY {
                bucket.count
            } else {
                rank + bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower)
            });
        }
        rank += bucket.count;
    }
    None
}

/// Variance of the observations, each taken to lie in the middle of its bucket: the geometric
/// middle of exponential buckets, zero for the zero bucket.
#[must_use]
pub fn variance(histogram: &FloatHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut squares = KahanSum::default();
    for bucket in all_buckets(histogram).iter().filter(|bucket| bucket.count != 0.0) {
        let delta = middle(histogram, bucket) - mean;
        squares.add(bucket.count * delta * delta);
    }
    (squares.sum + squares.compensation) / histogram.count
}

fn middle(histogram: &FloatHistogram, bucket: &Bucket) -> f64 {
    if is_custom(histogram) {
        f64::midpoint(bucket.upper, bucket.lower)
    } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
        0.0
    } else {
        (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::samples::{any_histogram, custom, exponential};
    use proptest::prelude::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() <= 1e-12 * wanted.abs(), "got {got}, wanted {wanted}");
    }

    #[test]
    fn exponential_buckets_are_interpolated_by_logarithm() {
        let histogram = exponential(0, &[(1, 10.0)], &[]);
        near(quantile(0.5, &histogram).0, std::f64::consts::SQRT_2);
        near(quantile(0.25, &histogram).0, 2.0f64.powf(0.25));
        near(quantile(1.0, &histogram).0, 2.0);
        let negative = exponential(0, &[], &[(1, 10.0)]);
        near(quantile(0.25, &negative).0, -(2.0f64.powf(0.75)));
    }

    #[test]
    fn custom_buckets_are_interpolated_by_distance() {
        let histogram = custom(&[5.0, 10.0], &[1.0, 4.0, 1.0]);
        near(quantile(0.5, &histogram).0, 7.5);
        near(quantile(1.0, &histogram).0, 10.0);
        near(quantile(1.0 / 12.0, &histogram).0, 2.5);
        near(quantile(0.1, &custom(&[-5.0], &[1.0])).0, -5.0);
    }

    #[test]
    fn nan_observations_are_told_of() {
        let mut histogram = exponential(0, &[(0, 12.0)], &[]);
        histogram.count = 15.0;
        histogram.sum = f64::NAN;
        assert_eq!(quantile(0.81, &histogram).1, NanEffect::Result);
        assert_eq!(quantile(0.8, &histogram), (1.0, NanEffect::Skew));
        assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &histogram), (0.8, true));
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert!(quantile(0.5, &FloatHistogram::default()).0.is_nan());
        assert!(fraction(0.0, 1.0, &FloatHistogram::default()).0.is_nan());
    }

    proptest! {
        #[test]
        fn fraction_is_the_inverse_of_quantile(histogram in any_histogram(), q in 0.01..0.99f64) {
            let value = quantile(q, &histogram).0;
            if histogram.count > 0.0 && value.abs() > 1e-9 {
                let share = fraction(f64::NEG_INFINITY, value, &histogram).0;
                prop_assert!((share - q).abs() < 1e-6, "quantile {value} has share {share}");
            }
        }

        #[test]
        fn quantiles_do_not_fall(histogram in any_histogram(), a in 0.0..1.0f64, b in 0.0..1.0f64) {
            let (low, high) = (quantile(a.min(b), &histogram).0, quantile(a.max(b), &histogram).0);
            prop_assert!(histogram.count == 0.0 || low <= high + 1e-9 * high.abs());
        }
    }
}
