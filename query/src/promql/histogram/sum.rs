//! Sums and means of histograms, each count with its own compensation.

use ephemeris_model::{CounterResetHint, FloatHistogram};

use super::arithmetic::{combined_hint, has_same_layout, same_terms};
use super::buckets::indexed;
use super::layout::{Side, zip_union};
use super::{Incompatible, add, custom, divide, multiply, reduce_resolution, zero};
use crate::promql::functions::KahanSum;

/// A running sum of histograms.
///
/// The compensation is a histogram of the same layout: what rounding took from each number.
#[derive(Clone, Debug)]
pub struct HistogramSum {
    sum: FloatHistogram,
    /// Missing until the second histogram comes.
    compensation: Option<FloatHistogram>,
    seen: Seen,
}

/// What was met while adding up.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    reset: bool,
    not_reset: bool,
    other_bounds: bool,
}

impl Seen {
    fn hint(&mut self, histogram: &FloatHistogram) {
        match histogram.reset_hint {
            CounterResetHint::Reset => self.reset = true,
            CounterResetHint::NotReset => self.not_reset = true,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
    }
}

impl HistogramSum {
    /// A sum of one histogram.
    #[must_use]
    pub fn new(first: &FloatHistogram) -> Self {
        let mut seen = Seen::default();
        seen.hint(first);
        Self { sum: first.clone(), compensation: None, seen }
    }

    /// Adds `other`.
    ///
    /// # Errors
    /// If exponential and custom buckets meet. The sum is as it was.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<(), Incompatible> {
        self.seen.hint(other);
        if has_same_layout(&self.sum, other) {
            self.add_in_place(other);
        } else {
            self.add_reconciled(other)?;
        }
        self.sum.reset_hint = combined_hint(self.sum.reset_hint, other.reset_hint).0;
        Ok(())
    }

    fn add_in_place(&mut self, other: &FloatHistogram) {
        let compensation = self.compensation.get_or_insert_with(|| zeroes_like(&self.sum));
        add_totals(&mut self.sum, compensation, other);
        let sums = self.sum.positive_buckets.iter_mut().chain(&mut self.sum.negative_buckets);
        let lost =
            compensation.positive_buckets.iter_mut().chain(&mut compensation.negative_buckets);
        let counts = other.positive_buckets.iter().chain(&other.negative_buckets);
        for ((sum, lost), count) in sums.zip(lost).zip(counts) {
            add_one(sum, lost, *count);
        }
    }

    fn add_reconciled(&mut self, other: &FloatHistogram) -> Result<(), Incompatible> {
        let (mut sum, other, differ) = same_terms(&self.sum, other)?;
        let mut lost = self.compensation.take().unwrap_or_else(|| zeroes_like(&self.sum));
        if differ {
            self.seen.other_bounds = true;
            custom::rebound(&mut lost, &sum.custom_values);
        } else if sum.zero_threshold > lost.zero_threshold {
            let inside = zero_count_below(&lost, sum.zero_threshold);
            zero::widen(&mut lost, inside, sum.zero_threshold);
        }
        reduce_resolution(&mut lost, sum.schema);
        let merge = |sum: (&[_], &[f64]), lost: (&[_], &[f64]), more: (&[_], &[f64])| {
            let lost = indexed(lost.0, lost.1).collect::<Vec<_>>();
            let terms = zip_union(indexed(sum.0, sum.1), indexed(more.0, more.1));
            merge_terms(terms, &lost)
        };
        let positive = merge(
            (&sum.positive_spans, &sum.positive_buckets),
            (&lost.positive_spans, &lost.positive_buckets),
            (&other.positive_spans, &other.positive_buckets),
        );
        let negative = merge(
            (&sum.negative_spans, &sum.negative_buckets),
            (&lost.negative_spans, &lost.negative_buckets),
            (&other.negative_spans, &other.negative_buckets),
        );
        (sum.positive_spans, sum.positive_buckets) = (positive.0.spans.clone(), positive.0.counts);
        (lost.positive_spans, lost.positive_buckets) = (positive.0.spans, positive.1);
        (sum.negative_spans, sum.negative_buckets) = (negative.0.spans.clone(), negative.0.counts);
        (lost.negative_spans, lost.negative_buckets) = (negative.0.spans, negative.1);
        add_totals(&mut sum, &mut lost, &other);
        self.sum = sum;
        self.compensation = Some(lost);
        Ok(())
    }

    /// Takes in all that `other` has added up.
    ///
    /// # Errors
    /// If exponential and custom buckets meet.
    pub fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        self.add(&other.sum)?;
        if let Some(lost) = &other.compensation {
            let hint = self.sum.reset_hint;
            self.add(&FloatHistogram { reset_hint: hint, ..lost.clone() })?;
        }
        self.seen.reset |= other.seen.reset;
        self.seen.not_reset |= other.seen.not_reset;
        self.seen.other_bounds |= other.seen.other_bounds;
        Ok(())
    }

    /// The sum, not compacted.
    #[must_use]
    pub fn total(&self) -> FloatHistogram {
        let Some(lost) = &self.compensation else { return self.sum.clone() };
        let mut total = self.sum.clone();
        total.count += lost.count;
        total.sum += lost.sum;
        total.zero_count += lost.zero_count;
        let sums = total.positive_buckets.iter_mut().chain(&mut total.negative_buckets);
        let lost = lost.positive_buckets.iter().chain(&lost.negative_buckets);
        for (sum, lost) in sums.zip(lost) {
            *sum += lost;
        }
        total
    }

    /// Whether resets and non-resets were added up.
    #[must_use]
    pub const fn reset_collision(&self) -> bool {
        self.seen.reset && self.seen.not_reset
    }

    /// Whether custom bounds differed, so that some were dropped.
    #[must_use]
    pub const fn bounds_reconciled(&self) -> bool {
        self.seen.other_bounds
    }

    fn overflows(&self) -> bool {
        let sum = &self.sum;
        let buckets = sum.positive_buckets.iter().chain(&sum.negative_buckets);
        let mut numbers = [sum.count, sum.sum, sum.zero_count].into_iter().chain(buckets.copied());
        numbers.any(f64::is_infinite)
    }

    fn scale(&mut self, change: impl Fn(&FloatHistogram) -> FloatHistogram) {
        self.sum = change(&self.sum);
        self.compensation = self.compensation.as_ref().map(change);
    }
}

/// Sums of the buckets of `terms` with their compensation.
fn merge_terms(
    terms: impl Iterator<Item = (i32, f64, f64)>,
    lost: &[(i32, f64)],
) -> (Side, Vec<f64>) {
    let (mut side, mut lost_counts) = (Side::default(), Vec::new());
    for (index, mut sum, count) in terms {
        let at = lost.binary_search_by_key(&index, |(i, _)| *i);
        let mut lost = at.ok().and_then(|at| lost.get(at)).map_or(0.0, |(_, lost)| *lost);
        add_one(&mut sum, &mut lost, count);
        side.push(index, sum);
        lost_counts.push(lost);
    }
    (side, lost_counts)
}

/// Count of the zero bucket if all buckets below `threshold` were part of it.
fn zero_count_below(histogram: &FloatHistogram, threshold: f64) -> f64 {
    let positive = super::positive_buckets(histogram).take_while(|b| b.lower < threshold);
    let negative = super::negative_buckets(histogram).take_while(|b| b.upper > -threshold);
    histogram.zero_count + positive.chain(negative).map(|bucket| bucket.count).sum::<f64>()
}

fn zeroes_like(histogram: &FloatHistogram) -> FloatHistogram {
    let mut zeroes = histogram.clone();
    (zeroes.count, zeroes.sum, zeroes.zero_count) = (0.0, 0.0, 0.0);
    zeroes.positive_buckets.fill(0.0);
    zeroes.negative_buckets.fill(0.0);
    zeroes
}

fn add_totals(sum: &mut FloatHistogram, lost: &mut FloatHistogram, other: &FloatHistogram) {
    add_one(&mut sum.count, &mut lost.count, other.count);
    add_one(&mut sum.sum, &mut lost.sum, other.sum);
    add_one(&mut sum.zero_count, &mut lost.zero_count, other.zero_count);
}

fn add_one(sum: &mut f64, compensation: &mut f64, value: f64) {
    let mut running = KahanSum { sum: *sum, compensation: *compensation };
    running.add(value);
    (*sum, *compensation) = (running.sum, running.compensation);
}

/// A running mean of histograms: the sum by the count, or, from the histogram on that would
/// overflow it, the mean carried along.
#[derive(Clone, Debug)]
pub struct HistogramMean {
    /// The sum; the mean itself once `incremental`.
    running: HistogramSum,
    incremental: bool,
    count: f64,
}

impl HistogramMean {
    /// A mean of one histogram.
    #[must_use]
    pub fn new(first: &FloatHistogram) -> Self {
        Self { running: HistogramSum::new(first), incremental: false, count: 1.0 }
    }

    /// Takes `other` into the mean.
    ///
    /// # Errors
    /// If exponential and custom buckets meet.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<(), Incompatible> {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.running.clone();
            next.add(other)?;
            if !next.overflows() {
                self.running = next;
                return Ok(());
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.running.scale(|histogram| divide(histogram, before));
        }
        let share = (self.count - 1.0) / self.count;
        self.running.scale(|histogram| multiply(histogram, share));
        self.running.add(&divide(other, self.count))
    }

    /// Takes in all histograms of `other`.
    ///
    /// # Errors
    /// If exponential and custom buckets meet.
    pub fn merge(&mut self, other: &Self) -> Result<(), Incompatible> {
        let count = self.count + other.count;
        if !self.incremental && !other.incremental {
            let mut next = self.running.clone();
            next.merge(&other.running)?;
            if !next.overflows() {
                *self = Self { running: next, incremental: false, count };
                return Ok(());
            }
        }
        let part = |mean: &Self| {
            let by = if mean.incremental { 1.0 } else { mean.count };
            let mut running = mean.running.clone();
            running.scale(|histogram| multiply(&divide(histogram, by), mean.count / count));
            running
        };
        let mut running = part(self);
        running.merge(&part(other))?;
        *self = Self { running, incremental: true, count };
        Ok(())
    }

    /// The mean, not compacted.
    #[must_use]
    pub fn total(&self) -> FloatHistogram {
        if self.incremental {
            return self.running.total();
        }
        let mean = divide(&self.running.sum, self.count);
        let Some(lost) = &self.running.compensation else { return mean };
        let mut lost = divide(lost, self.count);
        lost.reset_hint = mean.reset_hint;
        add(&mean, &lost).map_or(mean, |combined| combined.histogram)
    }

    /// Whether resets and non-resets were added up.
    #[must_use]
    pub const fn reset_collision(&self) -> bool {
        self.running.reset_collision()
    }

    /// Whether custom bounds differed, so that some were dropped.
    #[must_use]
    pub const fn bounds_reconciled(&self) -> bool {
        self.running.bounds_reconciled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::samples::{any_histogram, custom, exponential};
    use crate::promql::histogram::{compact, equal};
    use proptest::prelude::*;

    #[test]
    fn small_counts_survive_large_ones() {
        let of = |count: f64| exponential(0, &[(0, count)], &[]);
        let mut sum = HistogramSum::new(&of(1.0));
        for count in [1e100, 1.0, -1e100] {
            sum.add(&of(count)).expect("the same schema");
        }
        assert_eq!(sum.total().positive_buckets, [2.0]);
        assert_eq!(sum.total().count, 2.0);
    }

    #[test]
    fn compensation_survives_a_change_of_layout() {
        let mut sum = HistogramSum::new(&exponential(1, &[(1, 1.0), (2, 1e100)], &[]));
        sum.add(&exponential(1, &[(1, 1e100), (2, 1.0)], &[])).expect("the same schema");
        sum.add(&exponential(0, &[(1, -1e100)], &[])).expect("both exponential");
        sum.add(&exponential(0, &[(1, -1e100)], &[])).expect("both exponential");
        assert_eq!(sum.total().positive_buckets, [2.0]);
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let of = |count: f64| exponential(0, &[(0, count)], &[]);
        let mut mean = HistogramMean::new(&of(f64::MAX));
        mean.add(&of(f64::MAX)).expect("the same schema");
        mean.add(&of(f64::MAX)).expect("the same schema");
        let total = mean.total();
        assert!((total.count / f64::MAX - 1.0).abs() < 1e-12);
    }

    #[test]
    fn collisions_and_other_bounds_are_remembered() {
        let mut first = custom(&[1.0, 2.0], &[1.0, 1.0, 1.0]);
        first.reset_hint = CounterResetHint::Reset;
        let mut second = custom(&[1.0], &[1.0, 1.0]);
        second.reset_hint = CounterResetHint::NotReset;
        let mut sum = HistogramSum::new(&first);
        assert!(!sum.reset_collision() && !sum.bounds_reconciled());
        sum.add(&second).expect("both custom");
        assert!(sum.reset_collision() && sum.bounds_reconciled());
        assert_eq!(sum.total().reset_hint, CounterResetHint::Unknown);
        assert_eq!(sum.add(&exponential(0, &[], &[])), Err(Incompatible));
        assert_eq!(sum.total().positive_buckets, [2.0, 3.0]);
    }

    proptest! {
        #[test]
        fn whole_numbers_add_up_like_plain_addition(
            all in proptest::collection::vec(any_histogram(), 1..6),
        ) {
            let mut sum = HistogramSum::new(&all[0]);
            let mut plain = all[0].clone();
            for histogram in &all[1..] {
                sum.add(histogram).expect("all exponential");
                plain = add(&plain, histogram).expect("all exponential").histogram;
            }
            let mut total = sum.total();
            compact(&mut total);
            compact(&mut plain);
            prop_assert!(equal(&total, &plain), "{total:?} is not {plain:?}");
        }
    }
}
