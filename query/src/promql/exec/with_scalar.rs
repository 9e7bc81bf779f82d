//! Operators between a vector and a number.

use ephemeris_model::is_stale;

use super::arithmetic::{self, Computed, OperatorNotes, points};
use super::batch::{ABSENT, Point, StepSeries};
use crate::promql::plan::{Side, WithScalar};

/// Applies the operator to each sample of `series`, in place; `numbers` has one per step.
pub(super) fn apply(
    node: &WithScalar,
    numbers: &[f64],
    series: &mut StepSeries,
    notes: &mut OperatorNotes,
) {
    if node.return_bool || arithmetic::arithmetic(node.op).is_some() {
        series.drop_name = true;
    }
    if !series.histograms.is_empty() {
        return apply_points(node, numbers, series, notes);
    }
    let swap = node.scalar_side == Side::Left;
    let pairs = series.values.iter_mut().zip(numbers).filter(|(v, _)| !is_stale(**v));
    if let Some(compute) = arithmetic::arithmetic(node.op) {
        if swap {
            pairs.for_each(|(v, number)| *v = compute(*number, *v));
        } else {
            pairs.for_each(|(v, number)| *v = compute(*v, *number));
        }
    } else if let Some(holds) = arithmetic::compare(node.op) {
        for (v, number) in pairs {
            let kept = if swap { holds(*number, *v) } else { holds(*v, *number) };
            *v = match (node.return_bool, kept) {
                (true, kept) => f64::from(u8::from(kept)),
                (false, true) => *v,
                (false, false) => ABSENT,
            };
        }
    } else {
        apply_points(node, numbers, series, notes);
    }
}

fn apply_points(
    node: &WithScalar,
    numbers: &[f64],
    series: &mut StepSeries,
    notes: &mut OperatorNotes,
) {
    for (step, number) in numbers.iter().enumerate() {
        let Some(sample) = series.point(step) else { continue };
        let number = Point::Float(*number);
        let computed = match node.scalar_side {
            Side::Left => points(node.op, &number, &sample, notes),
            Side::Right => points(node.op, &sample, &number, notes),
        };
        let result = match computed {
            Computed::Undefined => None,
            Computed::Value(_) if node.return_bool => Some(Point::Float(1.0)),
            Computed::Unequal if node.return_bool => Some(Point::Float(0.0)),
            Computed::Unequal => None,
            // A comparison keeps the sample of the vector, on whichever side it stands.
            Computed::Value(_) if node.op.is_comparison() => Some(sample),
            Computed::Value(value) => Some(value),
        };
        series.set(step, result);
    }
}
