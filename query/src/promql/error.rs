//! Why a query failed while it was planned or run. Parse errors are the parser's own.

use ephemeris_model::SourceError;
use thiserror::Error;

use super::functions::FunctionError;
use crate::budget::BudgetError;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Change the query.
    Invalid,
    /// Ask for less, or raise a limit.
    Limit,
    /// Ask for less, or give it more time.
    Timeout,
    /// Nothing; the caller asked for it.
    Canceled,
    /// Come back when other queries have ended.
    Busy,
    /// The store is going away.
    Closed,
    /// Nothing; reading failed.
    Internal,
}

/// Why a query failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The query cannot be answered as it stands; the text is that of Prometheus.
    #[error("{0}")]
    Execution(String),
    /// The budget of the query is used up.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The store could not answer.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl QueryError {
    /// An error of execution.
    pub(crate) fn execution(text: impl Into<String>) -> Self {
        Self::Execution(text.into())
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Execution(_) => ErrorKind::Invalid,
            Self::Budget(BudgetError::Timeout) => ErrorKind::Timeout,
            Self::Budget(BudgetError::Account { .. }) => ErrorKind::Busy,
            Self::Budget(BudgetError::Canceled) | Self::Source(SourceError::Canceled) => {
                ErrorKind::Canceled
            }
            Self::Budget(_) | Self::Source(SourceError::Limit(_)) => ErrorKind::Limit,
            Self::Source(SourceError::Closed) => ErrorKind::Closed,
            Self::Source(_) => ErrorKind::Internal,
        }
    }
}

impl From<FunctionError> for QueryError {
    fn from(error: FunctionError) -> Self {
        Self::Execution(error.0)
    }
}
