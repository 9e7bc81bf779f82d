//! Which expressions are told to be little work before anything is looked up.

use ephemeris_model::{METRIC_NAME, MatchOp, Matcher};

use super::ast::{AggregateOp, Duration, Expr, ExprKind, VectorSelector};
use super::functions::Function;

/// Nodes of such an expression.
const NODES_MAX: usize = 16;
/// Longest range window.
const RANGE_MAX_MS: i64 = 3_600_000;

/// Whether `expr` asks for few series by their labels, as a panel of one machine does, and computes
/// nothing from them that takes long: each selector names its metric and at least one more label,
/// by equality alone, and there is no subquery, pattern, or operation on all of a selection.
///
/// It may still select many; whoever relies on this needs limits besides.
#[must_use]
pub fn is_light(expr: &Expr) -> bool {
    let mut nodes = 0;
    walk(expr, &mut nodes)
}

fn walk(expr: &Expr, nodes: &mut usize) -> bool {
    *nodes += 1;
    if *nodes > NODES_MAX {
        return false;
    }
    match &expr.kind {
        ExprKind::Number(_) => true,
        ExprKind::VectorSelector(selector) => is_narrow(selector),
        ExprKind::MatrixSelector(matrix) => {
            let short = matches!(matrix.range, Duration::Millis(millis) if millis <= RANGE_MAX_MS);
            short && is_narrow(&matrix.selector)
        }
        ExprKind::Call(call) => {
            let not = [Function::LabelReplace, Function::LabelJoin, Function::Info];
            !not.contains(&call.function) && call.args.iter().all(|arg| walk(arg, nodes))
        }
        ExprKind::Aggregate(aggregate) => {
            let folds = matches!(
                aggregate.op,
                AggregateOp::Sum | AggregateOp::Avg | AggregateOp::Min | AggregateOp::Max
            );
            folds && walk(&aggregate.expr, nodes)
        }
        ExprKind::Binary(binary) => walk(&binary.lhs, nodes) && walk(&binary.rhs, nodes),
        ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => walk(inner, nodes),
        ExprKind::Subquery(_) | ExprKind::String(_) => false,
    }
}

fn is_narrow(selector: &VectorSelector) -> bool {
    let equal = |matcher: &Matcher| matcher.op == MatchOp::Equal && !matcher.value.is_empty();
    let matchers = &selector.matchers;
    let named = matchers.iter().filter(|matcher| matcher.name == METRIC_NAME).count() == 1;
    named && matchers.len() > 1 && matchers.iter().all(equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse::parse;

    fn light(query: &str) -> bool {
        is_light(&parse(query).expect("the query is good"))
    }

    #[test]
    fn few_series_and_little_work() {
        for query in [
            "temperature{satellite=\"A-7\"}",
            "-sum by (x) (rate(packets_total{satellite=\"A-7\"}[5m])) * 8 / 1024",
            "a{x=\"1\"} / on (x) (b{x=\"1\"} offset 1h)",
        ] {
            assert!(light(query), "{query}");
        }
        for query in [
            "temperature",
            "{satellite=\"A-7\"}",
            "temperature{satellite=~\"A-7\"}",
            "temperature{satellite=\"A-7\",beam!=\"1\"}",
            "temperature{satellite=\"\"}",
            "count(temperature{satellite=\"A-7\"})",
            "rate(packets_total{satellite=\"A-7\"}[61m])",
            "topk(1, temperature{satellite=\"A-7\"})",
            "max_over_time(temperature{satellite=\"A-7\"}[1h:1s])",
            "label_replace(a{x=\"1\"}, \"b\", \"$1\", \"c\", \"(.*)\")",
        ] {
            assert!(!light(query), "{query}");
        }
        assert!(!light(&["a{x=\"1\"}"; 9].join(" + ")), "it is long");
    }
}
