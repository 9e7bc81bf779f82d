//! What is measured: each figure with its unit and which way is better; medians of several runs
//! with their spread; ratios.

use std::collections::BTreeMap;

use super::questions::Times;

/// Something measured in every run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Samples acknowledged per second.
    Rate,
    /// Server CPU per sample, to the last answer, in µs.
    Cpu,
    /// The same with settling and a clean end.
    CpuSettled,
    /// Peak resident memory in MB.
    MemoryPeak,
    /// Resident memory once the server is idle, in MB.
    MemorySettled,
    /// The same per series in bytes.
    MemoryPerSeries,
    /// The most resident memory in a quarter of the time of sending, from 1 to 4, in MB.
    MemoryOfQuarter(u8),
    /// Bytes on disk per sample after a clean end.
    Disk,
    /// Bytes sent per sample.
    BodyBytes,
    /// Write latency in ms: median.
    WriteP50,
    /// Of 100 writes the slowest.
    WriteP99,
    /// The slowest.
    WriteMax,
    /// Bodies sent again.
    Retries,
    /// Bodies refused for good.
    Refused,
    /// Samples that queries do not find.
    Missing,
    /// Seconds from a start after SIGKILL to readiness.
    Ready,
    /// Queries answered a second while samples are sent.
    StormRate,
    /// Their latency in ms: median.
    StormP50,
    /// Of 100 queries the slowest.
    StormP99,
    /// Queries whose median is above their target.
    AboveTarget,
    /// A query by name: median in ms.
    QueryP50(String),
    /// Of 100 the slowest.
    QueryP99(String),
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Higher.
    Higher,
    /// Lower.
    Lower,
    /// It says something about the load or the outcome, not about speed.
    Neither,
}

/// The figures of one run.
#[derive(Clone, Debug, Default)]
pub struct Figures(BTreeMap<Figure, f64>);

/// A median with the lowest and the highest of all runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    /// The median.
    pub median: f64,
    /// The lowest.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
}

/// The figures of all runs of a server.
#[derive(Clone, Debug, Default)]
pub struct Summary(BTreeMap<Figure, Median>);

impl Figure {
    /// Its title with the unit.
    #[must_use]
    pub fn title(&self) -> String {
        let title = match self {
            Self::Rate => "samples/s",
            Self::Cpu => "server CPU per sample, µs",
            Self::CpuSettled => "the same with settling, µs",
            Self::MemoryPeak => "memory, peak, MB",
            Self::MemorySettled => "memory, settled, MB",
            Self::MemoryPerSeries => "the same per series, bytes",
            Self::MemoryOfQuarter(quarter) => {
                return format!("memory, quarter {quarter} of sending, MB");
            }
            Self::Disk => "disk per sample, bytes",
            Self::BodyBytes => "sent per sample, bytes",
            Self::WriteP50 => "write p50, ms",
            Self::WriteP99 => "write p99, ms",
            Self::WriteMax => "write max, ms",
            Self::Retries => "bodies sent again",
            Self::Refused => "bodies refused",
            Self::Missing => "samples not found",
            Self::Ready => "ready after kill -9, s",
            Self::StormRate => "queries/s while sending",
            Self::StormP50 => "their p50, ms",
            Self::StormP99 => "their p99, ms",
            Self::AboveTarget => "queries above their target",
            Self::QueryP50(name) => return format!("{name}: p50, ms"),
            Self::QueryP99(name) => return format!("{name}: p99, ms"),
        };
        title.to_owned()
    }

    /// Which way is better.
    #[must_use]
    pub const fn better(&self) -> Better {
        match self {
            Self::Rate | Self::StormRate => Better::Higher,
            Self::BodyBytes | Self::Retries | Self::Refused | Self::Missing | Self::AboveTarget => {
                Better::Neither
            }
            _ => Better::Lower,
        }
    }
}

impl Figures {
    /// Books a figure.
    pub fn set(&mut self, figure: Figure, value: f64) {
        self.0.insert(figure, value);
    }

    /// Books a query.
    pub fn query(&mut self, name: &str, times: Times) {
        self.set(Figure::QueryP50(name.to_owned()), times.p50);
        self.set(Figure::QueryP99(name.to_owned()), times.p99);
    }
}

impl Summary {
    /// Medians and spreads.
    pub fn of<'a>(runs: impl Iterator<Item = &'a Figures>) -> Self {
        let mut values: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
        for (figure, value) in runs.flat_map(|run| &run.0) {
            values.entry(figure.clone()).or_default().push(*value);
        }
        let medians = values.into_iter().map(|(figure, mut values)| {
            values.sort_by(f64::total_cmp);
            let (lowest, highest) = (values[0], values[values.len() - 1]);
            let middle = values.len() / 2;
            let below = if values.len().is_multiple_of(2) { middle - 1 } else { middle };
            let median = f64::midpoint(values[below], values[middle]);
            (figure, Median { median, lowest, highest })
        });
        Self(medians.collect())
    }

    /// All figures in the order of reports.
    pub fn iter(&self) -> impl Iterator<Item = (&Figure, &Median)> {
        self.0.iter()
    }

    /// One figure.
    #[must_use]
    pub fn get(&self, figure: &Figure) -> Option<Median> {
        self.0.get(figure).copied()
    }

    /// How many times better this is than `other`: above 1 it is ahead. None where neither way is
    /// better or a figure is 0.
    #[must_use]
    pub fn times_better(&self, other: &Self, figure: &Figure) -> Option<f64> {
        let (ours, theirs) = (self.get(figure)?.median, other.get(figure)?.median);
        if ours <= 0.0 || theirs <= 0.0 {
            return None;
        }
        match figure.better() {
            Better::Higher => Some(ours / theirs),
            Better::Lower => Some(theirs / ours),
            Better::Neither => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_have_a_spread_and_ratios_say_who_is_ahead() {
        let run = |rate: f64, cpu: f64| {
            let mut figures = Figures::default();
            figures.set(Figure::Rate, rate);
            figures.set(Figure::Cpu, cpu);
            figures.set(Figure::Missing, 7.0);
            figures
        };
        let ours = Summary::of([run(4.0, 1.0), run(1.0, 1.0), run(2.0, 1.0)].iter());
        let rate = Median { median: 2.0, lowest: 1.0, highest: 4.0 };
        assert_eq!(ours.get(&Figure::Rate), Some(rate));
        let theirs = Summary::of([run(1.0, 2.0), run(3.0, 6.0)].iter());
        assert_eq!(theirs.get(&Figure::Rate).map(|m| m.median), Some(2.0));
        assert_eq!(ours.times_better(&theirs, &Figure::Rate), Some(1.0));
        assert_eq!(ours.times_better(&theirs, &Figure::Cpu), Some(4.0));
        assert_eq!(ours.times_better(&theirs, &Figure::Missing), None);
        assert_eq!(ours.times_better(&theirs, &Figure::Ready), None);
    }
}
