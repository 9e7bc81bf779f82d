//! A vector whose samples count against the budget for as long as it lives.

use std::ops::{Deref, DerefMut};

use super::batch::StepSeries;
use crate::budget::{Budget, BudgetError, Load};

/// Samples a histogram counts as: it takes that much more memory than a float.
const HISTOGRAM_SAMPLES: u64 = 16;
/// About what a histogram takes beside its buckets.
const HISTOGRAM_BYTES: u64 = 300;
/// About what the labels and columns of a series take beside their values.
const SERIES_BYTES: u64 = 300;

/// Series at the steps of a grid, counted.
#[derive(Debug)]
pub(super) struct Held<'a> {
    series: Vec<StepSeries>,
    load: Load,
    budget: &'a Budget,
}

impl<'a> Held<'a> {
    /// Counts `series`.
    pub(super) fn new(series: Vec<StepSeries>, budget: &'a Budget) -> Result<Self, BudgetError> {
        let load = series.iter().map(load_of).sum();
        budget.hold(load)?;
        Ok(Self { series, load, budget })
    }

    /// Of series that are counted already.
    pub(super) fn counted(series: Vec<StepSeries>, budget: &'a Budget) -> Self {
        let load = series.iter().map(load_of).sum();
        Self { series, load, budget }
    }

    /// Takes the series out; they count no longer.
    pub(super) fn into_inner(mut self) -> Vec<StepSeries> {
        std::mem::take(&mut self.series)
    }
}

/// What a series takes.
pub(super) fn load_of(series: &StepSeries) -> Load {
    let mut load = floats(series.values.len());
    load.bytes += 8 * series.histograms.len() as u64;
    for histogram in series.histograms.iter().flatten() {
        let buckets = histogram.positive_buckets.len() + histogram.negative_buckets.len();
        load.samples += HISTOGRAM_SAMPLES;
        load.bytes += HISTOGRAM_BYTES + 8 * buckets as u64;
    }
    load
}

/// What a series of `count` floats takes.
pub(super) const fn floats(count: usize) -> Load {
    Load { samples: count as u64, bytes: SERIES_BYTES + 8 * count as u64 }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.release(self.load);
    }
}

impl Deref for Held<'_> {
    type Target = Vec<StepSeries>;
    fn deref(&self) -> &Self::Target {
        &self.series
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.series
    }
}
