//! `histogram </ bound` and `histogram >/ bound`: the observations below, or above, a bound.
//!
//! A bucket that holds the bound is cut by interpolation. Once anything was cut, count and sum are
//! estimated anew from the buckets, each taken to lie in its middle.

use ephemeris_model::{FloatHistogram, Span};

use super::buckets::zero_bucket;
use super::quantile::{exponential_fraction, one_sided};
use super::{Bucket, compact, is_custom, negative_buckets, positive_buckets};

/// What is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Below,
    Above,
}

/// What is left of a bucket: a count, and the middle it lies around.
#[derive(Clone, Copy)]
struct Part {
    count: f64,
    middle: f64,
}

const NOTHING: Part = Part { count: 0.0, middle: 0.0 };

/// The observations up to `bound`, compacted.
#[must_use]
pub fn trim_upper(histogram: &FloatHistogram, bound: f64) -> FloatHistogram {
    trim(histogram, bound, Keep::Below)
}

/// The observations above `bound`, compacted.
#[must_use]
pub fn trim_lower(histogram: &FloatHistogram, bound: f64) -> FloatHistogram {
    trim(histogram, bound, Keep::Above)
}

fn trim(histogram: &FloatHistogram, bound: f64, keep: Keep) -> FloatHistogram {
    let cut = |bucket: &Bucket| {
        if is_custom(histogram) {
            cut_custom(bucket, bound, keep)
        } else {
            cut_exponential(bucket, bound, keep)
        }
    };
    let positive: Vec<Part> = positive_buckets(histogram).map(|b| cut(&b)).collect();
    let negative: Vec<Part> = negative_buckets(histogram).map(|b| cut(&b)).collect();
    let zero = zero_bucket(histogram)
        .map_or(NOTHING, |bucket| cut_linear(&one_sided(histogram, bucket), bound, keep));

    let untouched = |counts: &[f64], parts: &[Part]| {
        counts.iter().zip(parts).all(|(count, part)| *count == part.count)
    };
    if zero.count == histogram.zero_count
        && untouched(&histogram.positive_buckets, &positive)
        && untouched(&histogram.negative_buckets, &negative)
    {
        return histogram.clone();
    }
    let mut result = histogram.clone();
    (result.count, result.sum) = (0.0, 0.0);
    for part in negative.iter().chain([&zero]).chain(&positive).filter(|part| part.count != 0.0) {
        result.count += part.count;
        result.sum += part.count * part.middle;
    }
    result.zero_count = zero.count;
    put(&mut result.positive_spans, &mut result.positive_buckets, &positive);
    put(&mut result.negative_spans, &mut result.negative_buckets, &negative);
    compact(&mut result);
    result
}

/// Puts the parts in place; spans that promise more buckets than there are end with them.
fn put(spans: &mut Vec<Span>, counts: &mut Vec<f64>, parts: &[Part]) {
    if parts.is_empty() {
        spans.clear();
    }
    counts.clear();
    counts.extend(parts.iter().map(|part| part.count));
}

fn cut_exponential(bucket: &Bucket, bound: f64, keep: Keep) -> Part {
    let middle = |lower: f64, upper: f64| {
        if lower.is_infinite() {
            upper
        } else if upper.is_infinite() {
            lower
        } else {
            (lower.abs().sqrt() * upper.abs().sqrt()).copysign(upper)
        }
    };
    if is_inside(bucket, bound) {
        let below = bucket.count * exponential_fraction(bucket, bound);
        return match keep {
            Keep::Below => Part { count: below, middle: middle(bucket.lower, bound) },
            Keep::Above => {
                Part { count: bucket.count - below, middle: middle(bound, bucket.upper) }
            }
        };
    }
    whole(bucket, bound, keep, middle(bucket.lower, bucket.upper))
}

fn cut_linear(bucket: &Bucket, bound: f64, keep: Keep) -> Part {
    let Bucket { lower, upper, count, .. } = *bucket;
    if is_inside(bucket, bound) {
        let below = count * (bound - lower) / (upper - lower);
        return match keep {
            Keep::Below => Part { count: below, middle: f64::midpoint(lower, bound) },
            Keep::Above => Part { count: count - below, middle: f64::midpoint(bound, upper) },
        };
    }
    whole(bucket, bound, keep, f64::midpoint(lower, upper))
}

/// The outer buckets have no width to cut by: they are kept or dropped whole.
fn cut_custom(bucket: &Bucket, bound: f64, keep: Keep) -> Part {
    let mut bucket = *bucket;
    if bucket.lower == f64::NEG_INFINITY {
        let open = bucket.upper == f64::INFINITY;
        // What lies in the lowest bucket is taken to be positive, if that can be, but not where
        // negative values are asked for.
        if open || bucket.upper <= 0.0 || (keep == Keep::Above && bound < 0.0) {
            let kept = match keep {
                Keep::Below => bound == f64::INFINITY || (!open && bucket.upper.is_finite()),
                Keep::Above => bound == f64::NEG_INFINITY,
            };
            let middle = if open { 0.0 } else { bucket.upper.min(bound) };
            return if kept { Part { count: bucket.count, middle } } else { NOTHING };
        }
        bucket.lower = 0.0;
    } else if bucket.upper == f64::INFINITY {
        let kept = match keep {
            Keep::Below => bound == f64::INFINITY,
            Keep::Above => bound < f64::INFINITY,
        };
        let middle = if keep == Keep::Above { bucket.lower.max(bound) } else { bucket.lower };
        return if kept { Part { count: bucket.count, middle } } else { NOTHING };
    }
    cut_linear(&bucket, bound, keep)
}

fn is_inside(bucket: &Bucket, bound: f64) -> bool {
    bucket.lower < bound && bound < bucket.upper
}

/// A bucket on one side of the bound.
fn whole(bucket: &Bucket, bound: f64, keep: Keep, middle: f64) -> Part {
    let kept = match keep {
        Keep::Below => bucket.upper <= bound,
        Keep::Above => bucket.lower >= bound,
    };
    if kept { Part { count: bucket.count, middle } } else { NOTHING }
}

#[cfg(test)]
mod tests;
