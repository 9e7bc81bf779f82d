//! Printing and parsing again gives the same tree, for every query of every script.

use ephemeris_query::promql::ast::{
    Duration, DurationExpr, DurationExprKind, Expr, ExprKind, Position, VectorSelector,
};
use ephemeris_query::promql::parse::parse;
use ephemeris_query::promql::print::prettify;

/// The queries of all scripts at hand.
fn queries() -> Vec<String> {
    let mut scripts = super::scripts_in(&super::own_scripts(), &["test"]);
    if let Some(folder) = super::outside("promqltest") {
        scripts.extend(super::scripts_in(&folder, &["test"]));
    }
    let mut queries = Vec::new();
    for (_, text) in scripts {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let skip = match words.as_slice() {
                [eval, "instant", "at", ..] if eval.starts_with("eval") => 4,
                [eval, "range", "from", ..] if eval.starts_with("eval") => 8,
                _ => continue,
            };
            let query = (0..skip).fold(line.trim_start(), |rest, _| {
                rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start())
            });
            queries.push(query.to_owned());
        }
    }
    queries
}

/// The tree without what printing may change: positions and the order of matchers. As text, since
/// NaN differs from itself.
fn shape(query: &str) -> String {
    let mut expr = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    strip(&mut expr);
    format!("{expr:?}")
}

fn strip(expr: &mut Expr) {
    expr.position = Position::default();
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::VectorSelector(selector) => strip_selector(selector),
        ExprKind::MatrixSelector(matrix) => {
            matrix.selector_position = Position::default();
            strip_selector(&mut matrix.selector);
            strip_duration(&mut matrix.range);
        }
        ExprKind::Subquery(subquery) => {
            strip(&mut subquery.expr);
            strip_duration(&mut subquery.range);
            subquery.step.iter_mut().for_each(strip_duration);
            subquery.offset.iter_mut().for_each(strip_duration);
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(strip),
        ExprKind::Aggregate(aggregate) => {
            strip(&mut aggregate.expr);
            aggregate.param.iter_mut().for_each(strip);
        }
        ExprKind::Binary(binary) => {
            strip(&mut binary.lhs);
            strip(&mut binary.rhs);
        }
        ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => strip(inner),
    }
}

fn strip_selector(selector: &mut VectorSelector) {
    selector.matchers.sort_by_key(ToString::to_string);
    selector.offset.iter_mut().for_each(strip_duration);
}

fn strip_duration(duration: &mut Duration) {
    if let Duration::Expr(expr) = duration {
        strip_duration_expr(expr);
    }
}

fn strip_duration_expr(expr: &mut DurationExpr) {
    expr.position = Position::default();
    match &mut expr.kind {
        DurationExprKind::Number(_) | DurationExprKind::Step | DurationExprKind::Range => {}
        DurationExprKind::MinOf(a, b)
        | DurationExprKind::MaxOf(a, b)
        | DurationExprKind::Binary(_, a, b) => {
            strip_duration_expr(a);
            strip_duration_expr(b);
        }
        DurationExprKind::Unary(_, a) | DurationExprKind::Paren(a) => strip_duration_expr(a),
    }
}

#[test]
fn printed_queries_parse_to_the_same_tree() {
    let queries = queries();
    assert!(!queries.is_empty());
    for query in queries {
        let expr = parse(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let line = expr.to_string();
        assert_eq!(shape(&query), shape(&line), "{query} as {line}");
        let pretty = prettify(&expr).expect("short");
        assert_eq!(shape(&query), shape(&pretty), "{query} as {pretty}");
        let again = parse(&line).map(|expr| expr.to_string());
        assert_eq!(again.as_deref(), Ok(line.as_str()), "{query}");
    }
}
