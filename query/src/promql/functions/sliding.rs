//! Range functions that keep what they learned from the window before. Each gives the very bits of
//! its plain kernel, so that an answer does not depend on which of the two was used.
//!
//! It pays for long windows that overlap: the work per step is that of the samples that came and
//! went, not that of the window.

use std::collections::VecDeque;
use std::ops::Range;

use super::Function;
use super::rank::{key, quantile_near_end, quantile_of_keys};
use super::rate::{Resets, is_change};
use super::window::Window;

/// Windows shorter than this are computed plainly.
const WINDOW_MIN: usize = 24;
/// With more samples coming and going than this, a sorted window is sorted anew.
const MOVES_MAX: usize = 48;
/// Sums of whole numbers below this are exact.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What is known of one series.
#[derive(Debug, Default)]
pub(super) struct Sliding {
    /// Windows of the series evaluated so far.
    windows: usize,
    /// Keys of all values, once they were needed.
    keys: Vec<i64>,
    sorted: SortedWindow,
    extreme: Extreme,
    prefix: Prefix,
}

impl Sliding {
    /// Forgets the series.
    pub(super) fn clear(&mut self) {
        self.windows = 0;
        self.keys.clear();
        self.sorted.samples = 0..0;
        self.extreme.samples = 0..0;
        self.prefix.state = State::Unknown;
    }

    /// Whether the window is one to slide for: long, of floats alone, and not the first. What is
    /// computed over the whole series pays only if there are more windows to come.
    pub(super) fn applies(&mut self, function: Function, window: &Window<'_>) -> bool {
        self.windows += 1;
        // Sorting and compensated adding pay to be avoided sooner than comparing.
        let min = match function {
            Function::QuantileOverTime | Function::SumOverTime | Function::AvgOverTime => 6,
            _ => WINDOW_MIN,
        };
        self.windows > 1 && window.len() >= min && window.series.histograms.is_empty()
    }

    /// The value of `function`, which takes no parameter; none if it does not slide.
    pub(super) fn call(&mut self, function: Function, window: &Window<'_>) -> Option<f64> {
        let values = &window.series.values;
        match function {
            Function::MinOverTime => {
                Some(self.extreme.slide(values, &window.samples, |a, b| a < b))
            }
            Function::MaxOverTime => {
                Some(self.extreme.slide(values, &window.samples, |a, b| a > b))
            }
            Function::SumOverTime => self.prefix.exact_sum(values, &window.samples),
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
            Function::AvgOverTime => {
                let sum = self.prefix.exact_sum(values, &window.samples)?;
                Some(sum / window.len() as f64 + 0.0)
            }
            Function::Changes => Some(
                self.prefix
                    .count(&window.samples, values.len(), |i| is_change(values[i], values[i + 1])),
            ),
            Function::Resets => {
                let resets = Resets::new(window.series);
                Some(self.prefix.count(&window.samples, values.len(), |i| resets.after(i)))
            }
            _ => None,
        }
    }

    /// The `quantile` of the window.
    pub(super) fn quantile(&mut self, quantile: f64, window: &Window<'_>) -> f64 {
        if self.keys.is_empty() {
            self.keys.extend(window.series.values.iter().map(|value| key(*value)));
        }
        if let Some(value) = quantile_near_end(quantile, &self.keys[window.samples.clone()]) {
            return value;
        }
        self.sorted.slide(&self.keys, &window.samples);
        quantile_of_keys(quantile, &self.sorted.keys)
    }

    /// The samples of the window after which the counter was reset.
    pub(super) fn resets(&mut self, window: &Window<'_>) -> &[usize] {
        let resets = Resets::new(window.series);
        self.prefix.positions(&window.samples, window.series.len(), |i| resets.after(i))
    }
}

/// The values of a window in order, as integers that sort like them.
#[derive(Debug, Default)]
struct SortedWindow {
    samples: Range<usize>,
    keys: Vec<i64>,
}

impl SortedWindow {
    fn slide(&mut self, keys: &[i64], samples: &Range<usize>) {
        let overlap = self.samples.start <= samples.start
            && samples.start < self.samples.end
            && self.samples.end <= samples.end;
        let moves =
            samples.start.abs_diff(self.samples.start) + samples.end.abs_diff(self.samples.end);
        if !overlap || moves > MOVES_MAX {
            self.keys.clear();
            self.keys.extend_from_slice(&keys[samples.clone()]);
            self.keys.sort_unstable();
        } else {
            for key in &keys[self.samples.start..samples.start] {
                if let Ok(at) = self.keys.binary_search(key) {
                    self.keys.remove(at);
                }
            }
            for key in &keys[self.samples.end..samples.end] {
                let at = self.keys.partition_point(|other| other < key);
                self.keys.insert(at, *key);
            }
        }
        self.samples = samples.clone();
    }
}

/// Candidates for the least or greatest value of a window: each beats all that follow it.
#[derive(Debug, Default)]
struct Extreme {
    samples: Range<usize>,
    candidates: VecDeque<usize>,
}

impl Extreme {
    fn slide(
        &mut self,
        values: &[f64],
        samples: &Range<usize>,
        better: impl Fn(f64, f64) -> bool,
    ) -> f64 {
        let overlap = self.samples.start <= samples.start
            && (self.samples.start..=samples.end).contains(&self.samples.end);
        if !overlap || samples.start >= self.samples.end {
            self.candidates.clear();
            self.samples = samples.start..samples.start;
        }
        for i in self.samples.end..samples.end {
            if values[i].is_nan() {
                continue;
            }
            // Of equal values the first counts.
            while self.candidates.back().is_some_and(|last| better(values[i], values[*last])) {
                self.candidates.pop_back();
            }
            self.candidates.push_back(i);
        }
        while self.candidates.front().is_some_and(|first| *first < samples.start) {
            self.candidates.pop_front();
        }
        self.samples = samples.clone();
        self.candidates.front().map_or(f64::NAN, |first| values[*first])
    }
}

/// What is known of all samples of a series at once.
#[derive(Debug, Default)]
struct Prefix {
    state: State,
    /// Sum of the values before each sample.
    sums: Vec<f64>,
    /// Samples after which something happened.
    positions: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    Known,
    /// Sums would not be exact.
    Inexact,
}

impl Prefix {
    /// The sum of the window, if all values of the series are whole numbers and no sum of them can
    /// be rounded.
    fn exact_sum(&mut self, values: &[f64], samples: &Range<usize>) -> Option<f64> {
        if self.state == State::Unknown {
            self.state = if self.sum_up(values) { State::Known } else { State::Inexact };
        }
        (self.state == State::Known).then(|| self.sums[samples.end] - self.sums[samples.start])
    }

    fn sum_up(&mut self, values: &[f64]) -> bool {
        self.sums.clear();
        let (mut sum, mut size) = (0.0, 0.0);
        self.sums.push(sum);
        for value in values {
            sum += value;
            size += value.abs();
            // Also false for NaN and infinities.
            if !(value.fract() == 0.0 && size < EXACT_MAX) {
                return false;
            }
            self.sums.push(sum);
        }
        true
    }

    /// The samples of the window, all but its last, after which `happened`.
    fn positions(
        &mut self,
        samples: &Range<usize>,
        count: usize,
        happened: impl Fn(usize) -> bool,
    ) -> &[usize] {
        if self.state == State::Unknown {
            self.positions.clear();
            self.positions.extend((0..count.saturating_sub(1)).filter(|i| happened(*i)));
            self.state = State::Known;
        }
        let last = samples.end.saturating_sub(1);
        let from = self.positions.partition_point(|i| *i < samples.start);
        let to = self.positions.partition_point(|i| *i < last);
        &self.positions[from..to.max(from)]
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn count(
        &mut self,
        samples: &Range<usize>,
        count: usize,
        happened: impl Fn(usize) -> bool,
    ) -> f64 {
        self.positions(samples, count, happened).len() as f64
    }
}

#[cfg(test)]
mod tests;
