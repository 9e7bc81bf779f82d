//! Constant folding: numbers that are the same at each step are computed while planning.

use crate::promql::exec::numbers;
use crate::promql::functions::elementwise::{max_of, min_of};
use crate::promql::plan::{AggregateParam, Argument, Plan, RangeInput, Scalar, Vector};

/// Folds all scalars of a plan.
pub(super) fn fold(mut plan: Plan) -> Plan {
    match &mut plan {
        Plan::Scalar(scalar) => fold_scalar(scalar),
        Plan::Vector(vector) => fold_vector(vector),
        Plan::Subquery(subquery) => fold_vector(&mut subquery.input),
        Plan::Text(_) | Plan::Samples(_) => {}
    }
    plan
}

fn fold_scalar(scalar: &mut Scalar) {
    let constant = match scalar {
        Scalar::Constant(_) | Scalar::Time => None,
        Scalar::FromVector(vector) => {
            fold_vector(vector);
            None
        }
        Scalar::Invariant(inner) => folded(inner),
        Scalar::Negate(inner) => folded(inner).map(|value| -value),
        Scalar::Binary(op, a, b) => folded_pair(a, b).map(|(a, b)| numbers(*op, a, b)),
        Scalar::MinOf(a, b) => folded_pair(a, b).map(|(a, b)| min_of(a, b)),
        Scalar::MaxOf(a, b) => folded_pair(a, b).map(|(a, b)| max_of(a, b)),
    };
    if let Some(value) = constant {
        *scalar = Scalar::Constant(value);
    }
}

fn folded(scalar: &mut Scalar) -> Option<f64> {
    fold_scalar(scalar);
    match scalar {
        Scalar::Constant(value) => Some(*value),
        _ => None,
    }
}

fn folded_pair(a: &mut Scalar, b: &mut Scalar) -> Option<(f64, f64)> {
    let (a, b) = (folded(a), folded(b));
    a.zip(b)
}

fn fold_vector(vector: &mut Vector) {
    match vector {
        Vector::Selector(_) => {}
        Vector::Windows(windows) => {
            windows.params.iter_mut().for_each(fold_scalar);
            if let RangeInput::Subquery(subquery) = &mut windows.input {
                fold_vector(&mut subquery.input);
            }
        }
        Vector::Map(map) => {
            map.params.iter_mut().for_each(fold_scalar);
            fold_vector(&mut map.input);
        }
        Vector::WithScalar(node) => {
            fold_scalar(&mut node.scalar);
            fold_vector(&mut node.vector);
        }
        Vector::Whole(whole) => {
            for argument in &mut whole.arguments {
                if let Argument::Scalar(scalar) = argument {
                    fold_scalar(scalar);
                }
            }
            fold_vector(&mut whole.input);
        }
        Vector::Aggregate(aggregate) => {
            if let AggregateParam::Scalar(scalar, _) = &mut aggregate.param {
                fold_scalar(scalar);
            }
            fold_vector(&mut aggregate.input);
        }
        Vector::Join(join) => {
            fold_vector(&mut join.lhs);
            fold_vector(&mut join.rhs);
        }
        Vector::Set(set) => {
            fold_vector(&mut set.lhs);
            fold_vector(&mut set.rhs);
        }
        Vector::FromScalar(scalar) => fold_scalar(scalar),
        Vector::Absent(absent) => fold_vector(&mut absent.input),
        Vector::Info(info) => fold_vector(&mut info.input),
        Vector::Negate(inner) | Vector::Invariant(inner) => fold_vector(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ast::BinaryOp;

    #[test]
    fn constants_are_computed_and_time_is_not() {
        let constant = |value| Box::new(Scalar::Constant(value));
        let product = Scalar::Binary(BinaryOp::Mul, constant(2.0), constant(21.0));
        let mut sum =
            Scalar::Binary(BinaryOp::Add, Box::new(Scalar::Time), Box::new(product.clone()));
        fold_scalar(&mut sum);
        let Scalar::Binary(_, time, right) = sum else { panic!("the sum stays a sum") };
        assert!(matches!((*time, *right), (Scalar::Time, Scalar::Constant(42.0))));
        let mut wrapped = Scalar::Invariant(Box::new(Scalar::Negate(Box::new(product))));
        fold_scalar(&mut wrapped);
        assert!(matches!(wrapped, Scalar::Constant(-42.0)));
    }
}
