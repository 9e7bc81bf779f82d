//! Numbers at each step.

use super::Context;
use super::arithmetic;
use crate::promql::error::QueryError;
use crate::promql::functions::elementwise::{max_of, min_of};
use crate::promql::plan::{Grid, Scalar};

impl Context<'_> {
    /// Evaluates a scalar at each step of `grid`.
    #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
    pub(super) fn scalar(&self, scalar: &Scalar, grid: &Grid) -> Result<Vec<f64>, QueryError> {
        let pairs = |a: &Scalar, b: &Scalar, combine: &dyn Fn(f64, f64) -> f64| {
            let mut values = self.scalar(a, grid)?;
            for (value, other) in values.iter_mut().zip(self.scalar(b, grid)?) {
                *value = combine(*value, other);
            }
            Ok(values)
        };
        match scalar {
            Scalar::Constant(value) => Ok(vec![*value; grid.count]),
            Scalar::Time => Ok((0..grid.count).map(|i| grid.at(i) as f64 / 1000.0).collect()),
            Scalar::Binary(_) => self.scalar_chain(scalar, grid),
            Scalar::MinOf(a, b) => pairs(a, b, &|x, y| min_of(x, y)),
            Scalar::MaxOf(a, b) => pairs(a, b, &|x, y| max_of(x, y)),
            Scalar::Negate(inner) => {
                let mut values = self.scalar(inner, grid)?;
                values.iter_mut().for_each(|v| *v = -*v);
                Ok(values)
            }
            Scalar::Invariant(inner) => {
                let once = self.scalar(inner, &grid.once())?;
                Ok(vec![once[0]; grid.count])
            }
            Scalar::FromVector(vector) => {
                let vector = self.vector(vector, grid)?;
                Ok(only_floats(&vector, grid.count))
            }
        }
    }
}

impl Context<'_> {
    /// Evaluates operators between numbers, from the left end of the chain on.
    fn scalar_chain(&self, scalar: &Scalar, grid: &Grid) -> Result<Vec<f64>, QueryError> {
        let (mut links, mut at) = (Vec::new(), scalar);
        while let Scalar::Binary(pair) = at {
            links.push(pair);
            at = &pair.lhs;
        }
        let mut values = self.scalar(at, grid)?;
        for pair in links.into_iter().rev() {
            self.budget.check()?;
            for (value, other) in values.iter_mut().zip(self.scalar(&pair.rhs, grid)?) {
                *value = arithmetic::numbers(pair.op, *value, other);
            }
        }
        Ok(values)
    }
}

/// The value of the only series with a float at a step, NaN if there is none or more than one.
fn only_floats(vector: &[super::StepSeries], count: usize) -> Vec<f64> {
    let mut values = vec![f64::NAN; count];
    let mut found = vec![0_u8; count];
    for series in vector {
        for (step, value) in series.values.iter().enumerate() {
            if !ephemeris_model::is_stale(*value) {
                found[step] = found[step].saturating_add(1);
                values[step] = if found[step] == 1 { *value } else { f64::NAN };
            }
        }
    }
    values
}
