//! Histograms with custom bounds. Where bounds differ, two histograms are brought to the bounds
//! that both have.

use ephemeris_model::FloatHistogram;

use super::buckets::indexed;
use super::layout::Side;

/// The bounds that are in both. Both ascend.
pub(super) fn intersection(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut rest = b.iter().peekable();
    let both = a.iter().filter(|bound| {
        while rest.next_if(|other| *other < *bound).is_some() {}
        rest.next_if(|other| *other == *bound).is_some()
    });
    both.copied().collect()
}

/// Counts of `histogram` under `bounds`, which must be some of its own: each bucket goes to the
/// first that reaches its upper bound, the last one is open.
pub(super) fn regroup(histogram: &FloatHistogram, bounds: &[f64]) -> Side {
    let mut side = Side::default();
    for (index, count) in indexed(&histogram.positive_spans, &histogram.positive_buckets) {
        let own = usize::try_from(index).ok().and_then(|at| histogram.custom_values.get(at));
        let target = own.map_or(bounds.len(), |own| bounds.partition_point(|bound| bound < own));
        side.add(i32::try_from(target).unwrap_or(i32::MAX), count);
    }
    side
}

/// Brings `histogram` to `bounds`, which must be some of its own.
pub(super) fn rebound(histogram: &mut FloatHistogram, bounds: &[f64]) {
    let side = regroup(histogram, bounds);
    histogram.positive_spans = side.spans;
    histogram.positive_buckets = side.counts;
    histogram.custom_values = bounds.to_vec();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::samples::custom;

    #[test]
    fn only_common_bounds_stay() {
        assert_eq!(intersection(&[1.0, 2.0, 5.0], &[0.5, 2.0, 5.0, 7.0]), [2.0, 5.0]);
        assert!(intersection(&[1.0], &[5.0, 10.0]).is_empty());
    }

    #[test]
    fn buckets_go_up_to_the_next_common_bound() {
        let mut histogram = custom(&[1.0, 2.0, 5.0], &[1.0, 2.0, 3.0, 4.0]);
        rebound(&mut histogram, &[2.0]);
        assert_eq!(histogram.positive_buckets, [3.0, 7.0]);
        rebound(&mut histogram, &[]);
        assert_eq!(histogram.positive_buckets, [10.0]);
    }
}
