//! Aggregations that pick series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;

use ephemeris_model::{Labels, is_stale};
use xxhash_rust::xxh64::xxh64;

use super::super::Context;
use super::super::batch::StepSeries;
use super::super::held::Held;
use super::super::key::Keys;
use super::key_labels;
use crate::promql::annotations::Severity;
use crate::promql::ast::{AggregateOp, Position};
use crate::promql::error::QueryError;
use crate::promql::functions::format_g;
use crate::promql::plan::{Aggregate, AggregateParam, Grid};

/// Picks, at each step and in each group, the series the parameter allows.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Aggregate,
    params: &[f64],
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    let params = check_params(context, node, params)?;
    let mut input = context.vector(&node.input, grid)?;
    let ranks = matches!(node.op, AggregateOp::Topk | AggregateOp::Bottomk);
    if ranks && input.iter().any(|s| s.histograms.iter().any(Option::is_some)) {
        let text = format!("ignored histogram in {} aggregation", super::name(node.op));
        context.annotate(Severity::Info, text, node.position);
        input.iter_mut().for_each(|s| s.histograms.clear());
    }
    if node.op == AggregateOp::LimitRatio {
        for series in input.iter_mut() {
            let share = share_of(&series.labels);
            for (step, ratio) in params.iter().enumerate() {
                if !is_inside(*ratio, share) {
                    series.set(step, None);
                }
            }
        }
        return context.hold(without_empty(input.into_inner()));
    }
    let groups = groups_of(context, node, &input);
    let mut order = Vec::new();
    for (step, k) in params.iter().enumerate() {
        context.budget.check()?;
        for group in &groups {
            order.extend(pick(node.op, *k, &mut input, group, step));
        }
    }
    let mut series = input.into_inner();
    if grid.count == 1 {
        // An instant query shows the picked series in the order of their ranks.
        series = order.into_iter().map(|at| take(&mut series[at])).collect();
    }
    context.hold(without_empty(series))
}

fn without_empty(mut series: Vec<StepSeries>) -> Vec<StepSeries> {
    series.retain(|s| !s.is_empty());
    series
}

fn take(series: &mut StepSeries) -> StepSeries {
    std::mem::replace(series, StepSeries::absent(Labels::empty(), 0))
}

/// Which series belong to each group.
fn groups_of(context: &Context<'_>, node: &Aggregate, input: &[StepSeries]) -> Vec<Vec<usize>> {
    let mut keys = Keys::new(key_labels(&node.grouping));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, series) in input.iter().enumerate() {
        let number = keys.number(&series.labels, context.name_of(series));
        if number == groups.len() {
            groups.push(Vec::new());
        }
        groups[number].push(at);
    }
    groups
}

/// Removes from `input` what is not picked at `step`; gives the series picked, in order.
fn pick(
    op: AggregateOp,
    k: f64,
    input: &mut [StepSeries],
    group: &[usize],
    step: usize,
) -> Vec<usize> {
    let present = |at: &usize| {
        let series = &input[*at];
        !is_stale(series.values[step]) || matches!(series.histograms.get(step), Some(Some(_)))
    };
    let mut candidates: Vec<usize> = group.iter().copied().filter(present).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held at 0")]
    let count = (k.max(0.0) as usize).min(candidates.len());
    let rank = |a: &usize, b: &usize| {
        let (x, y) = (input[*a].values[step], input[*b].values[step]);
        let by_value = match op {
            AggregateOp::Topk => compare_nan_last(y, x, x.is_nan(), y.is_nan()),
            AggregateOp::Bottomk => compare_nan_last(x, y, x.is_nan(), y.is_nan()),
            _ => Ordering::Equal,
        };
        by_value.then(a.cmp(b))
    };
    if count < candidates.len() && count > 0 {
        candidates.select_nth_unstable_by(count, rank);
    }
    let mut picked = candidates[..count].to_vec();
    picked.sort_unstable_by(rank);
    let dropped = candidates[count..].to_vec();
    for at in dropped {
        input[at].set(step, None);
    }
    picked
}

/// Compares two numbers, one of which may stand for the other side; NaN comes last.
fn compare_nan_last(x: f64, y: f64, a_is_nan: bool, b_is_nan: bool) -> Ordering {
    x.partial_cmp(&y).unwrap_or_else(|| a_is_nan.cmp(&b_is_nan))
}

/// Where a series stands between 0 and 1: its hash as Prometheus takes it, so that a share holds
/// the same series there and here.
#[expect(clippy::cast_precision_loss, reason = "a hash needs no low bits here")]
fn share_of(labels: &Labels) -> f64 {
    let mut bytes = Vec::new();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            push_length(&mut bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    xxh64(&bytes, 0) as f64 / u64::MAX as f64
}

/// A length of one byte, or of 255 and three bytes.
fn push_length(bytes: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 255 => bytes.push(short),
        _ => {
            bytes.push(255);
            bytes.extend_from_slice(&length.to_le_bytes()[..3]);
        }
    }
}

/// Whether a series belongs to the share `ratio`; a ratio of `r - 1` gives all others than `r`.
fn is_inside(ratio: f64, share: f64) -> bool {
    if ratio >= 0.0 { share < ratio } else { share >= 1.0 + ratio }
}

fn check_params(
    context: &Context<'_>,
    node: &Aggregate,
    params: &[f64],
) -> Result<Vec<f64>, QueryError> {
    let position = match &node.param {
        AggregateParam::Scalar(_, position) => *position,
        _ => node.position,
    };
    if node.op == AggregateOp::LimitRatio {
        return ratios(context, params, position);
    }
    if params.iter().any(|k| k.is_nan()) {
        return Err(QueryError::execution("Parameter value is NaN"));
    }
    // The bounds of a 64-bit integer.
    if let Some(k) = params.iter().find(|k| **k >= 9_223_372_036_854_775_808.0) {
        return Err(QueryError::execution(format!(
            "Scalar value {} overflows int64",
            format_g(*k)
        )));
    }
    if let Some(k) = params.iter().find(|k| **k < -9_223_372_036_854_775_808.0) {
        let k = format_g(*k);
        return Err(QueryError::execution(format!("Scalar value {k} underflows int64")));
    }
    Ok(params.to_vec())
}

fn ratios(
    context: &Context<'_>,
    params: &[f64],
    position: Position,
) -> Result<Vec<f64>, QueryError> {
    if params.iter().any(|ratio| ratio.is_nan()) {
        return Err(QueryError::execution("Ratio value is NaN"));
    }
    let most = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = params.iter().copied().fold(f64::INFINITY, f64::min);
    for (outside, bound) in [(most, 1.0), (least, -1.0)] {
        if outside * bound > 1.0 {
            let text = format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                format_g(outside),
                format_g(bound)
            );
            context.annotate(Severity::Warning, text, position);
        }
    }
    Ok(params.iter().map(|ratio| ratio.clamp(-1.0, 1.0)).collect())
}
