//! Aggregations. Most fold each series into the columns of its group as it is read, so that memory
//! is groups × steps; `topk` and its kind pick from all series.

mod column;
mod count;
mod count_values;
mod moments;
mod pick;

use column::Column;

use super::Context;
use super::batch::StepSeries;
use super::chain::{self, Sink};
use super::held::Held;
use super::key::{KeyLabels, Keys, Name};
use super::read::Absorb;
use crate::budget::Load;
use crate::promql::annotations::Severity;
use crate::promql::ast::{AggregateOp, Grouping};
use crate::promql::error::QueryError;
use crate::promql::functions::format_g;
use crate::promql::plan::{Aggregate, AggregateParam, Grid};
use crate::promql::text::quote;

/// Evaluates an aggregation.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Aggregate,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    match (node.op, &node.param) {
        (AggregateOp::CountValues, AggregateParam::Label(label)) => {
            count_values::run(context, node, label, grid)
        }
        (
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio,
            AggregateParam::Scalar(param, _),
        ) => {
            let params = context.scalar(param, grid)?;
            pick::run(context, node, &params, grid)
        }
        (AggregateOp::Quantile, AggregateParam::Scalar(param, position)) => {
            let params = context.scalar(param, grid)?;
            for text in bad_quantiles(&params) {
                context.annotate(Severity::Warning, text, *position);
            }
            fold(context, node, &params, grid)
        }
        (_, AggregateParam::None) => match count::run(context, node, grid)? {
            Some(counted) => Ok(counted),
            None => fold(context, node, &[], grid),
        },
        _ => Err(QueryError::execution("aggregation and its parameter do not fit")),
    }
}

/// Texts about quantiles that are none: the greatest, the least, and NaN.
fn bad_quantiles(params: &[f64]) -> Vec<String> {
    let most = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = params.iter().copied().fold(f64::INFINITY, f64::min);
    let nan = params.iter().any(|p| p.is_nan()).then_some(f64::NAN);
    let outside = [(most > 1.0).then_some(most), (least < 0.0).then_some(least), nan];
    let text = |value| format!("quantile value should be between 0 and 1, got {}", format_g(value));
    outside.into_iter().flatten().map(text).collect()
}

/// Which labels make the groups.
fn key_labels(grouping: &Grouping) -> KeyLabels {
    if grouping.without {
        KeyLabels::AllBut(grouping.labels.clone())
    } else {
        KeyLabels::Only(grouping.labels.clone())
    }
}

impl Context<'_> {
    /// Whether keys see the name of `series`.
    pub(in crate::promql::exec) fn name_of(&self, series: &StepSeries) -> Name {
        if series.drop_name && !self.options.delayed_name_removal {
            Name::Hidden
        } else {
            Name::Visible
        }
    }
}

/// What can be told about the samples of a group, beside its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FoldNotes {
    ignored_histogram: bool,
    reset_collision: bool,
    bounds_reconciled: bool,
    /// Names of metrics with buckets that do not fit those before.
    incompatible: Vec<String>,
    mixed: bool,
}

impl FoldNotes {
    fn merge(&mut self, other: Self) {
        self.ignored_histogram |= other.ignored_histogram;
        self.reset_collision |= other.reset_collision;
        self.bounds_reconciled |= other.bounds_reconciled;
        self.mixed |= other.mixed;
        for name in other.incompatible {
            self.add_incompatible(&name);
        }
    }

    fn add_incompatible(&mut self, name: &str) {
        if !self.incompatible.iter().any(|known| known == name) {
            self.incompatible.push(name.to_owned());
        }
    }

    fn annotate(self, context: &Context<'_>, node: &Aggregate) {
        let at = node.input_position;
        let warn = |text: &str| context.annotate(Severity::Warning, text, at);
        let inform = |text: &str| context.annotate(Severity::Info, text, at);
        if self.ignored_histogram {
            inform(&format!("ignored histogram in {} aggregation", name(node.op)));
        }
        if self.reset_collision {
            warn("conflicting counter resets during histogram aggregation");
        }
        if self.bounds_reconciled {
            inform("mismatched custom buckets were reconciled during aggregation");
        }
        if self.mixed {
            warn("encountered a mix of histograms and floats for aggregation");
        }
        for name in &self.incompatible {
            warn(&format!(
                "vector contains a mix of histograms with exponential and custom buckets \
                 schemas for metric name {}",
                quote(name)
            ));
        }
    }
}

/// The name of an aggregation as written.
const fn name(op: AggregateOp) -> &'static str {
    match op {
        AggregateOp::Sum => "sum",
        AggregateOp::Avg => "avg",
        AggregateOp::Min => "min",
        AggregateOp::Max => "max",
        AggregateOp::Count => "count",
        AggregateOp::Group => "group",
        AggregateOp::Stddev => "stddev",
        AggregateOp::Stdvar => "stdvar",
        AggregateOp::Topk => "topk",
        AggregateOp::Bottomk => "bottomk",
        AggregateOp::CountValues => "count_values",
        AggregateOp::Quantile => "quantile",
        AggregateOp::Limitk => "limitk",
        AggregateOp::LimitRatio => "limit_ratio",
    }
}

/// Groups and their columns, filled by one stripe of series.
struct Fold<'c, 'a> {
    context: &'c Context<'a>,
    op: AggregateOp,
    steps: usize,
    keys: Keys,
    groups: Vec<Group>,
    notes: FoldNotes,
    held: Load,
}

struct Group {
    column: Column,
    drop_name: bool,
}

impl Fold<'_, '_> {
    /// The group number `number`, which is new if it is the next one.
    fn group(&mut self, number: usize) -> Result<&mut Group, QueryError> {
        if number == self.groups.len() {
            let column = Column::new(self.op, self.steps);
            self.hold(column.load())?;
            self.groups.push(Group { column, drop_name: false });
        }
        Ok(&mut self.groups[number])
    }

    fn hold(&mut self, load: Load) -> Result<(), QueryError> {
        self.held += load;
        Ok(self.context.budget.hold(load)?)
    }
}

impl Absorb for Fold<'_, '_> {
    fn absorb(&mut self, next: Self) -> Result<(), QueryError> {
        self.held += next.held;
        self.notes.merge(next.notes);
        for (labels, group) in next.keys.labels().iter().zip(next.groups) {
            let number = self.keys.number(labels, Name::Visible);
            if number == self.groups.len() {
                self.groups.push(group);
                continue;
            }
            let into = &mut self.groups[number];
            into.drop_name |= group.drop_name;
            let load = group.column.load();
            self.context.budget.release(load);
            self.held.bytes = self.held.bytes.saturating_sub(load.bytes);
            into.column.merge(group.column, &mut self.notes);
        }
        Ok(())
    }
}

impl Sink for Fold<'_, '_> {
    fn take(&mut self, series: &mut StepSeries) -> Result<(), QueryError> {
        let number = self.keys.number(&series.labels, self.context.name_of(series));
        let group = self.group(number)?;
        group.drop_name |= series.drop_name;
        let mut notes = std::mem::take(&mut self.notes);
        let grown = self.groups[number].column.add(series, &mut notes);
        self.notes = notes;
        self.hold(grown)
    }
}

fn fold<'a>(
    context: &Context<'a>,
    node: &Aggregate,
    params: &[f64],
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    let make = || Fold {
        context,
        op: node.op,
        steps: grid.count,
        keys: Keys::new(key_labels(&node.grouping)),
        groups: Vec::new(),
        notes: FoldNotes::default(),
        held: Load::default(),
    };
    let all = if chain::may_collide(context, &node.input) {
        let mut fold = make();
        for series in &mut context.vector(&node.input, grid)?.into_inner() {
            fold.take(series)?;
        }
        Some(fold)
    } else {
        chain::stream(context, &node.input, grid, &make)?
    };
    let mut all = all.unwrap_or_else(make);
    let mut series = Vec::with_capacity(all.groups.len());
    for (labels, group) in all.keys.labels().iter().zip(all.groups) {
        let mut one = StepSeries::absent(labels.clone(), grid.count);
        one.drop_name = group.drop_name;
        group.column.finish(&mut one, params, &mut all.notes);
        series.push(one);
    }
    series.retain(|s| !s.is_empty());
    all.notes.annotate(context, node);
    context.budget.release(all.held);
    context.hold(series)
}
