//! Light queries are answered by the socket thread that read them. A query of one series takes the
//! worker a few microseconds, and two changes of threads take several times that.
//!
//! A socket thread must not be kept, so only expressions that are
//! [told to be light](ephemeris_query::promql::light) are tried, over a short time, within limits of
//! a fraction of a millisecond's work; half the cores at most do so at a time. What exceeds a limit
//! is given to a worker, and is not tried again for a minute; or for a second if it took too long,
//! since that may be the machine, or data that is in memory now.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ephemeris_query::budget::BudgetLimits;
use ephemeris_query::promql::reach::Reach;
use ephemeris_storage::ReadLimits;

use crate::metrics::Counter;

/// Longest text that is tried.
const TEXT_BYTES_MAX: usize = 512;
/// Longest time such a query spans, with what it looks back on.
const SPAN_MAX_MS: i64 = 6 * 3_600_000;
/// Most steps.
const STEPS_MAX: i64 = 1500;
/// Series it may find and touch.
const SERIES_MAX: u64 = 16;
/// Samples of these series: what is decoded in a fraction of [`TIME_MAX`].
const SAMPLES_MAX: usize = 16_384;
/// What it may read.
pub const READS: ReadLimits = ReadLimits { series_max: SERIES_MAX, samples_max: SAMPLES_MAX };
/// When it is given up.
const TIME_MAX: Duration = Duration::from_millis(1);
/// Bytes it may hold.
const BYTES_MAX: u64 = 4 << 20;
/// Queries that are remembered not to be light.
const SLOTS: usize = 1024;
/// Bits of a slot that hold the second until which a query is not tried.
const SECONDS: u64 = 0xffff;

/// Why a query was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// It took too long.
    Time,
    /// It found too much, or failed.
    Other,
}

impl Exceeded {
    const fn pause_s(self) -> u64 {
        match self {
            Self::Time => 1,
            Self::Other => 60,
        }
    }
}

/// Who answers at once, and what is not to be tried.
#[derive(Debug)]
pub struct AtOnce {
    running: AtomicUsize,
    running_max: usize,
    /// Of a query that exceeded a limit: the upper bits of its hash, and below them until when.
    exceeded: Vec<AtomicU64>,
    hasher: RandomState,
    began: Instant,
    answered: Counter,
    given_up: Counter,
}

/// The right to answer one query; it ends when this is dropped.
#[derive(Debug)]
pub struct Permit<'a> {
    all: &'a AtOnce,
    hash: u64,
}

impl Default for AtOnce {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(cores / 2)
    }
}

impl AtOnce {
    /// So many queries at a time.
    #[must_use]
    pub fn new(running_max: usize) -> Self {
        let exceeded = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self {
            running: AtomicUsize::new(0),
            running_max,
            exceeded,
            hasher: RandomState::new(),
            began: Instant::now(),
            answered: Counter::default(),
            given_up: Counter::default(),
        }
    }

    /// The right to answer a query of `text` over `span_ms`, at so many steps, if it may be light.
    #[must_use]
    pub fn permit(&self, text: &str, (span_ms, steps): (i64, i64)) -> Option<Permit<'_>> {
        if text.len() > TEXT_BYTES_MAX || span_ms > SPAN_MAX_MS || steps > STEPS_MAX {
            return None;
        }
        let hash = self.hasher.hash_one(text);
        let known = self.slot(hash).load(Ordering::Relaxed);
        let left_s = known.wrapping_sub(self.seconds()) & SECONDS;
        if (known ^ hash) & !SECONDS == 0 && (1..=Exceeded::Other.pause_s()).contains(&left_s) {
            return None;
        }
        let one_more = |running: usize| (running < self.running_max).then_some(running + 1);
        let entered =
            self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        entered.then(|| Permit { all: self, hash })
    }

    /// Whether a query over `span_ms` that depends on so much of the time around each step spans
    /// no more than may be looked at here: what is long ago may have to be read from disk.
    #[must_use]
    pub const fn is_short(span_ms: i64, reach: Reach) -> bool {
        let around = reach.back_ms.saturating_add(reach.ahead_ms);
        span_ms.saturating_add(around) <= SPAN_MAX_MS && reach.back_ms <= SPAN_MAX_MS
    }

    /// How many were answered, and how many were given to a worker after all.
    #[must_use]
    pub const fn counts(&self) -> (&Counter, &Counter) {
        (&self.answered, &self.given_up)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
    fn slot(&self, hash: u64) -> &AtomicU64 {
        &self.exceeded[hash as usize % SLOTS]
    }

    fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

impl Permit<'_> {
    /// What the query may use, of what it could at most.
    #[must_use]
    pub fn limits(&self, most: BudgetLimits) -> BudgetLimits {
        BudgetLimits {
            samples_max: most.samples_max,
            series_max: most.series_max.min(SERIES_MAX),
            bytes_max: most.bytes_max.min(BYTES_MAX),
            timeout: most.timeout.min(TIME_MAX),
        }
    }

    /// It is answered.
    pub fn answered(self) {
        self.all.answered.add(1);
    }

    /// It was not light.
    pub fn exceeded(self, what: Exceeded) {
        self.all.given_up.add(1);
        let until = (self.all.seconds() + what.pause_s()) & SECONDS;
        let mark = (self.hash & !SECONDS) | until;
        self.all.slot(self.hash).store(mark, Ordering::Relaxed);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.all.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_a_time_and_not_again_what_exceeded() {
        let all = AtOnce::new(2);
        let first = all.permit("a", (0, 1)).expect("nobody runs");
        let second = all.permit("b", (0, 1)).expect("one runs");
        assert!(all.permit("c", (0, 1)).is_none(), "two run");
        drop(second);
        first.exceeded(Exceeded::Other);
        assert!(all.permit("a", (0, 1)).is_none(), "it was not light");
        assert!(all.permit("b", (0, 1)).is_some());
        assert_eq!(all.running.load(Ordering::Relaxed), 0, "all are done");
    }

    #[test]
    fn what_is_looked_back_on_counts_in_the_span() {
        let reach = |back_ms, ahead_ms| Reach { back_ms, ahead_ms };
        assert!(AtOnce::is_short(SPAN_MAX_MS - 300_000, reach(300_000, 0)));
        assert!(!AtOnce::is_short(SPAN_MAX_MS - 299_999, reach(300_000, 0)));
        assert!(!AtOnce::is_short(0, reach(SPAN_MAX_MS + 1, -SPAN_MAX_MS)), "it is long ago");
        assert!(!AtOnce::is_short(i64::MAX, reach(i64::MAX, 0)));
    }

    #[test]
    fn long_ones_are_left_to_workers() {
        let all = AtOnce::new(2);
        assert!(all.permit(&"a".repeat(TEXT_BYTES_MAX + 1), (0, 1)).is_none());
        assert!(all.permit("a", (SPAN_MAX_MS + 1, 1)).is_none());
        assert!(all.permit("a", (SPAN_MAX_MS, STEPS_MAX + 1)).is_none());
        assert!(all.permit("a", (SPAN_MAX_MS, STEPS_MAX)).is_some());
        assert!(AtOnce::new(0).permit("a", (0, 1)).is_none(), "there is but one core");
    }
}
