//! The form for people: whatever is longer than a line goes over several, two blanks a level.

use super::canonical::{AggregateHead, Operator, SubquerySuffix, sign};
use crate::promql::ast::{Expr, ExprKind};

/// Longest text of an expression that stays on one line.
const LINE_CHARS_MAX: usize = 100;

/// `expr` with line breaks inside operations, calls and aggregations that are longer than 100
/// characters.
#[must_use]
pub fn prettify(expr: &Expr) -> String {
    pretty(expr, 0)
}

fn pretty(expr: &Expr, level: usize) -> String {
    let indent = "  ".repeat(level);
    let line = expr.to_string();
    if line.chars().count() <= LINE_CHARS_MAX {
        return format!("{indent}{line}");
    }
    match &expr.kind {
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::VectorSelector(_)
        | ExprKind::MatrixSelector(_) => format!("{indent}{line}"),
        ExprKind::Subquery(subquery) => {
            format!("{}{}", pretty(&subquery.expr, level), SubquerySuffix(subquery))
        }
        ExprKind::Paren(inner) => {
            format!("{indent}(\n{}\n{indent})", pretty(inner, level + 1))
        }
        ExprKind::Unary(op, inner) => {
            format!("{indent}{}{}", sign(*op), pretty(inner, level).trim_start())
        }
        ExprKind::Call(call) if call.args.is_empty() => format!("{indent}{line}"),
        ExprKind::Call(call) => {
            let args: Vec<String> = call.args.iter().map(|arg| pretty(arg, level + 1)).collect();
            format!("{indent}{}(\n{}\n{indent})", call.function.name(), args.join(",\n"))
        }
        ExprKind::Aggregate(aggregate) => {
            let head = AggregateHead(aggregate);
            let inner = pretty(&aggregate.expr, level + 1);
            let param = aggregate.param.as_ref();
            let param = param.map_or_else(String::new, |p| format!("{},\n", pretty(p, level + 1)));
            format!("{indent}{head}(\n{param}{inner}\n{indent})")
        }
        ExprKind::Binary(binary) => {
            let (lhs, rhs) = (pretty(&binary.lhs, level + 1), pretty(&binary.rhs, level + 1));
            format!("{lhs}\n{indent}{}\n{rhs}", Operator(binary))
        }
    }
}
