//! The form for people: whatever is longer than a line goes over several, two blanks a level.

use std::fmt::{self, Write as _};

use super::canonical::{AggregateHead, Operator, SubquerySuffix, sign};
use crate::promql::ast::{Expr, ExprKind};

/// Longest text of an expression that stays on one line.
const LINE_CHARS_MAX: usize = 100;
/// A chain with as many operators does not fit on a line: each takes four characters.
const LINKS_SHORT_MAX: usize = LINE_CHARS_MAX / 4 + 1;
/// Longest chain whose left sides are indented.
const LINKS_INDENTED_MAX: usize = 256;

/// `expr` with line breaks inside operations, calls and aggregations that are longer than 100
/// characters.
#[must_use]
pub fn prettify(expr: &Expr) -> String {
    pretty(expr, 0)
}

fn pretty(expr: &Expr, level: usize) -> String {
    let indent = "  ".repeat(level);
    if let Some(line) = short(expr) {
        return format!("{indent}{line}");
    }
    match &expr.kind {
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::VectorSelector(_)
        | ExprKind::MatrixSelector(_) => format!("{indent}{expr}"),
        ExprKind::Subquery(subquery) => {
            format!("{}{}", pretty(&subquery.expr, level), SubquerySuffix(subquery))
        }
        ExprKind::Paren(inner) => {
            format!("{indent}(\n{}\n{indent})", pretty(inner, level + 1))
        }
        ExprKind::Unary(op, inner) => {
            format!("{indent}{}{}", sign(*op), pretty(inner, level).trim_start())
        }
        ExprKind::Call(call) if call.args.is_empty() => format!("{indent}{expr}"),
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
        ExprKind::Binary(_) => chain(expr, level),
    }
}

/// A chain of operators, each left side two blanks further in than its operator, unless there are
/// so many that blanks would be most of the text.
fn chain(expr: &Expr, level: usize) -> String {
    let (mut links, mut leaf) = (Vec::new(), expr);
    while let ExprKind::Binary(binary) = &leaf.kind
        && short(leaf).is_none()
    {
        links.push(&**binary);
        leaf = &binary.lhs;
    }
    let step = usize::from(links.len() <= LINKS_INDENTED_MAX);
    let mut text = pretty(leaf, level + step * links.len());
    for (at, binary) in links.iter().enumerate().rev() {
        let level = level + step * at;
        let (indent, rhs) = ("  ".repeat(level), pretty(&binary.rhs, level + 1));
        text.push_str(&format!("\n{indent}{}\n{rhs}", Operator(binary)));
    }
    text
}

/// The text of `expr`, if it fits on a line.
fn short(expr: &Expr) -> Option<String> {
    let mut at = expr;
    for _ in 0..LINKS_SHORT_MAX {
        match &at.kind {
            ExprKind::Binary(binary) => at = &binary.lhs,
            _ => {
                let mut line = Line { text: String::new(), chars_left: LINE_CHARS_MAX };
                return write!(line, "{expr}").is_ok().then_some(line.text);
            }
        }
    }
    None
}

/// Takes as many characters as a line has.
struct Line {
    text: String,
    chars_left: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.chars_left = self.chars_left.checked_sub(text.chars().count()).ok_or(fmt::Error)?;
        self.text.push_str(text);
        Ok(())
    }
}
