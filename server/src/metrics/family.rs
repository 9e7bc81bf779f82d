//! Counters, gauges, histograms, and what they are read out to.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::count;

/// Only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Moves it by `delta`.
    pub fn add(&self, delta: i64) {
        self.0.fetch_add(delta, Ordering::Relaxed);
    }

    /// Its value; never below zero, whatever the order in which threads count.
    #[must_use]
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// Upper bounds of the buckets of all durations, in microseconds.
const BOUNDS_US: [u64; 14] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    120_000_000,
];

/// A distribution of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Not cumulative; the last is for what lies beyond all bounds.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// The family it is read out to.
    #[must_use]
    pub fn family(&self, name: &'static str, help: &'static str) -> Family {
        let mut points = Vec::with_capacity(BOUNDS_US.len() + 3);
        let mut total = 0;
        let bounds = BOUNDS_US.iter().map(|us| (count(*us) / 1e6).to_string());
        for (bucket, bound) in self.buckets.iter().zip(bounds.chain(["+Inf".to_owned()])) {
            total += bucket.load(Ordering::Relaxed);
            let labels = vec![("le", bound)];
            points.push(FamilyPoint { suffix: "_bucket", labels, value: count(total) });
        }
        let sum = count(self.sum_us.load(Ordering::Relaxed)) / 1e6;
        points.push(FamilyPoint { suffix: "_sum", labels: Vec::new(), value: sum });
        points.push(FamilyPoint { suffix: "_count", labels: Vec::new(), value: count(total) });
        Family { name, help, kind: Kind::Histogram, points }
    }
}

/// Type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
}

impl Kind {
    /// Name in the exposition format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric read out.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its samples.
    pub points: Vec<FamilyPoint>,
}

/// One sample of a family.
#[derive(Clone, Debug)]
pub struct FamilyPoint {
    /// What stands behind the name of the family: `_bucket`, `_sum`, `_count` or nothing.
    pub suffix: &'static str,
    /// Its labels.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: f64,
}

impl Family {
    /// A family of one sample.
    #[must_use]
    pub fn single(described: (&'static str, &'static str, Kind), value: f64) -> Self {
        let (name, help, kind) = described;
        let points = vec![FamilyPoint { suffix: "", labels: Vec::new(), value }];
        Self { name, help, kind, points }
    }

    /// A gauge.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self::single((name, help, Kind::Gauge), value)
    }

    /// A counter.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, counter: &Counter) -> Self {
        Self::single((name, help, Kind::Counter), count(counter.get()))
    }

    /// A sample for each value of one label.
    #[must_use]
    pub fn labeled(
        described: (&'static str, &'static str, Kind),
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, f64)>,
    ) -> Self {
        let (name, help, kind) = described;
        let point = |(value_of_label, value): (&str, f64)| FamilyPoint {
            suffix: "",
            labels: vec![(label, value_of_label.to_owned())],
            value,
        };
        Self { name, help, kind, points: values.into_iter().map(point).collect() }
    }

    /// A counter for each value of one label.
    #[must_use]
    pub fn counters(
        name: &'static str,
        help: &'static str,
        (label, counters): (&'static str, &[(&'static str, &Counter)]),
    ) -> Self {
        let values = counters.iter().map(|(value, counter)| (*value, count(counter.get())));
        Self::labeled((name, help, Kind::Counter), label, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_bounds_belong_to_them() {
        let histogram = Histogram::default();
        for us in [1, 500, 501, 200_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let family = histogram.family("x_seconds", "X.");
        let bucket = |le: &str| {
            let of = |p: &&FamilyPoint| p.labels.iter().any(|(n, v)| *n == "le" && v == le);
            family.points.iter().find(of).map(|p| p.value)
        };
        assert_eq!(bucket("0.0005"), Some(2.0));
        assert_eq!(bucket("0.001"), Some(3.0));
        assert_eq!(bucket("120"), Some(3.0));
        assert_eq!(bucket("+Inf"), Some(4.0));
        assert_eq!(family.points.last().map(|p| p.value), Some(4.0));
    }
}
