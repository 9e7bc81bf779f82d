//! Classic histograms: cumulative counts by upper bound (`le`).

/// Differences below this share are taken for rounding.
const TOLERANCE: f64 = 1e-12;

/// A classic bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ClassicBucket {
    /// Upper bound.
    pub(super) bound: f64,
    /// Observations up to the bound.
    pub(super) count: f64,
}

/// Sorts by bound and joins buckets of the same bound. False if the highest one is not +Inf, so
/// that nothing can be said.
fn normalize(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    if buckets.last().is_none_or(|bucket| bucket.bound != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

/// The `quantile`, linear inside buckets, and whether counts had to be raised to be monotonic. In
/// the highest bucket it is the bound below; the lowest begins at zero if it ends above.
pub(super) fn quantile(quantile: f64, buckets: &mut Vec<ClassicBucket>) -> (f64, bool) {
    if quantile.is_nan() {
        return (f64::NAN, false);
    }
    if quantile < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if quantile > 1.0 {
        return (f64::INFINITY, false);
    }
    if !normalize(buckets) {
        return (f64::NAN, false);
    }
    let forced = make_monotonic(buckets);
    let [rest @ .., last] = buckets.as_slice() else { return (f64::NAN, false) };
    let (Some(below), false) = (rest.last(), last.count == 0.0) else { return (f64::NAN, false) };
    let rank = quantile * last.count;
    let at = rest.partition_point(|bucket| bucket.count < rank);
    let Some(bucket) = rest.get(at) else { return (below.bound, forced) };
    if at == 0 {
        if bucket.bound <= 0.0 {
            return (bucket.bound, forced);
        }
        return (bucket.bound * (rank / bucket.count), forced);
    }
    let before = rest[at - 1];
    let share = (rank - before.count) / (bucket.count - before.count);
    (before.bound + (bucket.bound - before.bound) * share, forced)
}

/// Raises counts that fall to the one before. Tiny differences are levelled without a word.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> bool {
    let Some((first, rest)) = buckets.split_first_mut() else { return false };
    let (mut before, mut forced) = (first.count, false);
    for bucket in rest {
        if nearly_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    forced
}

/// Whether two counts differ by no more than rounding.
fn nearly_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (difference, sum) = ((a - b).abs(), a.abs() + b.abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The share of observations between `lower` and `upper`.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if !normalize(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |bucket| bucket.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let below = |value| below(value, buckets).unwrap_or(count).min(count);
    (below(upper) - below(lower)) / count
}

/// Observations below `value`; none if no bucket ends above it.
fn below(value: f64, buckets: &[ClassicBucket]) -> Option<f64> {
    let lowest = buckets.first()?.bound;
    let mut start = if lowest > 0.0 { 0.0 } else { f64::NEG_INFINITY };
    let mut rank = 0.0;
    for bucket in buckets {
        if start >= value {
            return Some(rank);
        }
        if bucket.bound > value {
            return Some(if start == f64::NEG_INFINITY {
                bucket.count
            } else {
                rank + (bucket.count - rank) * (value - start) / (bucket.bound - start)
            });
        }
        (rank, start) = (bucket.count, bucket.bound);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs.iter().map(|&(bound, count)| ClassicBucket { bound, count }).collect()
    }

    #[test]
    fn quantiles_are_interpolated() {
        let of = |q| quantile(q, &mut buckets(&[(INF, 10.0), (1.0, 5.0), (2.0, 8.0)])).0;
        assert_eq!(of(0.25), 0.5);
        assert_eq!(of(0.65), 1.5);
        assert_eq!(of(0.95), 2.0);
        assert_eq!((of(-0.1), of(1.1)), (-INF, INF));
        assert!(of(f64::NAN).is_nan());
        assert_eq!(quantile(0.1, &mut buckets(&[(-1.0, 5.0), (INF, 6.0)])).0, -1.0);
    }

    #[test]
    fn nothing_is_said_of_incomplete_histograms() {
        for incomplete in [&[(1.0, 5.0)][..], &[(INF, 5.0)], &[(1.0, 0.0), (INF, 0.0)], &[]] {
            assert!(quantile(0.5, &mut buckets(incomplete)).0.is_nan());
        }
        assert!(fraction(0.0, 1.0, &mut buckets(&[(1.0, 5.0)])).is_nan());
    }

    #[test]
    fn falling_counts_are_raised_and_rounding_is_not_told() {
        let falling =
            [(0.1, 2.0), (1.0, 1.0), (10.0, 5.0), (100.0, 4.0), (1000.0, 9.0), (INF, 8.0)];
        assert_eq!(quantile(0.5, &mut buckets(&falling)), (8.5, true));
        let rounded = [(1.0, 1.0), (2.0, 1.0 - 1e-15), (INF, 2.0)];
        assert!(!quantile(0.5, &mut buckets(&rounded)).1);
    }

    #[test]
    fn fractions_are_interpolated() {
        let of = |lower, upper| {
            fraction(lower, upper, &mut buckets(&[(1.0, 5.0), (2.0, 8.0), (INF, 10.0)]))
        };
        assert_eq!(of(0.0, 0.5), 0.25);
        assert_eq!(of(0.0, INF), 1.0);
        assert_eq!(of(1.0, 2.0), 0.3);
        assert_eq!(of(2.0, 1.0), 0.0);
        assert_eq!(of(-INF, 3.0), 0.8);
        assert!(of(f64::NAN, 1.0).is_nan());
    }
}
