//! Sums of histograms. None where two cannot be added: bounds differ, or a count would overflow.

use super::super::histogram::downscale;
use super::super::point::{BUCKETS_MAX, Buckets, ExplicitValue, ExponentialValue};
use super::SCALE_MIN;

fn add_sums(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? + b?)
}

/// A count that a native histogram can hold.
fn add_counts(a: u64, b: u64) -> Option<u64> {
    a.checked_add(b).filter(|sum| i64::try_from(*sum).is_ok())
}

pub(super) fn add_explicit(a: &ExplicitValue, b: &ExplicitValue) -> Option<ExplicitValue> {
    if a.bounds != b.bounds || a.counts.len() != b.counts.len() {
        return None;
    }
    let counts = a.counts.iter().zip(&b.counts).map(|(a, b)| add_counts(*a, *b));
    Some(ExplicitValue {
        count: add_counts(a.count, b.count)?,
        sum: add_sums(a.sum, b.sum),
        bounds: a.bounds.clone(),
        counts: counts.collect::<Option<_>>()?,
    })
}

pub(super) fn add_exponential(
    a: &ExponentialValue,
    b: &ExponentialValue,
) -> Option<ExponentialValue> {
    if a.zero_threshold.to_bits() != b.zero_threshold.to_bits() {
        return None;
    }
    let mut scale = a.scale.min(b.scale);
    loop {
        let side = |x: &Buckets, y: &Buckets| {
            let x = downscale(x, (a.scale - scale).unsigned_abs()).ok()?;
            let y = downscale(y, (b.scale - scale).unsigned_abs()).ok()?;
            add_buckets(&x, &y)
        };
        if let (Some(positive), Some(negative)) =
            (side(&a.positive, &b.positive), side(&a.negative, &b.negative))
        {
            return Some(ExponentialValue {
                count: add_counts(a.count, b.count)?,
                sum: add_sums(a.sum, b.sum),
                scale,
                zero_count: add_counts(a.zero_count, b.zero_count)?,
                zero_threshold: a.zero_threshold,
                positive,
                negative,
            });
        }
        if scale <= SCALE_MIN {
            return None;
        }
        // Too many buckets between the two: a coarser resolution has fewer.
        scale -= 1;
    }
}

fn add_buckets(a: &Buckets, b: &Buckets) -> Option<Buckets> {
    if a.counts.is_empty() || b.counts.is_empty() {
        return Some(if a.counts.is_empty() { b.clone() } else { a.clone() });
    }
    let end = |x: &Buckets| i64::from(x.offset) + x.counts.len() as i64;
    let (first, last) = (a.offset.min(b.offset), end(a).max(end(b)));
    let length = usize::try_from(last - i64::from(first)).ok().filter(|n| *n <= BUCKETS_MAX)?;
    let mut counts = vec![0; length];
    for side in [a, b] {
        let at = usize::try_from(i64::from(side.offset) - i64::from(first)).ok()?;
        for (slot, count) in counts.get_mut(at..)?.iter_mut().zip(&side.counts) {
            *slot = add_counts(*slot, *count)?;
        }
    }
    Some(Buckets { offset: first, counts })
}
