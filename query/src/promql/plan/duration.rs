//! Duration expressions: `step() * 2`, `max_of(5m, range())`. Known once the times of the query are.

use super::build::Setting;
use crate::promql::annotations::line_and_column;
use crate::promql::ast::{BinaryOp, Duration, DurationExpr, DurationExprKind, UnaryOp};
use crate::promql::error::QueryError;

/// Largest duration, in seconds: what 64 bits of nanoseconds hold, as in Prometheus.
const SECONDS_MAX: f64 = 9_223_372_036.0;

/// A duration that must be above 0: a range or a step.
pub(super) fn positive(duration: &Duration, setting: &Setting<'_>) -> Result<i64, QueryError> {
    let millis = any(duration, setting)?;
    if millis > 0 {
        return Ok(millis);
    }
    let text = "duration must be greater than 0";
    Err(match duration {
        Duration::Millis(_) => QueryError::execution(text),
        Duration::Expr(expr) => at(expr, setting, text),
    })
}

/// A duration of either sign, in milliseconds: an offset.
#[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
pub(super) fn any(duration: &Duration, setting: &Setting<'_>) -> Result<i64, QueryError> {
    match duration {
        Duration::Millis(millis) => Ok(*millis),
        Duration::Expr(expr) => {
            let seconds = seconds(expr, setting)?;
            if seconds.is_nan() || seconds.abs() > SECONDS_MAX {
                return Err(at(expr, setting, "duration is out of range"));
            }
            Ok((seconds * 1000.0) as i64)
        }
    }
}

fn seconds(expr: &DurationExpr, setting: &Setting<'_>) -> Result<f64, QueryError> {
    let of = |inner: &DurationExpr| seconds(inner, setting);
    Ok(match &expr.kind {
        DurationExprKind::Number(number) => number.value,
        DurationExprKind::Step => setting.step_seconds(),
        DurationExprKind::Range => setting.range_seconds(),
        DurationExprKind::MinOf(a, b) => of(a)?.min(of(b)?),
        DurationExprKind::MaxOf(a, b) => of(a)?.max(of(b)?),
        DurationExprKind::Binary(op, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div if b == 0.0 => return Err(at(expr, setting, "division by zero")),
                BinaryOp::Div => a / b,
                BinaryOp::Mod if b == 0.0 => return Err(at(expr, setting, "modulo by zero")),
                BinaryOp::Mod => a % b,
                BinaryOp::Pow => a.powf(b),
                _ => return Err(at(expr, setting, "operator is not one of + - * / % ^")),
            }
        }
        DurationExprKind::Unary(UnaryOp::Plus, inner) | DurationExprKind::Paren(inner) => {
            of(inner)?
        }
        DurationExprKind::Unary(UnaryOp::Minus, inner) => -of(inner)?,
    })
}

fn at(expr: &DurationExpr, setting: &Setting<'_>, text: &str) -> QueryError {
    let (line, column) = line_and_column(setting.query, expr.position.start);
    QueryError::execution(format!("{line}:{column}: {text}"))
}
