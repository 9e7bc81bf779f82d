//! The engine: runs a parsed query against a source. Parse → plan → rewrite → operators.

use std::time::Instant;

use ephemeris_model::{Source, TimestampMs};

use super::ast::Expr;
use super::error::QueryError;
use super::exec::{self, Context, Mode};
use super::plan::{self, Grid, Setting};
use super::result::{Answer, QueryStats};
use super::rewrite;
use crate::budget::Budget;

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How far back an instant selector looks for a sample, in milliseconds.
    pub lookback_ms: i64,
    /// Step of a subquery that states none, in milliseconds.
    pub default_subquery_step_ms: i64,
    /// Remove metric names at the end of the query instead of where a function drops them.
    pub delayed_name_removal: bool,
    /// Let `rate`, `irate`, `increase` and `resets` use start timestamps of samples.
    pub use_start_timestamps: bool,
    /// Threads that read and compute for one query.
    pub threads: usize,
    /// Take down what each operator does.
    pub explain: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback_ms: 5 * 60 * 1000,
            default_subquery_step_ms: 60 * 1000,
            delayed_name_removal: false,
            use_start_timestamps: false,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            explain: false,
        }
    }
}

/// Times of a range query: `start`, `start + step`, … up to and including `end`.
#[derive(Clone, Copy, Debug)]
pub struct RangeQuery {
    /// First step.
    pub start: TimestampMs,
    /// No step is later.
    pub end: TimestampMs,
    /// Distance of steps in milliseconds, above 0.
    pub step_ms: i64,
}

/// Runs queries. It holds settings only; data, text and budget come with each query.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these settings.
    #[must_use]
    pub const fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// The settings.
    #[must_use]
    pub const fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates `expr`, parsed from `query`, at one moment.
    ///
    /// # Errors
    /// If the query cannot be answered, its budget is used up, or the source fails.
    pub fn instant(
        &self,
        source: &dyn Source,
        query: &str,
        expr: &Expr,
        at: TimestampMs,
        budget: &Budget,
    ) -> Result<Answer, QueryError> {
        let setting =
            Setting { query, start_ms: at.0, end_ms: at.0, step_ms: 0, options: &self.options };
        self.run(source, expr, &setting, (&Grid::single(at.0), Mode::Instant), budget)
    }

    /// Evaluates `expr`, parsed from `query`, at each step of a range. Its type must be scalar or
    /// instant vector.
    ///
    /// # Errors
    /// As [`Engine::instant`].
    pub fn range(
        &self,
        source: &dyn Source,
        query: &str,
        expr: &Expr,
        range: RangeQuery,
        budget: &Budget,
    ) -> Result<Answer, QueryError> {
        let RangeQuery { start, end, step_ms } = range;
        let Some(grid) = Grid::between(start.0, end.0, step_ms) else {
            let text = format!("no steps from {start} to {end} by {step_ms} ms");
            return Err(QueryError::Execution(text));
        };
        let setting =
            Setting { query, start_ms: start.0, end_ms: end.0, step_ms, options: &self.options };
        self.run(source, expr, &setting, (&grid, Mode::Range), budget)
    }

    fn run(
        &self,
        source: &dyn Source,
        expr: &Expr,
        setting: &Setting<'_>,
        (grid, mode): (&Grid, Mode),
        budget: &Budget,
    ) -> Result<Answer, QueryError> {
        let start = Instant::now();
        let plan = plan::build(expr, setting)?;
        let plan = rewrite::rewrite(plan);
        let prepare = start.elapsed();
        let context = Context::new(source, &self.options, budget, mode);
        let value = exec::finish(&context, &plan, grid)?;
        let (annotations, source_warnings, samples_queryable, trace) = context.into_parts();
        let total = start.elapsed();
        let stats = QueryStats {
            series: budget.series_touched(),
            samples_read: budget.samples_read(),
            samples_queryable,
            samples_peak: budget.samples_peak(),
            prepare,
            evaluate: total.saturating_sub(prepare),
            total,
            explanation: trace.map(|trace| trace.finish((0..grid.count).map(|step| grid.at(step)))),
        };
        Ok(Answer { value, annotations, source_warnings, stats })
    }
}
