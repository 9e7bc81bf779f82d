//! The syntax tree of a query as JSON, and what can be read from it.

use ephemeris_model::Matcher;
use ephemeris_query::promql::ast::{
    AggregateOp, AtModifier, BinaryOp, Cardinality, Duration, DurationExpr, DurationExprKind, Expr,
    ExprKind, Extension, UnaryOp, ValueType, VectorMatching, VectorSelector,
};
use ephemeris_query::promql::functions::{Function, Variadic};
use serde_json::{Value, json};

use crate::api::ApiError;
use crate::api::number::write_fixed;

/// Deepest tree that is shown: each level of JSON is one of the stack when it is written.
const SHOWN_DEPTH_MAX: usize = 300;

/// The matchers of all selectors of an expression, in its order.
pub(super) fn selectors_of(expr: &Expr) -> Vec<Vec<Matcher>> {
    let mut found = Vec::new();
    each(expr, &mut |expr, _| match &expr.kind {
        ExprKind::VectorSelector(selector) => found.push(selector.matchers.clone()),
        ExprKind::MatrixSelector(matrix) => found.push(matrix.selector.matchers.clone()),
        _ => {}
    });
    found
}

/// Visits all expressions inside `expr`, itself included, from left to right, with their depth from
/// 1. Chains of operators may be far deeper than the stack, so this keeps one of its own.
fn each<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr, usize)) {
    let mut open = vec![(expr, 1)];
    while let Some((expr, depth)) = open.pop() {
        visit(expr, depth);
        let mut push = |below: &'e Expr| open.push((below, depth + 1));
        // The last to be pushed comes first.
        match &expr.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::VectorSelector(_)
            | ExprKind::MatrixSelector(_) => {}
            ExprKind::Subquery(subquery) => push(&subquery.expr),
            ExprKind::Call(call) => call.args.iter().rev().for_each(push),
            ExprKind::Aggregate(aggregate) => {
                aggregate.param.iter().for_each(&mut push);
                push(&aggregate.expr);
            }
            ExprKind::Binary(binary) => {
                push(&binary.rhs);
                push(&binary.lhs);
            }
            ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => push(inner),
        }
    }
}

/// An expression as `/api/v1/parse_query` shows it.
///
/// # Errors
/// If the tree is too deep to be shown.
pub(super) fn shown(expr: &Expr) -> Result<Value, ApiError> {
    let mut deepest = 0;
    each(expr, &mut |_, depth| deepest = deepest.max(depth));
    if deepest > SHOWN_DEPTH_MAX {
        let text = format!("the tree has {deepest} levels; limit is {SHOWN_DEPTH_MAX} to show it");
        return Err(ApiError::parameter("query", text));
    }
    Ok(to_json(expr))
}

fn to_json(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(number) => json!({"type": "numberLiteral", "val": fixed(number.value)}),
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": text}),
        ExprKind::VectorSelector(selector) => {
            let mut node = selector_json(selector);
            node["type"] = "vectorSelector".into();
            node
        }
        ExprKind::MatrixSelector(matrix) => {
            let mut node = selector_json(&matrix.selector);
            node["type"] = "matrixSelector".into();
            put_duration(&mut node, "range", Some(&matrix.range));
            node
        }
        ExprKind::Subquery(subquery) => {
            let mut node = json!({"type": "subquery", "expr": to_json(&subquery.expr)});
            put_duration(&mut node, "range", Some(&subquery.range));
            put_duration(&mut node, "step", subquery.step.as_ref());
            put_duration(&mut node, "offset", subquery.offset.as_ref());
            put_at(&mut node, subquery.at);
            node
        }
        ExprKind::Call(call) => json!({
            "type": "call",
            "func": function_json(call.function),
            "args": call.args.iter().map(to_json).collect::<Vec<_>>(),
        }),
        ExprKind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate_name(aggregate.op),
            "expr": to_json(&aggregate.expr),
            "param": aggregate.param.as_ref().map(to_json),
            "grouping": aggregate.grouping.labels,
            "without": aggregate.grouping.without,
        }),
        ExprKind::Binary(binary) => json!({
            "type": "binaryExpr",
            "op": binary.op.as_str(),
            "lhs": to_json(&binary.lhs),
            "rhs": to_json(&binary.rhs),
            "matching": binary.matching.as_ref().map(matching_json),
            "bool": binary.return_bool,
        }),
        ExprKind::Unary(op, inner) => {
            json!({"type": "unaryExpr", "op": sign(*op), "expr": to_json(inner)})
        }
        ExprKind::Paren(inner) => json!({"type": "parenExpr", "expr": to_json(inner)}),
    }
}

fn selector_json(selector: &VectorSelector) -> Value {
    let matchers: Vec<Value> = selector
        .matchers
        .iter()
        .map(|m| json!({"name": m.name, "value": m.value, "type": m.op.as_str()}))
        .collect();
    let mut node = json!({
        "name": selector.name.as_deref().unwrap_or_default(),
        "matchers": matchers,
        "anchored": selector.extension == Extension::Anchored,
        "smoothed": selector.extension == Extension::Smoothed,
    });
    put_duration(&mut node, "offset", selector.offset.as_ref());
    put_at(&mut node, selector.at);
    node
}

/// A duration in milliseconds; one to be computed later is 0 there and spelled out beside it.
fn put_duration(node: &mut Value, key: &str, duration: Option<&Duration>) {
    match duration {
        None => node[key] = 0.into(),
        Some(Duration::Millis(ms)) => node[key] = (*ms).into(),
        Some(Duration::Expr(expr)) => {
            node[key] = 0.into();
            node[format!("{key}Expr")] = duration_json(expr);
        }
    }
}

fn put_at(node: &mut Value, at: Option<AtModifier>) {
    (node["timestamp"], node["startOrEnd"]) = match at {
        None => (Value::Null, Value::Null),
        Some(AtModifier::At(ms)) => (ms.into(), Value::Null),
        Some(AtModifier::Start) => (Value::Null, "start".into()),
        Some(AtModifier::End) => (Value::Null, "end".into()),
    };
}

fn duration_json(expr: &DurationExpr) -> Value {
    let node = |op: &str, lhs: Option<&DurationExpr>, rhs: Option<&DurationExpr>| {
        json!({
            "type": "durationExpr",
            "op": op,
            "lhs": lhs.map(duration_json),
            "rhs": rhs.map(duration_json),
            "wrapped": false,
        })
    };
    match &expr.kind {
        DurationExprKind::Number(number) => {
            json!({"type": "numberLiteral", "val": fixed(number.value)})
        }
        DurationExprKind::Step => node("step", None, None),
        DurationExprKind::Range => node("range", None, None),
        DurationExprKind::MinOf(a, b) => node("min_of", Some(a), Some(b)),
        DurationExprKind::MaxOf(a, b) => node("max_of", Some(a), Some(b)),
        DurationExprKind::Binary(op, a, b) => node(op.as_str(), Some(a), Some(b)),
        DurationExprKind::Unary(op, a) => node(sign(*op), None, Some(a)),
        DurationExprKind::Paren(inner) => {
            let mut inner = duration_json(inner);
            if inner["type"] == "durationExpr" {
                inner["wrapped"] = true.into();
            }
            inner
        }
    }
}

fn matching_json(matching: &VectorMatching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    })
}

fn function_json(function: Function) -> Value {
    let signature = function.signature();
    let variadic = match signature.variadic {
        Variadic::No => 0,
        Variadic::Optional => 1,
        Variadic::Repeated => -1,
    };
    json!({
        "name": function.name(),
        "argTypes": signature.args.iter().copied().map(type_name).collect::<Vec<_>>(),
        "variadic": variadic,
        "returnType": type_name(signature.returns),
    })
}

const fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::InstantVector => "vector",
        ValueType::RangeVector => "matrix",
    }
}

const fn sign(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Plus => "+",
        UnaryOp::Minus => "-",
    }
}

/// Names of aggregations, in the order of the enum.
pub(super) const AGGREGATIONS: [(AggregateOp, &str); 14] = [
    (AggregateOp::Sum, "sum"),
    (AggregateOp::Avg, "avg"),
    (AggregateOp::Min, "min"),
    (AggregateOp::Max, "max"),
    (AggregateOp::Count, "count"),
    (AggregateOp::Group, "group"),
    (AggregateOp::Stddev, "stddev"),
    (AggregateOp::Stdvar, "stdvar"),
    (AggregateOp::Topk, "topk"),
    (AggregateOp::Bottomk, "bottomk"),
    (AggregateOp::CountValues, "count_values"),
    (AggregateOp::Quantile, "quantile"),
    (AggregateOp::Limitk, "limitk"),
    (AggregateOp::LimitRatio, "limit_ratio"),
];

/// Binary operators, for the list of features.
pub(super) const OPERATORS: [BinaryOp; 18] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Mod,
    BinaryOp::Pow,
    BinaryOp::Atan2,
    BinaryOp::TrimUpper,
    BinaryOp::TrimLower,
    BinaryOp::Eql,
    BinaryOp::Neq,
    BinaryOp::Lss,
    BinaryOp::Gtr,
    BinaryOp::Lte,
    BinaryOp::Gte,
    BinaryOp::And,
    BinaryOp::Or,
    BinaryOp::Unless,
];

fn aggregate_name(op: AggregateOp) -> &'static str {
    AGGREGATIONS.iter().find(|(o, _)| *o == op).map_or("", |(_, name)| name)
}

fn fixed(value: f64) -> String {
    let mut out = Vec::new();
    write_fixed(&mut out, value);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephemeris_query::promql::parse::parse;

    fn tree(query: &str) -> Value {
        to_json(&parse(query).expect("the query is valid"))
    }

    #[test]
    fn selectors_carry_their_modifiers() {
        let expected = json!({
            "type": "matrixSelector", "name": "up", "range": 300_000, "offset": 60_000,
            "matchers": [
                {"name": "job", "value": "x", "type": "=~"},
                {"name": "__name__", "value": "up", "type": "="},
            ],
            "timestamp": null, "startOrEnd": "end", "anchored": false, "smoothed": false,
        });
        let mut got = tree("rate(up{job=~\"x\"}[5m] offset 1m @ end())");
        assert_eq!(got["func"]["name"], "rate");
        assert_eq!(got["func"]["argTypes"], json!(["matrix"]));
        assert_eq!(got["args"][0].take(), expected);
    }

    #[test]
    fn operators_carry_their_matching() {
        let got = tree("sum by (a) (x) / on (b) group_left (c) -2 ^ y");
        assert_eq!(got["matching"]["card"], "many-to-one");
        assert_eq!(got["matching"]["include"], json!(["c"]));
        assert_eq!(got["lhs"]["grouping"], json!(["a"]));
        assert_eq!(got["rhs"]["type"], "unaryExpr");
    }

    #[test]
    fn a_tree_too_deep_to_be_shown_is_refused() {
        let chain = |operators: usize| format!("a{}", " + b".repeat(operators));
        let shown = |query: &str| shown(&parse(query).expect("valid"));
        assert!(shown(&chain(SHOWN_DEPTH_MAX - 1)).is_ok());
        let error = shown(&chain(10_000)).expect_err("too deep").message;
        assert!(error.contains("the tree has 10001 levels; limit is 300"), "{error}");
        let all = selectors_of(&parse(&chain(10_000)).expect("valid"));
        assert_eq!((all.len(), &*all[0][0].value, &*all[10_000][0].value), (10_001, "a", "b"));
    }

    #[test]
    fn all_selectors_are_found() {
        let found = |query: &str| selectors_of(&parse(query).expect("valid")).len();
        assert_eq!(found("1 + 2"), 0);
        assert_eq!(found("topk(scalar(k), a) + max_over_time(b[5m:1m]) - (-rate(c[1m]))"), 4);
    }
}
