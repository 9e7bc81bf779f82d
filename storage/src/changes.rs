//! Which times of which tenant's samples changed, and when: so that an answer that was computed
//! before can be told to be still right.
//!
//! Time is cut into buckets of a minute. Each change takes the next number and leaves it in the
//! slots of the buckets it touched; what changes more than samples of known times (deletions,
//! damage, expiry) leaves it in `everything`. Several buckets share a slot, which makes a change
//! look greater than it is, never smaller.
//!
//! **Promise.** Let `seen` be read by [`Changes::seen`], after that a reader be made, and an answer
//! be computed with it. If [`Changes::since`] says later that nothing of a range changed since
//! `seen`, then the answer has of that range all that was acknowledged before the question, and
//! nothing that is deleted. For let W be a change that was acknowledged before the question. W noted
//! itself after it was visible to all readers and before it was acknowledged, so its number is in
//! its slots when they are looked at. Nothing was found there above `seen`, so the number of W is
//! not above `seen`; so W was noted, and before that visible, when `seen` was read, and the reader,
//! made later, has it. A change that is visible to the reader in part (its batch is being applied)
//! is noted after `seen` was read: it gets a number above `seen`, and the answer is void as soon as
//! the change is acknowledged.
//!
//! **Renewal.** What was found unchanged since `seen` may be given a younger number `now`, if `now`
//! was read *before* that was asked: numbers are given and left in slots under one lock, and `seen`
//! only grows after that. So all changes up to `now` were in their slots when these were looked at,
//! and those after it have greater numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use ephemeris_model::{TimeRange, TimestampMs, WriteBatch};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

/// Length of a bucket.
const BUCKET_MS: i64 = 60_000;
/// Slots for the buckets of all tenants: 45 days of one tenant have a slot each. A power of two.
const SLOTS: usize = 1 << 16;
/// A batch that spans no more buckets is taken to touch all of them.
const SPAN_MAX: i64 = 4;

/// The newest change of each bucket of time.
pub(crate) struct Changes {
    /// The newest number that lies in its slots.
    noted: AtomicU64,
    /// The newest change of all times of all tenants.
    everything: AtomicU64,
    slots: Vec<AtomicU64>,
    /// Held while a number is given and left in slots.
    noting: Mutex<()>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            noted: AtomicU64::new(0),
            everything: AtomicU64::new(0),
            slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect(),
            noting: Mutex::new(()),
        }
    }
}

impl Changes {
    /// The newest change.
    pub(crate) fn seen(&self) -> u64 {
        self.noted.load(Ordering::Acquire)
    }

    /// Notes that samples of a batch were written. To be called once readers see all of them, before
    /// the batch is acknowledged.
    pub(crate) fn wrote(&self, tenant: &str, batch: &WriteBatch<'_>) {
        let samples = batch.samples.iter().map(|sample| sample.timestamp_ms);
        let times = samples.chain(batch.histograms.iter().map(|one| one.timestamp_ms));
        let (min, max) =
            times.clone().fold((i64::MAX, i64::MIN), |(min, max), t| (min.min(t), max.max(t)));
        if min > max {
            return;
        }
        let (first, last) = (bucket(min), bucket(max));
        if last - first < SPAN_MAX {
            self.note(tenant, first..=last);
            return;
        }
        let mut buckets: Vec<i64> = times.map(bucket).collect();
        buckets.dedup();
        buckets.sort_unstable();
        buckets.dedup();
        self.note(tenant, buckets);
    }

    fn note(&self, tenant: &str, buckets: impl IntoIterator<Item = i64>) {
        let tenant = xxh3_64(tenant.as_bytes());
        let _noting = self.noting.lock();
        let number = self.noted.load(Ordering::Relaxed) + 1;
        for bucket in buckets {
            self.slot(tenant, bucket).store(number, Ordering::Relaxed);
        }
        self.noted.store(number, Ordering::Release);
    }

    /// Notes that anything may have changed. To be called once readers see it, before it is
    /// acknowledged.
    pub(crate) fn all(&self) {
        let _noting = self.noting.lock();
        let number = self.noted.load(Ordering::Relaxed) + 1;
        self.everything.store(number, Ordering::Relaxed);
        self.noted.store(number, Ordering::Release);
    }

    /// The pieces of `range` that may have changed since `seen`, in order; `None` if all of it.
    pub(crate) fn since(
        &self,
        seen: u64,
        tenant: &str,
        range: TimeRange,
    ) -> Option<Vec<TimeRange>> {
        // Pairs with the release of the newest change.
        let _ = self.seen();
        let (first, last) = (bucket(range.start.0), bucket(range.end.0.saturating_sub(1)));
        let slots = i64::try_from(SLOTS).unwrap_or(i64::MAX);
        if self.everything.load(Ordering::Relaxed) > seen || last - first >= slots {
            return None;
        }
        let tenant = xxh3_64(tenant.as_bytes());
        let mut changed: Vec<TimeRange> = Vec::new();
        for bucket in first..=last {
            if self.slot(tenant, bucket).load(Ordering::Relaxed) <= seen {
                continue;
            }
            let start = TimestampMs(bucket.saturating_mul(BUCKET_MS));
            let end = start + BUCKET_MS;
            match changed.last_mut() {
                Some(before) if before.end == start => before.end = end,
                _ => changed.push(TimeRange::new(start, end)),
            }
        }
        Some(changed)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
    fn slot(&self, tenant: u64, bucket: i64) -> &AtomicU64 {
        &self.slots[tenant.wrapping_add(bucket.cast_unsigned()) as usize & (SLOTS - 1)]
    }
}

const fn bucket(time_ms: i64) -> i64 {
    time_ms.div_euclid(BUCKET_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = BUCKET_MS;

    fn minutes(first: i64, end: i64) -> TimeRange {
        TimeRange::new(TimestampMs(first * MINUTE), TimestampMs(end * MINUTE))
    }

    #[test]
    fn a_change_shows_in_its_minutes_until_it_was_seen() {
        let changes = Changes::default();
        let before = changes.seen();
        changes.note("a", [3, 5, 6]);
        let day = minutes(0, 1440);
        assert_eq!(changes.since(before, "a", day), Some(vec![minutes(3, 4), minutes(5, 7)]));
        assert_eq!(changes.since(before, "a", minutes(4, 5)), Some(Vec::new()));
        assert_eq!(changes.since(changes.seen(), "a", day), Some(Vec::new()));
        changes.note("a", [-2]);
        assert_eq!(changes.since(1, "a", minutes(-9, 9)), Some(vec![minutes(-2, -1)]));
    }

    #[test]
    fn what_changes_all_leaves_nothing_and_so_does_a_range_beyond_the_slots() {
        let changes = Changes::default();
        assert_eq!(changes.since(0, "a", minutes(0, 65_536)), Some(Vec::new()));
        assert_eq!(changes.since(0, "a", minutes(0, 65_537)), None);
        changes.all();
        assert_eq!(changes.since(0, "a", minutes(0, 1)), None);
        assert_eq!(changes.since(changes.seen(), "a", minutes(0, 1)), Some(Vec::new()));
    }
}
