//! Text to syntax tree.

use super::ast::Expr;
use super::error::ParseError;

/// Reads a query.
///
/// # Errors
/// If the text is no query; the words are Loki's.
pub fn parse(_query: &str) -> Result<Expr, ParseError> {
    Err(ParseError::anywhere("LogQL is not served yet"))
}
