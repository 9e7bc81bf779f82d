//! What a grammar cannot say: patterns, paths and templates must be valid.

use crate::logs::ast::{Expr, LineOp, LineOperand, LogExpr, MetricExpr, Stage};
use crate::logs::error::ParseError;
use crate::logs::pipeline::Pipeline;

/// A selector that would read everything.
pub(in crate::logs) const NO_SELECTIVE_MATCHER: &str = "queries require at least one regexp or equality matcher that does not have an \
     empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but \
     app=~\".+\" will";

pub(super) fn check(expr: &Expr) -> Result<(), ParseError> {
    match expr {
        Expr::Log(log) => check_log(log),
        Expr::Metric(metric) => check_metric(metric),
    }
}

fn check_metric(expr: &MetricExpr) -> Result<(), ParseError> {
    match expr {
        MetricExpr::Number(_) | MetricExpr::Vector(_) => Ok(()),
        MetricExpr::Range(aggregation) => {
            check_log(&aggregation.range.log)?;
            let filters = aggregation.range.unwrap.iter().flat_map(|unwrap| &unwrap.filters);
            check_stages(&filters.cloned().map(Stage::Label).collect::<Vec<_>>())
        }
        MetricExpr::Aggregate(aggregation) => check_metric(&aggregation.inner),
        MetricExpr::LabelReplace(replace) => check_metric(&replace.inner),
        MetricExpr::Binary(binary) => {
            check_metric(&binary.lhs)?;
            check_metric(&binary.rhs)
        }
    }
}

/// Patterns of line filters are left to the engine: Loki's parser takes them as they are.
fn check_log(log: &LogExpr) -> Result<(), ParseError> {
    let is_regex = |stage: &&Stage| match stage {
        Stage::Line(filter) => {
            let texts = filter.operands.iter().all(|o| matches!(o, LineOperand::Text(_)));
            texts && matches!(filter.op, LineOp::Regex | LineOp::NotRegex)
        }
        _ => false,
    };
    let stages: Vec<Stage> = log.stages.iter().filter(|s| !is_regex(s)).cloned().collect();
    check_stages(&stages)
}

/// Stages are valid if they compile.
fn check_stages(stages: &[Stage]) -> Result<(), ParseError> {
    Pipeline::new(stages).map(|_| ()).map_err(ParseError::anywhere)
}
