//! Runs queries: reads streams, applies pipelines, computes.

use ephemeris_model::LogSource;

use super::ast::{LogExpr, MetricExpr};
use super::engine::{EntryQuery, MetricRange};
use super::error::LogQueryError;
use super::result::{EntriesAnswer, MetricAnswer};
use crate::budget::Budget;

pub(super) fn instant(
    _source: &dyn LogSource,
    _expr: &MetricExpr,
    _at_ns: i64,
    budget: &Budget,
) -> Result<MetricAnswer, LogQueryError> {
    budget.check()?;
    Err(LogQueryError::execution("metric queries over logs are not served yet"))
}

pub(super) fn range(
    _source: &dyn LogSource,
    _expr: &MetricExpr,
    _range: MetricRange,
    budget: &Budget,
) -> Result<MetricAnswer, LogQueryError> {
    budget.check()?;
    Err(LogQueryError::execution("metric queries over logs are not served yet"))
}

pub(super) fn entries(
    _source: &dyn LogSource,
    _expr: &LogExpr,
    _query: EntryQuery,
    budget: &Budget,
) -> Result<EntriesAnswer, LogQueryError> {
    budget.check()?;
    Err(LogQueryError::execution("log queries are not served yet"))
}
