//! `and`, `or`, `unless`.

use ephemeris_model::is_stale;

use super::Context;
use super::batch::StepSeries;
use super::held::Held;
use super::join::match_labels;
use super::key::Keys;
use super::merge;
use crate::promql::ast::BinaryOp;
use crate::promql::error::QueryError;
use crate::promql::plan::{Grid, Set};

/// Which steps of each key have a sample.
struct Steps {
    count: usize,
    present: Vec<Vec<bool>>,
}

impl Steps {
    fn mark(&mut self, key: usize, series: &StepSeries) {
        if self.present.len() <= key {
            self.present.resize_with(key + 1, Vec::new);
        }
        let marks = &mut self.present[key];
        marks.resize(self.count, false);
        for (step, mark) in marks.iter_mut().enumerate() {
            *mark |= has_sample(series, step);
        }
    }

    fn at(&self, key: usize, step: usize) -> bool {
        self.present.get(key).and_then(|marks| marks.get(step)).copied().unwrap_or(false)
    }
}

fn has_sample(series: &StepSeries, step: usize) -> bool {
    !is_stale(series.values[step]) || matches!(series.histograms.get(step), Some(Some(_)))
}

/// Evaluates a set operator, of which the left side is there.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Set,
    lhs: Held<'a>,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    let rhs = context.vector(&node.rhs, grid)?;
    // `or` looks at the left side to filter the right one, the others the other way round.
    let (filtered, filter) = match node.op {
        BinaryOp::Or => (rhs, lhs),
        _ => (lhs, rhs),
    };
    let mut keys = Keys::new(match_labels(&node.matching));
    let mut steps = Steps { count: grid.count, present: Vec::new() };
    for series in filter.iter() {
        context.budget.check()?;
        let key = keys.number(&series.labels, context.name_of(series));
        steps.mark(key, series);
    }
    let wanted = node.op == BinaryOp::And;
    let mut kept = filtered.into_inner();
    for series in &mut kept {
        context.budget.check()?;
        let key = keys.number(&series.labels, context.name_of(series));
        for step in 0..grid.count {
            if steps.at(key, step) != wanted {
                series.set(step, None);
            }
        }
    }
    kept.retain(|series| !series.is_empty());
    if node.op != BinaryOp::Or {
        return context.hold(kept);
    }
    let mut all = filter.into_inner();
    all.append(&mut kept);
    context.hold(merge::same_labels(all, merge::Overlap::PerStep)?)
}
