//! Operators: evaluate a plan over batches of series.
//!
//! | file | operator |
//! |---|---|
//! | `chain.rs` | selectors and what works on each series alone, one series at a time |
//! | `read.rs` | reads the series of a selection by several threads |
//! | `prepare.rs`, `lookback.rs`, `slide.rs` | instant selectors and range windows over the samples
//! of a series |
//! | `aggregate/` | aggregations; most fold each series into its group as it comes |
//! | `join.rs`, `set.rs`, `with_scalar.rs` | binary operators |
//! | `whole.rs`, `absent.rs`, `info.rs` | functions that need all series at once |
//! | `describe.rs` | operators in words, for a query that explains itself |
//! | `finish.rs` | name removal and the shape of the answer |
//!
//! **Invariant**: an answer does not depend on the number of threads; see `read.rs`.

mod absent;
mod aggregate;
mod arithmetic;
pub mod batch;
mod chain;
mod describe;
mod finish;
mod held;
mod info;
mod join;
mod key;
mod lookback;
mod merge;
mod prepare;
mod read;
mod scalar;
mod set;
mod slide;
mod weight;
mod whole;
mod with_scalar;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ephemeris_model::{Select, SeriesSet, Source, SourceError, TimeRange, TimestampMs};

pub(crate) use arithmetic::numbers;
pub(crate) use finish::{Mode, finish};

use super::annotations::{Annotations, Severity};
use super::ast::Position;
use super::engine::EngineOptions;
use super::error::QueryError;
use super::explain::Trace;
use super::functions::Notes;
use super::plan::{Grid, Role, Samples, Site, Vector};
use crate::budget::Budget;
use batch::StepSeries;
use held::Held;

/// What all operators of a query share.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) options: &'a EngineOptions,
    pub(crate) budget: &'a Budget,
    /// What kind of query this is.
    pub(crate) mode: Mode,
    annotations: Mutex<Annotations>,
    warnings: Mutex<Vec<String>>,
    looked_at: AtomicU64,
    /// Takes down what operators do, if the query asks for it.
    pub(crate) trace: Option<Trace>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        source: &'a dyn Source,
        options: &'a EngineOptions,
        budget: &'a Budget,
        mode: Mode,
    ) -> Self {
        Self {
            source,
            options,
            budget,
            mode,
            annotations: Mutex::default(),
            warnings: Mutex::default(),
            looked_at: AtomicU64::new(0),
            trace: options.explain.then(Trace::default),
        }
    }

    /// Annotations, warnings of the source, the number of samples looked at, and the trace.
    pub(crate) fn into_parts(self) -> (Annotations, Vec<String>, u64, Option<Trace>) {
        (
            self.annotations.into_inner().unwrap_or_else(PoisonError::into_inner),
            self.warnings.into_inner().unwrap_or_else(PoisonError::into_inner),
            self.looked_at.into_inner(),
            self.trace,
        )
    }

    /// Evaluates an instant vector at each step of `grid`.
    fn vector(&self, vector: &Vector, grid: &Grid) -> Result<Held<'a>, QueryError> {
        self.budget.check()?;
        let name = describe::name(vector);
        let Some(trace) = self.trace.as_ref().filter(|_| !name.is_empty()) else {
            return self.evaluate(vector, grid);
        };
        let told = trace.open(name, || describe::detail(vector));
        let result = self.evaluate(vector, grid);
        if told {
            trace.close(result.as_ref().ok().map(|held| held.len() as u64));
        }
        result
    }

    fn evaluate(&self, vector: &Vector, grid: &Grid) -> Result<Held<'a>, QueryError> {
        match vector {
            Vector::Selector(_)
            | Vector::Windows(_)
            | Vector::Map(_)
            | Vector::WithScalar(_)
            | Vector::Negate(_) => chain::collect(self, vector, grid, None),
            Vector::Whole(whole) => whole::run(self, whole, grid),
            Vector::Aggregate(aggregate) => aggregate::run(self, aggregate, grid),
            Vector::Join(_) | Vector::Set(_) => self.chain(vector, grid),
            Vector::FromScalar(scalar) => {
                let mut series = StepSeries::absent(ephemeris_model::Labels::empty(), 0);
                series.values = self.scalar(scalar, grid)?;
                self.hold(vec![series])
            }
            Vector::Absent(absent) => absent::run(self, absent, grid),
            Vector::Info(info) => info::run(self, info, grid),
            Vector::Invariant(inner) => {
                let once = self.vector(inner, &grid.once())?.into_inner();
                self.budget.admit((once.len() as u64).saturating_mul(grid.count as u64))?;
                self.hold(once.into_iter().map(|series| repeat(series, grid.count)).collect())
            }
        }
    }

    /// Evaluates a chain such as `a + b or c * 2 - d`, from its left end on.
    fn chain(&self, vector: &Vector, grid: &Grid) -> Result<Held<'a>, QueryError> {
        let (mut links, mut at) = (Vec::new(), vector);
        loop {
            let below = match at {
                Vector::Join(join) => &join.lhs,
                Vector::Set(set) => &set.lhs,
                // Operators with numbers run together; they are links if there are others below.
                Vector::WithScalar(_) => match below_numbers(at) {
                    below @ (Vector::Join(_) | Vector::Set(_)) => below,
                    _ => break,
                },
                _ => break,
            };
            links.push(at);
            at = below;
        }
        let mut lhs = self.vector(at, grid)?;
        for link in links.into_iter().rev() {
            self.budget.check()?;
            lhs = match link {
                Vector::Join(join) => join::run(self, join, lhs, grid)?,
                Vector::Set(set) => set::run(self, set, lhs, grid)?,
                numbers => chain::collect(self, numbers, grid, Some(lhs))?,
            };
        }
        Ok(lhs)
    }

    /// Counts `series` against the budget.
    fn hold(&self, series: Vec<StepSeries>) -> Result<Held<'a>, QueryError> {
        Ok(Held::new(series, self.budget)?)
    }

    /// The series of `samples` with the samples between two times, both included.
    fn select(
        &self,
        samples: &Samples,
        (first, last): (i64, i64),
    ) -> Result<Arc<dyn SeriesSet + 'a>, QueryError> {
        let range = TimeRange::inclusive(TimestampMs(first), TimestampMs(last));
        let select = Select { matchers: samples.matchers.clone(), range };
        self.source.select(&select).map_err(|error| self.failed(error))
    }

    /// Why the source failed: one that was told to stop does not know.
    fn failed(&self, error: SourceError) -> QueryError {
        match self.budget.check() {
            Err(over) => over.into(),
            Ok(()) => error.into(),
        }
    }

    fn annotate(&self, severity: Severity, text: impl Into<String>, at: Position) {
        let mut annotations = self.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        annotations.add(severity, text, Some(at));
    }

    /// Turns notes of a call into annotations.
    fn annotate_notes(&self, notes: &Notes, site: &Site) {
        for note in notes.iter() {
            let argument = note.argument.and_then(|at| site.args.get(at));
            self.annotate(note.severity(), note.text(), *argument.unwrap_or(&site.call));
        }
    }

    fn warn(&self, texts: Vec<String>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for text in texts {
            if !warnings.contains(&text) {
                warnings.push(text);
            }
        }
    }

    /// Counts samples looked at on a grid of this role, in all and for each step.
    fn count_looked_at(&self, role: Role, samples: u64, per_step: &[u64]) {
        let times = match role {
            Role::Query => 1,
            Role::Once(steps) => steps,
            Role::Subquery => return,
        };
        let counted = samples.saturating_mul(times as u64);
        self.looked_at.fetch_add(counted, Ordering::Relaxed);
        match (&self.trace, role) {
            (None, _) => {}
            (Some(trace), Role::Once(steps)) => {
                trace.add_steps(std::iter::repeat_n(samples, steps));
            }
            (Some(trace), _) => trace.add_steps(per_step.iter().copied()),
        }
    }
}

/// What operators with numbers are applied to.
fn below_numbers(mut vector: &Vector) -> &Vector {
    while let Vector::WithScalar(node) = vector {
        vector = &node.vector;
    }
    vector
}

/// A series of one step at `count` steps.
fn repeat(series: StepSeries, count: usize) -> StepSeries {
    StepSeries {
        values: vec![series.values[0]; count],
        histograms: match series.histograms.into_iter().next() {
            Some(histogram) => vec![histogram; count],
            None => Vec::new(),
        },
        ..series
    }
}
