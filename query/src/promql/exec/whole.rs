//! Functions that need all series of a vector at once.

use super::batch::StepSeries;
use super::held::Held;
use super::merge::{self, Overlap};
use super::{Context, Mode};
use crate::promql::error::QueryError;
use crate::promql::functions::{Notes, QueryKind, VectorArg, VectorCall, call_vector};
use crate::promql::plan::{Argument, Grid, Whole};

/// Evaluates such a function.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Whole,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    let mut args = Vec::with_capacity(node.arguments.len());
    for argument in &node.arguments {
        args.push(match argument {
            Argument::Scalar(scalar) => VectorArg::Numbers(context.scalar(scalar, grid)?),
            Argument::Text(text) => VectorArg::Text(text.clone()),
        });
    }
    let kind = match context.mode {
        Mode::Instant if grid.count == 1 => QueryKind::Instant,
        _ => QueryKind::Range,
    };
    let call = VectorCall { function: node.function, args: &args, step_count: grid.count, kind };
    let input = context.vector(&node.input, grid)?.into_inner();
    let mut notes = Notes::default();
    let mut output = call_vector(&call, input, &mut notes)?;
    context.annotate_notes(&notes, &node.site);
    output.retain(|series| !StepSeries::is_empty(series));
    output.iter_mut().for_each(|series| context.drop_name_now(series));
    context.hold(merge::same_labels(output, Overlap::PerStep)?)
}
