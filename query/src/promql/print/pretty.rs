//! The form for people: whatever is longer than a line goes over several, two blanks a level.
//! Work and text grow with the length of the query, however it is nested.

use std::fmt::{self, Write as _};

use super::canonical::{AggregateHead, Operator, SubquerySuffix, sign};
use super::layout::{LINE_CHARS_MAX, Layout, TooLong, within};
use crate::promql::ast::{Expr, ExprKind};

/// Longest chain whose left sides are indented.
const LINKS_INDENTED_MAX: usize = 256;

/// `expr` with line breaks inside operations, calls and aggregations that are longer than 100
/// characters. Beyond 32 levels nothing is indented further.
///
/// # Errors
/// If the text would be longer than [`LAYOUT_BYTES_MAX`](super::LAYOUT_BYTES_MAX).
pub fn prettify(expr: &Expr) -> Result<String, TooLong> {
    Layout::of(|out| pretty(expr, 0, out))
}

fn pretty(expr: &Expr, level: usize, out: &mut Layout) -> fmt::Result {
    if let Some(line) = short(expr) {
        return out.line(level, line);
    }
    match &expr.kind {
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::VectorSelector(_)
        | ExprKind::MatrixSelector(_) => out.line(level, expr),
        ExprKind::Subquery(subquery) => {
            pretty(&subquery.expr, level, out)?;
            write!(out, "{}", SubquerySuffix(subquery))
        }
        ExprKind::Paren(inner) => {
            out.line(level, "(\n")?;
            pretty(inner, level + 1, out)?;
            close(level, out)
        }
        ExprKind::Unary(op, inner) => {
            out.line(level, sign(*op))?;
            out.join();
            pretty(inner, level, out)
        }
        ExprKind::Call(call) if call.args.is_empty() => out.line(level, expr),
        ExprKind::Call(call) => {
            out.line(level, format_args!("{}(\n", call.function.name()))?;
            for (at, arg) in call.args.iter().enumerate() {
                out.write_str(if at > 0 { ",\n" } else { "" })?;
                pretty(arg, level + 1, out)?;
            }
            close(level, out)
        }
        ExprKind::Aggregate(aggregate) => {
            out.line(level, format_args!("{}(\n", AggregateHead(aggregate)))?;
            if let Some(param) = &aggregate.param {
                pretty(param, level + 1, out)?;
                out.write_str(",\n")?;
            }
            pretty(&aggregate.expr, level + 1, out)?;
            close(level, out)
        }
        ExprKind::Binary(_) => chain(expr, level, out),
    }
}

/// The bracket that ends what began at `level`.
fn close(level: usize, out: &mut Layout) -> fmt::Result {
    out.write_str("\n")?;
    out.line(level, ")")
}

/// A chain of operators, each left side two blanks further in than its operator, unless there are
/// so many that blanks would be most of the text.
fn chain(expr: &Expr, level: usize, out: &mut Layout) -> fmt::Result {
    let (mut links, mut leaf) = (Vec::new(), expr);
    while let ExprKind::Binary(binary) = &leaf.kind
        && short(leaf).is_none()
    {
        links.push(&**binary);
        leaf = &binary.lhs;
    }
    let step = usize::from(links.len() <= LINKS_INDENTED_MAX);
    pretty(leaf, level + step * links.len(), out)?;
    for (at, binary) in links.iter().enumerate().rev() {
        let level = level + step * at;
        out.write_str("\n")?;
        out.line(level, Operator(binary))?;
        out.write_str("\n")?;
        pretty(&binary.rhs, level + 1, out)?;
    }
    Ok(())
}

/// The text of `expr`, if it fits on a line.
fn short(expr: &Expr) -> Option<String> {
    if is_small(expr) { within(LINE_CHARS_MAX, expr) } else { None }
}

/// Whether `expr` has no more parts than a line has characters: each takes at least one. What is
/// larger is not looked at further.
fn is_small(expr: &Expr) -> bool {
    let (mut open, mut parts) = (vec![expr], 0);
    while let Some(expr) = open.pop() {
        parts += 1;
        if parts + open.len() > LINE_CHARS_MAX {
            return false;
        }
        match &expr.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::VectorSelector(_)
            | ExprKind::MatrixSelector(_) => {}
            ExprKind::Subquery(subquery) => open.push(&subquery.expr),
            ExprKind::Call(call) if call.args.len() > LINE_CHARS_MAX => return false,
            ExprKind::Call(call) => open.extend(&call.args),
            ExprKind::Aggregate(aggregate) => {
                open.extend(aggregate.param.as_ref());
                open.push(&aggregate.expr);
            }
            ExprKind::Binary(binary) => open.extend([&binary.lhs, &binary.rhs]),
            ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => open.push(inner),
        }
    }
    true
}
