//! What is wrong with a query.

use std::fmt;

use crate::promql::annotations::line_and_column;
use crate::promql::ast::Position;

/// A query that cannot be parsed: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// What is wrong, without the place.
    pub message: String,
    /// Where in the query.
    pub position: Position,
    /// Line and column of its start, from 1; absent in an empty query.
    place: Option<(usize, usize)>,
}

impl ParseError {
    pub(super) fn new(query: &str, position: Position, message: impl Into<String>) -> Self {
        let place = (!query.is_empty()).then(|| line_and_column(query, position.start));
        Self { message: message.into(), position, place }
    }
}

/// `1:5: parse error: …`, line and column in front.
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{line}:{column}")?,
            None => f.write_str("unknown position")?,
        }
        write!(f, ": parse error: {}", self.message)
    }
}
