//! Functions that need all series of a vector at once.

use super::Context;
use super::held::Held;
use crate::promql::error::QueryError;
use crate::promql::functions::Notes;
use crate::promql::plan::{Argument, Grid, Whole};

/// Evaluates such a function.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Whole,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    context.vector(&node.input, grid)?;
    for argument in &node.arguments {
        match argument {
            Argument::Scalar(scalar) => drop(context.scalar(scalar, grid)?),
            Argument::Text(text) => drop(text.clone()),
        }
    }
    context.annotate_notes(&Notes::default(), &node.site);
    Err(QueryError::execution(format!("{} is not known", node.function.name())))
}
