//! Pins a query to a moment with `@`, so that it must give the same answer at any other.

use crate::promql::ast::{AtModifier, Expr, ExprKind};
use crate::promql::functions::Function;

/// Functions whose result changes with the time of evaluation, whatever their selectors do.
const TIME_DEPENDENT: [Function; 15] = [
    Function::DaysInMonth,
    Function::DayOfMonth,
    Function::DayOfWeek,
    Function::DayOfYear,
    Function::Hour,
    Function::Minute,
    Function::Month,
    Function::Year,
    Function::PredictLinear,
    Function::Time,
    Function::Timestamp,
    Function::Start,
    Function::End,
    Function::Range,
    Function::Step,
];

/// `expr` with `@ at_ms` on every selector and subquery that has no fixed time of its own and is
/// not inside a subquery that has; nothing if the query depends on the time in other ways.
pub(super) fn pinned(expr: &Expr, at_ms: i64) -> Option<Expr> {
    let mut expr = expr.clone();
    pin(&mut expr, at_ms).then_some(expr)
}

fn pin(mut expr: &mut Expr, at_ms: i64) -> bool {
    let set = |at: &mut Option<AtModifier>| {
        if !matches!(at, Some(AtModifier::At(_))) {
            *at = Some(AtModifier::At(at_ms));
        }
    };
    while matches!(expr.kind, ExprKind::Binary(_)) {
        let ExprKind::Binary(binary) = &mut expr.kind else { return false };
        if !pin(&mut binary.rhs, at_ms) {
            return false;
        }
        expr = &mut binary.lhs;
    }
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::VectorSelector(selector) => {
            set(&mut selector.at);
            true
        }
        ExprKind::MatrixSelector(matrix) => {
            set(&mut matrix.selector.at);
            true
        }
        ExprKind::Subquery(subquery) => {
            set(&mut subquery.at);
            !depends_on_time(&subquery.expr)
        }
        ExprKind::Call(call) => {
            !TIME_DEPENDENT.contains(&call.function)
                && call.args.iter_mut().all(|arg| pin(arg, at_ms))
        }
        ExprKind::Aggregate(aggregate) => {
            pin(&mut aggregate.expr, at_ms)
                && aggregate.param.as_mut().is_none_or(|param| pin(param, at_ms))
        }
        // Gone down above.
        ExprKind::Binary(_) => false,
        ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => pin(inner, at_ms),
    }
}

fn is_start_or_end(at: Option<AtModifier>) -> bool {
    matches!(at, Some(AtModifier::Start | AtModifier::End))
}

/// Whether what stands inside a pinned subquery still changes with the time of evaluation.
fn depends_on_time(mut expr: &Expr) -> bool {
    while let ExprKind::Binary(binary) = &expr.kind {
        if depends_on_time(&binary.rhs) {
            return true;
        }
        expr = &binary.lhs;
    }
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => false,
        ExprKind::VectorSelector(selector) => is_start_or_end(selector.at),
        ExprKind::MatrixSelector(matrix) => is_start_or_end(matrix.selector.at),
        ExprKind::Subquery(subquery) => {
            is_start_or_end(subquery.at) || depends_on_time(&subquery.expr)
        }
        ExprKind::Call(call) => {
            TIME_DEPENDENT.contains(&call.function) || call.args.iter().any(depends_on_time)
        }
        ExprKind::Aggregate(aggregate) => {
            depends_on_time(&aggregate.expr)
                || aggregate.param.as_ref().is_some_and(depends_on_time)
        }
        // Gone down above.
        ExprKind::Binary(_) => true,
        ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => depends_on_time(inner),
    }
}
