//! Selectors and what works on each series alone: range functions, functions of single values,
//! operators with a number. A chain of these runs series by series, as the samples are read, so
//! that what follows it may keep the series or fold it away.

use ephemeris_model::{Labels, METRIC_NAME, MatchOp, ReadStats, SampleBuffer, SeriesSet, is_stale};

use super::arithmetic::OperatorNotes;
use super::batch::{ABSENT, StepSeries};
use super::held::{Held, load_of};
use super::key::without_name;
use super::lookback::Lookback;
use super::prepare::{Starts, cleaned, with_told_resets};
use super::read::{Absorb, Visit, Wanted, in_parallel, read_all, stripes};
use super::slide::{Slide, Slider};
use super::weight::weigh;
use super::{Context, arithmetic, describe, merge, with_scalar};
use crate::promql::ast::Extension;
use crate::promql::error::QueryError;
use crate::promql::functions::{Function, elementwise};
use crate::promql::plan::{
    Give, Grid, Map, RangeInput, Samples, Selector, Site, Vector, Windows, WithScalar,
};

/// Takes the series a chain yields.
pub(super) trait Sink: Absorb {
    /// Takes `series`, which has a sample; what is left of it is used for the next one.
    fn take(&mut self, series: &mut StepSeries) -> Result<(), QueryError>;
}

/// Where the series of a chain come from.
enum Base<'a, 'p> {
    Selector(&'p Selector),
    Windows(&'p Windows, Vec<Vec<f64>>),
    Vector(Held<'a>),
}

/// A link of a chain, with its numbers.
enum Stage<'p> {
    Map(&'p Map, Vec<Vec<f64>>),
    WithScalar(&'p WithScalar, Vec<f64>),
    Negate,
    /// Windows over a subquery, with the grid inside.
    Windows(&'p Windows, Slide, Grid, Vec<Vec<f64>>),
}

struct Chain<'a, 'p> {
    base: Base<'a, 'p>,
    base_grid: Grid,
    /// Each with the grid it works on, the innermost first.
    stages: Vec<(Stage<'p>, Grid)>,
}

/// Runs the chain that ends in `vector` and keeps its series. `given` is what the vector below it
/// gives, if that was evaluated already.
pub(super) fn collect<'a>(
    context: &Context<'a>,
    vector: &Vector,
    grid: &Grid,
    given: Option<Held<'a>>,
) -> Result<Held<'a>, QueryError> {
    let make = || Keep { context, series: Vec::new() };
    let kept = traced(context, vector, grid, (&make, given))?;
    let series = kept.map_or_else(Vec::new, |keep| keep.series);
    let held = Held::counted(series, context.budget);
    if !may_collide(context, vector) {
        return Ok(held);
    }
    let overlap = match vector {
        Vector::Windows(_) => merge::Overlap::Never,
        _ => merge::Overlap::PerStep,
    };
    context.hold(merge::same_labels(held.into_inner(), overlap)?)
}

struct Keep<'c, 'a> {
    context: &'c Context<'a>,
    series: Vec<StepSeries>,
}

impl Absorb for Keep<'_, '_> {
    fn absorb(&mut self, mut next: Self) -> Result<(), QueryError> {
        self.series.append(&mut next.series);
        Ok(())
    }
}

impl Sink for Keep<'_, '_> {
    fn take(&mut self, series: &mut StepSeries) -> Result<(), QueryError> {
        self.context.budget.hold(load_of(series))?;
        let mut kept = StepSeries {
            labels: series.labels.clone(),
            drop_name: series.drop_name,
            values: series.values.clone(),
            histograms: std::mem::take(&mut series.histograms),
        };
        self.context.drop_name_now(&mut kept);
        self.series.push(kept);
        Ok(())
    }
}

impl Context<'_> {
    /// Removes the name of a series that lost it, unless that is left for the end.
    pub(super) fn drop_name_now(&self, series: &mut StepSeries) {
        if series.drop_name && !self.options.delayed_name_removal {
            series.labels = without_name(&series.labels);
            series.drop_name = false;
        }
    }
}

/// Whether two series of the chain may have the same labels once names are dropped.
pub(super) fn may_collide(context: &Context<'_>, vector: &Vector) -> bool {
    let one_name = |samples: &Samples| {
        samples.matchers.iter().any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal)
    };
    if context.options.delayed_name_removal {
        return false;
    }
    match vector {
        Vector::Selector(selector) => selector.give != Give::Value && !one_name(&selector.samples),
        Vector::Windows(windows) => match &windows.input {
            RangeInput::Samples(samples) => !one_name(samples),
            RangeInput::Subquery(subquery) => !has_one_name(&subquery.input),
        },
        Vector::Map(map) => !has_one_name(&map.input),
        Vector::WithScalar(node) => !has_one_name(&node.vector),
        Vector::Negate(inner) => !has_one_name(inner),
        _ => true,
    }
}

/// Whether all series of `vector` that have a name have the same one.
fn has_one_name(mut vector: &Vector) -> bool {
    let named = |samples: &Samples| {
        samples.matchers.iter().any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal)
    };
    loop {
        vector = match vector {
            Vector::Selector(selector) => return named(&selector.samples),
            Vector::Windows(windows) => match &windows.input {
                RangeInput::Samples(samples) => return named(samples),
                RangeInput::Subquery(subquery) => &subquery.input,
            },
            Vector::Map(map) => &map.input,
            Vector::WithScalar(node) => &node.vector,
            Vector::Negate(inner) | Vector::Invariant(inner) => inner,
            _ => return false,
        };
    }
}

/// Runs the chain that ends in `vector`, its series taken by sinks, one per stripe of series,
/// joined in order. None if there is no series.
pub(super) fn stream<S: Sink>(
    context: &Context<'_>,
    vector: &Vector,
    grid: &Grid,
    make: &(dyn Fn() -> S + Sync),
) -> Result<Option<S>, QueryError> {
    traced(context, vector, grid, (make, None))
}

/// How sinks are made, and what the vector below the chain gives, if it was evaluated already.
type Ends<'m, 'a, S> = (&'m (dyn Fn() -> S + Sync), Option<Held<'a>>);

fn traced<'a, S: Sink>(
    context: &Context<'a>,
    vector: &Vector,
    grid: &Grid,
    ends: Ends<'_, 'a, S>,
) -> Result<Option<S>, QueryError> {
    let Some(trace) = &context.trace else { return run(context, vector, grid, ends) };
    let told = trace.open("read", || describe::chain(vector));
    let result = run(context, vector, grid, ends);
    if told {
        trace.close(None);
    }
    result
}

fn run<'a, S: Sink>(
    context: &Context<'a>,
    vector: &Vector,
    grid: &Grid,
    (make, given): Ends<'_, 'a, S>,
) -> Result<Option<S>, QueryError> {
    let chain = decompose(context, vector, grid, given)?;
    context.budget.admit(chain.base_grid.count as u64)?;
    let worker = || Worker::new(context, &chain, make());
    match &chain.base {
        Base::Selector(selector) => {
            let (first, last) = selector.samples.times.bounds(&chain.base_grid);
            let lookback = selector.samples.range_ms;
            let behind = match selector.samples.extension {
                Extension::Smoothed => lookback,
                _ => 0,
            };
            let bounds =
                (first.saturating_sub(lookback).saturating_add(1), last.saturating_add(behind));
            let set = context.select(&selector.samples, bounds)?;
            // Resets of histograms are told from the sample before.
            let newest = chain.base_grid.count == 1
                && selector.samples.extension == Extension::None
                && !selector.samples.stats_only;
            let wanted = if newest { Wanted::Newest } else { Wanted::All };
            read_all(context, (&*set, wanted), &worker, &Worker::close)
        }
        Base::Windows(windows, _) => {
            let Some(samples) = windows.input.samples() else {
                return Err(QueryError::execution("subquery is no base of a chain"));
            };
            let slide = slide_of(context, samples, chain.base_grid);
            let set = context.select(samples, slide.bounds())?;
            read_all(context, (&*set, Wanted::All), &worker, &Worker::close)
        }
        Base::Vector(held) => {
            if let Some(trace) = &context.trace {
                trace.add_read(held.len() as u64, 0, ReadStats::default());
            }
            let stripes = stripes(held.len());
            in_parallel(context.options.threads, stripes.len(), &|index| {
                let mut worker = worker();
                for series in &held[stripes[index].clone()] {
                    context.budget.check()?;
                    worker.out.clone_from(series);
                    worker.finish()?;
                }
                Ok(worker.close())
            })
        }
    }
}

fn decompose<'a, 'p>(
    context: &Context<'a>,
    mut vector: &'p Vector,
    grid: &Grid,
    given: Option<Held<'a>>,
) -> Result<Chain<'a, 'p>, QueryError> {
    let mut grid = *grid;
    let mut stages = Vec::new();
    let columns = |params: &[crate::promql::plan::Scalar], grid: &Grid| {
        params.iter().map(|p| context.scalar(p, grid)).collect::<Result<Vec<_>, _>>()
    };
    let base = loop {
        context.budget.admit(grid.count as u64)?;
        match vector {
            Vector::Map(map) => {
                stages.push((Stage::Map(map, columns(&map.params, &grid)?), grid));
                vector = &map.input;
            }
            Vector::WithScalar(node) => {
                let numbers = context.scalar(&node.scalar, &grid)?;
                stages.push((Stage::WithScalar(node, numbers), grid));
                vector = &node.vector;
            }
            Vector::Negate(inner) => {
                stages.push((Stage::Negate, grid));
                vector = inner;
            }
            Vector::Windows(windows) => {
                let params = columns(&windows.params, &grid)?;
                let RangeInput::Subquery(subquery) = &windows.input else {
                    break Base::Windows(windows, params);
                };
                let slide = Slide {
                    grid,
                    times: subquery.times,
                    range_ms: subquery.range_ms,
                    extension: Extension::None,
                    lookback_ms: 0,
                };
                let Some(inside) = subquery.grid(&grid) else {
                    break Base::Vector(Held::new(Vec::new(), context.budget)?);
                };
                stages.push((Stage::Windows(windows, slide, inside, params), grid));
                grid = inside;
                vector = &subquery.input;
            }
            Vector::Selector(selector) => break Base::Selector(selector),
            other => match given {
                Some(given) => break Base::Vector(given),
                None => break Base::Vector(context.vector(other, &grid)?),
            },
        }
    };
    stages.reverse();
    Ok(Chain { base, base_grid: grid, stages })
}

fn slide_of(context: &Context<'_>, samples: &Samples, grid: Grid) -> Slide {
    Slide {
        grid,
        times: samples.times,
        range_ms: samples.range_ms,
        extension: samples.extension,
        lookback_ms: context.options.lookback_ms,
    }
}

/// What a thread holds while it runs a chain.
struct Worker<'c, 'a, 'p, S> {
    context: &'c Context<'a>,
    chain: &'c Chain<'a, 'p>,
    sink: S,
    /// The series as it goes through the chain.
    out: StepSeries,
    scratch: SampleBuffer,
    told: SampleBuffer,
    base_slider: Option<Slider>,
    lookback: Lookback,
    /// Of each stage.
    links: Vec<Link>,
    /// Samples the base looked at.
    looked_at: u64,
    /// The same by step, if the query is to explain itself.
    per_step: Vec<u64>,
}

/// What a stage holds.
#[derive(Default)]
struct Link {
    slider: Option<Slider>,
    operator_notes: OperatorNotes,
    looked_at: u64,
    per_step: Vec<u64>,
}

impl<'c, 'a, 'p, S: Sink> Worker<'c, 'a, 'p, S> {
    fn new(context: &'c Context<'a>, chain: &'c Chain<'a, 'p>, sink: S) -> Self {
        let base_slider = match &chain.base {
            Base::Windows(windows, _) => windows.input.samples().map(|samples| {
                Slider::new(windows.function, slide_of(context, samples, chain.base_grid))
            }),
            _ => None,
        };
        let steps = |grid: &Grid| match context.trace {
            Some(_) => vec![0; grid.count],
            None => Vec::new(),
        };
        let link = |(stage, grid): &(Stage<'_>, Grid)| match stage {
            Stage::Windows(windows, slide, ..) => Link {
                slider: Some(Slider::new(windows.function, *slide)),
                per_step: steps(grid),
                ..Link::default()
            },
            _ => Link::default(),
        };
        Self {
            context,
            chain,
            sink,
            out: StepSeries::absent(Labels::empty(), 0),
            scratch: SampleBuffer::default(),
            told: SampleBuffer::default(),
            base_slider,
            lookback: Lookback::default(),
            links: chain.stages.iter().map(link).collect(),
            looked_at: 0,
            per_step: steps(&chain.base_grid),
        }
    }

    /// Makes `out` a series without samples.
    fn clear(&mut self, labels: Labels, steps: usize) {
        self.out.labels = labels;
        self.out.drop_name = false;
        self.out.histograms.clear();
        self.out.values.clear();
        self.out.values.resize(steps, ABSENT);
    }

    /// Sends the series in `out` through the stages to the sink, unless it is empty.
    fn finish(&mut self) -> Result<(), QueryError> {
        for ((stage, grid), link) in self.chain.stages.iter().zip(&mut self.links) {
            let out = &mut self.out;
            match stage {
                Stage::Map(map, params) => apply_map(map, params, grid, out),
                Stage::WithScalar(node, numbers) => {
                    with_scalar::apply(node, numbers, out, &mut link.operator_notes);
                }
                Stage::Negate => arithmetic::negate(out),
                Stage::Windows(windows, _, inside, params) => {
                    let Some(slider) = &mut link.slider else { continue };
                    samples_of(out, inside, &mut self.scratch);
                    out.histograms.clear();
                    out.values.clear();
                    out.values.resize(grid.count, ABSENT);
                    let name = visible_name(self.context, out);
                    link.looked_at +=
                        slider.run(params, &self.scratch, &name, out, self.context.budget)?;
                    link.looked_at += slider.tally(&self.scratch, weigh(false), &mut link.per_step);
                    out.drop_name |= drops_name(windows.function);
                }
            }
        }
        if self.out.is_empty() {
            return Ok(());
        }
        self.sink.take(&mut self.out)
    }

    /// Hands over what was noted, and gives back the sink.
    fn close(self) -> S {
        let role = self.chain.base_grid.role;
        self.context.count_looked_at(role, self.looked_at, &self.per_step);
        for ((_, grid), link) in self.chain.stages.iter().zip(&self.links) {
            if link.slider.is_some() {
                self.context.count_looked_at(grid.role, link.looked_at, &link.per_step);
            }
        }
        let annotate = |slider: &Option<Slider>, site: &Site| {
            if let Some(slider) = slider {
                self.context.annotate_notes(&slider.notes, site);
            }
        };
        match &self.chain.base {
            Base::Windows(windows, _) => annotate(&self.base_slider, &windows.site),
            Base::Selector(selector) => {
                let site = Site { call: selector.position, args: Vec::new() };
                self.context.annotate_notes(&self.lookback.notes, &site);
            }
            Base::Vector(_) => {}
        }
        for ((stage, _), link) in self.chain.stages.iter().zip(self.links) {
            match stage {
                Stage::Windows(windows, ..) => annotate(&link.slider, &windows.site),
                Stage::WithScalar(node, _) => {
                    link.operator_notes.annotate(self.context, node.position);
                }
                Stage::Map(..) | Stage::Negate => {}
            }
        }
        self.sink
    }
}

impl<S: Sink> Visit for Worker<'_, '_, '_, S> {
    fn series(
        &mut self,
        set: &dyn SeriesSet,
        index: usize,
        samples: &SampleBuffer,
    ) -> Result<(), QueryError> {
        if samples.is_empty() {
            return Ok(());
        }
        self.clear(set.labels(index), self.chain.base_grid.count);
        let grid = &self.chain.base_grid;
        match &self.chain.base {
            Base::Selector(selector) => {
                let samples = match selector.samples.stats_only {
                    true => with_told_resets(samples, &mut self.told),
                    false => samples,
                };
                let samples = match selector.samples.extension {
                    Extension::Smoothed => cleaned(samples, Starts::Keep, &mut self.scratch),
                    _ => samples,
                };
                self.looked_at += self.lookback.fill(selector, grid, samples, &mut self.out);
                let weigh = weigh(selector.samples.stats_only);
                self.looked_at += Lookback::tally(&self.out, weigh, &mut self.per_step);
                self.out.drop_name = selector.give != Give::Value;
            }
            Base::Windows(windows, params) => {
                let (Some(input), Some(slider)) = (windows.input.samples(), &mut self.base_slider)
                else {
                    return Ok(());
                };
                let starts = match self.context.options.use_start_timestamps {
                    true => Starts::Keep,
                    false => Starts::Drop,
                };
                let samples = match input.stats_only {
                    true => with_told_resets(samples, &mut self.told),
                    false => samples,
                };
                let samples = cleaned(samples, starts, &mut self.scratch);
                let name = self.out.labels.clone();
                self.looked_at +=
                    slider.run(params, samples, &name, &mut self.out, self.context.budget)?;
                self.looked_at +=
                    slider.tally(samples, weigh(input.stats_only), &mut self.per_step);
                self.out.drop_name = drops_name(windows.function);
            }
            Base::Vector(_) => return Ok(()),
        }
        if self.out.is_empty() {
            return Ok(());
        }
        self.finish()
    }
}

/// The labels annotations take the name of a metric from.
fn visible_name(context: &Context<'_>, series: &StepSeries) -> Labels {
    if series.drop_name && !context.options.delayed_name_removal {
        return Labels::empty();
    }
    series.labels.clone()
}

/// Whether a range function gives something else than the metric it is applied to.
const fn drops_name(function: Function) -> bool {
    !matches!(function, Function::LastOverTime | Function::FirstOverTime)
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
fn apply_map(map: &Map, params: &[Vec<f64>], grid: &Grid, series: &mut StepSeries) {
    match map.function {
        Function::Timestamp => {
            for step in 0..grid.count {
                if series.point(step).is_some() {
                    series.values[step] = grid.at(step) as f64 / 1000.0;
                }
            }
        }
        // What was computed has no start timestamp.
        Function::StartTimestamp => series.values.fill(ABSENT),
        function => {
            elementwise::apply(function, series, params);
            return;
        }
    }
    series.histograms.clear();
    series.drop_name = true;
}

/// Fills `samples` with what `series` has at the steps of `grid`.
fn samples_of(series: &StepSeries, grid: &Grid, samples: &mut SampleBuffer) {
    use ephemeris_model::CounterResetHint;
    samples.clear();
    for (step, &value) in series.values.iter().enumerate() {
        let at = grid.at(step);
        if let Some(Some(histogram)) = series.histograms.get(step) {
            let mut histogram = histogram.clone();
            // Samples between the steps were left out, so a hint about the one before is void.
            if matches!(histogram.reset_hint, CounterResetHint::Reset | CounterResetHint::NotReset)
            {
                std::sync::Arc::make_mut(&mut histogram).reset_hint = CounterResetHint::Unknown;
            }
            samples.push_histogram(at, histogram);
        } else if !is_stale(value) {
            samples.push(at, value);
        }
    }
}
