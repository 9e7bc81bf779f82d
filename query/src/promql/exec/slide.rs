//! Range functions: windows slide over the samples of one series, read once.

use ephemeris_model::{Labels, SampleBuffer, is_stale};

use super::batch::StepSeries;
use super::weight::Weigh;
use crate::budget::Budget;
use crate::promql::ast::Extension;
use crate::promql::error::QueryError;
use crate::promql::functions::{
    Function, NoteKind, Notes, RangeCall, RateWindows, Window, possibly_no_counter,
};
use crate::promql::plan::{Grid, Times};

/// Samples in windows after which the budget is asked again whether the query may go on.
const SAMPLES_UNCHECKED_MAX: u32 = 1 << 18;

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

    /// How many samples windows move on from step to step, if samples are as regular as steps.
    fn stride(&self, timestamps: &[i64]) -> Option<usize> {
        let [first, second, ..] = *timestamps else { return None };
        let interval = second.checked_sub(first).filter(|interval| *interval > 0)?;
        if self.times.at_ms.is_some() || self.grid.step_ms % interval != 0 {
            return None;
        }
        let uneven = |uneven, pair: &[i64]| uneven | (pair[1].wrapping_sub(pair[0]) ^ interval);
        let regular = timestamps.windows(2).fold(0, uneven) == 0;
        usize::try_from(self.grid.step_ms / interval).ok().filter(|stride| regular && *stride > 0)
    }

    /// How far windows reach beyond their range, before and behind.
    const fn reach(&self) -> (i64, i64) {
        match self.extension {
            Extension::None => (0, 0),
            Extension::Anchored => (self.lookback_ms, 0),
            Extension::Smoothed => (self.lookback_ms, self.lookback_ms),
        }
    }
}

/// Slides the windows of one call over one series after the other.
pub(super) struct Slider {
    slide: Slide,
    function: Function,
    call: RangeCall,
    pub(super) notes: Notes,
    /// The times the windows below are for: series of one target mostly have the same.
    timestamps: Vec<i64>,
    /// Which samples lie in the window of each step.
    windows: Vec<(u32, u32)>,
    /// How many that are in all.
    in_windows: u64,
    rates: Option<RateWindows>,
}

impl Slider {
    pub(super) fn new(function: Function, slide: Slide) -> Self {
        Self {
            slide,
            function,
            call: RangeCall::new(function),
            notes: Notes::default(),
            timestamps: Vec::new(),
            windows: Vec::new(),
            in_windows: 0,
            rates: None,
        }
    }

    /// Evaluates each window, into the values of `out`, which are absent before. `samples` are
    /// without staleness markers. Returns how many samples lay in windows.
    pub(super) fn run(
        &mut self,
        params: &[Vec<f64>],
        samples: &SampleBuffer,
        name: &Labels,
        out: &mut StepSeries,
        budget: &Budget,
    ) -> Result<u64, QueryError> {
        if self.windows.is_empty() || self.timestamps != samples.timestamps {
            self.fit(&samples.timestamps);
        }
        let name = name.metric_name().unwrap_or_default();
        let plain = samples.histograms.is_empty() && samples.start_timestamps.is_empty();
        match &mut self.rates {
            Some(rates) if plain => rates.evaluate(&samples.values, &mut out.values),
            _ => self.each_window(params, samples, name, out, budget)?,
        }
        if possibly_no_counter(self.function, name) && out.values.iter().any(|v| !is_stale(*v)) {
            self.notes.add(NoteKind::PossibleNonCounter, 0, name);
        }
        Ok(self.in_windows)
    }

    /// Adds the samples in the windows of the last series to the counts of their steps. Answers what
    /// histograms among them count beyond one each.
    pub(super) fn tally(&self, samples: &SampleBuffer, weigh: Weigh, per_step: &mut [u64]) -> u64 {
        for (count, (from, to)) in per_step.iter_mut().zip(&self.windows) {
            *count += u64::from(to - from);
        }
        let histograms = &samples.histograms;
        if histograms.is_empty() {
            return 0;
        }
        // What those before each count beyond one.
        let mut sums = Vec::with_capacity(histograms.len() + 1);
        sums.push(0);
        let more = histograms.iter().map(|(_, one)| weigh(one).saturating_sub(1));
        sums.extend(more.scan(0, |sum, more| {
            *sum += more;
            Some(*sum)
        }));
        let before = |index| sums[histograms.partition_point(|(at, _)| *at < index)];
        let mut all = 0;
        for (step, &(from, to)) in self.windows.iter().enumerate() {
            let more: u64 = before(to) - before(from);
            all += more;
            if let Some(count) = per_step.get_mut(step) {
                *count += more;
            }
        }
        all
    }

    /// Finds the windows over samples at `timestamps`.
    fn fit(&mut self, timestamps: &[i64]) {
        let slide = &self.slide;
        let (before, behind) = slide.reach();
        let (mut from, mut to) = (0, 0);
        self.timestamps.clear();
        self.timestamps.extend_from_slice(timestamps);
        self.windows.clear();
        self.in_windows = 0;
        let stride = slide.stride(timestamps);
        let mut step = 0;
        while step < slide.grid.count {
            let end = slide.times.of(&slide.grid, step);
            let first = end.saturating_sub(slide.range_ms).saturating_sub(before);
            let last = end.saturating_add(behind);
            while timestamps.get(to).is_some_and(|t| *t <= last) {
                to += 1;
            }
            while timestamps.get(from).is_some_and(|t| *t <= first) {
                from += 1;
            }
            from = from.min(to);
            self.in_windows += (to - from) as u64;
            self.windows.push((place(from), place(to)));
            step += 1;
            // With samples on both sides of the window the next ones lie alike.
            let Some(stride) = stride.filter(|_| from > 0 && to < timestamps.len()) else {
                continue;
            };
            let alike = ((timestamps.len() - to) / stride).min(slide.grid.count - step);
            for _ in 0..alike {
                (from, to) = (from + stride, to + stride);
                self.windows.push((place(from), place(to)));
            }
            self.in_windows += (alike * (to - from)) as u64;
            step += alike;
        }
        let ends = (0..slide.grid.count).map(|step| slide.times.of(&slide.grid, step));
        self.rates = match slide.extension {
            Extension::None => RateWindows::new(
                self.function,
                timestamps,
                slide.range_ms,
                self.windows.iter().copied().zip(ends),
            ),
            _ => None,
        };
    }

    fn each_window(
        &mut self,
        params: &[Vec<f64>],
        samples: &SampleBuffer,
        metric_name: &str,
        out: &mut StepSeries,
        budget: &Budget,
    ) -> Result<(), QueryError> {
        let slide = &self.slide;
        let mut unchecked = 0;
        let mut numbers = Vec::with_capacity(params.len());
        self.call.start_series();
        for (step, (from, to)) in self.windows.iter().enumerate() {
            if from == to {
                continue;
            }
            // One series alone may keep a thread busy for minutes.
            unchecked += (to - from).min(SAMPLES_UNCHECKED_MAX);
            if unchecked >= SAMPLES_UNCHECKED_MAX {
                budget.check()?;
                unchecked = 0;
            }
            numbers.clear();
            numbers.extend(params.iter().map(|column| column[step]));
            let range_end_ms = slide.times.of(&slide.grid, step);
            let window = Window {
                series: samples,
                samples: *from as usize..*to as usize,
                range_start_ms: range_end_ms.saturating_sub(slide.range_ms),
                range_end_ms,
                evaluated_at_ms: slide.grid.at(step),
                extension: slide.extension,
                metric_name,
            };
            if let Some(point) = self.call.evaluate(&window, &numbers, &mut self.notes)? {
                out.set(step, Some(point));
            }
        }
        Ok(())
    }
}

/// A place in a series; more samples than fit here would have passed every limit before.
pub(super) fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
