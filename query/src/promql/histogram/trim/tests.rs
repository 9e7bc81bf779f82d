use super::*;
use crate::promql::histogram::samples::{any_histogram, custom, exponential};
use crate::promql::histogram::{equal, fraction};
use proptest::prelude::*;

const INF: f64 = f64::INFINITY;

/// Four positive buckets, two negative ones and something around zero.
fn both_sides() -> FloatHistogram {
    let positive = [(0, 2.0), (1, 4.0), (2, 8.0), (3, 16.0)];
    let mut histogram = exponential(0, &positive, &[(0, 1.0), (1, 2.0)]);
    histogram.zero_count = 1.0;
    histogram.zero_threshold = 0.001;
    histogram.count = 34.0;
    histogram.sum = 123.75;
    histogram
}

fn check(got: &FloatHistogram, count: f64, sum: f64, positive: &[f64], negative: &[f64]) {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-9);
    assert!(near(got.count, count) && near(got.sum, sum), "{got:?}");
    assert_eq!(
        (got.positive_buckets.len(), got.negative_buckets.len()),
        (positive.len(), negative.len())
    );
    let all = got.positive_buckets.iter().chain(&got.negative_buckets);
    for (a, b) in all.zip(positive.iter().chain(negative)) {
        assert!(near(*a, *b), "{got:?}");
    }
}

#[test]
fn bounds_at_infinity_take_all_or_nothing() {
    let histogram = both_sides();
    assert!(equal(&trim_upper(&histogram, INF), &histogram));
    assert!(equal(&trim_lower(&histogram, -INF), &histogram));
    check(&trim_lower(&histogram, INF), 0.0, 0.0, &[], &[]);
    check(&trim_upper(&histogram, -INF), 0.0, 0.0, &[], &[]);
}

#[test]
fn exponential_buckets_are_cut_by_logarithm() {
    let cut = trim_upper(&both_sides(), std::f64::consts::SQRT_2);
    check(&cut, 8.0, 0.257093886596187, &[2.0, 2.0], &[1.0, 2.0]);
    check(&trim_lower(&both_sides(), 2.0), 24.0, 113.13708498984761, &[8.0, 16.0], &[]);
    check(&trim_upper(&both_sides(), -1.0), 2.0, -2.8284271247461903, &[], &[2.0]);
}

#[test]
fn the_zero_bucket_leans_to_where_there_are_buckets() {
    let mut positive = exponential(0, &[(1, 10.0)], &[]);
    positive.zero_count = 2.0;
    positive.zero_threshold = 0.5;
    positive.count = 12.0;
    positive.sum = 8.021_067_811_865_475;
    let root = 10.0 * std::f64::consts::SQRT_2;
    check(&trim_lower(&positive, 0.1), 11.6, root + 0.48, &[10.0], &[]);
    assert!(equal(&trim_lower(&positive, 0.0), &positive));
    check(&trim_upper(&positive, 0.5), 2.0, 0.5, &[], &[]);
    let alone = FloatHistogram { positive_spans: vec![], positive_buckets: vec![], ..positive };
    check(&trim_lower(&alone, 0.25), 0.5, 0.1875, &[], &[]);
}

#[test]
fn custom_buckets_are_cut_by_distance() {
    let mut histogram = custom(&[5.0, 10.0, 15.0, 20.0], &[1.0, 6.0, 4.0, 3.0, 1.0]);
    histogram.sum = 172.5;
    check(&trim_upper(&histogram, 13.0), 9.4, 75.1, &[1.0, 6.0, 2.4], &[]);
    check(&trim_lower(&histogram, 13.0), 5.6, 94.9, &[1.6, 3.0, 1.0], &[]);
    check(&trim_upper(&histogram, 50.0), 14.0, 150.0, &[1.0, 6.0, 4.0, 3.0], &[]);
    assert!(equal(&trim_lower(&histogram, 0.0), &histogram));
    check(&trim_upper(&histogram, 0.0), 0.0, 0.0, &[], &[]);
}

#[test]
fn open_buckets_are_kept_or_dropped_whole() {
    let one = custom(&[], &[100.0]);
    check(&trim_upper(&one, 10.0), 0.0, 0.0, &[], &[]);
    check(&trim_lower(&one, 10.0), 0.0, 0.0, &[], &[]);
    assert!(equal(&trim_upper(&one, INF), &one) && equal(&trim_lower(&one, -INF), &one));
    let at_zero = custom(&[0.0], &[1.0, 100.0]);
    check(&trim_upper(&at_zero, -10.0), 1.0, -10.0, &[1.0], &[]);
    check(&trim_lower(&at_zero, -10.0), 100.0, 0.0, &[100.0], &[]);
    check(&trim_lower(&at_zero, 10.0), 100.0, 1000.0, &[100.0], &[]);
    let above = custom(&[5.0], &[1.0, 100.0]);
    check(&trim_upper(&above, 2.0), 0.4, 0.4, &[0.4], &[]);
    check(&trim_lower(&above, 2.0), 100.6, 502.1, &[0.6, 100.0], &[]);
    check(&trim_lower(&above, -10.0), 100.0, 500.0, &[100.0], &[]);
    check(&trim_upper(&above, 0.0), 0.0, 0.0, &[], &[]);
}

proptest! {
    #[test]
    fn both_parts_together_are_the_whole(histogram in any_histogram(), bound in -40.0..40.0f64) {
        let (below, above) = (trim_upper(&histogram, bound), trim_lower(&histogram, bound));
        let total = histogram.count;
        prop_assert!((below.count + above.count - total).abs() < 1e-6 * total.max(1.0));
        if total > 0.0 {
            let share = fraction(-INF, bound, &histogram).0 * total;
            prop_assert!((below.count - share).abs() < 1e-6 * total);
        }
    }
}
