//! Operators between two samples.

use std::sync::Arc;

use ephemeris_model::{CounterResetHint, is_stale};

use super::Context;
use super::batch::{ABSENT, Point, StepSeries};
use crate::promql::annotations::Severity;
use crate::promql::ast::{BinaryOp, Position};
use crate::promql::histogram::{self, Combined, Incompatible};

/// What an operator makes of two samples.
pub(super) enum Computed {
    /// This sample; for a comparison, the left side, since it holds.
    Value(Point),
    /// The comparison does not hold.
    Unequal,
    /// The operator is not defined for these samples; there is a note.
    Undefined,
}

/// What there is to tell about an operation, each thing once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OperatorNotes {
    texts: Vec<(Severity, String)>,
}

impl OperatorNotes {
    fn add(&mut self, severity: Severity, text: String) {
        if !self.texts.iter().any(|(_, known)| *known == text) {
            self.texts.push((severity, text));
        }
    }

    /// Makes annotations of the notes.
    pub(super) fn annotate(self, context: &Context<'_>, at: Position) {
        for (severity, text) in self.texts {
            context.annotate(severity, text, at);
        }
    }
}

/// An operator between two numbers; comparisons give 1 and 0.
pub(crate) fn numbers(op: BinaryOp, x: f64, y: f64) -> f64 {
    match compare(op) {
        Some(holds) => f64::from(u8::from(holds(x, y))),
        None => arithmetic(op).map_or(f64::NAN, |compute| compute(x, y)),
    }
}

/// The arithmetic operators on numbers.
pub(super) fn arithmetic(op: BinaryOp) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        BinaryOp::Add => |x, y| x + y,
        BinaryOp::Sub => |x, y| x - y,
        BinaryOp::Mul => |x, y| x * y,
        BinaryOp::Div => |x, y| x / y,
        BinaryOp::Mod => |x, y| x % y,
        BinaryOp::Pow => f64::powf,
        BinaryOp::Atan2 => f64::atan2,
        _ => return None,
    })
}

/// The comparisons of numbers.
pub(super) fn compare(op: BinaryOp) -> Option<fn(f64, f64) -> bool> {
    Some(match op {
        BinaryOp::Eql => |x, y| x == y,
        BinaryOp::Neq => |x, y| x != y,
        BinaryOp::Lss => |x, y| x < y,
        BinaryOp::Gtr => |x, y| x > y,
        BinaryOp::Lte => |x, y| x <= y,
        BinaryOp::Gte => |x, y| x >= y,
        _ => return None,
    })
}

/// An operator between the floats of two series, step by step; `out` is absent before, and stays
/// so where one side is or a comparison does not hold.
pub(super) fn columns(
    op: BinaryOp,
    (lhs, rhs): (&[f64], &[f64]),
    return_bool: bool,
    out: &mut [f64],
) {
    fn each(lhs: &[f64], rhs: &[f64], out: &mut [f64], compute: impl Fn(f64, f64) -> f64) {
        for ((x, y), out) in lhs.iter().zip(rhs).zip(out) {
            if !is_stale(*x) && !is_stale(*y) {
                *out = compute(*x, *y);
            }
        }
    }
    match (op, compare(op)) {
        (BinaryOp::Add, _) => each(lhs, rhs, out, |x, y| x + y),
        (BinaryOp::Sub, _) => each(lhs, rhs, out, |x, y| x - y),
        (BinaryOp::Mul, _) => each(lhs, rhs, out, |x, y| x * y),
        (BinaryOp::Div, _) => each(lhs, rhs, out, |x, y| x / y),
        (_, Some(holds)) if return_bool => {
            each(lhs, rhs, out, |x, y| f64::from(u8::from(holds(x, y))));
        }
        (_, Some(holds)) => each(lhs, rhs, out, |x, y| if holds(x, y) { x } else { ABSENT }),
        (op, None) => {
            if let Some(compute) = arithmetic(op) {
                each(lhs, rhs, out, compute);
            }
        }
    }
}

/// An operator between two samples of any kind.
pub(super) fn points(
    op: BinaryOp,
    lhs: &Point,
    rhs: &Point,
    notes: &mut OperatorNotes,
) -> Computed {
    match (lhs, rhs) {
        (Point::Float(x), Point::Float(y)) => match (compare(op), arithmetic(op)) {
            (Some(holds), _) if holds(*x, *y) => Computed::Value(lhs.clone()),
            (Some(_), _) => Computed::Unequal,
            (None, Some(compute)) => Computed::Value(Point::Float(compute(*x, *y))),
            (None, None) => undefined(op, ("float", "float"), notes),
        },
        (Point::Float(x), Point::Histogram(h)) if op == BinaryOp::Mul => {
            made(histogram::multiply(h, *x))
        }
        (Point::Float(_), Point::Histogram(_)) => undefined(op, ("float", "histogram"), notes),
        (Point::Histogram(h), Point::Float(y)) => match op {
            BinaryOp::Mul => made(histogram::multiply(h, *y)),
            BinaryOp::Div => made(histogram::divide(h, *y)),
            BinaryOp::TrimUpper => made(histogram::trim_upper(h, *y)),
            BinaryOp::TrimLower => made(histogram::trim_lower(h, *y)),
            _ => undefined(op, ("histogram", "float"), notes),
        },
        (Point::Histogram(a), Point::Histogram(b)) => match op {
            BinaryOp::Add => combined(op, histogram::add(a, b), notes),
            BinaryOp::Sub => combined(op, histogram::subtract(a, b), notes),
            BinaryOp::Eql if histogram::equal(a, b) => Computed::Value(lhs.clone()),
            BinaryOp::Neq if !histogram::equal(a, b) => Computed::Value(lhs.clone()),
            BinaryOp::Eql | BinaryOp::Neq => Computed::Unequal,
            _ => undefined(op, ("histogram", "histogram"), notes),
        },
    }
}

fn made(mut histogram: ephemeris_model::FloatHistogram) -> Computed {
    histogram::compact(&mut histogram);
    Computed::Value(Point::Histogram(Arc::new(histogram)))
}

fn combined(
    op: BinaryOp,
    combined: Result<Combined, Incompatible>,
    notes: &mut OperatorNotes,
) -> Computed {
    let Ok(mut combined) = combined else {
        notes.add(
            Severity::Warning,
            format!("incompatible bucket layout encountered for binary operator {}", op.as_str()),
        );
        return Computed::Undefined;
    };
    let operation = if op == BinaryOp::Add { "addition" } else { "subtraction" };
    if combined.reset_collision {
        let text = format!("conflicting counter resets during histogram {operation}");
        notes.add(Severity::Warning, text);
    }
    if combined.bounds_reconciled {
        let text = format!("mismatched custom buckets were reconciled during {operation}");
        notes.add(Severity::Info, text);
    }
    if op == BinaryOp::Sub {
        combined.histogram.reset_hint = CounterResetHint::Gauge;
    }
    made(combined.histogram)
}

fn undefined(op: BinaryOp, (lhs, rhs): (&str, &str), notes: &mut OperatorNotes) -> Computed {
    let op = op.as_str();
    notes.add(
        Severity::Info,
        format!(
            "incompatible sample types encountered for binary operator \"{op}\": {lhs} {op} {rhs}"
        ),
    );
    Computed::Undefined
}

/// Changes the sign of all samples and marks the name for removal.
pub(super) fn negate(series: &mut StepSeries) {
    for value in series.values.iter_mut().filter(|v| !is_stale(**v)) {
        *value = -*value;
    }
    for histogram in series.histograms.iter_mut().flatten() {
        *histogram = Arc::new(histogram::negate(histogram));
    }
    series.drop_name = true;
}
