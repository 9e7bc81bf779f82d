//! The engine: runs a parsed log query against a source.

use ephemeris_model::LineSearches;
use ephemeris_model::logs::{Direction, LogSource};

use super::ast::{LogExpr, MetricExpr};
use super::error::LogQueryError;
use super::exec;
use super::pipeline::Pipeline;
use super::result::{EntriesAnswer, MetricAnswer};
use crate::budget::Budget;

/// The steps of a range query.
#[derive(Clone, Copy, Debug)]
pub struct MetricRange {
    /// Time of the first step, in nanoseconds since the epoch.
    pub start_ns: i64,
    /// No step is later; in nanoseconds since the epoch.
    pub end_ns: i64,
    /// Distance of steps in nanoseconds, above 0.
    pub step_ns: i64,
}

/// Which entries a log query asks for.
#[derive(Clone, Copy, Debug)]
pub struct EntryQuery {
    /// Earliest time, which belongs to the range.
    pub start_ns: i64,
    /// End of the range, which does not belong to it.
    pub end_ns: i64,
    /// Newest or oldest first.
    pub direction: Direction,
    /// Most entries over all streams.
    pub limit: usize,
    /// Least distance of an entry from the one before it in the answer; 0 for all entries.
    pub interval_ns: i64,
}

/// Runs log queries. It holds nothing; data, query and budget come with each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogEngine;

impl LogEngine {
    /// Evaluates a metric query at one moment: a scalar or a vector.
    ///
    /// # Errors
    /// If the query cannot be answered, its budget is used up, or the source fails.
    pub fn instant(
        self,
        source: &dyn LogSource,
        expr: &MetricExpr,
        at_ns: i64,
        budget: &Budget,
    ) -> Result<MetricAnswer, LogQueryError> {
        exec::instant(source, expr, at_ns, budget)
    }

    /// Evaluates a metric query at each step of a range: a matrix.
    ///
    /// # Errors
    /// As [`LogEngine::instant`].
    pub fn range(
        self,
        source: &dyn LogSource,
        expr: &MetricExpr,
        range: MetricRange,
        budget: &Budget,
    ) -> Result<MetricAnswer, LogQueryError> {
        exec::range(source, expr, range, budget)
    }

    /// What the lines of all entries of the answer fulfil when they come from a source.
    ///
    /// # Errors
    /// If a stage of the query is not valid.
    pub fn line_filters(self, expr: &LogExpr) -> Result<LineSearches, LogQueryError> {
        let pipeline = Pipeline::new(&expr.stages).map_err(LogQueryError::execution);
        pipeline.map(|mut pipeline| pipeline.take_filters())
    }

    /// Reads the entries a log query asks for.
    ///
    /// # Errors
    /// As [`LogEngine::instant`].
    pub fn entries(
        self,
        source: &dyn LogSource,
        expr: &LogExpr,
        query: EntryQuery,
        budget: &Budget,
    ) -> Result<EntriesAnswer, LogQueryError> {
        exec::entries(source, expr, query, budget)
    }
}
