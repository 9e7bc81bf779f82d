//! Range functions: windows slide over the samples of one series, read once.

use ephemeris_model::{Labels, SampleBuffer};

use super::batch::StepSeries;
use crate::promql::ast::Extension;
use crate::promql::error::QueryError;
use crate::promql::functions::{Notes, RangeCall, Window};
use crate::promql::plan::{Grid, Times};

/// How windows lie over the samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slide {
    /// The steps.
    pub(super) grid: Grid,
    /// `offset` and `@`.
    pub(super) times: Times,
    /// Length of a window.
    pub(super) range_ms: i64,
    /// `anchored` or `smoothed`.
    pub(super) extension: Extension,
    /// How far an extended window reaches beyond its range.
    pub(super) lookback_ms: i64,
}

impl Slide {
    /// The first and last millisecond any window looks at.
    pub(super) fn bounds(&self) -> (i64, i64) {
        let (first, last) = self.times.bounds(&self.grid);
        let (before, behind) = self.reach();
        (
            first.saturating_sub(self.range_ms).saturating_sub(before).saturating_add(1),
            last.saturating_add(behind),
        )
    }

    /// How far windows reach beyond their range, before and behind.
    const fn reach(&self) -> (i64, i64) {
        match self.extension {
            Extension::None => (0, 0),
            Extension::Anchored => (self.lookback_ms, 0),
            Extension::Smoothed => (self.lookback_ms, self.lookback_ms),
        }
    }

    /// Evaluates `call` for each window, into the values of `out`, which are absent before.
    /// `samples` are without staleness markers. Returns how many samples lay in windows.
    pub(super) fn run(
        &self,
        call: &mut RangeCall,
        params: &[Vec<f64>],
        samples: &SampleBuffer,
        (out, name): (&mut StepSeries, &Labels),
        notes: &mut Notes,
    ) -> Result<u64, QueryError> {
        let (before, behind) = self.reach();
        let times = samples.timestamps.as_slice();
        let (mut from, mut to, mut looked_at) = (0, 0, 0);
        let mut numbers = Vec::with_capacity(params.len());
        let metric_name = name.metric_name().unwrap_or_default();
        call.start_series();
        for step in 0..self.grid.count {
            let range_end_ms = self.times.of(&self.grid, step);
            let range_start_ms = range_end_ms.saturating_sub(self.range_ms);
            let (first, last) = (range_start_ms.saturating_sub(before), range_end_ms + behind);
            while times.get(to).is_some_and(|t| *t <= last) {
                to += 1;
            }
            while times.get(from).is_some_and(|t| *t <= first) {
                from += 1;
            }
            if from >= to {
                continue;
            }
            looked_at += (to - from) as u64;
            numbers.clear();
            numbers.extend(params.iter().map(|column| column[step]));
            let window = Window {
                series: samples,
                samples: from..to,
                range_start_ms,
                range_end_ms,
                evaluated_at_ms: self.grid.at(step),
                extension: self.extension,
                metric_name,
            };
            if let Some(point) = call.evaluate(&window, &numbers, notes)? {
                out.set(step, Some(point));
            }
        }
        Ok(looked_at)
    }
}
