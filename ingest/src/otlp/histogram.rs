//! Histograms of OTLP as native histograms of Prometheus, in the form of remote write.

use super::point::{BUCKETS_MAX, Buckets, ExplicitValue, ExponentialValue};
use crate::output::{bytes, double, number, varint, zigzag};

/// Highest resolution of a native histogram; finer ones are reduced to it.
const SCHEMA_MAX: i32 = 8;
/// Lowest resolution; coarser histograms cannot be kept.
const SCHEMA_MIN: i32 = -4;
/// Schema of histograms with bounds of their own.
const SCHEMA_CUSTOM: i32 = -53;
/// Width of the zero bucket if the sender names none.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Empty buckets between two others that are cheaper written out than as a gap.
const GAP_MAX: i64 = 2;

/// Bits of the sum that make a histogram a staleness marker.
pub(super) const STALE: f64 = ephemeris_model::stale_nan();

/// Checks an exponential histogram and brings it to a resolution that can be kept.
pub(super) fn reduce(mut value: ExponentialValue) -> Result<ExponentialValue, String> {
    if value.scale < SCHEMA_MIN {
        return Err(format!(
            "scale {} of exponential histogram is below {SCHEMA_MIN}, the coarsest that is kept",
            value.scale
        ));
    }
    let mut counts = value.positive.counts.iter().chain(&value.negative.counts);
    if counts.clone().count() > BUCKETS_MAX {
        return Err(format!("exponential histogram has more than {BUCKETS_MAX} buckets"));
    }
    let sum = counts.try_fold(value.zero_count, |sum, n| sum.checked_add(*n));
    let fits = |n: &u64| i64::try_from(*n).is_ok();
    let Some(sum) = sum.filter(fits) else {
        return Err("counts of exponential histogram are out of range".to_owned());
    };
    if sum != value.count {
        return Err(format!(
            "count of exponential histogram is {}, but its buckets hold {sum}",
            value.count
        ));
    }
    if value.scale > SCHEMA_MAX {
        let shift = value.scale.saturating_sub(SCHEMA_MAX).unsigned_abs().min(63);
        value.positive = downscale(&value.positive, shift)?;
        value.negative = downscale(&value.negative, shift)?;
        value.scale = SCHEMA_MAX;
    }
    for buckets in [&value.positive, &value.negative] {
        let last = i64::from(buckets.offset) + buckets.counts.len() as i64 + 1;
        if i32::try_from(last).is_err() || buckets.offset == i32::MIN {
            return Err("buckets of exponential histogram are out of range".to_owned());
        }
    }
    if !(value.zero_threshold >= 0.0 && value.zero_threshold.is_finite()) {
        return Err(format!("zero threshold {} is no width", value.zero_threshold));
    }
    if value.zero_threshold == 0.0 {
        value.zero_threshold = ZERO_THRESHOLD;
    }
    Ok(value)
}

/// Merges buckets to those of a resolution `shift` steps lower.
pub(super) fn downscale(buckets: &Buckets, shift: u32) -> Result<Buckets, String> {
    let first = i64::from(buckets.offset) >> shift;
    let mut counts: Vec<u64> = Vec::new();
    for (i, count) in (i64::from(buckets.offset)..).zip(&buckets.counts) {
        let at = usize::try_from((i >> shift) - first).unwrap_or(usize::MAX);
        if at >= counts.len() {
            counts.push(0);
        }
        if let Some(slot) = counts.last_mut() {
            *slot = slot.checked_add(*count).ok_or("counts are out of range")?;
        }
    }
    let offset = i32::try_from(first).map_err(|_| "buckets are out of range".to_owned())?;
    Ok(Buckets { offset, counts })
}

/// A checked exponential histogram as a message.
pub(super) fn encode_exponential(
    value: &ExponentialValue,
    timestamp_ms: i64,
    start_ms: i64,
) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, 1 << 3);
    varint(&mut out, value.count);
    double(&mut out, 3, value.sum.unwrap_or(0.0));
    number(&mut out, 4, zigzag(i64::from(value.scale)));
    double(&mut out, 5, value.zero_threshold);
    varint(&mut out, 6 << 3);
    varint(&mut out, value.zero_count);
    // Buckets are numbered by their upper bound, one more than in OTLP.
    let first = |buckets: &Buckets| i64::from(buckets.offset) + 1;
    encode_side(&mut out, (8, 9), first(&value.negative), &value.negative.counts);
    encode_side(&mut out, (11, 12), first(&value.positive), &value.positive.counts);
    number(&mut out, 15, timestamp_ms.cast_unsigned());
    number(&mut out, 17, start_ms.cast_unsigned());
    out
}

/// Checks a histogram with bounds of its own.
pub(super) fn check_explicit(value: &ExplicitValue) -> Result<(), String> {
    let (counts, bounds) = (value.counts.len(), value.bounds.len());
    if counts > BUCKETS_MAX || bounds > BUCKETS_MAX {
        return Err(format!("histogram has more than {BUCKETS_MAX} buckets"));
    }
    if counts != bounds + 1 && (counts, bounds) != (0, 0) {
        return Err(format!("histogram has {counts} buckets and {bounds} bounds"));
    }
    if value.bounds.iter().any(|b| b.is_nan()) || value.bounds.windows(2).any(|w| w[0] >= w[1]) {
        return Err("bounds of histogram do not ascend".to_owned());
    }
    let sum = value.counts.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n));
    if i64::try_from(value.count).is_err() || sum.is_none() {
        return Err("counts of histogram are out of range".to_owned());
    }
    if counts > 0 && sum != Some(value.count) {
        let sum = sum.unwrap_or(0);
        return Err(format!("count of histogram is {}, but its buckets hold {sum}", value.count));
    }
    Ok(())
}

/// A checked histogram with bounds of its own as a message.
pub(super) fn encode_custom(value: &ExplicitValue, timestamp_ms: i64, start_ms: i64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, 1 << 3);
    varint(&mut out, value.count);
    double(&mut out, 3, value.sum.unwrap_or(0.0));
    number(&mut out, 4, zigzag(i64::from(SCHEMA_CUSTOM)));
    let counts = if value.counts.is_empty() { &[value.count][..] } else { &value.counts };
    encode_side(&mut out, (11, 12), 0, counts);
    number(&mut out, 15, timestamp_ms.cast_unsigned());
    let finite = value.bounds.strip_suffix(&[f64::INFINITY]).unwrap_or(&value.bounds);
    let packed: Vec<u8> = finite.iter().flat_map(|b| b.to_bits().to_le_bytes()).collect();
    bytes(&mut out, 16, &packed);
    number(&mut out, 17, start_ms.cast_unsigned());
    out
}

/// The end of a series of histograms as a message.
pub(super) fn encode_stale(timestamp_ms: i64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, 1 << 3);
    varint(&mut out, 0);
    double(&mut out, 3, STALE);
    number(&mut out, 15, timestamp_ms.cast_unsigned());
    out
}

/// Spans and differences of the buckets that are not empty, with short gaps filled.
fn encode_side(out: &mut Vec<u8>, (spans, deltas): (u32, u32), first: i64, counts: &[u64]) {
    let mut packed = Vec::new();
    let mut runs: Vec<(i64, u32)> = Vec::new();
    let (mut previous, mut next) = (0_i64, 0_i64);
    for (index, &count) in (first..).zip(counts) {
        if count == 0 {
            continue;
        }
        match runs.last_mut() {
            Some((_, length)) if index - next <= GAP_MAX => {
                for _ in next..index {
                    varint(&mut packed, zigzag(-previous));
                    previous = 0;
                    *length += 1;
                }
                *length += 1;
            }
            Some(_) => runs.push((index - next, 1)),
            None => runs.push((index, 1)),
        }
        let count = count.cast_signed();
        varint(&mut packed, zigzag(count.wrapping_sub(previous)));
        (previous, next) = (count, index + 1);
    }
    for (offset, length) in runs {
        let mut span = Vec::new();
        number(&mut span, 1, zigzag(offset));
        number(&mut span, 2, u64::from(length));
        bytes(out, spans, &span);
    }
    if !packed.is_empty() {
        bytes(out, deltas, &packed);
    }
}
