//! Instant selectors: the newest sample within the lookback, at each step.

use ephemeris_model::{SampleBuffer, is_stale};

use super::batch::{Point, StepSeries};
use super::slide::place;
use super::weight::Weigh;
use crate::promql::ast::Extension;
use crate::promql::functions::{Notes, Window, smoothed_point};
use crate::promql::plan::{Give, Grid, Selector};

/// No sample within the lookback.
const NONE: u32 = u32::MAX;

/// Finds the newest sample of each step, for one series after the other.
#[derive(Debug, Default)]
pub(super) struct Lookback {
    /// What there is to tell about the selector.
    pub(super) notes: Notes,
    /// The times the places below are for: series of one target mostly have the same.
    timestamps: Vec<i64>,
    /// The newest sample of each step, or [`NONE`].
    newest: Vec<u32>,
}

impl Lookback {
    /// Fills `out` with what the selector gives of `samples` at each step of `grid`, which are
    /// the same for all series; the window of a step is `(t - lookback, t]`, and a staleness
    /// marker ends the series. Returns how many samples were looked at.
    pub(super) fn fill(
        &mut self,
        selector: &Selector,
        grid: &Grid,
        samples: &SampleBuffer,
        out: &mut StepSeries,
    ) -> u64 {
        if selector.samples.extension == Extension::Smoothed {
            return fill_smoothed(selector, grid, samples, out, &mut self.notes);
        }
        if self.newest.is_empty() || self.timestamps != samples.timestamps {
            self.fit(selector, grid, &samples.timestamps);
        }
        if selector.give == Give::Value && samples.histograms.is_empty() {
            let mut looked_at = 0;
            for (out, newest) in out.values.iter_mut().zip(&self.newest) {
                if *newest != NONE {
                    // A staleness marker has the bits of an absent value, and is not counted.
                    let value = samples.values[*newest as usize];
                    looked_at += u64::from(!is_stale(value));
                    *out = value;
                }
            }
            return looked_at;
        }
        let mut looked_at = 0;
        let found = self.newest.iter().enumerate().filter(|(_, newest)| **newest != NONE);
        for (step, newest) in found {
            let newest = *newest as usize;
            let value = samples.values[newest];
            if is_stale(value) {
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

    /// Adds to the count of each step whose newest sample of the last series is in `out`. Answers what
    /// histograms among them count beyond one each, which [`fill`](Self::fill) counts them for.
    pub(super) fn tally(out: &StepSeries, weigh: Weigh, per_step: &mut [u64]) -> u64 {
        for (step, count) in per_step.iter_mut().enumerate() {
            *count += match out.point(step) {
                None => 0,
                Some(Point::Float(_)) => 1,
                Some(Point::Histogram(histogram)) => weigh(&histogram),
            };
        }
        let more = out.histograms.iter().flatten().map(|one| weigh(one).saturating_sub(1));
        more.sum()
    }

    fn fit(&mut self, selector: &Selector, grid: &Grid, timestamps: &[i64]) {
        let (times, lookback) = (&selector.samples.times, selector.samples.range_ms);
        self.timestamps.clear();
        self.timestamps.extend_from_slice(timestamps);
        self.newest.clear();
        let mut next = 0;
        for step in 0..grid.count {
            let at = times.of(grid, step);
            while timestamps.get(next).is_some_and(|t| *t <= at) {
                next += 1;
            }
            let newest = next.checked_sub(1);
            let newest = newest.filter(|i| timestamps[*i] > at.saturating_sub(lookback));
            self.newest.push(newest.map_or(NONE, place));
        }
    }
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
