//! `rate`, `increase`, `delta`, `irate`, `idelta`, `resets` and `changes` of floats.

use ephemeris_model::SampleBuffer;

use super::Function;
use super::notes::{NoteKind, Notes};
use super::window::{Floats, Window};

/// Whether the counter was reset between two samples, by their start timestamps (0 = unknown).
///
/// A start at the previous sample is a reset only if that sample had a sane start itself: such a
/// series carries deltas. Without one it is a counter whose start nobody knows.
pub(super) const fn start_says_reset(
    (previous_start, previous_ms): (i64, i64),
    (start, timestamp_ms): (i64, i64),
) -> bool {
    if start == 0 || start >= timestamp_ms || start < previous_ms {
        return false;
    }
    start > previous_ms || (previous_start != 0 && previous_start < previous_ms)
}

/// Whether a sample claims to have started before the previous one was taken, yet as another
/// counter.
pub(super) const fn start_overlaps((previous_start, previous_ms): (i64, i64), start: i64) -> bool {
    start != 0 && start < previous_ms && start != previous_start
}

/// The start of the first sample, if the counter is known to have been zero there and that lies
/// inside the range.
pub(super) fn zero_point(window: &Window<'_>, start: i64, first_ms: i64) -> Option<i64> {
    (start != 0 && start > window.range_start_ms && start < first_ms).then_some(start)
}

/// What extrapolation needs to know of the samples.
pub(super) struct Sampled {
    /// From the start of the range to the first sample, or to the zero point before it.
    pub(super) to_start_ms: i64,
    /// From there to the last sample.
    pub(super) interval_ms: i64,
    /// From the last sample to the end of the range.
    pub(super) to_end_ms: i64,
    /// Seconds between two samples on average; zero if there is but one.
    pub(super) average_seconds: f64,
    /// The interval begins at a zero point: nothing lies to the left of it.
    pub(super) from_zero: bool,
    /// First value by increase, for counters that grew: how far back the zero lies, in units of
    /// the interval.
    pub(super) zero_ratio: Option<f64>,
}

impl Sampled {
    /// Samples from `first_ms` (or the zero before it) to `last_ms` in the range of `window`.
    pub(super) fn new(
        window: &Window<'_>,
        (first_ms, last_ms): (i64, i64),
        count: usize,
        zero_ms: Option<i64>,
        zero_ratio: Option<f64>,
    ) -> Self {
        let begin_ms = zero_ms.unwrap_or(first_ms);
        Self {
            to_start_ms: begin_ms - window.range_start_ms,
            interval_ms: last_ms - begin_ms,
            to_end_ms: window.range_end_ms - last_ms,
            average_seconds: average_seconds(first_ms, last_ms, count),
            from_zero: zero_ms.is_some(),
            zero_ratio,
        }
    }
}

/// By what the difference between last and first sample is to be multiplied to cover the range:
/// up to a border if samples come near it, else half a sampling interval.
#[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 ms")]
pub(super) fn extrapolation_factor(sampled: &Sampled) -> f64 {
    let mut to_start = sampled.to_start_ms as f64 / 1000.0;
    let mut to_end = sampled.to_end_ms as f64 / 1000.0;
    let interval = sampled.interval_ms as f64 / 1000.0;
    let threshold = sampled.average_seconds * 1.1;
    if to_start >= threshold {
        to_start = sampled.average_seconds / 2.0;
    }
    if let Some(ratio) = sampled.zero_ratio {
        let to_zero = interval * ratio;
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if sampled.from_zero {
        to_start = 0.0;
    }
    if to_end >= threshold {
        to_end = sampled.average_seconds / 2.0;
    }
    (interval + to_start + to_end) / interval
}

/// Average seconds between `count` samples from `first_ms` to `last_ms`.
#[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 ms")]
pub(super) fn average_seconds(first_ms: i64, last_ms: i64, count: usize) -> f64 {
    if count < 2 { 0.0 } else { (last_ms - first_ms) as f64 / 1000.0 / (count - 1) as f64 }
}

/// `rate`, `increase` and `delta`, extrapolated to the borders of the range. `lost` adds to a
/// difference what resets took from it, value by value.
pub(super) fn extrapolated(
    function: Function,
    window: &Window<'_>,
    floats: &Floats<'_>,
    lost: impl FnOnce(f64) -> f64,
    notes: &mut Notes,
) -> Option<f64> {
    let (&first, &last) = (floats.values.first()?, floats.values.last()?);
    let (&first_ms, &last_ms) = (floats.timestamps.first()?, floats.timestamps.last()?);
    let is_counter = function != Function::Delta;
    let zero_ms = match floats.starts.first() {
        Some(&start) if is_counter => zero_point(window, start, first_ms),
        _ => None,
    };
    if floats.len() < 2 && zero_ms.is_none() {
        return None;
    }
    let mut result = last - first;
    if is_counter {
        result = lost(result);
        if start_overlap_in(floats) {
            notes.add(NoteKind::OverlappingStart, 0, window.metric_name);
        }
    }
    if zero_ms.is_some() {
        result += first;
    }
    let grew = is_counter && result > 0.0 && first >= 0.0;
    let zero_ratio = grew.then(|| first / result);
    let sampled = Sampled::new(window, (first_ms, last_ms), floats.len(), zero_ms, zero_ratio);
    let mut factor = extrapolation_factor(&sampled);
    if function == Function::Rate {
        factor /= window.range_seconds();
    }
    Some(result * factor)
}

/// Adds to `result` each value before a reset.
pub(super) fn add_resets(mut result: f64, floats: &Floats<'_>) -> f64 {
    if floats.starts.is_empty() {
        for pair in floats.values.windows(2) {
            if pair[1] < pair[0] {
                result += pair[0];
            }
        }
        return result;
    }
    for (i, pair) in floats.values.windows(2).enumerate() {
        if pair[1] < pair[0] || start_says_reset(at(floats, i), at(floats, i + 1)) {
            result += pair[0];
        }
    }
    result
}

/// Where the counter of a series of floats was reset.
#[derive(Clone, Copy)]
pub(super) struct Resets<'a>(Floats<'a>);

impl<'a> Resets<'a> {
    pub(super) fn new(series: &'a SampleBuffer) -> Self {
        Self(Floats {
            timestamps: &series.timestamps,
            values: &series.values,
            starts: &series.start_timestamps,
        })
    }

    /// Whether it was reset between sample `i` and the next.
    pub(super) fn after(&self, i: usize) -> bool {
        let floats = &self.0;
        floats.values[i + 1] < floats.values[i]
            || (!floats.starts.is_empty() && start_says_reset(at(floats, i), at(floats, i + 1)))
    }
}

/// Start timestamp and time of sample `i`.
fn at(floats: &Floats<'_>, i: usize) -> (i64, i64) {
    (floats.starts.get(i).copied().unwrap_or(0), floats.timestamps[i])
}

fn start_overlap_in(floats: &Floats<'_>) -> bool {
    (1..floats.starts.len()).any(|i| start_overlaps(at(floats, i - 1), floats.starts[i]))
}

/// `irate` and `idelta`: the last two samples.
#[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 ms")]
pub(super) fn instant(
    function: Function,
    window: &Window<'_>,
    floats: &Floats<'_>,
    notes: &mut Notes,
) -> Option<f64> {
    let last = floats.len().checked_sub(1)?;
    let before = last.checked_sub(1)?;
    let interval_ms = floats.timestamps[last] - floats.timestamps[before];
    let (previous, value) = (floats.values[before], floats.values[last]);
    if function == Function::Idelta {
        return Some(value - previous);
    }
    let (previous_at, now_at) = (at(floats, before), at(floats, last));
    if start_overlaps(previous_at, now_at.0) {
        notes.add(NoteKind::OverlappingStart, 0, window.metric_name);
    }
    let reset = value < previous || start_says_reset(previous_at, now_at);
    let difference = if reset { value } else { value - previous };
    Some(difference / (interval_ms as f64 / 1000.0))
}

/// How often the value fell, or the start timestamp says that the counter began anew.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn resets(floats: &Floats<'_>) -> f64 {
    let pairs = floats.values.windows(2).enumerate();
    let reset = |(i, pair): &(usize, &[f64])| {
        pair[1] < pair[0]
            || (!floats.starts.is_empty() && start_says_reset(at(floats, *i), at(floats, i + 1)))
    };
    pairs.filter(reset).count() as f64
}

/// How often the value changed; a NaN after a NaN is no change.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn changes(values: &[f64]) -> f64 {
    values.windows(2).filter(|pair| is_change(pair[0], pair[1])).count() as f64
}

pub(super) fn is_change(before: f64, after: f64) -> bool {
    after != before && !(after.is_nan() && before.is_nan())
}

/// Whether `rate` and `increase` of this float metric deserve the note that it might be no
/// counter: its name has none of the endings of one. A series without a name has no note.
#[must_use]
pub fn possibly_no_counter(function: Function, metric_name: &str) -> bool {
    matches!(function, Function::Rate | Function::Increase)
        && !metric_name.is_empty()
        && !["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric_name.ends_with(end))
}

#[cfg(test)]
mod tests;
