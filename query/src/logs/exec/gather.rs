//! What a range aggregation gathers: for each series what is counted, or its samples.

use std::ops::Range;

use ephemeris_model::logs::NanoRange;
use rustc_hash::FxHashMap;

use super::grid::Windows;
use super::over_time::{self, Window};
use super::{Series, nothing};
use crate::budget::Load;
use crate::logs::ast::{RangeAggregation, RangeOp};
use crate::logs::labels::LabelSet;
use crate::logs::pipeline::ERROR;

/// Numbers added where windows start to see an entry, and taken away where they end to.
#[derive(Debug)]
pub(super) struct Counts {
    entries: Vec<i64>,
    amounts: Vec<i64>,
}

impl Counts {
    pub(super) fn add(&mut self, steps: Range<usize>, entries: i64, amount: i64) {
        self.entries[steps.start] += entries;
        self.entries[steps.end] -= entries;
        self.amounts[steps.start] = self.amounts[steps.start].wrapping_add(amount);
        self.amounts[steps.end] = self.amounts[steps.end].wrapping_sub(amount);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in
            [(&mut self.entries, &other.entries), (&mut self.amounts, &other.amounts)]
        {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine = mine.wrapping_add(*theirs);
            }
        }
    }
}

/// What is known of one series.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    labels: LabelSet,
    /// Whether the error it holds was asked for.
    preserved: bool,
    counts: Option<Counts>,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Gathered {
    pub(super) fn counts(&mut self, steps: usize) -> &mut Counts {
        self.counts.get_or_insert_with(|| Counts {
            entries: vec![0; steps + 1],
            amounts: vec![0; steps + 1],
        })
    }

    pub(super) fn push(&mut self, at: i64, value: f64) {
        self.times.push(at);
        self.values.push(value);
    }

    pub(super) fn merge(&mut self, other: Self) {
        match (&mut self.counts, other.counts) {
            (Some(mine), Some(theirs)) => mine.merge(&theirs),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
        self.times.extend(other.times);
        self.values.extend(other.values);
    }

    /// Puts samples of several streams in order of time; those of equal time keep theirs.
    fn sort(&mut self) {
        if self.times.is_sorted() {
            return;
        }
        let mut order: Vec<usize> = (0..self.times.len()).collect();
        order.sort_by_key(|i| self.times[*i]);
        self.values = order.iter().map(|i| self.values[*i]).collect();
        self.times = order.iter().map(|i| self.times[*i]).collect();
    }

    pub(super) fn finish(mut self, aggregation: &RangeAggregation, windows: &Windows) -> Series {
        let labels = std::mem::take(&mut self.labels);
        let values = match &self.counts {
            Some(counts) => from_counts(counts, aggregation, windows),
            None => {
                self.sort();
                self.slide(aggregation, windows)
            }
        };
        Series { labels, values }
    }

    fn slide(&self, aggregation: &RangeAggregation, windows: &Windows) -> Vec<f64> {
        let (mut start, mut end) = (0, 0);
        let values = (0..windows.count()).map(|k| {
            let NanoRange { start: from, end: to } = windows.window(k);
            start += self.times[start..].partition_point(|at| *at < from);
            end = end.max(start);
            end += self.times[end..].partition_point(|at| *at < to);
            if start == end {
                return nothing();
            }
            let window =
                Window { times: &self.times[start..end], values: &self.values[start..end] };
            let param = aggregation.param.unwrap_or_default();
            over_time::value(aggregation.op, param, aggregation.range.range_ns, window)
        });
        values.collect()
    }
}

fn from_counts(counts: &Counts, aggregation: &RangeAggregation, windows: &Windows) -> Vec<f64> {
    let seconds = over_time::seconds(aggregation.range.range_ns);
    let (mut entries, mut amount) = (0_i64, 0_i64);
    let values = (0..windows.count()).map(|k| {
        entries += counts.entries[k];
        amount = amount.wrapping_add(counts.amounts[k]);
        match aggregation.op {
            _ if entries == 0 => nothing(),
            RangeOp::Rate | RangeOp::BytesRate => amount as f64 / seconds,
            _ => amount as f64,
        }
    });
    values.collect()
}

/// Series found so far.
#[derive(Debug, Default)]
pub(super) struct Accumulated {
    /// Places of series by their labels as bytes.
    places: FxHashMap<Vec<u8>, usize>,
    pub(super) series: Vec<Gathered>,
    pub(super) held: Load,
    scratch: Vec<u8>,
}

impl Accumulated {
    /// The series with these labels, sorted by name.
    pub(super) fn find(&mut self, pairs: &[(&str, &str)], preserved: bool) -> usize {
        self.scratch.clear();
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            self.scratch.extend_from_slice(text.as_bytes());
            // No UTF-8 holds this byte.
            self.scratch.push(0xff);
        }
        if let Some(id) = self.places.get(self.scratch.as_slice()) {
            return *id;
        }
        let id = self.series.len();
        let labels = LabelSet::from_pairs(pairs.iter().copied());
        self.series.push(Gathered { labels, preserved, ..Gathered::default() });
        self.places.insert(self.scratch.clone(), id);
        id
    }

    pub(super) fn merge(&mut self, other: Self) {
        if self.series.is_empty() {
            *self = other;
            return;
        }
        for gathered in other.series {
            let pairs: Vec<(&str, &str)> = gathered.labels.iter().collect();
            let id = self.find(&pairs, gathered.preserved);
            self.series[id].merge(gathered);
        }
    }

    /// Labels of a series whose entries failed without that being asked for.
    pub(super) fn failed(&self) -> Option<&LabelSet> {
        let fails = |one: &&Gathered| one.labels.get(ERROR).is_some() && !one.preserved;
        self.series.iter().find(fails).map(|one| &one.labels)
    }

    pub(super) fn finish(self, aggregation: &RangeAggregation, windows: &Windows) -> Vec<Series> {
        self.series.into_iter().map(|one| one.finish(aggregation, windows)).collect()
    }
}
