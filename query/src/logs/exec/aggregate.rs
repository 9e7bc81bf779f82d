//! Vector aggregations.

use rustc_hash::FxHashMap;

use ephemeris_model::is_stale;

use super::grid::Grid;
use super::{Series, nothing};
use crate::logs::ast::{Grouping, GroupingKind, VectorAggregation, VectorOp};
use crate::logs::labels::LabelSet;

/// Computes one series for each group, or picks some of each.
pub(super) fn aggregate(
    aggregation: &VectorAggregation,
    mut series: Vec<Series>,
    grid: &Grid,
) -> Vec<Series> {
    // Ties go to the series whose labels come first.
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    match aggregation.op {
        VectorOp::Sort | VectorOp::SortDesc => sort(aggregation.op, series),
        VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk => {
            pick(aggregation, series, grid)
        }
        op => {
            let groups = group(aggregation.grouping.as_ref(), &series);
            let reduce = |(labels, members): (LabelSet, Vec<usize>)| {
                let mut sums = vec![Summary::default(); grid.count()];
                for member in members {
                    for (sum, value) in sums.iter_mut().zip(&series[member].values) {
                        if !is_stale(*value) {
                            sum.add(op, *value);
                        }
                    }
                }
                let values = sums.iter().map(|sum| sum.value(op)).collect();
                Series { labels, values }
            };
            groups.into_iter().map(reduce).collect()
        }
    }
}

/// Groups in the order their first member comes in.
fn group(grouping: Option<&Grouping>, series: &[Series]) -> Vec<(LabelSet, Vec<usize>)> {
    let mut groups: Vec<(LabelSet, Vec<usize>)> = Vec::new();
    let mut places: FxHashMap<LabelSet, usize> = FxHashMap::default();
    for (i, one) in series.iter().enumerate() {
        let labels = grouped(grouping, &one.labels);
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            groups.push((labels, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(i);
    }
    groups
}

fn grouped(grouping: Option<&Grouping>, labels: &LabelSet) -> LabelSet {
    let Some(Grouping { kind, names }) = grouping else { return LabelSet::default() };
    let is_named = |name: &str| names.iter().any(|n| n == name);
    labels.filter(|name| is_named(name) == (*kind == GroupingKind::By))
}

/// What is known of the values of a group at one step.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    count: f64,
    /// Sum, extreme, or sum of squared distances, as the operator needs.
    value: f64,
    mean: f64,
}

impl Summary {
    fn add(&mut self, op: VectorOp, value: f64) {
        self.count += 1.0;
        let first = self.count == 1.0;
        match op {
            VectorOp::Max if first || self.value < value || self.value.is_nan() => {
                self.value = value;
            }
            VectorOp::Min if first || self.value > value || self.value.is_nan() => {
                self.value = value;
            }
            VectorOp::Sum => self.value += value,
            VectorOp::Avg if first => self.mean = value,
            VectorOp::Avg => self.average(value),
            VectorOp::Stddev | VectorOp::Stdvar => {
                let delta = value - self.mean;
                self.mean += delta / self.count;
                self.value += delta * (value - self.mean);
            }
            _ => {}
        }
    }

    fn average(&mut self, value: f64) {
        if self.mean.is_infinite() {
            let same = value.is_infinite() && (self.mean > 0.0) == (value > 0.0);
            if same || value.is_finite() {
                return;
            }
        }
        self.mean += value / self.count - self.mean / self.count;
    }

    fn value(&self, op: VectorOp) -> f64 {
        if self.count == 0.0 {
            return nothing();
        }
        match op {
            VectorOp::Avg => self.mean,
            VectorOp::Count => self.count,
            VectorOp::Stddev => (self.value / self.count).sqrt(),
            VectorOp::Stdvar => self.value / self.count,
            _ => self.value,
        }
    }
}

/// Sorts by the value of the first step; what is no number comes last.
fn sort(op: VectorOp, mut series: Vec<Series>) -> Vec<Series> {
    let first = |one: &Series| one.values.first().copied().unwrap_or_else(nothing);
    series.sort_by(|a, b| {
        let (a, b) = (first(a), first(b));
        let order = if op == VectorOp::Sort { a.total_cmp(&b) } else { b.total_cmp(&a) };
        a.is_nan().cmp(&b.is_nan()).then(order)
    });
    series
}

/// Keeps the values of the largest or smallest of each group, step by step.
fn pick(aggregation: &VectorAggregation, mut series: Vec<Series>, grid: &Grid) -> Vec<Series> {
    let largest = aggregation.op != VectorOp::Bottomk;
    for (_, members) in group(aggregation.grouping.as_ref(), &series) {
        for k in 0..grid.count() {
            let mut present: Vec<(usize, f64)> = members
                .iter()
                .map(|member| (*member, series[*member].values[k]))
                .filter(|(_, value)| !is_stale(*value))
                .collect();
            present.sort_by(|(_, a), (_, b)| {
                let order = if largest { b.total_cmp(a) } else { a.total_cmp(b) };
                a.is_nan().cmp(&b.is_nan()).then(order)
            });
            for (member, _) in present.into_iter().skip(aggregation.param) {
                series[member].values[k] = nothing();
            }
        }
    }
    series.retain(|one| one.values.iter().any(|value| !is_stale(*value)));
    series
}
