//! What is done to the samples of a series before operators look at them.

use std::sync::Arc;

use ephemeris_model::{CounterResetHint, FloatHistogram, SampleBuffer, is_stale};

use crate::promql::histogram::is_reset;

/// What must be taken out of samples before windows slide over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starts {
    /// Keep start timestamps.
    Keep,
    /// Leave them out.
    Drop,
}

/// `samples` without staleness markers, and without start timestamps unless they are kept; copied
/// into `scratch` only if there is something to leave out.
pub(super) fn cleaned<'a>(
    samples: &'a SampleBuffer,
    starts: Starts,
    scratch: &'a mut SampleBuffer,
) -> &'a SampleBuffer {
    let drop_starts = starts == Starts::Drop && !samples.start_timestamps.is_empty();
    // Block by block, so that the search runs on several values at once.
    let stale_in = |block: &[f64]| block.iter().fold(false, |any, v| any | is_stale(*v));
    let has_stale = samples.values.chunks(64).any(stale_in);
    if !drop_starts && !has_stale {
        return samples;
    }
    scratch.clear();
    for (i, &value) in samples.values.iter().enumerate() {
        if is_stale(value) {
            continue;
        }
        match samples.histogram_at(i) {
            Some(histogram) => scratch.push_histogram(samples.timestamps[i], histogram.clone()),
            None => scratch.push(samples.timestamps[i], value),
        }
        if starts == Starts::Keep
            && let Some(start) = samples.start_timestamps.get(i)
        {
            scratch.set_last_start(*start);
        }
    }
    scratch
}

/// `samples` with hints of resets told from the histograms themselves, where there is no hint:
/// what is known of a series whose buckets nobody asks for. Copied into `scratch`.
pub(super) fn with_told_resets<'a>(
    samples: &'a SampleBuffer,
    scratch: &'a mut SampleBuffer,
) -> &'a SampleBuffer {
    if samples.histograms.is_empty() {
        return samples;
    }
    scratch.clone_from(samples);
    let mut before: Option<Arc<FloatHistogram>> = None;
    for (_, histogram) in &mut scratch.histograms {
        let known = Arc::clone(histogram);
        if let Some(before) = &before
            && known.reset_hint == CounterResetHint::Unknown
        {
            let reset_hint = match is_reset(&known, before) {
                true => CounterResetHint::Reset,
                false => CounterResetHint::NotReset,
            };
            *histogram = Arc::new(FloatHistogram { reset_hint, ..FloatHistogram::clone(&known) });
        }
        before = Some(known);
    }
    scratch
}
