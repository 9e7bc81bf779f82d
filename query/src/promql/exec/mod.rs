//! Operators: evaluate a plan over batches of series.
//!
//! | file | operator |
//! |---|---|
//! | `chain.rs` | selectors and what works on each series alone, one series at a time |
//! | `read.rs` | reads the series of a selection by several threads |
//! | `prepare.rs`, `lookback.rs`, `slide.rs` | instant selectors and range windows over the samples of a series |
//! | `aggregate/` | aggregations; most fold each series into its group as it comes |
//! | `join.rs`, `set.rs`, `with_scalar.rs` | binary operators |
//! | `whole.rs`, `absent.rs`, `info.rs` | functions that need all series at once |
//! | `finish.rs` | name removal and the shape of the answer |
//!
//! **Invariant**: an answer does not depend on the number of threads; see `read.rs`.

mod absent;
mod aggregate;
mod arithmetic;
pub mod batch;
mod chain;
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
mod whole;
mod with_scalar;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ephemeris_model::{Select, SeriesSet, Source, TimeRange, TimestampMs};

pub(crate) use arithmetic::numbers;
pub(crate) use finish::{Mode, finish};

use super::annotations::{Annotations, Severity};
use super::ast::Position;
use super::engine::EngineOptions;
use super::error::QueryError;
use super::functions::Notes;
use super::plan::{Grid, Samples, Site, Vector};
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
        }
    }

    /// Annotations, warnings of the source, and the number of samples looked at.
    pub(crate) fn into_parts(self) -> (Annotations, Vec<String>, u64) {
        (
            self.annotations.into_inner().unwrap_or_else(PoisonError::into_inner),
            self.warnings.into_inner().unwrap_or_else(PoisonError::into_inner),
            self.looked_at.into_inner(),
        )
    }

    /// Evaluates an instant vector at each step of `grid`.
    fn vector(&self, vector: &Vector, grid: &Grid) -> Result<Held<'a>, QueryError> {
        self.budget.check()?;
        match vector {
            Vector::Selector(_)
            | Vector::Windows(_)
            | Vector::Map(_)
            | Vector::WithScalar(_)
            | Vector::Negate(_) => chain::collect(self, vector, grid),
            Vector::Whole(whole) => whole::run(self, whole, grid),
            Vector::Aggregate(aggregate) => aggregate::run(self, aggregate, grid),
            Vector::Join(join) => join::run(self, join, grid),
            Vector::Set(set) => set::run(self, set, grid),
            Vector::FromScalar(scalar) => {
                let mut series = StepSeries::absent(ephemeris_model::Labels::empty(), 0);
                series.values = self.scalar(scalar, grid)?;
                self.hold(vec![series])
            }
            Vector::Absent(absent) => absent::run(self, absent, grid),
            Vector::Info(info) => info::run(self, info, grid),
            Vector::Invariant(inner) => {
                let once = self.vector(inner, &Grid::single(grid.start_ms))?.into_inner();
                self.budget.admit((once.len() as u64).saturating_mul(grid.count as u64))?;
                self.hold(once.into_iter().map(|series| repeat(series, grid.count)).collect())
            }
        }
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
        Ok(self.source.select(&select)?)
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

    fn count_looked_at(&self, samples: u64) {
        self.looked_at.fetch_add(samples, Ordering::Relaxed);
    }
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
