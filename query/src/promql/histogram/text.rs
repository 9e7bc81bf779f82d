//! A histogram as text: `{count:20, sum:10, [-2,-1):2, [-0.001,0.001]:2, (0.5,1]:1}`.

use std::fmt::Write;

use ephemeris_model::FloatHistogram;

use super::buckets::zero_bucket;
use super::{Bucket, negative_buckets, positive_buckets};
use crate::promql::functions::format_g;

/// Count, sum and the populated buckets from the lowest to the highest.
#[must_use]
pub fn text(histogram: &FloatHistogram) -> String {
    let mut text =
        format!("{{count:{}, sum:{}", format_g(histogram.count), format_g(histogram.sum));
    let mut negative: Vec<Bucket> = negative_buckets(histogram).collect();
    negative.reverse();
    let buckets = negative.into_iter().chain(zero_bucket(histogram));
    for bucket in buckets.chain(positive_buckets(histogram)).filter(|b| b.count != 0.0) {
        let open = if bucket.lower_inclusive { '[' } else { '(' };
        let close = if bucket.upper_inclusive { ']' } else { ')' };
        let (lower, upper) = (format_g(bucket.lower), format_g(bucket.upper));
        // Writing to a String cannot fail.
        let _ = write!(text, ", {open}{lower},{upper}{close}:{}", format_g(bucket.count));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::samples::{custom, exponential};

    #[test]
    fn buckets_are_shown_with_their_bounds() {
        let mut histogram = exponential(0, &[(0, 1.0), (1, 2.0)], &[(0, 1.0), (1, 2.0)]);
        (histogram.count, histogram.sum) = (20.0, 10.0);
        (histogram.zero_count, histogram.zero_threshold) = (2.0, 0.001);
        assert_eq!(
            text(&histogram),
            "{count:20, sum:10, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:2}"
        );
        assert_eq!(text(&custom(&[5.0], &[1.0, 2.0])), "{count:3, sum:0, [-Inf,5]:1, (5,+Inf]:2}");
    }
}
