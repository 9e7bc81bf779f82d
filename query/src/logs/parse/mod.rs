//! Text to syntax tree, with Loki's error texts.
//!
//! | file | reads |
//! |---|---|
//! | `token`, `lexer` | words |
//! | `parser` | tokens, errors, lists: what all rules use |
//! | `selector`, `stages`, `label_filter` | `{…} \| …` |
//! | `metric`, `range` | operators, aggregations, functions |
//! | `check` | what a grammar cannot say |

mod check;
mod label_filter;
mod lexer;
mod metric;
mod parser;
mod range;
mod selector;
mod stages;
mod token;

use ephemeris_model::Matcher;

use super::ast::Expr;
use super::error::ParseError;
pub(super) use check::NO_SELECTIVE_MATCHER;
use parser::Parser;

/// Deepest nesting of a query.
pub const DEPTH_MAX: usize = 200;

/// Longest query, in bytes: Loki's own limit.
pub const QUERY_BYTES_MAX: usize = 131_072;

/// Reads a query.
///
/// # Errors
/// If the text is no query; the words are Loki's.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    if query.len() > QUERY_BYTES_MAX {
        let length = query.len();
        let message = format!("input size too long ({length} > {QUERY_BYTES_MAX})");
        return Err(ParseError::anywhere(message));
    }
    let mut parser = Parser::new(query);
    let expr = parser.query()?;
    parser.finish()?;
    check::check(&expr)?;
    Ok(expr)
}

/// Reads matchers in braces; `{}` is none.
///
/// # Errors
/// As [`parse`].
pub fn parse_matchers(selector: &str) -> Result<Vec<Matcher>, ParseError> {
    if selector.len() > QUERY_BYTES_MAX {
        let length = selector.len();
        let message = format!("input size too long ({length} > {QUERY_BYTES_MAX})");
        return Err(ParseError::anywhere(message));
    }
    let mut parser = Parser::new(selector);
    let matchers = parser.matchers()?;
    parser.end()?;
    parser.finish()?;
    Ok(matchers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_of_a_query_have_a_budget() {
        let filters =
            |pattern: &str| format!("{{a=\"b\"}}{}", format!("|~`{pattern}`").repeat(300));
        let error = parse(&filters(r"\pL{60}")).expect_err("300 large patterns");
        assert!(error.to_string().contains("too large; limit is 524288"), "{error}");
        assert!(parse(&filters("x[0-9]+y")).is_ok());
        let selector = format!("{{{}}}", vec![r"a=~`\pL{60}`"; 300].join(","));
        assert!(parse_matchers(&selector).is_err());
    }
}
