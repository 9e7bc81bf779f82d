//! What one query may use: time, series, samples held in memory. Checked inside the loops of the
//! operators, by all threads of a query. A budget serves one query and is not used again; what all
//! queries hold together is counted in an [`Account`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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
    /// Bytes of vectors and of columns of groups held in memory at once.
    pub bytes_max: u64,
    /// Time a query may take.
    pub timeout: Duration,
}

impl Default for BudgetLimits {
    fn default() -> Self {
        Self {
            samples_max: 50_000_000,
            series_max: 20_000_000,
            bytes_max: 4 << 30,
            timeout: Duration::from_secs(2 * 60),
        }
    }
}

/// What something takes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Samples.
    pub samples: u64,
    /// Bytes.
    pub bytes: u64,
}

impl std::ops::AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl std::iter::Sum for Load {
    fn sum<I: Iterator<Item = Self>>(loads: I) -> Self {
        loads.fold(Self::default(), |mut sum, load| {
            sum += load;
            sum
        })
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
    /// More bytes than may be held at once.
    #[error(
        "query processing would take too much memory in query execution; limit is {max} bytes, \
         a share of memory_budget"
    )]
    Bytes {
        /// The limit.
        max: u64,
    },
    /// More bytes than all queries together may hold at once.
    #[error(
        "queries that run now would take too much memory together; limit is {max} bytes, \
         a share of memory_budget"
    )]
    Account {
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

/// The bytes all queries together hold.
#[derive(Debug)]
pub struct Account {
    max: u64,
    held: AtomicU64,
}

impl Account {
    /// An account of at most `bytes_max`.
    #[must_use]
    pub const fn new(bytes_max: u64) -> Self {
        Self { max: bytes_max, held: AtomicU64::new(0) }
    }

    /// Bytes held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// A query that has run for no longer lets nobody pass: most are done by then.
const SHORT: Duration = Duration::from_millis(10);

/// How long a query has run that gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// For ten milliseconds.
    NotShort,
    /// For so long that it is heavy.
    Long,
}

/// What is left for one query to use. What it holds when it is dropped is given back.
#[derive(Debug)]
pub struct Budget {
    limits: BudgetLimits,
    account: Option<Arc<Account>>,
    deadline: Instant,
    cancel: Arc<AtomicBool>,
    /// What threads of the query do when it has run for [`SHORT`], and when it is heavy.
    heavy: Option<(Duration, fn(Ran))>,
    /// When it began to run.
    began: OnceLock<Instant>,
    held: AtomicU64,
    held_bytes: AtomicU64,
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
            account: None,
            deadline: now.checked_add(limits.timeout).unwrap_or(now),
            cancel,
            heavy: None,
            began: OnceLock::new(),
            held: AtomicU64::new(0),
            held_bytes: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            read: AtomicU64::new(0),
            series: AtomicU64::new(0),
        }
    }

    /// The same, whose bytes count in `account` too.
    #[must_use]
    pub fn with_account(mut self, account: Arc<Account>) -> Self {
        self.account = Some(account);
        self
    }

    /// The same; threads that [check](Budget::check) it call `give_way` again and again once the
    /// query is no short one any more, or has [run](Budget::begin) for `after`.
    #[must_use]
    pub const fn with_heavy(mut self, after: Duration, give_way: fn(Ran)) -> Self {
        self.heavy = Some((after, give_way));
        self
    }

    /// The query begins to run; it may have waited before.
    pub fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// Whether the query may go on.
    ///
    /// # Errors
    /// If it was canceled or its time is up.
    pub fn check(&self) -> Result<(), BudgetError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(BudgetError::Canceled);
        }
        let now = Instant::now();
        if now >= self.deadline {
            return Err(BudgetError::Timeout);
        }
        if let (Some((after, give_way)), Some(began)) = (self.heavy, self.began.get()) {
            match now.saturating_duration_since(*began) {
                ran if ran >= after => give_way(Ran::Long),
                ran if ran >= SHORT => give_way(Ran::NotShort),
                _ => {}
            }
        }
        Ok(())
    }

    /// When its time is up.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Takes `load` into memory until it is [released](Budget::release).
    ///
    /// # Errors
    /// If more would be held than allowed.
    pub fn hold(&self, load: Load) -> Result<(), BudgetError> {
        let add = |counter: &AtomicU64, more: u64| {
            counter.fetch_add(more, Ordering::Relaxed).saturating_add(more)
        };
        let samples = add(&self.held, load.samples);
        let bytes = add(&self.held_bytes, load.bytes);
        let together = self.account.as_ref().map_or(0, |all| add(&all.held, load.bytes));
        self.peak.fetch_max(samples, Ordering::Relaxed);
        if samples > self.limits.samples_max {
            return Err(BudgetError::Samples { max: self.limits.samples_max });
        }
        if bytes > self.limits.bytes_max {
            return Err(BudgetError::Bytes { max: self.limits.bytes_max });
        }
        match &self.account {
            Some(account) if together > account.max => {
                Err(BudgetError::Account { max: account.max })
            }
            _ => Ok(()),
        }
    }

    /// Gives back what was held.
    pub fn release(&self, load: Load) {
        // A release beyond what is held would be a bug here; it must not wrap to a huge number.
        let give_back = |counter: &AtomicU64, less: u64| {
            let less_held = |held: u64| Some(held.saturating_sub(less));
            let before = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less_held);
            before.map_or(0, |held| held.min(less))
        };
        give_back(&self.held, load.samples);
        let bytes = give_back(&self.held_bytes, load.bytes);
        if let Some(account) = &self.account {
            account.held.fetch_sub(bytes, Ordering::Relaxed);
        }
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

impl Drop for Budget {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.held.fetch_sub(*self.held_bytes.get_mut(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holding_too_much_fails_and_release_makes_room() {
        let budget = Budget::new(BudgetLimits { samples_max: 10, ..BudgetLimits::default() });
        let load = |samples| Load { samples, bytes: 8 * samples };
        budget.hold(load(8)).expect("8 of 10");
        assert_eq!(budget.hold(load(3)), Err(BudgetError::Samples { max: 10 }));
        budget.release(load(11));
        budget.hold(load(10)).expect("all of it again");
        assert_eq!(budget.samples_peak(), 11);
    }

    #[test]
    fn bytes_have_a_limit_of_their_own() {
        let budget = Budget::new(BudgetLimits { bytes_max: 100, ..BudgetLimits::default() });
        budget.hold(Load { samples: 1, bytes: 100 }).expect("all of it");
        let more = Load { samples: 0, bytes: 1 };
        assert_eq!(budget.hold(more), Err(BudgetError::Bytes { max: 100 }));
    }

    #[test]
    fn what_queries_hold_together_has_a_limit_and_ends_with_them() {
        let account = Arc::new(Account::new(100));
        let budget = || Budget::new(BudgetLimits::default()).with_account(Arc::clone(&account));
        let bytes = |bytes| Load { samples: 0, bytes };
        let (first, second) = (budget(), budget());
        first.hold(bytes(60)).expect("60 of 100");
        assert_eq!(second.hold(bytes(50)), Err(BudgetError::Account { max: 100 }));
        second.release(bytes(70));
        assert_eq!(account.held(), 60, "no more is given back than was held");
        second.hold(bytes(40)).expect("all of it");
        first.release(bytes(10));
        drop(first);
        assert_eq!(account.held(), 40);
        drop(second);
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn threads_give_way_once_the_query_has_run_for_long() {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let count = |ran| {
            assert_eq!(ran, Ran::Long);
            CALLS.fetch_add(1, Ordering::Relaxed);
        };
        let long = Budget::new(BudgetLimits::default()).with_heavy(Duration::ZERO, count);
        assert_eq!(long.check(), Ok(()));
        assert_eq!(CALLS.load(Ordering::Relaxed), 0, "it waits");
        long.begin();
        assert_eq!(long.check(), Ok(()));
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
        let hour = Duration::from_secs(3600);
        let short = Budget::new(BudgetLimits::default()).with_heavy(hour, count);
        short.begin();
        assert_eq!(short.check(), Ok(()));
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn threads_let_others_pass_once_the_query_is_no_short_one() {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let count = |ran| {
            assert_eq!(ran, Ran::NotShort);
            CALLS.fetch_add(1, Ordering::Relaxed);
        };
        let hour = Duration::from_secs(3600);
        let query = Budget::new(BudgetLimits::default()).with_heavy(hour, count);
        let before = Instant::now();
        query.begin();
        let mut checks = 0_u32;
        while CALLS.load(Ordering::Relaxed) == 0 {
            assert_eq!(query.check(), Ok(()));
            checks += 1;
        }
        assert!(before.elapsed() >= SHORT && checks > 1);
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
