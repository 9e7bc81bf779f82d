//! Runs queries: reads streams, applies pipelines, computes.
//!
//! | file | holds |
//! |---|---|
//! | `read` | streams of a selection and their entries, on all cores |
//! | `entries` | the answer to a log query |
//! | `grid` | steps, and which of them a moment belongs to |
//! | `window`, `gather`, `over_time` | range aggregations |
//! | `aggregate`, `binary`, `labels` | what is computed from series |

mod aggregate;
mod binary;
mod entries;
mod gather;
mod grid;
mod labels;
mod over_time;
mod read;
mod window;

#[cfg(test)]
mod tally_tests;

use std::time::Instant;

use ephemeris_model::{LogSource, is_stale, stale_nan};

pub(super) use entries::entries;
use grid::Grid;
use read::Context;

use super::ast::{MetricExpr, VectorAggregation, VectorOp};
use super::engine::MetricRange;
use super::error::LogQueryError;
use super::labels::LabelSet;
use super::result::{MetricAnswer, MetricSeries, MetricValue};
use crate::budget::{Budget, Load};

/// A series with a value for each step; a step without one holds the stale marker.
#[derive(Clone, Debug)]
struct Series {
    labels: LabelSet,
    values: Vec<f64>,
}

/// What an expression gives.
#[derive(Debug)]
enum Value {
    Scalar(f64),
    Series(Vec<Series>),
}

/// The value of a step that has none.
fn nothing() -> f64 {
    stale_nan()
}

pub(super) fn instant(
    source: &dyn LogSource,
    expr: &MetricExpr,
    at_ns: i64,
    budget: &Budget,
) -> Result<MetricAnswer, LogQueryError> {
    let started = Instant::now();
    let context = Context::new(source, budget);
    let value = match evaluate(&context, expr, &Grid::single(at_ns))? {
        Value::Scalar(value) => MetricValue::Scalar { at_ns, value },
        Value::Series(series) => {
            let first = |one: Series| {
                let value = one.values.first().copied().filter(|value| !is_stale(*value))?;
                Some((one.labels, value))
            };
            let mut samples: Vec<(LabelSet, f64)> = series.into_iter().filter_map(first).collect();
            if !any_aggregation(expr, &is_sort) {
                samples.sort_by(|a, b| a.0.cmp(&b.0));
            }
            MetricValue::Vector { at_ns, samples }
        }
    };
    Ok(context.answer(value, started))
}

pub(super) fn range(
    source: &dyn LogSource,
    expr: &MetricExpr,
    range: MetricRange,
    budget: &Budget,
) -> Result<MetricAnswer, LogQueryError> {
    let started = Instant::now();
    let Some(grid) = Grid::new(range) else {
        return Err(LogQueryError::execution(format!(
            "no steps from {} to {} by {} ns",
            range.start_ns, range.end_ns, range.step_ns
        )));
    };
    if any_aggregation(expr, &|aggregation| aggregation.op == VectorOp::ApproxTopk) {
        return Err(LogQueryError::execution("approx_topk is only supported on instant queries"));
    }
    let context = Context::new(source, budget);
    context.budget.admit(grid.count() as u64)?;
    let series = match evaluate(&context, expr, &grid)? {
        Value::Scalar(value) => constant(value, &grid),
        Value::Series(series) => series,
    };
    let points = |one: Series| {
        let with_time = one.values.iter().enumerate().filter(|(_, value)| !is_stale(**value));
        let points: Vec<(i64, f64)> = with_time.map(|(k, v)| (grid.time(k), *v)).collect();
        (!points.is_empty()).then_some(MetricSeries { labels: one.labels, points })
    };
    let mut matrix: Vec<MetricSeries> = series.into_iter().filter_map(points).collect();
    matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(context.answer(MetricValue::Matrix(matrix), started))
}

/// Whether any vector aggregation of the query is of a kind.
fn any_aggregation(expr: &MetricExpr, wanted: &dyn Fn(&VectorAggregation) -> bool) -> bool {
    match expr {
        MetricExpr::Number(_) | MetricExpr::Vector(_) | MetricExpr::Range(_) => false,
        MetricExpr::Aggregate(aggregation) => {
            wanted(aggregation) || any_aggregation(&aggregation.inner, wanted)
        }
        MetricExpr::LabelReplace(replace) => any_aggregation(&replace.inner, wanted),
        MetricExpr::Binary(binary) => {
            any_aggregation(&binary.lhs, wanted) || any_aggregation(&binary.rhs, wanted)
        }
    }
}

fn is_sort(aggregation: &VectorAggregation) -> bool {
    matches!(aggregation.op, VectorOp::Sort | VectorOp::SortDesc)
}

/// The same number at every step, without labels.
fn constant(value: f64, grid: &Grid) -> Vec<Series> {
    vec![Series { labels: LabelSet::default(), values: vec![value; grid.count()] }]
}

fn evaluate(context: &Context<'_>, expr: &MetricExpr, grid: &Grid) -> Result<Value, LogQueryError> {
    context.budget.check()?;
    let series = match expr {
        MetricExpr::Number(value) => return Ok(Value::Scalar(*value)),
        MetricExpr::Vector(value) => constant(*value, grid),
        MetricExpr::Range(aggregation) => {
            window::evaluate(context, aggregation, aggregation.grouping.as_ref(), grid)?
        }
        MetricExpr::Aggregate(aggregation) => {
            let inner = match &aggregation.inner {
                MetricExpr::Range(range) if window::takes_grouping(aggregation, range) => {
                    let all = window::into_one();
                    let grouping = aggregation.grouping.as_ref().unwrap_or(&all);
                    window::evaluate(context, range, Some(grouping), grid)?
                }
                inner => as_series(evaluate(context, inner, grid)?, grid),
            };
            aggregate::aggregate(aggregation, inner, grid)
        }
        MetricExpr::Binary(binary) => {
            let lhs = evaluate(context, &binary.lhs, grid)?;
            let rhs = evaluate(context, &binary.rhs, grid)?;
            binary::binary(binary, lhs, rhs, grid)?
        }
        MetricExpr::LabelReplace(replace) => {
            let inner = as_series(evaluate(context, &replace.inner, grid)?, grid);
            labels::replace(replace, inner)?
        }
    };
    // What operators make lives as long as the query does.
    let samples = (series.len() as u64).saturating_mul(grid.count() as u64);
    context.budget.hold(Load { samples, bytes: samples.saturating_mul(8) })?;
    Ok(Value::Series(series))
}

fn as_series(value: Value, grid: &Grid) -> Vec<Series> {
    match value {
        Value::Scalar(value) => constant(value, grid),
        Value::Series(series) => series,
    }
}
