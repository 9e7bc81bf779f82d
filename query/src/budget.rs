//! What one query may use: time, series, samples held in memory. Checked inside the loops of the
//! operators, by all threads of a query. A budget serves one query and is not used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;

/// Limits of a query.
#[derive(Clone, Copy, Debug)]
pub struct BudgetLimits {
    /// Samples held in memory at once: one for each series and step of each vector alive,
    /// one for each sample of a range vector that is part of the answer.
    pub samples_max: u64,
    /// Series a query may touch, over all its selectors.
    pub series_max: u64,
    /// Time a query may take.
    pub timeout: Duration,
}

impl Default for BudgetLimits {
    fn default() -> Self {
        Self {
            samples_max: 50_000_000,
            series_max: 20_000_000,
            timeout: Duration::from_secs(2 * 60),
        }
    }
}

/// Which part of a budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// The query took too long.
    #[error("query timed out in query execution")]
    Timeout,
    /// The caller went away.
    #[error("query was canceled in query execution")]
    Canceled,
    /// More samples than may be held at once.
    #[error(
        "query processing would load too many samples into memory in query execution; \
         limit is {max} (query.samples_max)"
    )]
    Samples {
        /// The limit.
        max: u64,
    },
    /// More series than a query may touch.
    #[error("query would touch {got} series; limit is {max} (query.series_max)")]
    Series {
        /// What the query would touch.
        got: u64,
        /// The limit.
        max: u64,
    },
}

/// What is left for one query to use.
#[derive(Debug)]
pub struct Budget {
    limits: BudgetLimits,
    deadline: Instant,
    cancel: Arc<AtomicBool>,
    held: AtomicU64,
    peak: AtomicU64,
    read: AtomicU64,
    series: AtomicU64,
}

impl Budget {
    /// A budget whose time starts now.
    #[must_use]
    pub fn new(limits: BudgetLimits) -> Self {
        Self::with_cancel(limits, Arc::new(AtomicBool::new(false)))
    }

    /// As [`Budget::new`]; the query ends soon after `cancel` is set.
    #[must_use]
    pub fn with_cancel(limits: BudgetLimits, cancel: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        Self {
            limits,
            deadline: now.checked_add(limits.timeout).unwrap_or(now),
            cancel,
            held: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            read: AtomicU64::new(0),
            series: AtomicU64::new(0),
        }
    }

    /// Whether the query may go on.
    ///
    /// # Errors
    /// If it was canceled or its time is up.
    pub fn check(&self) -> Result<(), BudgetError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(BudgetError::Canceled);
        }
        if Instant::now() >= self.deadline {
            return Err(BudgetError::Timeout);
        }
        Ok(())
    }

    /// Takes `samples` into memory until they are [released](Budget::release).
    ///
    /// # Errors
    /// If more would be held than allowed.
    pub fn hold(&self, samples: u64) -> Result<(), BudgetError> {
        let held = self.held.fetch_add(samples, Ordering::Relaxed).saturating_add(samples);
        self.peak.fetch_max(held, Ordering::Relaxed);
        if held > self.limits.samples_max {
            return Err(BudgetError::Samples { max: self.limits.samples_max });
        }
        Ok(())
    }

    /// Gives back what was held.
    pub fn release(&self, samples: u64) {
        // A release beyond what is held would be a bug here; it must not wrap to a huge number.
        let _ = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            Some(held.saturating_sub(samples))
        });
    }

    /// Whether `samples` could ever be held; asked before a size is allocated.
    ///
    /// # Errors
    /// If `samples` alone pass the limit.
    pub fn admit(&self, samples: u64) -> Result<(), BudgetError> {
        if samples > self.limits.samples_max {
            return Err(BudgetError::Samples { max: self.limits.samples_max });
        }
        Ok(())
    }

    /// Counts `series` a selector found.
    ///
    /// # Errors
    /// If the query touches more than allowed.
    pub fn touch_series(&self, series: u64) -> Result<(), BudgetError> {
        let got = self.series.fetch_add(series, Ordering::Relaxed).saturating_add(series);
        if got > self.limits.series_max {
            return Err(BudgetError::Series { got, max: self.limits.series_max });
        }
        Ok(())
    }

    /// Counts samples read from the source.
    pub fn count_read(&self, samples: u64) {
        self.read.fetch_add(samples, Ordering::Relaxed);
    }

    /// Samples read so far.
    #[must_use]
    pub fn samples_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Most samples held at once so far.
    #[must_use]
    pub fn samples_peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Series touched so far.
    #[must_use]
    pub fn series_touched(&self) -> u64 {
        self.series.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holding_too_much_fails_and_release_makes_room() {
        let budget = Budget::new(BudgetLimits { samples_max: 10, ..BudgetLimits::default() });
        budget.hold(8).expect("8 of 10");
        assert_eq!(budget.hold(3), Err(BudgetError::Samples { max: 10 }));
        budget.release(11);
        budget.hold(10).expect("all of it again");
        assert_eq!(budget.samples_peak(), 11);
    }

    #[test]
    fn a_set_flag_cancels_and_a_zero_timeout_ends() {
        let cancel = Arc::new(AtomicBool::new(false));
        let budget = Budget::with_cancel(BudgetLimits::default(), Arc::clone(&cancel));
        assert_eq!(budget.check(), Ok(()));
        cancel.store(true, Ordering::Relaxed);
        assert_eq!(budget.check(), Err(BudgetError::Canceled));
        let none = BudgetLimits { timeout: Duration::ZERO, ..BudgetLimits::default() };
        assert_eq!(Budget::new(none).check(), Err(BudgetError::Timeout));
    }
}
