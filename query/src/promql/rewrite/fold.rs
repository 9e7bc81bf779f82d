//! Constant folding: numbers that are the same at each step are computed while planning.

use std::mem::replace;

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
        Scalar::Binary(_) => return fold_chain(scalar),
        Scalar::MinOf(a, b) => folded_pair(a, b).map(|(a, b)| min_of(a, b)),
        Scalar::MaxOf(a, b) => folded_pair(a, b).map(|(a, b)| max_of(a, b)),
    };
    if let Some(value) = constant {
        *scalar = Scalar::Constant(value);
    }
}

/// Operators between numbers, from the left end of the chain on.
fn fold_chain(scalar: &mut Scalar) {
    let mut links = Vec::new();
    let mut at = replace(scalar, Scalar::Time);
    while let Scalar::Binary(mut pair) = at {
        at = replace(&mut pair.lhs, Scalar::Time);
        links.push(pair);
    }
    fold_scalar(&mut at);
    for mut pair in links.into_iter().rev() {
        fold_scalar(&mut pair.rhs);
        at = match (&at, &pair.rhs) {
            (Scalar::Constant(a), Scalar::Constant(b)) => {
                Scalar::Constant(numbers(pair.op, *a, *b))
            }
            _ => {
                pair.lhs = at;
                Scalar::Binary(pair)
            }
        };
    }
    *scalar = at;
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

fn fold_vector(mut vector: &mut Vector) {
    loop {
        // What is left of an operator, or in a call, comes next.
        vector = match vector {
            Vector::Selector(_) => return,
            Vector::Windows(windows) => {
                windows.params.iter_mut().for_each(fold_scalar);
                let RangeInput::Subquery(subquery) = &mut windows.input else { return };
                &mut subquery.input
            }
            Vector::Map(map) => {
                map.params.iter_mut().for_each(fold_scalar);
                &mut map.input
            }
            Vector::WithScalar(node) => {
                fold_scalar(&mut node.scalar);
                &mut node.vector
            }
            Vector::Whole(whole) => {
                for argument in &mut whole.arguments {
                    if let Argument::Scalar(scalar) = argument {
                        fold_scalar(scalar);
                    }
                }
                &mut whole.input
            }
            Vector::Aggregate(aggregate) => {
                if let AggregateParam::Scalar(scalar, _) = &mut aggregate.param {
                    fold_scalar(scalar);
                }
                &mut aggregate.input
            }
            Vector::Join(join) => {
                fold_vector(&mut join.rhs);
                &mut join.lhs
            }
            Vector::Set(set) => {
                fold_vector(&mut set.rhs);
                &mut set.lhs
            }
            Vector::FromScalar(scalar) => return fold_scalar(scalar),
            Vector::Absent(absent) => &mut absent.input,
            Vector::Info(info) => &mut info.input,
            Vector::Negate(inner) | Vector::Invariant(inner) => inner,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ast::BinaryOp;
    use crate::promql::plan::ScalarPair;

    #[test]
    fn constants_are_computed_and_time_is_not() {
        let pair = |op, lhs, rhs| Scalar::Binary(Box::new(ScalarPair { op, lhs, rhs }));
        let product = || pair(BinaryOp::Mul, Scalar::Constant(2.0), Scalar::Constant(21.0));
        let mut sum = pair(BinaryOp::Add, Scalar::Time, product());
        fold_scalar(&mut sum);
        let Scalar::Binary(sum) = sum else { panic!("the sum stays a sum") };
        assert!(matches!((&sum.lhs, &sum.rhs), (Scalar::Time, Scalar::Constant(42.0))));
        let mut wrapped = Scalar::Invariant(Box::new(Scalar::Negate(Box::new(product()))));
        fold_scalar(&mut wrapped);
        assert!(matches!(wrapped, Scalar::Constant(-42.0)));
    }
}
