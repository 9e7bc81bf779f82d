//! Points and ranges of time, in milliseconds since the Unix epoch.

use std::fmt;
use std::ops::{Add, Sub};

/// Milliseconds in a UTC day, the length of a partition.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A point in time: milliseconds since the Unix epoch, negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampMs(pub i64);

impl TimestampMs {
    /// The earliest point that can be expressed.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest point that can be expressed.
    pub const MAX: Self = Self(i64::MAX);

    /// Start of the UTC day this point lies in, as a count of days since the epoch.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// This point moved by `delta_ms`, held at the ends of the scale.
    #[must_use]
    pub const fn saturating_add(self, delta_ms: i64) -> Self {
        Self(self.0.saturating_add(delta_ms))
    }
}

impl Add<i64> for TimestampMs {
    type Output = Self;
    fn add(self, delta_ms: i64) -> Self {
        self.saturating_add(delta_ms)
    }
}

impl Sub for TimestampMs {
    type Output = i64;
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A half-open range of time: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First millisecond inside.
    pub start: TimestampMs,
    /// First millisecond after the range.
    pub end: TimestampMs,
}

impl TimeRange {
    /// All of time, but for the very last millisecond.
    pub const ALL: Self = Self { start: TimestampMs::MIN, end: TimestampMs::MAX };

    /// `start` up to, not including, `end`.
    #[must_use]
    pub const fn new(start: TimestampMs, end: TimestampMs) -> Self {
        Self { start, end }
    }

    /// Both ends included, as the HTTP API and PromQL state ranges.
    #[must_use]
    pub const fn inclusive(first: TimestampMs, last: TimestampMs) -> Self {
        Self { start: first, end: last.saturating_add(1) }
    }

    /// The UTC day with number `day`, counted from the epoch.
    #[must_use]
    pub const fn of_day(day: i64) -> Self {
        let start = day.saturating_mul(DAY_MS);
        Self { start: TimestampMs(start), end: TimestampMs(start.saturating_add(DAY_MS)) }
    }

    /// Whether `at` lies inside.
    #[must_use]
    pub const fn contains(&self, at: TimestampMs) -> bool {
        self.start.0 <= at.0 && at.0 < self.end.0
    }

    /// Whether the two ranges share a millisecond.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start.0 < other.end.0 && other.start.0 < self.end.0
    }

    /// The part both ranges share; empty if they share none.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// Whether no millisecond lies inside.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start.0 >= self.end.0
    }
}
