//! What a group keeps at each step, for each aggregation.

use std::sync::Arc;

use ephemeris_model::{FloatHistogram, is_stale};

use super::FoldNotes;
use super::moments::{Mean, Moments};
use crate::budget::Load;
use crate::promql::ast::AggregateOp;
use crate::promql::exec::batch::{ABSENT, Point, StepSeries};
use crate::promql::functions::{KahanSum, quantile_of};
use crate::promql::histogram::{self, HistogramMean, HistogramSum, Incompatible};

/// About what a combined histogram takes beside its buckets.
const HISTOGRAM_BYTES: u64 = 600;
/// About what the key and the column of a group take beside their entries.
const GROUP_BYTES: u64 = 400;

/// The state of a group, one entry a step.
pub(super) enum Column {
    Sum(Vec<FloatSum>, Histograms<HistogramSum>),
    Avg(Vec<Mean>, Histograms<HistogramMean>),
    Min(Vec<f64>),
    Max(Vec<f64>),
    Count(Vec<f64>),
    Group(Vec<f64>),
    Stddev(Vec<Moments>),
    Stdvar(Vec<Moments>),
    Quantile(Vec<Vec<f64>>),
}

/// A sum of floats; none so far if `any` is not set.
#[derive(Clone, Copy, Default)]
pub(super) struct FloatSum {
    sum: KahanSum,
    any: bool,
}

/// Combined histograms of a group; empty until the first one comes.
pub(super) struct Histograms<T>(Vec<Slot<T>>);

enum Slot<T> {
    Empty,
    Combined(T),
    /// Buckets did not fit, so there is no result.
    Incompatible,
}

/// A running combination of histograms.
pub(super) trait Combine: Sized {
    fn start(first: &FloatHistogram) -> Self;
    fn add(&mut self, other: &FloatHistogram) -> Result<(), Incompatible>;
    fn merge(&mut self, other: &Self) -> Result<(), Incompatible>;
    fn finish(self, notes: &mut FoldNotes) -> FloatHistogram;
}

macro_rules! combine_by {
    ($kind:ty) => {
        impl Combine for $kind {
            fn start(first: &FloatHistogram) -> Self {
                Self::new(first)
            }

            fn add(&mut self, other: &FloatHistogram) -> Result<(), Incompatible> {
                Self::add(self, other)
            }

            fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
                Self::merge(self, other)
            }

            fn finish(self, notes: &mut FoldNotes) -> FloatHistogram {
                notes.reset_collision |= self.reset_collision();
                notes.bounds_reconciled |= self.bounds_reconciled();
                let mut histogram = self.total();
                histogram::compact(&mut histogram);
                histogram
            }
        }
    };
}

combine_by!(HistogramSum);
combine_by!(HistogramMean);

impl<T: Combine> Histograms<T> {
    /// Adds the histograms of `series`; returns what they take more than before.
    fn add(&mut self, series: &StepSeries, notes: &mut FoldNotes) -> Load {
        let mut grown = Load::default();
        if series.histograms.is_empty() {
            return grown;
        }
        if self.0.is_empty() {
            self.0.resize_with(series.values.len(), || Slot::Empty);
            grown.bytes += size_of_val(&self.0[..]) as u64;
        }
        for (slot, histogram) in self.0.iter_mut().zip(&series.histograms) {
            let Some(histogram) = histogram else { continue };
            match slot {
                Slot::Empty => {
                    *slot = Slot::Combined(T::start(histogram));
                    let buckets =
                        histogram.positive_buckets.len() + histogram.negative_buckets.len();
                    grown.bytes += HISTOGRAM_BYTES + 16 * buckets as u64;
                }
                Slot::Combined(combined) => {
                    if combined.add(histogram).is_err() {
                        *slot = Slot::Incompatible;
                        notes.add_incompatible(series.labels.metric_name().unwrap_or_default());
                    }
                }
                Slot::Incompatible => {}
            }
        }
        grown
    }

    fn merge(&mut self, other: Self, notes: &mut FoldNotes) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for (slot, other) in self.0.iter_mut().zip(other.0) {
            match (&mut *slot, other) {
                (_, Slot::Empty) | (Slot::Incompatible, _) => {}
                (Slot::Empty, other) => *slot = other,
                (_, Slot::Incompatible) => *slot = Slot::Incompatible,
                (Slot::Combined(combined), Slot::Combined(other)) => {
                    if combined.merge(&other).is_err() {
                        *slot = Slot::Incompatible;
                        notes.add_incompatible("");
                    }
                }
            }
        }
    }

    /// Puts the results into `out`, whose floats are there already.
    fn finish(self, out: &mut StepSeries, notes: &mut FoldNotes) {
        for (step, slot) in self.0.into_iter().enumerate() {
            let has_float = !is_stale(out.values[step]);
            match slot {
                Slot::Empty => {}
                _ if has_float => {
                    notes.mixed = true;
                    out.values[step] = ABSENT;
                }
                Slot::Incompatible => out.values[step] = ABSENT,
                Slot::Combined(combined) => {
                    let histogram = Arc::new(combined.finish(notes));
                    out.set(step, Some(Point::Histogram(histogram)));
                }
            }
        }
    }
}

impl Column {
    pub(super) fn new(op: AggregateOp, steps: usize) -> Self {
        let absent = || vec![ABSENT; steps];
        match op {
            AggregateOp::Avg => Self::Avg(vec![Mean::default(); steps], Histograms(Vec::new())),
            AggregateOp::Min => Self::Min(absent()),
            AggregateOp::Max => Self::Max(absent()),
            AggregateOp::Count => Self::Count(vec![0.0; steps]),
            AggregateOp::Group => Self::Group(absent()),
            AggregateOp::Stddev => Self::Stddev(vec![Moments::default(); steps]),
            AggregateOp::Stdvar => Self::Stdvar(vec![Moments::default(); steps]),
            AggregateOp::Quantile => Self::Quantile(vec![Vec::new(); steps]),
            _ => Self::Sum(vec![FloatSum::default(); steps], Histograms(Vec::new())),
        }
    }

    /// What it takes, without values that are kept one by one. It counts no samples: partial
    /// columns of several threads may stand for the same samples of the result.
    pub(super) fn load(&self) -> Load {
        let bytes = match self {
            Self::Sum(sums, _) => size_of_val(&sums[..]),
            Self::Avg(means, _) => size_of_val(&means[..]),
            Self::Min(values) | Self::Max(values) | Self::Count(values) | Self::Group(values) => {
                size_of_val(&values[..])
            }
            Self::Stddev(moments) | Self::Stdvar(moments) => size_of_val(&moments[..]),
            Self::Quantile(values) => size_of_val(&values[..]),
        };
        Load { samples: 0, bytes: GROUP_BYTES + bytes as u64 }
    }

    /// Adds the samples of `series`; returns what it takes more than before.
    pub(super) fn add(&mut self, series: &StepSeries, notes: &mut FoldNotes) -> Load {
        let values = &series.values;
        match self {
            Self::Sum(sums, histograms) => {
                each(sums, values, |sum, value| {
                    if sum.any {
                        sum.sum.add(value);
                    } else {
                        *sum = FloatSum { sum: KahanSum::new(value), any: true };
                    }
                });
                return histograms.add(series, notes);
            }
            Self::Avg(means, histograms) => {
                each(means, values, Mean::add);
                return histograms.add(series, notes);
            }
            Self::Count(counts) => {
                each(counts, values, |count, _| *count += 1.0);
                each_histogram(counts, series, |count| *count += 1.0);
                return Load::default();
            }
            Self::Group(marks) => {
                each(marks, values, |mark, _| *mark = 1.0);
                each_histogram(marks, series, |mark| *mark = 1.0);
                return Load::default();
            }
            Self::Min(least) => each(least, values, lesser),
            Self::Max(most) => each(most, values, greater),
            Self::Stddev(moments) | Self::Stdvar(moments) => each(moments, values, Moments::add),
            Self::Quantile(all) => {
                let mut count = 0;
                each(all, values, |all, value| {
                    all.push(value);
                    count += 1;
                });
                notes.ignored_histogram |= !series.histograms.is_empty();
                return Load { samples: count, bytes: 8 * count };
            }
        }
        notes.ignored_histogram |= series.histograms.iter().any(Option::is_some);
        Load::default()
    }

    /// Takes in the samples of `other`, which is of the same aggregation.
    pub(super) fn merge(&mut self, other: Self, notes: &mut FoldNotes) {
        match (self, other) {
            (Self::Sum(sums, histograms), Self::Sum(other, more)) => {
                for (sum, other) in sums.iter_mut().zip(other) {
                    if !sum.any {
                        *sum = other;
                    } else if other.any {
                        sum.sum.add(other.sum.sum);
                        sum.sum.add(other.sum.compensation);
                    }
                }
                histograms.merge(more, notes);
            }
            (Self::Avg(means, histograms), Self::Avg(other, more)) => {
                means.iter_mut().zip(other).for_each(|(mean, other)| mean.merge(other));
                histograms.merge(more, notes);
            }
            (Self::Min(least), Self::Min(other)) => each(least, &other, lesser),
            (Self::Max(most), Self::Max(other)) => each(most, &other, greater),
            (Self::Count(counts), Self::Count(other)) => {
                counts.iter_mut().zip(other).for_each(|(count, other)| *count += other);
            }
            (Self::Group(marks), Self::Group(other)) => {
                each(marks, &other, |mark, _| *mark = 1.0);
            }
            (Self::Stddev(moments), Self::Stddev(other))
            | (Self::Stdvar(moments), Self::Stdvar(other)) => {
                moments.iter_mut().zip(other).for_each(|(moments, other)| moments.merge(other));
            }
            (Self::Quantile(all), Self::Quantile(other)) => {
                all.iter_mut().zip(other).for_each(|(all, other)| all.extend(other));
            }
            _ => debug_assert!(false, "columns of one aggregation are of one kind"),
        }
    }

    /// Puts the results into `out`; `params` are those of `quantile`.
    pub(super) fn finish(self, out: &mut StepSeries, params: &[f64], notes: &mut FoldNotes) {
        match self {
            Self::Sum(sums, histograms) => {
                for (value, sum) in out.values.iter_mut().zip(sums) {
                    *value = if sum.any { sum.sum.total() } else { ABSENT };
                }
                histograms.finish(out, notes);
            }
            Self::Avg(means, histograms) => {
                for (value, mean) in out.values.iter_mut().zip(means) {
                    *value = if mean.is_empty() { ABSENT } else { mean.result() };
                }
                histograms.finish(out, notes);
            }
            Self::Min(values) | Self::Max(values) | Self::Group(values) => out.values = values,
            Self::Count(counts) => {
                for (value, count) in out.values.iter_mut().zip(counts) {
                    *value = if count == 0.0 { ABSENT } else { count };
                }
            }
            Self::Stddev(moments) => deviations(out, &moments, f64::sqrt),
            Self::Stdvar(moments) => deviations(out, &moments, |variance| variance),
            Self::Quantile(all) => {
                for ((value, all), quantile) in out.values.iter_mut().zip(all).zip(params) {
                    *value = if all.is_empty() { ABSENT } else { quantile_of(*quantile, &all) };
                }
            }
        }
    }
}

fn deviations(out: &mut StepSeries, moments: &[Moments], of_variance: impl Fn(f64) -> f64) {
    for (value, moments) in out.values.iter_mut().zip(moments) {
        *value = if moments.is_empty() { ABSENT } else { of_variance(moments.variance()) };
    }
}

/// Calls `take` with each state whose step has a float.
#[inline]
fn each<T>(states: &mut [T], values: &[f64], mut take: impl FnMut(&mut T, f64)) {
    for (state, value) in states.iter_mut().zip(values) {
        if !is_stale(*value) {
            take(state, *value);
        }
    }
}

fn each_histogram<T>(states: &mut [T], series: &StepSeries, take: impl Fn(&mut T)) {
    let found = states.iter_mut().zip(&series.histograms).filter(|(_, h)| h.is_some());
    found.for_each(|(state, _)| take(state));
}

fn lesser(least: &mut f64, value: f64) {
    if value < *least || least.is_nan() {
        *least = value;
    }
}

fn greater(most: &mut f64, value: f64) {
    if value > *most || most.is_nan() {
        *most = value;
    }
}
