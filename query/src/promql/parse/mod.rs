//! From text to syntax tree: lexer, recursive-descent parser, type check.
//!
//! Names, precedence and error texts are those of Prometheus 3.14. Everything a query can ask for
//! is bounded here, so that later stages may recurse over the tree, but for chains of operators: see
//! [`QUERY_BYTES_MAX`], [`DEPTH_MAX`] and [`PatternBudget`].
//!
//! | file | holds |
//! |---|---|
//! | `lexer`, `token`, `number` | characters to tokens, tokens to values |
//! | `parser` | the state all rules share; depth and errors |
//! | `expr` | operators, calls, aggregations |
//! | `selector` | `{…}`, `[…]`, `offset`, `@` |
//! | `duration` | arithmetic between brackets and behind `offset` |
//! | `check` | types, and what else a syntactically correct query may get wrong |

mod check;
mod duration;
mod error;
mod expr;
mod lexer;
mod number;
mod parser;
mod selector;
mod token;

#[cfg(test)]
mod tests;

use ephemeris_model::{Matcher, PatternBudget};

use super::ast::Expr;
use parser::Parser;

pub use error::ParseError;
pub use number::{parse_duration, parse_number};

/// Longest query accepted, in bytes.
pub const QUERY_BYTES_MAX: usize = 256 << 10;

/// Most levels of a syntax tree. A chain such as `1 + 1 + 1` counts as one level, however long it
/// is: see [`Binary`](super::ast::Binary).
pub const DEPTH_MAX: usize = 256;

/// Parses and checks a query.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query, PatternBudget::default())?;
    let mut expr = parser.whole_expression()?;
    check::check(&mut expr, query)?;
    Ok(expr)
}

/// Parses a series selector as `match[]` holds it: `up`, `{job="x"}`; no range, no modifiers.
///
/// Matchers that all accept the empty string are not refused here: what that means is for the
/// caller to say.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub fn parse_selector(selector: &str) -> Result<Vec<Matcher>, ParseError> {
    parse_selector_within(&mut PatternBudget::default(), selector)
}

/// As [`parse_selector`], for one of several selectors of a request, which share `budget`.
///
/// # Errors
/// As [`parse_selector`], and if their patterns together are too large.
pub fn parse_selector_within(
    budget: &mut PatternBudget,
    selector: &str,
) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(selector, *budget)?;
    let matchers = parser.whole_selector()?;
    *budget = parser.patterns;
    Ok(matchers)
}
