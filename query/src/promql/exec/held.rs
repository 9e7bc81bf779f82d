//! A vector whose samples count against the budget for as long as it lives.

use std::ops::{Deref, DerefMut};

use super::batch::StepSeries;
use crate::budget::{Budget, BudgetError};

/// Samples a histogram counts as: it takes that much more memory than a float.
const HISTOGRAM_WEIGHT: usize = 16;

/// Series at the steps of a grid, counted.
#[derive(Debug)]
pub(super) struct Held<'a> {
    series: Vec<StepSeries>,
    samples: u64,
    budget: &'a Budget,
}

impl<'a> Held<'a> {
    /// Counts `series`.
    pub(super) fn new(series: Vec<StepSeries>, budget: &'a Budget) -> Result<Self, BudgetError> {
        let samples = series.iter().map(weight).sum();
        budget.hold(samples)?;
        Ok(Self { series, samples, budget })
    }

    /// Of series that are counted already.
    pub(super) fn counted(series: Vec<StepSeries>, budget: &'a Budget) -> Self {
        let samples = series.iter().map(weight).sum();
        Self { series, samples, budget }
    }

    /// Takes the series out; they count no longer.
    pub(super) fn into_inner(mut self) -> Vec<StepSeries> {
        std::mem::take(&mut self.series)
    }
}

/// What a series counts.
pub(super) fn weight(series: &StepSeries) -> u64 {
    (series.values.len() + series.histograms.iter().flatten().count() * HISTOGRAM_WEIGHT) as u64
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.release(self.samples);
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
