//! The engine: runs a parsed query against a source. Parse → plan → rewrite → operators.

use ephemeris_model::{Source, TimestampMs};

use super::ast::Expr;
use super::error::QueryError;
use super::result::Answer;
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
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback_ms: 5 * 60 * 1000,
            default_subquery_step_ms: 60 * 1000,
            delayed_name_removal: false,
            use_start_timestamps: false,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
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
        let _ = (source, query, expr, at, budget);
        Err(QueryError::execution("evaluation is not built yet"))
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
        let _ = (source, query, expr, range, budget);
        Err(QueryError::execution("evaluation is not built yet"))
    }
}
