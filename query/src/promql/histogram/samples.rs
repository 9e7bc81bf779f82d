//! Histograms for tests.

use ephemeris_model::FloatHistogram;
use ephemeris_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use proptest::collection::btree_map;
use proptest::prelude::*;

use super::layout::Side;

/// An exponential histogram with these buckets; count is their total.
pub(crate) fn exponential(
    schema: i32,
    positive: &[(i32, f64)],
    negative: &[(i32, f64)],
) -> FloatHistogram {
    let count = positive.iter().chain(negative).map(|(_, count)| count).sum();
    let (positive, negative): (Side, Side) =
        (positive.iter().copied().collect(), negative.iter().copied().collect());
    FloatHistogram {
        schema,
        count,
        positive_spans: positive.spans,
        positive_buckets: positive.counts,
        negative_spans: negative.spans,
        negative_buckets: negative.counts,
        ..FloatHistogram::default()
    }
}

/// A histogram with custom bounds and one count per bucket.
pub(crate) fn custom(bounds: &[f64], counts: &[f64]) -> FloatHistogram {
    let side: Side = (0..).zip(counts.iter().copied()).collect();
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: counts.iter().sum(),
        custom_values: bounds.to_vec(),
        positive_spans: side.spans,
        positive_buckets: side.counts,
        ..FloatHistogram::default()
    }
}

/// Exponential histograms of all schemas with whole counts, some of them zero.
pub(crate) fn any_histogram() -> impl Strategy<Value = FloatHistogram> {
    let side = || btree_map(-30..60i32, (0..50u32).prop_map(f64::from), 0..8);
    let threshold = prop_oneof![Just(0.0), Just(0.001), 0.0..8.0f64];
    (-4..=8i32, side(), side(), (0..20u32).prop_map(f64::from), threshold).prop_map(
        |(schema, positive, negative, zero_count, zero_threshold)| {
            let collect = |side: std::collections::BTreeMap<i32, f64>| -> Vec<(i32, f64)> {
                side.into_iter().collect()
            };
            let mut histogram = exponential(schema, &collect(positive), &collect(negative));
            histogram.zero_count = zero_count;
            histogram.count += zero_count;
            histogram.sum = histogram.count * 1.5;
            let (count, threshold) = super::zero::widened(&histogram, zero_threshold);
            super::zero::widen(&mut histogram, count, threshold);
            histogram
        },
    )
}
