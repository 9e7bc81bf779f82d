//! What makes a histogram valid.

use ephemeris_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use ephemeris_model::{Histogram, HistogramCounts, Span};

use super::reduce::{SCHEMA_MAX, SCHEMA_RESERVED_MAX};

/// The lowest exponential schema.
const SCHEMA_MIN: i32 = -4;

/// Checks all rules.
///
/// # Errors
/// The first rule that is broken, in words.
pub(super) fn check(h: &Histogram) -> Result<(), String> {
    let buckets = BucketCounts::of(&h.counts);
    match h.schema {
        CUSTOM_BUCKETS_SCHEMA => check_custom(h, &buckets)?,
        SCHEMA_MIN..=SCHEMA_RESERVED_MAX => {
            if !h.custom_values.is_empty() {
                return Err(format!("histogram of schema {} has custom bounds", h.schema));
            }
            check_spans(&h.positive_spans, buckets.positive, "positive")?;
            check_spans(&h.negative_spans, buckets.negative, "negative")?;
        }
        other => {
            return Err(format!(
                "schema of histogram is {other}; allowed are {SCHEMA_MIN} to {SCHEMA_MAX} and \
                 {CUSTOM_BUCKETS_SCHEMA}"
            ));
        }
    }
    check_counts(h)
}

/// How many buckets each side has.
struct BucketCounts {
    positive: usize,
    negative: usize,
}

impl BucketCounts {
    const fn of(counts: &HistogramCounts) -> Self {
        match counts {
            HistogramCounts::Integer { positive, negative, .. } => {
                Self { positive: positive.len(), negative: negative.len() }
            }
            HistogramCounts::Float { positive, negative, .. } => {
                Self { positive: positive.len(), negative: negative.len() }
            }
        }
    }
}

/// Spans must be in order, cover the buckets exactly, and number them within 32 bits.
fn check_spans(spans: &[Span], bucket_count: usize, side: &str) -> Result<(), String> {
    let (mut covered, mut index) = (0_u64, 0_i64);
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err(format!("{side} span {i} of histogram has offset {}", span.offset));
        }
        covered += u64::from(span.length);
        index = index.saturating_add(i64::from(span.offset)).saturating_add(span.length.into());
        if i32::try_from(index).is_err() {
            return Err(format!("{side} span {i} of histogram lies beyond all buckets"));
        }
    }
    if covered != bucket_count as u64 {
        return Err(format!(
            "{side} spans of histogram cover {covered} buckets, but {bucket_count} were sent"
        ));
    }
    Ok(())
}

fn check_custom(h: &Histogram, buckets: &BucketCounts) -> Result<(), String> {
    let zero_count_is_set = match &h.counts {
        HistogramCounts::Integer { zero_count, .. } => *zero_count != 0,
        HistogramCounts::Float { zero_count, .. } => *zero_count != 0.0,
    };
    if zero_count_is_set || h.zero_threshold != 0.0 {
        return Err("histogram with custom bounds has a zero bucket".to_owned());
    }
    if buckets.negative > 0 || !h.negative_spans.is_empty() {
        return Err("histogram with custom bounds has negative buckets".to_owned());
    }
    check_bounds(&h.custom_values)?;
    if let Some(first) = h.positive_spans.first()
        && first.offset < 0
    {
        return Err(format!("positive span 0 of histogram has offset {}", first.offset));
    }
    check_spans(&h.positive_spans, buckets.positive, "positive")?;
    let end: i64 = h.positive_spans.iter().map(|s| i64::from(s.offset) + i64::from(s.length)).sum();
    let bound_count = h.custom_values.len();
    if usize::try_from(end).is_ok_and(|end| end > bound_count + 1) {
        return Err(format!(
            "spans of histogram reach to bucket {end}, but only {bound_count} bounds were sent"
        ));
    }
    Ok(())
}

/// Bounds ascend; the last bucket's bound, +Inf, is not sent.
fn check_bounds(bounds: &[f64]) -> Result<(), String> {
    let mut previous: Option<f64> = None;
    for &bound in bounds {
        if bound.is_nan() || bound == f64::INFINITY {
            return Err(format!("histogram has {bound} among its custom bounds"));
        }
        if let Some(previous) = previous.replace(bound)
            && bound <= previous
        {
            return Err(format!("custom bound {bound} of histogram comes after {previous}"));
        }
    }
    Ok(())
}

/// The buckets must add up to the count. Observations of NaN are in the count and in no bucket,
/// and make the sum NaN. Floats are not added up, since rounding would refuse good ones.
fn check_counts(h: &Histogram) -> Result<(), String> {
    match &h.counts {
        HistogramCounts::Integer { count, zero_count, positive, negative } => {
            let buckets: i128 = positive.iter().chain(negative).map(|&n| i128::from(n)).sum();
            let (total, count) = (buckets + i128::from(*zero_count), i128::from(*count));
            if total == count || (h.sum.is_nan() && total < count) {
                return Ok(());
            }
            Err(format!("count of histogram is {count}, but its buckets add up to {total}"))
        }
        HistogramCounts::Float { count, zero_count, positive, negative } => {
            for (what, n) in [("count", *count), ("zero count", *zero_count)] {
                if n < 0.0 {
                    return Err(format!("{what} of histogram is negative ({n})"));
                }
            }
            match positive.iter().chain(negative).find(|&&n| n < 0.0) {
                Some(n) => Err(format!("a bucket of histogram is negative ({n})")),
                None => Ok(()),
            }
        }
    }
}
