//! Which expressions give the same at every step, so that one evaluation serves them all.

use crate::promql::ast::{Expr, ExprKind};
use crate::promql::functions::Function;

/// Whether `expr` gives the same at every step: all it reads is pinned by `@`, and nothing in it
/// asks for the time of the step.
pub(super) fn is_invariant(mut expr: &Expr) -> bool {
    while let ExprKind::Binary(binary) = &expr.kind {
        if !is_invariant(&binary.rhs) {
            return false;
        }
        expr = &binary.lhs;
    }
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::VectorSelector(selector) => selector.at.is_some(),
        ExprKind::MatrixSelector(matrix) => matrix.selector.at.is_some(),
        ExprKind::Subquery(subquery) => subquery.at.is_some(),
        ExprKind::Call(call) => {
            !asks_for_time(call.function, call.args.len())
                && call.args.first().is_none_or(is_invariant)
                // The second argument of `info` is a set of matchers, not something to evaluate.
                && (call.function == Function::Info || call.args.iter().skip(1).all(is_invariant))
        }
        ExprKind::Aggregate(aggregate) => {
            is_invariant(&aggregate.expr) && aggregate.param.as_ref().is_none_or(is_invariant)
        }
        // Gone down above.
        ExprKind::Binary(_) => false,
        ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => is_invariant(inner),
    }
}

const fn asks_for_time(function: Function, arguments: usize) -> bool {
    match function {
        Function::Time | Function::PredictLinear | Function::Timestamp => true,
        Function::DayOfMonth
        | Function::DayOfWeek
        | Function::DayOfYear
        | Function::DaysInMonth
        | Function::Hour
        | Function::Minute
        | Function::Month
        | Function::Year => arguments == 0,
        _ => false,
    }
}
