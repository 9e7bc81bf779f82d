//! `count_values`: how often each value occurs, the value in a label.

use std::collections::hash_map::Entry;

use ephemeris_model::{Labels, METRIC_NAME};
use rustc_hash::FxHashMap;

use super::super::Context;
use super::super::batch::{Point, StepSeries};
use super::super::held::{Held, floats};
use super::super::key::{KeyLabels, Name};
use super::key_labels;
use crate::promql::ast::Grouping;
use crate::promql::error::QueryError;
use crate::promql::functions::format_f;
use crate::promql::histogram;
use crate::promql::plan::{Aggregate, Grid};
use crate::promql::text::{has_stray_bytes, quote};

/// Evaluates `count_values`; `label` gets the values.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Aggregate,
    label: &str,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    if label.is_empty() || has_stray_bytes(label) {
        return Err(QueryError::execution(format!("invalid label name {}", quote(label))));
    }
    let which = counted_labels(&node.grouping, label);
    let input = context.vector(&node.input, grid)?;
    let mut counts: FxHashMap<Labels, StepSeries> = FxHashMap::default();
    for series in input.iter() {
        context.budget.check()?;
        let name = context.name_of(series);
        let key = which.of(&series.labels, name);
        for step in 0..grid.count {
            let Some(point) = series.point(step) else { continue };
            let text = match point {
                Point::Float(value) => format_f(value),
                Point::Histogram(histogram) => histogram::text(&histogram),
            };
            let labels = key.to_builder().set(label, text).build();
            let counted = match counts.entry(labels) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    context.budget.hold(floats(grid.count))?;
                    let labels = entry.key().clone();
                    entry.insert(StepSeries::absent(labels, grid.count))
                }
            };
            let keeps_name = name == Name::Visible && key.metric_name().is_some();
            counted.drop_name |= series.drop_name && keeps_name && label != METRIC_NAME;
            let value = &mut counted.values[step];
            *value = if value.is_nan() { 1.0 } else { *value + 1.0 };
        }
    }
    let mut series: Vec<StepSeries> = counts.into_values().collect();
    series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Held::counted(series, context.budget))
}

/// The labels of the groups; the one that gets the values is set anew in any case.
fn counted_labels(grouping: &Grouping, label: &str) -> KeyLabels {
    match key_labels(grouping) {
        KeyLabels::Only(mut names) => {
            names.retain(|name| name != label);
            KeyLabels::Only(names)
        }
        KeyLabels::AllBut(mut names) => {
            names.push(label.to_owned());
            KeyLabels::AllBut(names)
        }
    }
}
