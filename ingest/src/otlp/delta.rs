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

use super::histogram::downscale;
use super::labels::Pair;
use super::point::{BUCKETS_MAX, Buckets, ExplicitValue, ExponentialValue};

/// Tenants share so many locks.
const LOCKS: usize = 16;
/// Below this resolution buckets of a running total are not merged any further.
const SCALE_MIN: i32 = -4;
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

type Totals = HashMap<u128, Running>;

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
        if let Some(totals) = self.totals.as_mut().filter(|totals| totals.len() > series_max) {
            evict(totals, series_max - series_max / 8);
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
        if !totals.contains_key(&key)
            && let Some(running) = seed(stored).map_err(unreadable)?
        {
            totals.insert(key, running);
        }
        let running = totals.get(&key);
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
                totals.remove(key);
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

/// Keeps the `keep` totals with the newest points.
fn evict(totals: &mut Totals, keep: usize) {
    let mut times: Vec<u64> = totals.values().map(|r| r.time_ns).collect();
    let surplus = times.len().saturating_sub(keep);
    if surplus == 0 {
        return;
    }
    let (_, bound, _) = times.select_nth_unstable(surplus - 1);
    let bound = *bound;
    totals.retain(|_, r| r.time_ns > bound);
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

/// A whole count that a float holds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "out of range is clamped, and no count is"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

fn seed_explicit(
    stored: &dyn Stored,
    labels: &[Pair<'_>],
    family: &str,
    like: &ExplicitValue,
) -> Result<Option<Running>, String> {
    if let Some(newest) = stored.newest(&sorted(labels, &[]))?
        && let Some(histogram) = newest.histogram.as_deref()
    {
        return Ok(custom_of(histogram, like).map(|t| running(&newest, Total::Explicit(t))));
    }
    let newest = |suffix: &str, le: &str| {
        let name = format!("{family}_{suffix}");
        stored.newest(&sorted(labels, &[("__name__", &name), ("le", le)]))
    };
    let Some(count) = newest("count", "")? else { return Ok(None) };
    let mut total = ExplicitValue {
        count: whole(count.value),
        sum: newest("sum", "")?.map(|s| s.value),
        bounds: like.bounds.clone(),
        counts: Vec::with_capacity(like.counts.len()),
    };
    let mut below = 0;
    for bound in &like.bounds {
        // A bound the series does not have: its buckets changed.
        let Some(bucket) = newest("bucket", &bound.to_string())? else { return Ok(None) };
        let upto = whole(bucket.value);
        total.counts.push(upto.saturating_sub(below));
        below = upto;
    }
    if !like.counts.is_empty() {
        total.counts.push(total.count.saturating_sub(below));
    }
    Ok(Some(running(&count, Total::Explicit(total))))
}

/// Buckets of a side by index, with the gaps filled.
fn dense(spans: &[ephemeris_model::Span], counts: &[f64]) -> Option<(i64, Vec<u64>)> {
    let (mut index, mut first, mut out) = (0_i64, None, Vec::new());
    let mut counts = counts.iter();
    for span in spans {
        index += i64::from(span.offset);
        let first = *first.get_or_insert(index);
        let length = usize::try_from(index - first).ok()?;
        if length + span.length as usize > BUCKETS_MAX {
            return None;
        }
        out.resize(length, 0);
        out.extend(counts.by_ref().take(span.length as usize).map(|n| whole(*n)));
        index += i64::from(span.length);
    }
    Some((first.unwrap_or(0), out))
}

fn custom_of(histogram: &FloatHistogram, like: &ExplicitValue) -> Option<ExplicitValue> {
    let (first, counts) = dense(&histogram.positive_spans, &histogram.positive_buckets)?;
    let mut all = vec![0; usize::try_from(first).ok().filter(|n| *n <= BUCKETS_MAX)?];
    all.extend(counts);
    let fits = histogram.custom_values == like.bounds && all.len() <= like.bounds.len() + 1;
    all.resize(if like.counts.is_empty() { 0 } else { like.bounds.len() + 1 }, 0);
    fits.then(|| ExplicitValue {
        count: whole(histogram.count),
        sum: Some(histogram.sum),
        bounds: like.bounds.clone(),
        counts: all,
    })
}

fn exponential_of(histogram: &FloatHistogram) -> Option<ExponentialValue> {
    let side = |spans, counts| {
        let (first, counts) = dense(spans, counts)?;
        let offset = i32::try_from(first - 1).ok()?;
        Some(Buckets { offset, counts })
    };
    (histogram.schema >= SCALE_MIN).then_some(())?;
    Some(ExponentialValue {
        count: whole(histogram.count),
        sum: Some(histogram.sum),
        scale: histogram.schema,
        zero_count: whole(histogram.zero_count),
        zero_threshold: histogram.zero_threshold,
        positive: side(&histogram.positive_spans, &histogram.positive_buckets)?,
        negative: side(&histogram.negative_spans, &histogram.negative_buckets)?,
    })
}

fn add_sums(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? + b?)
}

/// A count that a native histogram can hold.
fn add_counts(a: u64, b: u64) -> Option<u64> {
    a.checked_add(b).filter(|sum| i64::try_from(*sum).is_ok())
}

fn add_explicit(a: &ExplicitValue, b: &ExplicitValue) -> Option<ExplicitValue> {
    if a.bounds != b.bounds || a.counts.len() != b.counts.len() {
        return None;
    }
    let counts = a.counts.iter().zip(&b.counts).map(|(a, b)| add_counts(*a, *b));
    Some(ExplicitValue {
        count: add_counts(a.count, b.count)?,
        sum: add_sums(a.sum, b.sum),
        bounds: a.bounds.clone(),
        counts: counts.collect::<Option<_>>()?,
    })
}

fn add_exponential(a: &ExponentialValue, b: &ExponentialValue) -> Option<ExponentialValue> {
    if a.zero_threshold.to_bits() != b.zero_threshold.to_bits() {
        return None;
    }
    let mut scale = a.scale.min(b.scale);
    loop {
        let side = |x: &Buckets, y: &Buckets| {
            let x = downscale(x, (a.scale - scale).unsigned_abs()).ok()?;
            let y = downscale(y, (b.scale - scale).unsigned_abs()).ok()?;
            add_buckets(&x, &y)
        };
        if let (Some(positive), Some(negative)) =
            (side(&a.positive, &b.positive), side(&a.negative, &b.negative))
        {
            return Some(ExponentialValue {
                count: add_counts(a.count, b.count)?,
                sum: add_sums(a.sum, b.sum),
                scale,
                zero_count: add_counts(a.zero_count, b.zero_count)?,
                zero_threshold: a.zero_threshold,
                positive,
                negative,
            });
        }
        if scale <= SCALE_MIN {
            return None;
        }
        // Too many buckets between the two: a coarser resolution has fewer.
        scale -= 1;
    }
}

fn add_buckets(a: &Buckets, b: &Buckets) -> Option<Buckets> {
    if a.counts.is_empty() || b.counts.is_empty() {
        return Some(if a.counts.is_empty() { b.clone() } else { a.clone() });
    }
    let end = |x: &Buckets| i64::from(x.offset) + x.counts.len() as i64;
    let (first, last) = (a.offset.min(b.offset), end(a).max(end(b)));
    let length = usize::try_from(last - i64::from(first)).ok().filter(|n| *n <= BUCKETS_MAX)?;
    let mut counts = vec![0; length];
    for side in [a, b] {
        let at = usize::try_from(i64::from(side.offset) - i64::from(first)).ok()?;
        for (slot, count) in counts.get_mut(at..)?.iter_mut().zip(&side.counts) {
            *slot = add_counts(*slot, *count)?;
        }
    }
    Some(Buckets { offset: first, counts })
}
