//! The end of a query: names are removed where that was left for the end, and the answer gets its
//! shape and order.

use ephemeris_model::{SampleBuffer, SeriesSet, is_stale};

use super::Context;
use super::batch::StepSeries;
use super::key::without_name;
use super::merge::{self, Overlap};
use super::read::{Absorb, Visit, Wanted, read_all};
use super::weight::whole;
use crate::budget::Load;
use crate::promql::ast::{AggregateOp, Extension};
use crate::promql::error::QueryError;
use crate::promql::functions::Function;
use crate::promql::plan::{Grid, Plan, Role, Samples, Subquery, Vector};
use crate::promql::result::{AnswerValue, MatrixSeries, VectorSample};

/// Whether a query is evaluated at one moment or at many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// An instant query.
    Instant,
    /// A range query.
    Range,
}

/// About what a series of an answer takes beside its samples.
const SERIES_BYTES: usize = 300;
/// What a float of an answer takes, with its time.
const FLOAT_BYTES: usize = 16;
/// About what a histogram of an answer takes.
const HISTOGRAM_BYTES: usize = 500;

/// Evaluates a whole plan. The bytes of the answer stay held by the budget.
pub(crate) fn finish(
    context: &Context<'_>,
    plan: &Plan,
    grid: &Grid,
) -> Result<AnswerValue, QueryError> {
    context.budget.admit(grid.count as u64)?;
    match (plan, context.mode) {
        (Plan::Text(text), _) => {
            Ok(AnswerValue::String { at_ms: grid.start_ms, text: text.clone() })
        }
        (Plan::Scalar(scalar), Mode::Instant) => {
            let value = context.scalar(scalar, grid)?.first().copied().unwrap_or(f64::NAN);
            Ok(AnswerValue::Scalar { at_ms: grid.start_ms, value })
        }
        (Plan::Scalar(scalar), Mode::Range) => {
            let mut series = StepSeries::absent(ephemeris_model::Labels::empty(), 0);
            series.values = context.scalar(scalar, grid)?;
            matrix(context, vec![series], grid)
        }
        (Plan::Vector(vector), mode) => {
            let series = context.vector(vector, grid)?.into_inner();
            let series = without_names(series)?;
            let value = match mode {
                Mode::Range => matrix(context, series, grid)?,
                Mode::Instant if is_ordered(vector) => instant(series, grid, Order::Kept),
                Mode::Instant => instant(series, grid, Order::ByLabels),
            };
            hold_answer(context, value)
        }
        (Plan::Samples(samples), Mode::Instant) => stored(context, samples, grid),
        (Plan::Subquery(subquery), Mode::Instant) => evaluated(context, subquery, grid),
        (Plan::Samples(_) | Plan::Subquery(_), Mode::Range) => Err(QueryError::execution(
            "invalid expression type \"range vector\" for range query, must be Scalar or instant \
             Vector",
        )),
    }
}

/// The order of an instant vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Kept,
    ByLabels,
}

/// Whether the series of `vector` come in an order the query asks for.
fn is_ordered(mut vector: &Vector) -> bool {
    loop {
        vector = match vector {
            Vector::Whole(whole) => match whole.function {
                Function::Sort
                | Function::SortDesc
                | Function::SortByLabel
                | Function::SortByLabelDesc => return true,
                Function::LabelReplace | Function::LabelJoin => &whole.input,
                _ => return false,
            },
            Vector::Aggregate(aggregate) => {
                return matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk);
            }
            Vector::Map(map) => &map.input,
            Vector::WithScalar(node) => &node.vector,
            Vector::Negate(inner) | Vector::Invariant(inner) => inner,
            _ => return false,
        };
    }
}

/// Removes the names that are to go, and joins what has the same labels then.
fn without_names(mut series: Vec<StepSeries>) -> Result<Vec<StepSeries>, QueryError> {
    for one in series.iter_mut().filter(|one| one.drop_name) {
        one.labels = without_name(&one.labels);
        one.drop_name = false;
    }
    merge::same_labels(series, Overlap::PerStep)
}

fn instant(series: Vec<StepSeries>, grid: &Grid, order: Order) -> AnswerValue {
    let mut samples: Vec<VectorSample> = series
        .into_iter()
        .filter_map(|one| one.point(0).map(|point| VectorSample { labels: one.labels, point }))
        .collect();
    if order == Order::ByLabels {
        samples.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    AnswerValue::Vector { at_ms: grid.start_ms, samples }
}

fn matrix(
    context: &Context<'_>,
    series: Vec<StepSeries>,
    grid: &Grid,
) -> Result<AnswerValue, QueryError> {
    let mut matrix = Vec::with_capacity(series.len());
    for one in series {
        context.budget.check()?;
        let mut histograms = Vec::new();
        for (step, histogram) in one.histograms.iter().enumerate() {
            histograms.extend(histogram.clone().map(|h| (grid.at(step), h)));
        }
        let values = one.values.iter().enumerate().filter(|(_, v)| !is_stale(**v));
        let floats: Vec<(i64, f64)> = values.map(|(step, v)| (grid.at(step), *v)).collect();
        if !floats.is_empty() || !histograms.is_empty() {
            matrix.push(MatrixSeries { labels: one.labels, floats, histograms });
        }
    }
    matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(AnswerValue::Matrix(matrix))
}

/// Keeps the samples of a range selector as they are.
struct Keep<'c, 'a> {
    context: &'c Context<'a>,
    kept: Vec<MatrixSeries>,
}

/// What was kept.
struct Kept(Vec<MatrixSeries>);

impl Absorb for Kept {
    fn absorb(&mut self, mut next: Self) -> Result<(), QueryError> {
        self.0.append(&mut next.0);
        Ok(())
    }
}

impl Visit for Keep<'_, '_> {
    fn series(
        &mut self,
        set: &dyn SeriesSet,
        index: usize,
        samples: &SampleBuffer,
    ) -> Result<(), QueryError> {
        let mut one =
            MatrixSeries { labels: set.labels(index), floats: Vec::new(), histograms: Vec::new() };
        for (i, (&at, &value)) in samples.timestamps.iter().zip(&samples.values).enumerate() {
            match samples.histogram_at(i) {
                Some(histogram) => one.histograms.push((at, histogram.clone())),
                None if is_stale(value) => {}
                None => one.floats.push((at, value)),
            }
        }
        self.context.budget.hold(Load {
            samples: (one.floats.len() + 16 * one.histograms.len()) as u64,
            bytes: bytes_of(&one) as u64,
        })?;
        if !one.floats.is_empty() || !one.histograms.is_empty() {
            self.kept.push(one);
        }
        Ok(())
    }
}

fn stored(
    context: &Context<'_>,
    samples: &Samples,
    grid: &Grid,
) -> Result<AnswerValue, QueryError> {
    if samples.extension != Extension::None {
        return Err(QueryError::execution(
            "anchored and smoothed range selectors are for functions; they have no samples to show",
        ));
    }
    let end = samples.times.of(grid, 0);
    let first = end.saturating_sub(samples.range_ms).saturating_add(1);
    let set = context.select(samples, (first, end))?;
    let make = || Keep { context, kept: Vec::new() };
    let kept = read_all(context, (&*set, Wanted::All), &make, &|keep| Kept(keep.kept))?;
    let mut matrix = kept.map_or_else(Vec::new, |kept| kept.0);
    let histograms = |s: &MatrixSeries| s.histograms.iter().map(|(_, one)| whole(one)).sum::<u64>();
    let looked_at = matrix.iter().map(|s| s.floats.len() as u64 + histograms(s)).sum();
    context.count_looked_at(grid.role, looked_at, &[looked_at]);
    matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(AnswerValue::Matrix(matrix))
}

fn evaluated(
    context: &Context<'_>,
    subquery: &Subquery,
    grid: &Grid,
) -> Result<AnswerValue, QueryError> {
    let Some(inside) = subquery.grid(grid) else { return Ok(AnswerValue::Matrix(Vec::new())) };
    // No function above counts what is looked at here.
    let inside = Grid { role: Role::Once(1), ..inside };
    context.budget.admit(inside.count as u64)?;
    let series = context.vector(&subquery.input, &inside)?.into_inner();
    hold_answer(context, matrix(context, without_names(series)?, &inside)?)
}

/// Holds the bytes of an answer; its samples were counted while they were computed.
fn hold_answer(context: &Context<'_>, value: AnswerValue) -> Result<AnswerValue, QueryError> {
    let bytes = match &value {
        AnswerValue::Scalar { .. } | AnswerValue::String { .. } => 0,
        AnswerValue::Vector { samples, .. } => samples.len() * (SERIES_BYTES + FLOAT_BYTES),
        AnswerValue::Matrix(matrix) => matrix.iter().map(bytes_of).sum(),
    };
    context.budget.hold(Load { samples: 0, bytes: bytes as u64 })?;
    Ok(value)
}

fn bytes_of(series: &MatrixSeries) -> usize {
    let (floats, histograms) = (series.floats.len(), series.histograms.len());
    SERIES_BYTES + FLOAT_BYTES * floats + HISTOGRAM_BYTES * histograms
}
