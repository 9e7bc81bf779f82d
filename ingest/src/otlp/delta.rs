//! Delta points added up to running totals, so that a delta sender reads like a cumulative one.
//!
//! The totals live in the store: a series met for the first time since the start goes on from its
//! newest stored sample. What is kept here is a bounded copy of that. A request that brings delta
//! points holds the lock of its tenant until it is durable, so totals are logged in order and a
//! repeat is not answered before the original is safe.
//!
//! A point that ends after the newest of its series is added, whether it begins where that ended,
//! later (a gap: nothing was measured, or it was lost) or earlier (two writers with the same
//! labels): sums of deltas are sums in all three. One that ends at a time the series has a sample
//! at is a repeat and changes nothing. One that ends earlier and is no repeat is refused.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ephemeris_model::FloatHistogram;

use crate::error::IngestError;

use super::labels::Pair;
use super::point::{ExplicitValue, ExponentialValue};
use seed::{exponential_of, seed_explicit};
use sums::{add_explicit, add_exponential};

mod seed;
mod sums;

/// Tenants share so many locks.
const LOCKS: usize = 16;
/// Below this resolution buckets of a running total are not merged any further.
const SCALE_MIN: i32 = -4;
/// Memory of a total as a rule; larger ones, as of histograms, leave room for fewer.
const SERIES_BYTES: usize = 512;
/// Nanoseconds of a millisecond.
const NS_PER_MS: u64 = 1_000_000;

/// The newest sample of a series in the store.
#[derive(Clone, Debug)]
pub struct StoredSample {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Start timestamp, 0 = unknown.
    pub start_ms: i64,
    /// The value of a float sample.
    pub value: f64,
    /// The histogram, if the sample is one.
    pub histogram: Option<Arc<FloatHistogram>>,
}

/// What is stored of one tenant; the server asks its store.
pub trait Stored {
    /// The newest sample of the series with exactly these labels that is no staleness marker.
    ///
    /// # Errors
    /// If the store cannot be read, in words.
    fn newest(&self, labels: &[(&str, &str)]) -> Result<Option<StoredSample>, String>;

    /// Whether the series with exactly these labels has a sample at this time.
    ///
    /// # Errors
    /// If the store cannot be read, in words.
    fn holds(&self, labels: &[(&str, &str)], timestamp_ms: i64) -> Result<bool, String>;
}

/// A total as it runs.
#[derive(Clone, Debug)]
struct Running {
    start_ms: i64,
    /// End of the newest point; whole milliseconds if it came from the store.
    time_ns: u64,
    total: Total,
}

#[derive(Clone, Debug)]
enum Total {
    Number(f64),
    Explicit(ExplicitValue),
    Exponential(ExponentialValue),
}

impl Running {
    /// Memory it takes, about.
    fn bytes(&self) -> usize {
        let buckets = match &self.total {
            Total::Number(_) => 0,
            Total::Explicit(total) => total.bounds.len() + total.counts.len(),
            Total::Exponential(total) => total.positive.counts.len() + total.negative.counts.len(),
        };
        size_of::<(u128, Self)>() + buckets * size_of::<u64>()
    }
}

/// The totals of some tenants, and the memory they take.
#[derive(Debug, Default)]
struct Totals {
    running: HashMap<u128, Running>,
    bytes: usize,
}

impl Totals {
    fn insert(&mut self, key: u128, running: Running) {
        self.remove(key);
        self.bytes += running.bytes();
        self.running.insert(key, running);
    }

    fn remove(&mut self, key: u128) {
        if let Some(old) = self.running.remove(&key) {
            self.bytes -= old.bytes();
        }
    }

    /// Keeps those with the newest points, until their number and memory are within the bounds.
    fn evict(&mut self, series_max: usize) {
        let bytes_max = series_max.saturating_mul(SERIES_BYTES);
        while self.running.len() > series_max || self.bytes > bytes_max {
            let mut times: Vec<u64> = self.running.values().map(|r| r.time_ns).collect();
            let surplus = times.len().saturating_sub(series_max).max(times.len().div_ceil(8));
            let (_, bound, _) = times.select_nth_unstable(surplus - 1);
            let bound = *bound;
            self.running.retain(|_, r| r.time_ns > bound);
            self.bytes = self.running.values().map(Running::bytes).sum();
        }
    }
}

/// The totals of all tenants.
#[derive(Debug)]
pub struct Accumulator {
    shards: Vec<Mutex<Totals>>,
    hashers: [RandomState; 2],
    series_max: usize,
}

impl Accumulator {
    /// Keeps at most `series_max` totals in memory; others are read from the store when needed.
    #[must_use]
    pub fn new(series_max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(LOCKS).collect(),
            hashers: [RandomState::new(), RandomState::new()],
            series_max: (series_max / LOCKS).max(1),
        }
    }

    /// Begins a request of this tenant.
    #[must_use]
    pub fn session<'a>(&'a self, tenant: &'a str, stored: &'a dyn Stored) -> Session<'a> {
        Session { accumulator: self, tenant, stored, totals: None, touched: Vec::new() }
    }

    fn hash(&self, tenant: &str, labels: &[(&str, &str)]) -> u128 {
        let [a, b] = self.hashers.each_ref().map(|h| u128::from(h.hash_one((tenant, labels))));
        a << 64 | b
    }
}

/// One request. Unless it is [committed](Session::commit), the totals it changed are forgotten
/// and read from the store again.
#[derive(Debug)]
pub struct Session<'a> {
    accumulator: &'a Accumulator,
    tenant: &'a str,
    stored: &'a dyn Stored,
    totals: Option<MutexGuard<'a, Totals>>,
    touched: Vec<u128>,
}

impl std::fmt::Debug for dyn Stored + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stored")
    }
}

/// When a delta point began and ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
}

impl Window {
    fn start_ms(self) -> i64 {
        ms(if self.start_ns == 0 { self.time_ns } else { self.start_ns })
    }
}

fn ms(ns: u64) -> i64 {
    (ns / NS_PER_MS).cast_signed()
}

/// What became of a delta point.
#[derive(Debug)]
pub(super) enum Added<T> {
    /// The total with it, and since when it counts.
    Total(T, i64),
    /// It was there already.
    Repeat,
    /// It cannot be added.
    Refused(String),
}

impl Session<'_> {
    /// Keeps what the request changed: it is durable.
    pub fn commit(mut self) {
        self.touched.clear();
        let series_max = self.accumulator.series_max;
        if let Some(totals) = &mut self.totals {
            totals.evict(series_max);
        }
    }

    /// Adds a number to the series with these labels, name included.
    pub(super) fn number(
        &mut self,
        labels: &[Pair<'_>],
        window: Window,
        value: f64,
    ) -> Result<Added<f64>, IngestError> {
        let labels = sorted(labels, &[]);
        let seed = |stored: &dyn Stored| {
            let newest = stored.newest(&labels)?.filter(|s| s.histogram.is_none());
            Ok(newest.map(|s| running(&s, Total::Number(s.value))))
        };
        let add = |total: Option<&Total>| match total {
            Some(Total::Number(sum)) => Some(Total::Number(sum + value)),
            _ => None,
        };
        let added = self.add(&labels, window, (&labels, seed), (Total::Number(value), add))?;
        Ok(added.map(|total| if let Total::Number(n) = total { n } else { 0.0 }))
    }

    /// Adds a histogram with explicit bounds to the series `_bucket`, `_sum` and `_count` of a
    /// family, or to its native histogram. `labels` have the name of the family.
    pub(super) fn explicit(
        &mut self,
        labels: &[Pair<'_>],
        window: Window,
        value: &ExplicitValue,
    ) -> Result<Added<ExplicitValue>, IngestError> {
        let native = sorted(labels, &[]);
        let family = native.iter().find(|(n, _)| *n == "__name__").map_or("", |(_, v)| *v);
        let count_name = format!("{family}_count");
        let count_labels = sorted(labels, &[("__name__", &count_name)]);
        let seed = |stored: &dyn Stored| seed_explicit(stored, labels, family, value);
        let add = |total: Option<&Total>| match total {
            Some(Total::Explicit(sum)) => add_explicit(sum, value).map(Total::Explicit),
            _ => None,
        };
        let first = Total::Explicit(value.clone());
        let added = self.add(&native, window, (&count_labels, seed), (first, add))?;
        Ok(added.map(|total| match total {
            Total::Explicit(total) => total,
            _ => ExplicitValue::default(),
        }))
    }

    /// Adds a checked exponential histogram to the series with these labels.
    pub(super) fn exponential(
        &mut self,
        labels: &[Pair<'_>],
        window: Window,
        value: &ExponentialValue,
    ) -> Result<Added<ExponentialValue>, IngestError> {
        let labels = sorted(labels, &[]);
        let seed = |stored: &dyn Stored| {
            let Some(newest) = stored.newest(&labels)? else { return Ok(None) };
            let total = newest.histogram.as_deref().and_then(exponential_of);
            Ok(total.map(|total| running(&newest, Total::Exponential(total))))
        };
        let add = |total: Option<&Total>| match total {
            Some(Total::Exponential(sum)) => add_exponential(sum, value).map(Total::Exponential),
            _ => None,
        };
        let first = Total::Exponential(value.clone());
        let added = self.add(&labels, window, (&labels, seed), (first, add))?;
        Ok(added.map(|total| match total {
            Total::Exponential(total) => total,
            _ => ExponentialValue::default(),
        }))
    }

    /// The common way: find the total, check the window, add. A total that cannot take the point
    /// (its bounds changed, it would overflow) begins anew with it.
    fn add<S, A>(
        &mut self,
        key: &[(&str, &str)],
        window: Window,
        (witness, seed): (&[(&str, &str)], S),
        (first, add): (Total, A),
    ) -> Result<Added<Total>, IngestError>
    where
        S: Fn(&dyn Stored) -> Result<Option<Running>, String>,
        A: Fn(Option<&Total>) -> Option<Total>,
    {
        let unreadable = IngestError::StoreUnreadable;
        let key = self.accumulator.hash(self.tenant, key);
        let stored = self.stored;
        let totals = self.lock();
        if !totals.running.contains_key(&key)
            && let Some(running) = seed(stored).map_err(unreadable)?
        {
            totals.insert(key, running);
        }
        let running = totals.running.get(&key);
        if let Some(running) = running.filter(|r| !ends_after(window, r.time_ns)) {
            let time_ms = ms(window.time_ns);
            if window.time_ns == running.time_ns
                || stored.holds(witness, time_ms).map_err(unreadable)?
            {
                return Ok(Added::Repeat);
            }
            return Ok(Added::Refused(format!(
                "delta point ends at {time_ms} ms, before {} ms, the newest of its series",
                ms(running.time_ns)
            )));
        }
        let next = match running.and_then(|r| Some((add(Some(&r.total))?, r.start_ms))) {
            Some((total, start_ms)) => Running { start_ms, time_ns: window.time_ns, total },
            None => Running { start_ms: window.start_ms(), time_ns: window.time_ns, total: first },
        };
        let added = Added::Total(next.total.clone(), next.start_ms);
        totals.insert(key, next);
        self.touched.push(key);
        Ok(added)
    }

    fn lock(&mut self) -> &mut Totals {
        let accumulator = self.accumulator;
        let tenant = self.tenant;
        self.totals.get_or_insert_with(|| {
            let place = accumulator.hashers[0].hash_one(tenant);
            let shard = usize::try_from(place % LOCKS as u64).unwrap_or(0);
            // A request that panicked did not commit: its session forgot what it touched.
            accumulator.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
        })
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(totals) = &mut self.totals {
            for key in &self.touched {
                totals.remove(*key);
            }
        }
    }
}

impl<T> Added<T> {
    fn map<U>(self, map: impl FnOnce(T) -> U) -> Added<U> {
        match self {
            Self::Total(total, start_ms) => Added::Total(map(total), start_ms),
            Self::Repeat => Added::Repeat,
            Self::Refused(text) => Added::Refused(text),
        }
    }
}

/// A time from the store is in whole milliseconds, so then only those are compared.
fn ends_after(window: Window, time_ns: u64) -> bool {
    if time_ns.is_multiple_of(NS_PER_MS) {
        return ms(window.time_ns) > ms(time_ns);
    }
    window.time_ns > time_ns
}

fn running(sample: &StoredSample, total: Total) -> Running {
    let time_ns = sample.timestamp_ms.max(0).cast_unsigned().saturating_mul(NS_PER_MS);
    Running { start_ms: sample.start_ms, time_ns, total }
}

/// The labels in order, those in `changed` set anew, those without a value left out.
fn sorted<'a>(labels: &'a [Pair<'_>], changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = labels.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
    let kept = kept.filter(|(n, _)| !changed.iter().any(|(name, _)| name == n));
    let mut out: Vec<_> = kept.chain(changed.iter().copied()).collect();
    out.retain(|(_, value)| !value.is_empty());
    out.sort_unstable();
    out
}
