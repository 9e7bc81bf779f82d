//! `count` and `group` of an instant selector at one step: values are not needed, so a source may
//! know the answer without reading samples.

use ephemeris_model::{ReadStats, SeriesCount, TimestampMs};

use crate::promql::ast::{AggregateOp, Extension};
use crate::promql::error::QueryError;
use crate::promql::exec::Context;
use crate::promql::exec::batch::StepSeries;
use crate::promql::exec::describe;
use crate::promql::exec::held::Held;
use crate::promql::plan::{Aggregate, Give, Grid, Vector};

/// The answer; `None` if the samples have to be read.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Aggregate,
    grid: &Grid,
) -> Result<Option<Held<'a>>, QueryError> {
    let Vector::Selector(selector) = &node.input else { return Ok(None) };
    let samples = &selector.samples;
    let fits = matches!(node.op, AggregateOp::Count | AggregateOp::Group)
        && grid.count == 1
        && !node.grouping.without
        && selector.give == Give::Value
        && samples.extension == Extension::None;
    if !fits {
        return Ok(None);
    }
    let at = TimestampMs(samples.times.of(grid, 0));
    let count = SeriesCount {
        matchers: samples.matchers.clone(),
        window: SeriesCount::window_before(at, samples.range_ms),
        by: node.grouping.labels.clone(),
    };
    let counts = context.source.count_series(&count).map_err(|error| context.failed(error))?;
    let Some(counts) = counts else { return Ok(None) };
    context.budget.touch_series(counts.looked_at)?;
    let found: u64 = counts.groups.iter().map(|(_, count)| count).sum();
    context.count_looked_at(grid.role, found, &[found]);
    context.budget.count_read(found);
    if let Some(trace) = &context.trace
        && trace.open("count", || describe::chain(&node.input))
    {
        trace.add_read(counts.looked_at, 0, ReadStats::default());
        trace.close(None);
    }
    let series = counts.groups.into_iter().map(|(labels, count)| {
        let mut one = StepSeries::absent(labels, 1);
        #[expect(clippy::cast_precision_loss, reason = "series are far fewer than 2^53")]
        let counted = count as f64;
        one.values[0] = if node.op == AggregateOp::Count { counted } else { 1.0 };
        one
    });
    context.hold(series.collect()).map(Some)
}
