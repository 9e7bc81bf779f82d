//! Running totals as they are in the store.

use ephemeris_model::FloatHistogram;

use super::super::labels::Pair;
use super::super::point::{BUCKETS_MAX, Buckets, ExplicitValue, ExponentialValue};
use super::{Running, SCALE_MIN, Stored, Total, running, sorted};

/// A whole count that a float holds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "out of range is clamped, and no count is"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

pub(super) fn seed_explicit(
    stored: &dyn Stored,
    labels: &[Pair<'_>],
    family: &str,
    like: &ExplicitValue,
) -> Result<Option<Running>, String> {
    if let Some(newest) = stored.newest(&sorted(labels, &[]))?
        && let Some(histogram) = newest.histogram.as_deref()
    {
        return Ok(custom_of(histogram, like).map(|t| running(&newest, Total::Explicit(t))));
    }
    let newest = |suffix: &str, le: &str| {
        let name = format!("{family}_{suffix}");
        stored.newest(&sorted(labels, &[("__name__", &name), ("le", le)]))
    };
    let Some(count) = newest("count", "")? else { return Ok(None) };
    let mut total = ExplicitValue {
        count: whole(count.value),
        sum: newest("sum", "")?.map(|s| s.value),
        bounds: like.bounds.clone(),
        counts: Vec::with_capacity(like.counts.len()),
    };
    let mut below = 0;
    for bound in &like.bounds {
        // A bound the series does not have: its buckets changed.
        let Some(bucket) = newest("bucket", &bound.to_string())? else { return Ok(None) };
        let upto = whole(bucket.value);
        total.counts.push(upto.saturating_sub(below));
        below = upto;
    }
    if !like.counts.is_empty() {
        total.counts.push(total.count.saturating_sub(below));
    }
    Ok(Some(running(&count, Total::Explicit(total))))
}

/// Buckets of a side by index, with the gaps filled.
fn dense(spans: &[ephemeris_model::Span], counts: &[f64]) -> Option<(i64, Vec<u64>)> {
    let (mut index, mut first, mut out) = (0_i64, None, Vec::new());
    let mut counts = counts.iter();
    for span in spans {
        index += i64::from(span.offset);
        let first = *first.get_or_insert(index);
        let length = usize::try_from(index - first).ok()?;
        if length + span.length as usize > BUCKETS_MAX {
            return None;
        }
        out.resize(length, 0);
        out.extend(counts.by_ref().take(span.length as usize).map(|n| whole(*n)));
        index += i64::from(span.length);
    }
    Some((first.unwrap_or(0), out))
}

fn custom_of(histogram: &FloatHistogram, like: &ExplicitValue) -> Option<ExplicitValue> {
    let (first, counts) = dense(&histogram.positive_spans, &histogram.positive_buckets)?;
    let mut all = vec![0; usize::try_from(first).ok().filter(|n| *n <= BUCKETS_MAX)?];
    all.extend(counts);
    let fits = histogram.custom_values == like.bounds && all.len() <= like.bounds.len() + 1;
    all.resize(if like.counts.is_empty() { 0 } else { like.bounds.len() + 1 }, 0);
    fits.then(|| ExplicitValue {
        count: whole(histogram.count),
        sum: Some(histogram.sum),
        bounds: like.bounds.clone(),
        counts: all,
    })
}

pub(super) fn exponential_of(histogram: &FloatHistogram) -> Option<ExponentialValue> {
    let side = |spans, counts| {
        let (first, counts) = dense(spans, counts)?;
        let offset = i32::try_from(first - 1).ok()?;
        Some(Buckets { offset, counts })
    };
    (histogram.schema >= SCALE_MIN).then_some(())?;
    Some(ExponentialValue {
        count: whole(histogram.count),
        sum: Some(histogram.sum),
        scale: histogram.schema,
        zero_count: whole(histogram.zero_count),
        zero_threshold: histogram.zero_threshold,
        positive: side(&histogram.positive_spans, &histogram.positive_buckets)?,
        negative: side(&histogram.negative_spans, &histogram.negative_buckets)?,
    })
}
