//! Means and variances that grow sample by sample and can be joined.

use crate::promql::functions::KahanSum;

/// A mean: the compensated sum and its count, or, from the sample on that would overflow the sum,
/// the mean itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: KahanSum,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0.0
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = KahanSum::new(value);
            return;
        }
        if !self.incremental {
            let mut next = self.sum;
            next.add(value);
            if !next.sum.is_infinite() {
                self.sum = next;
                return;
            }
            self.sum = divided(self.sum, self.count - 1.0);
            self.incremental = true;
        }
        let mut mean = self.sum.scaled((self.count - 1.0) / self.count);
        mean.add(value / self.count);
        self.sum = mean;
    }

    /// Takes in the samples of `other`.
    pub(super) fn merge(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = other;
            return;
        }
        let count = self.count + other.count;
        if !self.incremental && !other.incremental {
            let mut sum = self.sum;
            sum.add(other.sum.sum);
            sum.add(other.sum.compensation);
            if !sum.sum.is_infinite() {
                *self = Self { sum, count, incremental: false };
                return;
            }
        }
        let (left, right) = (self.as_mean(), other.as_mean());
        let mut mean = left.scaled(self.count / count);
        let right = right.scaled(other.count / count);
        mean.add(right.sum);
        mean.add(right.compensation);
        *self = Self { sum: mean, count, incremental: true };
    }

    fn as_mean(self) -> KahanSum {
        if self.incremental { self.sum } else { divided(self.sum, self.count) }
    }

    pub(super) fn result(self) -> f64 {
        let mean = self.as_mean();
        mean.sum + mean.compensation
    }
}

fn divided(sum: KahanSum, by: f64) -> KahanSum {
    KahanSum { sum: sum.sum / by, compensation: sum.compensation / by }
}

/// Count, mean and sum of squared deviations (Welford).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0.0
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    /// Takes in the samples of `other`.
    pub(super) fn merge(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = other;
            return;
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        self.squares += other.squares + delta * delta * (self.count * other.count / count);
        self.mean += delta * (other.count / count);
        self.count = count;
    }

    /// The variance of all samples.
    pub(super) fn variance(self) -> f64 {
        self.squares / self.count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mean_of(values: &[f64]) -> Mean {
        let mut mean = Mean::default();
        values.iter().for_each(|v| mean.add(*v));
        mean
    }

    fn moments_of(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        values.iter().for_each(|v| moments.add(*v));
        moments
    }

    #[test]
    fn a_mean_survives_sums_that_overflow() {
        let huge = f64::MAX;
        assert!((mean_of(&[huge, huge, huge]).result() / huge - 1.0).abs() < 1e-12);
        let mut joined = mean_of(&[huge, huge]);
        joined.merge(mean_of(&[huge]));
        assert!((joined.result() / huge - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn joined_parts_equal_the_whole(
            values in proptest::collection::vec(-1e6f64..1e6, 1..50),
            at in 0usize..50,
        ) {
            let (left, right) = values.split_at(at.min(values.len()));
            let mut mean = mean_of(left);
            mean.merge(mean_of(right));
            let exact = values.iter().sum::<f64>() / values.len() as f64;
            prop_assert!((mean.result() - exact).abs() < 1e-8);
            let mut moments = moments_of(left);
            moments.merge(moments_of(right));
            let variance = moments_of(&values).variance();
            prop_assert!((moments.variance() - variance).abs() <= 1e-9 * variance.max(1.0));
        }
    }
}
