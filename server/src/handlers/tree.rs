//! The syntax tree of a query as JSON, and what can be read from it.

use ephemeris_model::Matcher;
use ephemeris_query::promql::ast::{
    AggregateOp, AtModifier, BinaryOp, Cardinality, Duration, DurationExpr, DurationExprKind, Expr,
    ExprKind, Extension, UnaryOp, ValueType, VectorMatching, VectorSelector,
};
use ephemeris_query::promql::functions::{Function, Variadic};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::api::ApiError;
use crate::api::number::write_fixed;

/// Deepest tree that is shown: each level of JSON is one of the stack when it is written.
const SHOWN_DEPTH_MAX: usize = 300;

/// Longest JSON of a tree, in bytes: up to 200 for each byte of the query.
pub(super) const SHOWN_BYTES_MAX: usize = 16 << 20;

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

/// An expression as `/api/v1/parse_query` shows it, written part by part: a tree of values in
/// between would be far larger than the text.
#[derive(Clone, Copy)]
pub(super) struct Shown<'e>(&'e Expr);

/// `expr`, to be written.
///
/// # Errors
/// If the tree is too deep to be shown.
pub(super) fn shown(expr: &Expr) -> Result<Shown<'_>, ApiError> {
    let mut deepest = 0;
    each(expr, &mut |_, depth| deepest = deepest.max(depth));
    if deepest > SHOWN_DEPTH_MAX {
        let text = format!("the tree has {deepest} levels; limit is {SHOWN_DEPTH_MAX} to show it");
        return Err(ApiError::parameter("query", text));
    }
    Ok(Shown(expr))
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut node = serializer.serialize_map(None)?;
        match &self.0.kind {
            ExprKind::Number(number) => {
                node.serialize_entry("type", "numberLiteral")?;
                node.serialize_entry("val", &fixed(number.value))?;
            }
            ExprKind::String(text) => {
                node.serialize_entry("type", "stringLiteral")?;
                node.serialize_entry("val", text)?;
            }
            ExprKind::VectorSelector(selector) => {
                node.serialize_entry("type", "vectorSelector")?;
                put_selector(&mut node, selector)?;
            }
            ExprKind::MatrixSelector(matrix) => {
                node.serialize_entry("type", "matrixSelector")?;
                put_selector(&mut node, &matrix.selector)?;
                put_duration(&mut node, "range", Some(&matrix.range))?;
            }
            ExprKind::Subquery(subquery) => {
                node.serialize_entry("type", "subquery")?;
                node.serialize_entry("expr", &Shown(&subquery.expr))?;
                put_duration(&mut node, "range", Some(&subquery.range))?;
                put_duration(&mut node, "step", subquery.step.as_ref())?;
                put_duration(&mut node, "offset", subquery.offset.as_ref())?;
                put_at(&mut node, subquery.at)?;
            }
            ExprKind::Call(call) => {
                node.serialize_entry("type", "call")?;
                node.serialize_entry("func", &function_json(call.function))?;
                node.serialize_entry("args", &Each(&call.args, Shown))?;
            }
            ExprKind::Aggregate(aggregate) => {
                node.serialize_entry("type", "aggregation")?;
                node.serialize_entry("op", aggregate_name(aggregate.op))?;
                node.serialize_entry("expr", &Shown(&aggregate.expr))?;
                node.serialize_entry("param", &aggregate.param.as_ref().map(Shown))?;
                node.serialize_entry("grouping", &aggregate.grouping.labels)?;
                node.serialize_entry("without", &aggregate.grouping.without)?;
            }
            ExprKind::Binary(binary) => {
                node.serialize_entry("type", "binaryExpr")?;
                node.serialize_entry("op", binary.op.as_str())?;
                node.serialize_entry("lhs", &Shown(&binary.lhs))?;
                node.serialize_entry("rhs", &Shown(&binary.rhs))?;
                node.serialize_entry("matching", &binary.matching.as_ref().map(matching_json))?;
                node.serialize_entry("bool", &binary.return_bool)?;
            }
            ExprKind::Unary(op, inner) => {
                node.serialize_entry("type", "unaryExpr")?;
                node.serialize_entry("op", sign(*op))?;
                node.serialize_entry("expr", &Shown(inner))?;
            }
            ExprKind::Paren(inner) => {
                node.serialize_entry("type", "parenExpr")?;
                node.serialize_entry("expr", &Shown(inner))?;
            }
        }
        node.end()
    }
}

/// A list whose items are written as the function makes them.
struct Each<'e, T, F>(&'e [T], F);

impl<'e, T, F, U> Serialize for Each<'e, T, F>
where
    F: Fn(&'e T) -> U,
    U: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

fn put_selector<M: SerializeMap>(node: &mut M, selector: &VectorSelector) -> Result<(), M::Error> {
    let matcher = |m: &Matcher| json!({"name": m.name, "value": m.value, "type": m.op.as_str()});
    node.serialize_entry("name", selector.name.as_deref().unwrap_or_default())?;
    node.serialize_entry("matchers", &Each(&selector.matchers, matcher))?;
    node.serialize_entry("anchored", &(selector.extension == Extension::Anchored))?;
    node.serialize_entry("smoothed", &(selector.extension == Extension::Smoothed))?;
    put_duration(node, "offset", selector.offset.as_ref())?;
    put_at(node, selector.at)
}

/// A duration in milliseconds; one to be computed later is 0 there and spelled out beside it.
fn put_duration<M: SerializeMap>(
    node: &mut M,
    key: &str,
    duration: Option<&Duration>,
) -> Result<(), M::Error> {
    match duration {
        None => node.serialize_entry(key, &0),
        Some(Duration::Millis(ms)) => node.serialize_entry(key, ms),
        Some(Duration::Expr(expr)) => {
            node.serialize_entry(key, &0)?;
            node.serialize_entry(&format!("{key}Expr"), &ShownDuration::of(expr))
        }
    }
}

fn put_at<M: SerializeMap>(node: &mut M, at: Option<AtModifier>) -> Result<(), M::Error> {
    let (timestamp, start_or_end) = match at {
        None => (None, None),
        Some(AtModifier::At(ms)) => (Some(ms), None),
        Some(AtModifier::Start) => (None, Some("start")),
        Some(AtModifier::End) => (None, Some("end")),
    };
    node.serialize_entry("timestamp", &timestamp)?;
    node.serialize_entry("startOrEnd", &start_or_end)
}

/// A duration to be computed, without the parentheses around it.
struct ShownDuration<'e> {
    expr: &'e DurationExpr,
    wrapped: bool,
}

impl<'e> ShownDuration<'e> {
    fn of(mut expr: &'e DurationExpr) -> Self {
        let mut wrapped = false;
        while let DurationExprKind::Paren(inner) = &expr.kind {
            (expr, wrapped) = (inner, true);
        }
        Self { expr, wrapped }
    }
}

impl Serialize for ShownDuration<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut node = serializer.serialize_map(None)?;
        let (op, lhs, rhs) = match &self.expr.kind {
            DurationExprKind::Number(number) => {
                node.serialize_entry("type", "numberLiteral")?;
                node.serialize_entry("val", &fixed(number.value))?;
                return node.end();
            }
            DurationExprKind::Step => ("step", None, None),
            DurationExprKind::Range => ("range", None, None),
            DurationExprKind::MinOf(a, b) => ("min_of", Some(a), Some(b)),
            DurationExprKind::MaxOf(a, b) => ("max_of", Some(a), Some(b)),
            DurationExprKind::Binary(op, a, b) => (op.as_str(), Some(a), Some(b)),
            DurationExprKind::Unary(op, a) => (sign(*op), None, Some(a)),
            // `of` has taken them away.
            DurationExprKind::Paren(inner) => ("", None, Some(inner)),
        };
        node.serialize_entry("type", "durationExpr")?;
        node.serialize_entry("op", op)?;
        node.serialize_entry("lhs", &lhs.map(|expr| ShownDuration::of(expr)))?;
        node.serialize_entry("rhs", &rhs.map(|expr| ShownDuration::of(expr)))?;
        node.serialize_entry("wrapped", &self.wrapped)?;
        node.end()
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
    use crate::api::json::success_within;
    use ephemeris_query::promql::parse::parse;

    fn tree(query: &str) -> Value {
        let expr = parse(query).expect("the query is valid");
        serde_json::to_value(Shown(&expr)).expect("plain data")
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
        let shown = |query: &str| shown(&parse(query).expect("valid")).map(|_| ());
        assert!(shown(&chain(SHOWN_DEPTH_MAX - 1)).is_ok());
        let error = shown(&chain(10_000)).expect_err("too deep").message;
        assert!(error.contains("the tree has 10001 levels; limit is 300"), "{error}");
        let all = selectors_of(&parse(&chain(10_000)).expect("valid"));
        assert_eq!((all.len(), &*all[0][0].value, &*all[10_000][0].value), (10_001, "a", "b"));
    }

    #[test]
    fn durations_to_be_computed_are_spelled_out() {
        let got = tree("up[5m] offset ((1s + (step() * -2)))");
        assert_eq!(got["offset"], 0);
        let product = json!({
            "type": "durationExpr", "op": "*", "wrapped": true,
            "lhs": {"type": "durationExpr", "op": "step", "lhs": null, "rhs": null, "wrapped": false},
            "rhs": {"type": "numberLiteral", "val": "-2"},
        });
        let sum = json!({
            "type": "durationExpr", "op": "+", "wrapped": true,
            "lhs": {"type": "numberLiteral", "val": "1"}, "rhs": product,
        });
        assert_eq!(got["offsetExpr"], sum);
    }

    #[test]
    fn the_deepest_tree_is_written_on_an_ordinary_stack() {
        // A level of either is a pair of parentheses and an operator; the parser takes 256 in all.
        let duration = format!("{}1s{}", "(1s + ".repeat(40), ")".repeat(40));
        let (open, close) = ("(a + ".repeat(80), ")".repeat(80));
        let query = format!("{open}b offset {duration}{close}");
        let write = move || {
            let expr = parse(&query).expect("valid");
            serde_json::to_vec(&shown(&expr).expect("not too deep")).map(|json| json.len())
        };
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(write).expect("spawned");
        let length = thread.join().expect("no overflow").expect("plain data");
        assert!(length > 10_000, "{length}");
    }

    #[test]
    fn a_tree_is_written_in_proportion_to_its_query_up_to_a_limit() {
        let nested =
            |levels: usize| (0..levels).fold("a".to_owned(), |t, _| format!("({t}+{t}+{t}+{t})"));
        let written = |query: &str| {
            let expr = parse(query).expect("valid");
            success_within(SHOWN_BYTES_MAX, &shown(&expr).expect("not too deep"))
        };
        for levels in [3, 6] {
            let query = nested(levels);
            let length = written(&query).expect("within the limit").len();
            assert!(length < 300 * query.len(), "{length} of {}", query.len());
        }
        assert_eq!(written(&nested(8)), None);
    }

    #[test]
    fn all_selectors_are_found() {
        let found = |query: &str| selectors_of(&parse(query).expect("valid")).len();
        assert_eq!(found("1 + 2"), 0);
        assert_eq!(found("topk(scalar(k), a) + max_over_time(b[5m:1m]) - (-rate(c[1m]))"), 4);
    }
}
