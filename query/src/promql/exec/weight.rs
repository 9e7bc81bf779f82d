//! What samples count in `totalQueryableSamples`: a float one, a histogram its bytes in those of a
//! float with its time, rounded, as Prometheus has it (`HPoint.size`).

use ephemeris_model::FloatHistogram;

/// Bytes of a float with its time.
const FLOAT_BYTES: u64 = 16;
/// Bytes of a histogram there without what its slices hold, and those of its time.
const BARE_BYTES: u64 = 168 + 8;

/// Tells what a histogram counts.
pub(super) type Weigh = fn(&FloatHistogram) -> u64;

/// What a histogram counts.
pub(super) fn whole(histogram: &FloatHistogram) -> u64 {
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    let buckets = histogram.positive_buckets.len() + histogram.negative_buckets.len();
    let all = spans + buckets + histogram.custom_values.len();
    (BARE_BYTES + 8 * all as u64) / FLOAT_BYTES
}

/// What one counts whose buckets nobody asks for.
pub(super) const fn bare(_: &FloatHistogram) -> u64 {
    BARE_BYTES / FLOAT_BYTES
}

/// By whether only count and sum are asked for.
pub(super) const fn weigh(stats_only: bool) -> Weigh {
    if stats_only { bare } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_by_its_size() {
        let empty = FloatHistogram::default();
        assert_eq!((whole(&empty), bare(&empty)), (11, 11));
        let filled = FloatHistogram { positive_buckets: vec![1.0; 5], ..empty };
        assert_eq!((whole(&filled), bare(&filled)), (13, 11));
    }
}
