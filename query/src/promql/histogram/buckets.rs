//! Buckets one after the other, with their bounds.

use ephemeris_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use ephemeris_model::{FloatHistogram, Span};

use super::is_custom;

/// Highest schema: 2^8 buckets from one power of two to the next.
const SCHEMA_MAX: i32 = 8;
/// Lowest schema: one bucket for sixteen powers of two.
const SCHEMA_MIN: i32 = -4;

/// 2^(1/2), 2^(1/4) and so on: each the root of the one before. The first is the double below
/// the nearest one: so are the bounds that senders of these schemas and Prometheus agree upon.
const ROOTS: [f64; SCHEMA_MAX as usize] = [
    std::f64::consts::SQRT_2.next_down(),
    1.189207115002721,
    1.0905077326652577,
    1.0442737824274138,
    1.0218971486541166,
    1.0108892860517005,
    1.0054299011128027,
    1.0027112750502025,
];

/// A bucket and its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// The lower bound belongs to the bucket.
    pub lower_inclusive: bool,
    /// The upper bound belongs to the bucket.
    pub upper_inclusive: bool,
    /// Observations in it.
    pub count: f64,
}

/// Indices and counts of the buckets of `spans`, ascending.
pub(super) fn indexed<'a>(
    spans: &'a [Span],
    counts: &'a [f64],
) -> impl Iterator<Item = (i32, f64)> + Clone + 'a {
    let mut next = 0i64;
    let indices = spans.iter().flat_map(move |span| {
        let first = next.saturating_add(i64::from(span.offset));
        next = first.saturating_add(i64::from(span.length));
        first..next
    });
    let to_i32 =
        |index: i64| i32::try_from(index).unwrap_or(if index < 0 { i32::MIN } else { i32::MAX });
    indices.map(to_i32).zip(counts.iter().copied())
}

/// Upper bound of positive bucket `index`.
///
/// The last bucket of finite numbers ends at the greatest of them; the one after it, for
/// infinities, at +Inf.
pub(super) fn bound(index: i32, schema: i32, custom: &[f64]) -> f64 {
    if schema == CUSTOM_BUCKETS_SCHEMA {
        let Ok(at) = usize::try_from(index) else { return f64::NEG_INFINITY };
        return custom.get(at).copied().unwrap_or(f64::INFINITY);
    }
    let schema = schema.clamp(SCHEMA_MIN, SCHEMA_MAX);
    if schema <= 0 {
        let exponent = i64::from(index) << -schema;
        return if exponent == 1024 { f64::MAX } else { power_of_two(exponent) };
    }
    let (whole, part) = (index >> schema, index & ((1 << schema) - 1));
    if part == 0 && whole == 1024 {
        return f64::MAX;
    }
    // A fraction below two times a power of two: rounded but once.
    scale(root_of_two(part, schema), i64::from(whole))
}

/// 2^(`part` / 2^`schema`), in [1, 2): a product of roots, one for each bit of `part`.
fn root_of_two(part: i32, schema: i32) -> f64 {
    let roots = ROOTS.iter().zip((0..schema).rev());
    roots.filter(|(_, bit)| part >> bit & 1 == 1).map(|(root, _)| root).product()
}

fn power_of_two(exponent: i64) -> f64 {
    scale(1.0, exponent)
}

/// `value` times 2^`exponent`, also where 2^`exponent` alone would leave the range.
fn scale(value: f64, exponent: i64) -> f64 {
    let power = |e: i64| {
        let bits = u64::try_from(e + 1023).unwrap_or(0).clamp(1, 2046);
        f64::from_bits(bits << 52)
    };
    let exponent = exponent.clamp(-2_200, 2_200);
    let step = exponent.clamp(-1_000, 1_000);
    let rest = exponent - step;
    value * power(step) * power(rest.clamp(-1_000, 1_000)) * power(rest - rest.clamp(-1_000, 1_000))
}

/// Positive buckets from the zero bucket upwards. Those of custom histograms are all positive.
pub fn positive_buckets(histogram: &FloatHistogram) -> impl Iterator<Item = Bucket> + Clone + '_ {
    let bound = |index| bound(index, histogram.schema, &histogram.custom_values);
    indexed(&histogram.positive_spans, &histogram.positive_buckets).map(move |(index, count)| {
        let (lower, upper) = (bound(index.saturating_sub(1)), bound(index));
        if is_custom(histogram) {
            Bucket { lower, upper, lower_inclusive: index == 0, upper_inclusive: true, count }
        } else {
            bucket(lower, upper, count)
        }
    })
}

/// Negative buckets from the zero bucket downwards.
pub fn negative_buckets(histogram: &FloatHistogram) -> impl Iterator<Item = Bucket> + Clone + '_ {
    let bound = |index| bound(index, histogram.schema, &histogram.custom_values);
    indexed(&histogram.negative_spans, &histogram.negative_buckets)
        .map(move |(index, count)| bucket(-bound(index), -bound(index.saturating_sub(1)), count))
}

/// Bounds away from zero belong to a bucket, bounds towards zero do not.
fn bucket(lower: f64, upper: f64, count: f64) -> Bucket {
    Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count }
}

/// The zero bucket, if there is anything in it.
pub(super) fn zero_bucket(histogram: &FloatHistogram) -> Option<Bucket> {
    (histogram.zero_count != 0.0).then(|| Bucket {
        lower: -histogram.zero_threshold,
        upper: histogram.zero_threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count: histogram.zero_count,
    })
}

/// All buckets from the lowest to the highest. Those that reach into the zero bucket begin or end
/// at its bound.
#[must_use]
pub fn all_buckets(histogram: &FloatHistogram) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = negative_buckets(histogram).collect();
    buckets.reverse();
    let threshold = histogram.zero_threshold;
    let custom = is_custom(histogram);
    for bucket in &mut buckets {
        if bucket.upper < 0.0 && bucket.upper > -threshold {
            bucket.upper = -threshold;
        }
    }
    buckets.extend(zero_bucket(histogram));
    buckets.extend(positive_buckets(histogram).map(|mut bucket| {
        if !custom && bucket.lower > 0.0 && bucket.lower < threshold {
            bucket.lower = threshold;
        }
        bucket
    }));
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_schemas() {
        assert_eq!(bound(0, 0, &[]), 1.0);
        assert_eq!(bound(1, 0, &[]), 2.0);
        assert_eq!(bound(-1, 0, &[]), 0.5);
        assert_eq!(bound(1, -1, &[]), 4.0);
        assert_eq!(bound(1, 1, &[]), std::f64::consts::SQRT_2.next_down());
        assert_eq!(bound(256, 8, &[]), 2.0);
        assert_eq!(bound(1024, 0, &[]), f64::MAX);
        assert_eq!(bound(1025, 0, &[]), f64::INFINITY);
        assert_eq!(bound(64, -4, &[]), f64::MAX);
        assert_eq!(bound(1024 << 3, 3, &[]), f64::MAX);
        assert_eq!(bound((1024 << 3) + 1, 3, &[]), f64::INFINITY);
        assert_eq!(bound(-1074, 0, &[]), f64::from_bits(1));
        assert_eq!(bound(i32::MIN, 8, &[]), 0.0);
        assert_eq!(bound(i32::MAX, -4, &[]), f64::INFINITY);
    }

    #[test]
    fn bounds_between_powers_of_two_are_those_all_agree_upon() {
        let agreed = [
            (6, 0.5081891574554764),
            (18, 0.5249720429003435),
            (128, 0.7071067811865475),
            (193, 0.8431763167241966),
            (216, 0.8973545375015533),
            (252, 0.9892280131939752),
            (255, 0.9972960560854698),
        ];
        for (index, half) in agreed {
            assert_eq!(bound(index, 8, &[]), 2.0 * half);
            if index % 8 == 0 {
                assert_eq!(bound(index / 8 + 32, 5, &[]), 4.0 * half);
            }
        }
    }

    #[test]
    fn custom_bounds_end_in_infinity() {
        let bounds = [5.0, 10.0];
        assert_eq!(bound(-1, CUSTOM_BUCKETS_SCHEMA, &bounds), f64::NEG_INFINITY);
        assert_eq!(bound(1, CUSTOM_BUCKETS_SCHEMA, &bounds), 10.0);
        assert_eq!(bound(2, CUSTOM_BUCKETS_SCHEMA, &bounds), f64::INFINITY);
    }

    #[test]
    fn spans_may_promise_more_than_there_is() {
        let spans = [Span { offset: i32::MAX, length: u32::MAX }; 3];
        assert_eq!(indexed(&spans, &[1.0, 2.0]).count(), 2);
        let spans = [Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }];
        let all: Vec<(i32, f64)> = indexed(&spans, &[1.0, 2.0, 3.0]).collect();
        assert_eq!(all, [(-2, 1.0), (-1, 2.0), (3, 3.0)]);
    }
}
