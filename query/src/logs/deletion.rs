//! What a deletion of entries is about: a selector, and line filters a store can keep.

use ephemeris_model::{LineFilter, LineMatch, MatchOp, Matcher, PatternBudget};

use super::ast::{Expr, LineFilter as Written, LineOp, LineOperand, Stage};
use super::error::ParseError;
use super::parse::parse;

/// Reads the query of a deletion: a selector, then only `|=`, `!=`, `|~` and `!~` on texts.
///
/// # Errors
/// If it is no query, or has something else.
pub fn deletion(query: &str) -> Result<(Vec<Matcher>, Vec<LineFilter>), ParseError> {
    let Expr::Log(expr) = parse(query)? else {
        return Err(refused("a metric query"));
    };
    let mut budget = PatternBudget::of_deletion();
    for matcher in &expr.matchers {
        if matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex) {
            let charged = budget.charge(&matcher.value);
            charged.map_err(|error| ParseError::anywhere(error.to_string()))?;
        }
    }
    let mut filters = Vec::new();
    for stage in &expr.stages {
        let Stage::Line(filter) = stage else {
            return Err(refused("a stage that is no line filter"));
        };
        filters.push(line_filter(filter, &mut budget)?);
    }
    Ok((expr.matchers, filters))
}

fn line_filter(filter: &Written, budget: &mut PatternBudget) -> Result<LineFilter, ParseError> {
    let op = match filter.op {
        LineOp::Contains => LineMatch::Contains,
        LineOp::NotContains => LineMatch::NotContains,
        LineOp::Regex => LineMatch::Regex,
        LineOp::NotRegex => LineMatch::NotRegex,
        LineOp::Pattern | LineOp::NotPattern => return Err(refused("a pattern")),
    };
    let text = |operand: &LineOperand| match operand {
        LineOperand::Text(text) => Ok(text.clone()),
        LineOperand::Ip(_) => Err(refused("a filter of addresses")),
    };
    let texts = filter.operands.iter().map(text).collect::<Result<_, _>>()?;
    LineFilter::within(budget, op, texts).map_err(|error| ParseError::anywhere(error.to_string()))
}

fn refused(what: &str) -> ParseError {
    let text =
        format!("a deletion takes a selector with the line filters |=, !=, |~ and !~, not {what}");
    ParseError::anywhere(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_and_line_filters_are_read() {
        let (matchers, filters) =
            deletion(r#"{app="a", host=~"h.*"} |= "x" or "y" !~ "z+""#).expect("it is a deletion");
        assert_eq!((matchers.len(), filters.len()), (2, 2));
        let deletes = |line: &str| filters.iter().all(|filter| filter.matches(line.as_bytes()));
        assert!(deletes("ay") && !deletes("ayz") && !deletes("a"));
        assert_eq!(deletion(r#"{app="a"}"#).expect("it is one").1, []);
    }

    #[test]
    fn what_a_store_cannot_keep_is_refused_with_words() {
        for (query, what) in [
            (r#"count_over_time({a="b"}[1m])"#, "a metric query"),
            (r#"{a="b"} | json"#, "a stage that is no line filter"),
            (r#"{a="b"} | c="d""#, "a stage that is no line filter"),
            (r#"{a="b"} |> "<_>x""#, "a pattern"),
            (r#"{a="b"} |= ip("10.0.0.1")"#, "a filter of addresses"),
            (r#"{a="b"} |~ "(""#, "missing closing )"),
            (r#"{a=~".*"}"#, "at least one"),
            (r#"{a="b"} |~ `\pL{60}`"#, "too large"),
            (r#"{a=~`\pL{60}`}"#, "too large"),
            ("", "unexpected"),
        ] {
            let text = deletion(query).expect_err(query).to_string();
            assert!(text.contains(what), "{query}: {text}");
        }
    }
}
