//! Binary operators.

use ephemeris_model::is_stale;
use rustc_hash::{FxHashMap, FxHashSet};

use super::grid::Grid;
use super::{Series, Value, nothing};
use crate::logs::arithmetic::{apply, holds};
use crate::logs::ast::{Binary, BinaryOp, ComparisonResult, MatchLabels, Matching, Side};
use crate::logs::error::LogQueryError;
use crate::logs::labels::LabelSet;

/// Applies an operator at every step.
pub(super) fn binary(
    binary: &Binary,
    lhs: Value,
    rhs: Value,
    grid: &Grid,
) -> Result<Vec<Series>, LogQueryError> {
    match (lhs, rhs) {
        (Value::Scalar(a), Value::Scalar(b)) => Ok(super::constant(apply(binary.op, a, b), grid)),
        (Value::Scalar(a), Value::Series(series)) => {
            Ok(with_scalar(binary, series, |value| (a, value)))
        }
        (Value::Series(series), Value::Scalar(b)) => {
            Ok(with_scalar(binary, series, |value| (value, b)))
        }
        (Value::Series(lhs), Value::Series(rhs)) => {
            let sides = Sides::new(&binary.matching, lhs, rhs);
            if binary.op.is_set() {
                return Ok(sides.set(binary.op, grid));
            }
            sides.join(binary, grid)
        }
    }
}

/// Computes with a number; a comparison keeps the value of the series.
fn with_scalar(
    binary: &Binary,
    mut series: Vec<Series>,
    order: impl Fn(f64) -> (f64, f64),
) -> Vec<Series> {
    let filters = binary.op.is_comparison() && binary.comparison == ComparisonResult::Filter;
    for value in series.iter_mut().flat_map(|one| &mut one.values) {
        if is_stale(*value) {
            continue;
        }
        let (a, b) = order(*value);
        if !filters {
            *value = apply(binary.op, a, b);
        } else if !holds(binary.op, a, b) {
            *value = nothing();
        }
    }
    series
}

/// Two sides, and which of their series belong together.
struct Sides<'a> {
    matching: &'a Matching,
    lhs: Vec<Series>,
    rhs: Vec<Series>,
    /// For each series the number of its matching labels.
    lhs_keys: Vec<usize>,
    rhs_keys: Vec<usize>,
    key_count: usize,
}

impl<'a> Sides<'a> {
    fn new(matching: &'a Matching, lhs: Vec<Series>, rhs: Vec<Series>) -> Self {
        let mut numbers: FxHashMap<LabelSet, usize> = FxHashMap::default();
        let mut keys = |series: &[Series]| -> Vec<usize> {
            let key = |one: &Series| {
                let next = numbers.len();
                *numbers.entry(matching_labels(matching, &one.labels)).or_insert(next)
            };
            series.iter().map(key).collect()
        };
        let (lhs_keys, rhs_keys) = (keys(&lhs), keys(&rhs));
        Self { matching, lhs_keys, rhs_keys, key_count: numbers.len(), lhs, rhs }
    }

    /// `and`, `or` and `unless`.
    fn set(self, op: BinaryOp, grid: &Grid) -> Vec<Series> {
        let mut result = Joined::new(grid);
        let mut lhs = self.lhs;
        let present = |series: &[Series], keys: &[usize], k: usize| {
            let mut found = vec![false; self.key_count];
            for (one, key) in series.iter().zip(keys) {
                found[*key] |= !is_stale(one.values[k]);
            }
            found
        };
        if op == BinaryOp::Or {
            for one in &lhs {
                result.add_all(one);
            }
            for k in 0..grid.count() {
                let taken = present(&lhs, &self.lhs_keys, k);
                let free = self.rhs.iter().zip(&self.rhs_keys).filter(|(_, key)| !taken[**key]);
                for (one, _) in free.filter(|(one, _)| !is_stale(one.values[k])) {
                    let at = result.place(&one.labels);
                    result.series[at].values[k] = one.values[k];
                }
            }
            return result.series;
        }
        for k in 0..grid.count() {
            let there = present(&self.rhs, &self.rhs_keys, k);
            for (one, key) in lhs.iter_mut().zip(&self.lhs_keys) {
                if there[*key] != (op == BinaryOp::And) {
                    one.values[k] = nothing();
                }
            }
        }
        lhs
    }

    /// Operators that compute from one value of each side.
    fn join(self, binary: &Binary, grid: &Grid) -> Result<Vec<Series>, LogQueryError> {
        let many_side = self.matching.group.as_ref().map_or(Side::Left, |group| group.many);
        let (many, many_keys, one, one_keys, one_name) = match many_side {
            Side::Left => (&self.lhs, &self.lhs_keys, &self.rhs, &self.rhs_keys, "right"),
            Side::Right => (&self.rhs, &self.rhs_keys, &self.lhs, &self.lhs_keys, "left"),
        };
        let mut result = Joined::new(grid);
        let mut places: FxHashMap<(usize, usize), usize> = FxHashMap::default();
        for k in 0..grid.count() {
            let partners = partners(one, one_keys, self.key_count, k, one_name)?;
            let mut matched: FxHashSet<usize> = FxHashSet::default();
            for (i, (series, key)) in many.iter().zip(many_keys).enumerate() {
                let value = series.values[k];
                let Some(partner) = partners[*key].filter(|_| !is_stale(value)) else { continue };
                let other = one[partner].values[k];
                let (a, b) = match many_side {
                    Side::Left => (value, other),
                    Side::Right => (other, value),
                };
                let Some(value) = compute(binary, a, b) else { continue };
                let place = *places.entry((i, partner)).or_insert_with(|| {
                    let labels = result_labels(self.matching, &series.labels, &one[partner].labels);
                    result.place(&labels)
                });
                self.check_once(&mut matched, *key, place)?;
                result.series[place].values[k] = value;
            }
        }
        Ok(result.series)
    }

    /// A match must be the only one: of its key, or with a grouping of its labels.
    fn check_once(
        &self,
        matched: &mut FxHashSet<usize>,
        key: usize,
        place: usize,
    ) -> Result<(), LogQueryError> {
        let (id, text) = match self.matching.group {
            None => (
                key,
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)",
            ),
            Some(_) => {
                (place, "multiple matches for labels: grouping labels must ensure unique matches")
            }
        };
        if matched.insert(id) { Ok(()) } else { Err(LogQueryError::execution(text)) }
    }
}

/// For each key the series of the side that may have only one, at one step.
fn partners(
    series: &[Series],
    keys: &[usize],
    key_count: usize,
    k: usize,
    side: &str,
) -> Result<Vec<Option<usize>>, LogQueryError> {
    let mut partners = vec![None; key_count];
    for (i, (one, key)) in series.iter().zip(keys).enumerate() {
        if is_stale(one.values[k]) {
            continue;
        }
        if partners[*key].replace(i).is_some() {
            return Err(LogQueryError::execution(format!(
                "found duplicate series on the {side} hand-side;many-to-many matching not \
                 allowed: matching labels must be unique on one side"
            )));
        }
    }
    Ok(partners)
}

/// The value of a pair, if there is one.
fn compute(binary: &Binary, a: f64, b: f64) -> Option<f64> {
    let filters = binary.op.is_comparison() && binary.comparison == ComparisonResult::Filter;
    if filters { holds(binary.op, a, b).then_some(a) } else { Some(apply(binary.op, a, b)) }
}

fn matching_labels(matching: &Matching, labels: &LabelSet) -> LabelSet {
    let listed = |names: &[String], name: &str| names.iter().any(|n| n == name);
    match &matching.labels {
        None => labels.clone(),
        Some(MatchLabels::On(names)) => labels.filter(|name| listed(names, name)),
        Some(MatchLabels::Ignoring(names)) => labels.filter(|name| !listed(names, name)),
    }
}

fn result_labels(matching: &Matching, many: &LabelSet, one: &LabelSet) -> LabelSet {
    let Some(group) = &matching.group else { return matching_labels(matching, many) };
    group.include.iter().fold(many.clone(), |labels, name| {
        labels.with(name, one.get(name).filter(|value| !value.is_empty()))
    })
}

/// Series of a result by their labels.
struct Joined {
    series: Vec<Series>,
    places: FxHashMap<LabelSet, usize>,
    steps: usize,
}

impl Joined {
    fn new(grid: &Grid) -> Self {
        Self { series: Vec::new(), places: FxHashMap::default(), steps: grid.count() }
    }

    fn place(&mut self, labels: &LabelSet) -> usize {
        if let Some(place) = self.places.get(labels) {
            return *place;
        }
        let place = self.series.len();
        self.series.push(Series { labels: labels.clone(), values: vec![nothing(); self.steps] });
        self.places.insert(labels.clone(), place);
        place
    }

    fn add_all(&mut self, one: &Series) {
        let place = self.place(&one.labels);
        for (mine, value) in self.series[place].values.iter_mut().zip(&one.values) {
            if !is_stale(*value) {
                *mine = *value;
            }
        }
    }
}
