//! Where the store takes the time from. Nothing else in the crate asks the system for it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ephemeris_model::TimestampMs;

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> TimestampMs;

    /// Time passed since some moment before. Unlike [`Clock::now`] it never goes back nor jumps
    /// when somebody sets the clock, so it is what silences are measured by.
    fn passed(&self) -> Duration;
}

/// When [`SystemClock::passed`] was asked for first.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimestampMs {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since_epoch.map_or(0, |passed| passed.as_millis());
        TimestampMs(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    fn passed(&self) -> Duration {
        START.elapsed()
    }
}

/// A clock that stands still until it is moved: for tests and replays.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicI64,
    passed_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: TimestampMs) -> Self {
        Self { now_ms: AtomicI64::new(now.0), passed_ms: AtomicU64::new(0) }
    }

    /// Moves the clock to `now`. Moved on, that time has passed; moved back, it was set and none
    /// has.
    pub fn move_to(&self, now: TimestampMs) {
        let before = self.now_ms.swap(now.0, Ordering::Relaxed);
        let passed = u64::try_from(now.0.saturating_sub(before)).unwrap_or(0);
        self.passed_ms.fetch_add(passed, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(self.now_ms.load(Ordering::Relaxed))
    }

    fn passed(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_does_not_go_back() {
        let clock = ManualClock::new(TimestampMs(1_000));
        let seen = [1_500, -9_000, -8_000].map(|now| {
            clock.move_to(TimestampMs(now));
            (clock.now().0, clock.passed().as_millis())
        });
        assert_eq!(seen, [(1_500, 500), (-9_000, 500), (-8_000, 1_500)]);
        let first = SystemClock.passed();
        assert!(SystemClock.passed() >= first);
    }
}
