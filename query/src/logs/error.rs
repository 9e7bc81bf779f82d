//! Why a log query failed.

use ephemeris_model::SourceError;
use thiserror::Error;

use crate::budget::BudgetError;
use crate::promql::error::ErrorKind;

/// Why a text is no LogQL query.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{message}", self.place())]
pub struct ParseError {
    /// What is wrong, in Loki's words.
    pub message: String,
    /// Line from 1; 0 where Loki does not know it.
    pub line: usize,
    /// Column from 1; 0 if the error has no place.
    pub column: usize,
}

impl ParseError {
    /// An error of the query as a whole.
    pub(crate) fn anywhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: 0, column: 0 }
    }

    fn place(&self) -> String {
        match (self.line, self.column) {
            (0, 0) => "parse error : ".to_owned(),
            (line, column) => format!("parse error at line {line}, col {column}: "),
        }
    }
}

/// Why a log query failed while it ran.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogQueryError {
    /// The query cannot be answered as it stands; the text is that of Loki.
    #[error("{0}")]
    Execution(String),
    /// The budget of the query is used up.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The store could not answer.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl LogQueryError {
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
