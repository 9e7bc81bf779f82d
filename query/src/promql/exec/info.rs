//! `info`: reads the info series that belong to a vector; `functions::info` joins them to it.
//!
//! Info series are looked at when the series they are joined to are.

use ephemeris_model::{Matcher, SampleBuffer, SeriesSet, is_stale};

use super::Context;
use super::batch::StepSeries;
use super::held::Held;
use super::lookback::Lookback;
use super::read::{Absorb, Visit, Wanted, read_all};
use super::weight;
use crate::promql::ast::{Extension, Position};
use crate::promql::error::QueryError;
use crate::promql::functions::{InfoCall, InfoSeries};
use crate::promql::plan::{Give, Grid, Info, Samples, Selector};

/// Evaluates `info`.
pub(super) fn run<'a>(
    context: &Context<'a>,
    node: &Info,
    grid: &Grid,
) -> Result<Held<'a>, QueryError> {
    let base = context.vector(&node.input, grid)?;
    let call = InfoCall::new(&node.matchers);
    let infos = match call.selector(&base) {
        Some(matchers) => read(context, node, matchers, grid)?,
        None => Vec::new(),
    };
    let mut join = call.joining(&infos, grid.count)?;
    for series in base.iter() {
        context.budget.check()?;
        join.take(series)?;
        context.budget.admit((join.series_count() as u64).saturating_mul(grid.count as u64))?;
    }
    context.hold(join.finish())
}

/// Reads the info series of one stripe.
struct Reader<'p> {
    context: &'p Context<'p>,
    selector: &'p Selector,
    grid: Grid,
    found: Vec<InfoSeries>,
}

/// The info series found.
struct Found(Vec<InfoSeries>);

impl Absorb for Found {
    fn absorb(&mut self, mut next: Self) -> Result<(), QueryError> {
        self.0.append(&mut next.0);
        Ok(())
    }
}

impl Visit for Reader<'_> {
    fn series(
        &mut self,
        set: &dyn SeriesSet,
        index: usize,
        samples: &SampleBuffer,
    ) -> Result<(), QueryError> {
        let mut newest = StepSeries::absent(set.labels(index), self.grid.count);
        let mut lookback = Lookback::default();
        let mut looked_at = lookback.fill(self.selector, &self.grid, samples, &mut newest);
        let mut per_step = vec![0; self.grid.count];
        looked_at += Lookback::tally(&newest, weight::whole, &mut per_step);
        self.context.count_looked_at(self.grid.role, looked_at, &per_step);
        let has_histogram = newest.histograms.iter().any(Option::is_some);
        if newest.is_empty() {
            return Ok(());
        }
        let times = Selector { give: Give::Timestamp, ..self.selector.clone() };
        newest.histograms.clear();
        lookback.fill(&times, &self.grid, samples, &mut newest);
        let sample_times = newest.values.iter().map(|v| (!is_stale(*v)).then(|| millis(*v)));
        self.found.push(InfoSeries {
            sample_times: sample_times.collect(),
            labels: newest.labels,
            has_histogram,
        });
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it was whole milliseconds before")]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

fn read(
    context: &Context<'_>,
    node: &Info,
    matchers: Vec<Matcher>,
    grid: &Grid,
) -> Result<Vec<InfoSeries>, QueryError> {
    let samples = Samples {
        matchers,
        times: node.times,
        range_ms: node.lookback_ms,
        extension: Extension::None,
        stats_only: false,
    };
    let (first, last) = samples.times.bounds(grid);
    let first = first.saturating_sub(node.lookback_ms).saturating_add(1);
    let set = context.select(&samples, (first, last))?;
    context.budget.admit((set.len() as u64).saturating_mul(grid.count as u64))?;
    let selector = Selector { samples, give: Give::Value, position: Position::default() };
    let make = || Reader { context, selector: &selector, grid: *grid, found: Vec::new() };
    let found = read_all(context, (&*set, Wanted::All), &make, &|reader| Found(reader.found))?;
    let mut infos = found.map_or_else(Vec::new, |found| found.0);
    infos.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(infos)
}
