//! `absent` and `absent_over_time`: 1 where there is nothing.

use ephemeris_model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, is_stale};

use super::Context;
use super::batch::{ABSENT, StepSeries};
use super::chain::{self, Sink};
use super::held::Held;
use super::read::Absorb;
use crate::promql::error::QueryError;
use crate::promql::plan::{Absent, Grid};

/// Marks the steps that have a sample.
struct Present(Vec<bool>);

impl Absorb for Present {
    fn absorb(&mut self, next: Self) -> Result<(), QueryError> {
        self.0.iter_mut().zip(next.0).for_each(|(mark, more)| *mark |= more);
        Ok(())
    }
}

impl Sink for Present {
    fn take(&mut self, series: &mut StepSeries) -> Result<(), QueryError> {
        for (mark, value) in self.0.iter_mut().zip(&series.values) {
            *mark |= !is_stale(*value);
        }
        for (mark, histogram) in self.0.iter_mut().zip(&series.histograms) {
            *mark |= histogram.is_some();
        }
        Ok(())
    }
}

/// Evaluates `absent`.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Absent,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    let make = || Present(vec![false; grid.count]);
    let present = if !node.over_time && chain::may_collide(context, &node.input) {
        // Series that have the same labels once their names are dropped are an error, though
        // nothing but their being there is asked for.
        let mut present = make();
        for series in &mut context.vector(&node.input, grid)?.into_inner() {
            present.take(series)?;
        }
        Some(present)
    } else {
        chain::stream(context, &node.input, grid, &make)?
    };
    let mut series = StepSeries::absent(labels_of(&node.matchers), grid.count);
    series.values.fill(1.0);
    if let Some(Present(marks)) = present {
        for (value, present) in series.values.iter_mut().zip(marks) {
            if present {
                *value = ABSENT;
            }
        }
    }
    context.hold(if series.is_empty() { Vec::new() } else { vec![series] })
}

/// The labels an absent series would have had: those matched by one `=` and nothing else.
fn labels_of(matchers: &[Matcher]) -> Labels {
    let mut builder = LabelsBuilder::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|m| m.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            builder.set(matcher.name.as_str(), matcher.value.as_str());
            seen.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_from_equalities() {
        let regex = Matcher::new(MatchOp::Regex, "c", "x.*").expect("a pattern");
        let matchers = [
            Matcher::equal("__name__", "up"),
            Matcher::equal("a", "1"),
            Matcher::equal("b", "1"),
            Matcher::equal("b", "2"),
            regex,
        ];
        assert_eq!(labels_of(&matchers).to_string(), r#"{a="1"}"#);
    }
}
