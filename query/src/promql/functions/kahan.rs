//! Sums with Neumaier's compensation, step by step as Prometheus adds, so that results agree to
//! the last bit.

/// A running sum and what rounding took from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KahanSum {
    /// The sum so far.
    pub sum: f64,
    /// What is to be added to it at the end.
    pub compensation: f64,
}

impl KahanSum {
    /// A sum that starts at `sum`.
    #[must_use]
    pub const fn new(sum: f64) -> Self {
        Self { sum, compensation: 0.0 }
    }

    /// Adds `value`.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.compensation = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.compensation += (self.sum - total) + value;
        } else {
            self.compensation += (value - total) + self.sum;
        }
        self.sum = total;
    }

    /// The sum with its compensation; an infinite sum stays what it is.
    #[inline]
    #[must_use]
    pub fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.compensation }
    }

    /// Sum and compensation times `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { sum: self.sum * factor, compensation: self.compensation * factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_survive_large_ones() {
        let mut sum = KahanSum::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 2.0);
    }

    #[test]
    fn an_overflow_stays_infinite() {
        let mut sum = KahanSum::default();
        for _ in 0..3 {
            sum.add(f64::MAX);
        }
        assert_eq!(sum.total(), f64::INFINITY);
    }
}
