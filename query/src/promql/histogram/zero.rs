//! Zero buckets: two histograms are combined under a threshold that cuts through no populated
//! bucket of either.

use ephemeris_model::FloatHistogram;

use super::buckets::{bound, indexed, negative_buckets, positive_buckets};
use super::layout::Side;

/// Count and threshold of the zero bucket if it were widened to at least `threshold`. Where that
/// lies inside a populated bucket the whole bucket is taken in.
pub(super) fn widened(histogram: &FloatHistogram, threshold: f64) -> (f64, f64) {
    if threshold <= histogram.zero_threshold || threshold.is_nan() {
        return (histogram.zero_count, histogram.zero_threshold);
    }
    let mut threshold = threshold;
    loop {
        let (mut count, before) = (histogram.zero_count, threshold);
        for bucket in positive_buckets(histogram).take_while(|b| b.lower < before) {
            count += bucket.count;
            if bucket.upper > threshold && bucket.count != 0.0 {
                threshold = bucket.upper;
            }
        }
        // A threshold raised on the positive side takes in more of the negative one, and the
        // other way round: then once more from the start. It rises at most once a bucket.
        let raised = threshold;
        for bucket in negative_buckets(histogram).take_while(|b| b.upper > -raised) {
            count += bucket.count;
            if bucket.lower < -threshold && bucket.count != 0.0 {
                threshold = -bucket.lower;
            }
        }
        if threshold == raised {
            return (count, threshold);
        }
    }
}

/// Widens the zero bucket to `threshold`, which must be one that [`widened`] found; the buckets
/// inside go into it.
pub(super) fn widen(histogram: &mut FloatHistogram, count: f64, threshold: f64) {
    histogram.zero_count = count;
    histogram.zero_threshold = threshold;
    let schema = histogram.schema;
    let outside =
        |(index, _): &(i32, f64)| bound(index.saturating_sub(1), schema, &[]) >= threshold;
    let positive: Side =
        indexed(&histogram.positive_spans, &histogram.positive_buckets).filter(outside).collect();
    let negative: Side =
        indexed(&histogram.negative_spans, &histogram.negative_buckets).filter(outside).collect();
    (histogram.positive_spans, histogram.positive_buckets) = (positive.spans, positive.counts);
    (histogram.negative_spans, histogram.negative_buckets) = (negative.spans, negative.counts);
}

/// Widens the zero buckets of both until they have one threshold.
pub(super) fn reconcile(a: &mut FloatHistogram, b: &mut FloatHistogram) {
    // Each round raises a threshold past a populated bucket, so it ends; NaN thresholds stay.
    while a.zero_threshold != b.zero_threshold {
        let (lower, target) = if a.zero_threshold < b.zero_threshold {
            (&mut *a, b.zero_threshold)
        } else if a.zero_threshold > b.zero_threshold {
            (&mut *b, a.zero_threshold)
        } else {
            return;
        };
        let (count, threshold) = widened(lower, target);
        if threshold < target || threshold.is_nan() {
            return;
        }
        widen(lower, count, threshold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::samples::{any_histogram, exponential};
    use proptest::prelude::*;

    #[test]
    fn a_populated_bucket_is_taken_in_whole() {
        let mut narrow = exponential(0, &[(0, 3.0), (1, 4.0), (2, 5.0)], &[(1, 7.0)]);
        let mut wide = exponential(0, &[(3, 1.0)], &[]);
        wide.zero_threshold = 1.5;
        reconcile(&mut narrow, &mut wide);
        assert_eq!(narrow.zero_threshold, 2.0);
        assert_eq!(wide.zero_threshold, 2.0);
        assert_eq!(narrow.zero_count, 14.0);
        assert_eq!(narrow.positive_buckets, [5.0]);
        assert!(narrow.negative_buckets.is_empty());
    }

    proptest! {
        #[test]
        fn one_threshold_and_no_observation_lost(
            mut a in any_histogram(), mut b in any_histogram(), x in 0.0..100.0f64,
        ) {
            a.zero_threshold = x;
            let total = |h: &FloatHistogram| {
                let buckets = h.positive_buckets.iter().chain(&h.negative_buckets);
                h.zero_count + buckets.sum::<f64>()
            };
            // Buckets below a threshold were never reachable; take them out first.
            let (count, threshold) = (a.zero_count, a.zero_threshold);
            widen(&mut a, count, threshold);
            let before = (total(&a), total(&b));
            reconcile(&mut a, &mut b);
            prop_assert_eq!(a.zero_threshold, b.zero_threshold);
            prop_assert!((total(&b) - before.1).abs() <= 1e-9 * before.1.abs());
            prop_assert!(total(&a) <= before.0 + 1e-9);
        }
    }
}
