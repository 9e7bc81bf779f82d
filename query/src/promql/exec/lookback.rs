//! Instant selectors: the newest sample within the lookback, at each step.

use ephemeris_model::{SampleBuffer, is_stale};

use super::batch::{Point, StepSeries};
use crate::promql::ast::Extension;
use crate::promql::functions::{Notes, Window, smoothed_point};
use crate::promql::plan::{Give, Grid, Selector};

/// Fills `out` with what the selector gives of `samples` at each step of `grid`; the window of a
/// step is `(t - lookback, t]`, and a staleness marker ends the series.
pub(super) fn fill(
    selector: &Selector,
    grid: &Grid,
    samples: &SampleBuffer,
    out: &mut StepSeries,
    notes: &mut Notes,
) -> u64 {
    if selector.samples.extension == Extension::Smoothed {
        return fill_smoothed(selector, grid, samples, out, notes);
    }
    let times = &selector.samples.times;
    let lookback = selector.samples.range_ms;
    let (mut next, mut looked_at) = (0, 0);
    for step in 0..grid.count {
        let at = times.of(grid, step);
        while samples.timestamps.get(next).is_some_and(|t| *t <= at) {
            next += 1;
        }
        let Some(newest) = next.checked_sub(1) else { continue };
        let value = samples.values[newest];
        if samples.timestamps[newest] <= at.saturating_sub(lookback) || is_stale(value) {
            continue;
        }
        looked_at += 1;
        match selector.give {
            Give::Value => match samples.histogram_at(newest) {
                Some(histogram) => out.set(step, Some(Point::Histogram(histogram.clone()))),
                None => out.values[step] = value,
            },
            Give::Timestamp => out.values[step] = seconds(samples.timestamps[newest]),
            Give::StartTimestamp => {
                // A sample without a start timestamp has none to give.
                let start = samples.start_timestamps.get(newest).copied().unwrap_or(0);
                out.values[step] = seconds(start);
            }
        }
    }
    looked_at
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// `smoothed`: on the line between the samples before and behind the step. `samples` are without
/// staleness markers.
fn fill_smoothed(
    selector: &Selector,
    grid: &Grid,
    samples: &SampleBuffer,
    out: &mut StepSeries,
    notes: &mut Notes,
) -> u64 {
    let lookback = selector.samples.range_ms;
    let labels = out.labels.clone();
    let times = samples.timestamps.as_slice();
    let (mut from, mut to, mut looked_at) = (0, 0, 0);
    for step in 0..grid.count {
        let at = selector.samples.times.of(grid, step);
        let (first, last) = (at.saturating_sub(lookback), at.saturating_add(lookback));
        while times.get(to).is_some_and(|t| *t <= last) {
            to += 1;
        }
        while times.get(from).is_some_and(|t| *t <= first) {
            from += 1;
        }
        if from >= to {
            continue;
        }
        let window = Window {
            series: samples,
            samples: from..to,
            range_start_ms: first,
            range_end_ms: at,
            evaluated_at_ms: grid.at(step),
            extension: Extension::Smoothed,
            metric_name: labels.metric_name().unwrap_or_default(),
        };
        let point = smoothed_point(&window, notes);
        looked_at += u64::from(point.is_some());
        out.set(step, point);
    }
    looked_at
}
