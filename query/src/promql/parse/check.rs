//! Type check: what a syntactically correct query may still get wrong.

use ephemeris_model::METRIC_NAME;

use super::error::ParseError;
use crate::promql::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, ExprKind, Position,
    ValueType, VectorMatching, VectorSelector,
};
use crate::promql::functions::{Function, Variadic};
use crate::promql::text::quote;

/// Most arguments of `histogram_quantiles`: vector, label name, ten quantiles.
const HISTOGRAM_QUANTILES_ARGS_MAX: usize = 12;

/// Checks `expr` and settles what depends on types: which operators match series, and how.
pub(super) fn check(expr: &mut Expr, query: &str) -> Result<ValueType, ParseError> {
    let position = expr.position;
    let fail = |text: String| Err(ParseError::new(query, position, text));
    match &mut expr.kind {
        ExprKind::Number(_) => Ok(ValueType::Scalar),
        ExprKind::String(_) => Ok(ValueType::String),
        ExprKind::VectorSelector(selector) => {
            check_selector(selector, position, query)?;
            Ok(ValueType::InstantVector)
        }
        ExprKind::MatrixSelector(matrix) => {
            check_selector(&matrix.selector, matrix.selector_position, query)?;
            Ok(ValueType::RangeVector)
        }
        ExprKind::Subquery(subquery) => match check(&mut subquery.expr, query)? {
            ValueType::InstantVector => Ok(ValueType::RangeVector),
            other => {
                let got = short_name(other);
                fail(format!("subquery is only allowed on instant vector, got {got} instead"))
            }
        },
        ExprKind::Paren(inner) => check(inner, query),
        ExprKind::Unary(_, inner) => match check(inner, query)? {
            ty @ (ValueType::Scalar | ValueType::InstantVector) => Ok(ty),
            other => fail(format!(
                "unary expression only allowed on expressions of type scalar or instant vector, \
                 got {}",
                quote(name(other))
            )),
        },
        ExprKind::Aggregate(aggregate) => check_aggregate(aggregate, query),
        ExprKind::Binary(_) => check_chain(expr, query),
        ExprKind::Call(call) => check_call(call, position, query),
    }
}

/// A type as messages name it.
const fn name(ty: ValueType) -> &'static str {
    match ty {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::InstantVector => "instant vector",
        ValueType::RangeVector => "range vector",
    }
}

const fn short_name(ty: ValueType) -> &'static str {
    match ty {
        ValueType::InstantVector => "vector",
        ValueType::RangeVector => "matrix",
        other => name(other),
    }
}

fn expect(
    expr: &mut Expr,
    wanted: ValueType,
    context: &str,
    query: &str,
) -> Result<(), ParseError> {
    let got = check(expr, query)?;
    if got == wanted {
        return Ok(());
    }
    let text = format!("expected type {} in {context}, got {}", name(wanted), name(got));
    Err(ParseError::new(query, expr.position, text))
}

fn check_selector(
    selector: &VectorSelector,
    position: Position,
    query: &str,
) -> Result<(), ParseError> {
    if let Some(name) = &selector.name {
        // The last matcher is the one for the name in front.
        let (_, in_braces) = selector.matchers.split_last().unzip();
        let in_braces = in_braces.unwrap_or_default();
        if let Some(second) = in_braces.iter().find(|m| m.name == METRIC_NAME) {
            let text = format!(
                "metric name must not be set twice: {} or {}",
                quote(name),
                quote(&second.value)
            );
            return Err(ParseError::new(query, position, text));
        }
        return Ok(());
    }
    if selector.matchers.iter().all(ephemeris_model::Matcher::matches_empty) {
        let text = "vector selector must contain at least one non-empty matcher";
        return Err(ParseError::new(query, position, text));
    }
    Ok(())
}

fn check_aggregate(aggregate: &mut Aggregate, query: &str) -> Result<ValueType, ParseError> {
    expect(&mut aggregate.expr, ValueType::InstantVector, "aggregation expression", query)?;
    if let Some(param) = &mut aggregate.param {
        let wanted = match aggregate.op {
            AggregateOp::CountValues => ValueType::String,
            _ => ValueType::Scalar,
        };
        expect(param, wanted, "aggregation parameter", query)?;
    }
    Ok(ValueType::InstantVector)
}

/// A chain such as `a + b - c`, from its left end on.
fn check_chain(expr: &mut Expr, query: &str) -> Result<ValueType, ParseError> {
    let mut links = Vec::new();
    let mut at = expr;
    while matches!(at.kind, ExprKind::Binary(_)) {
        let position = at.position;
        let ExprKind::Binary(binary) = &mut at.kind else {
            return Err(ParseError::new(query, position, "an operator is missing"));
        };
        let Binary { op, lhs, rhs, return_bool, matching, value_type } = &mut **binary;
        let (op, return_bool, left) = (*op, *return_bool, lhs.position);
        links.push(Link { op, left, rhs, return_bool, matching, value_type, position });
        at = lhs;
    }
    let mut left = check(at, query)?;
    for link in links.into_iter().rev() {
        left = link.check(left, query)?;
    }
    Ok(left)
}

/// An operator and its right side.
struct Link<'e> {
    op: BinaryOp,
    /// Where the left side stands.
    left: Position,
    rhs: &'e mut Expr,
    return_bool: bool,
    matching: &'e mut Option<VectorMatching>,
    value_type: &'e mut ValueType,
    position: Position,
}

impl Link<'_> {
    fn check(self, left: ValueType, query: &str) -> Result<ValueType, ParseError> {
        let right = check(self.rhs, query)?;
        let (op, rhs) = (self.op, self.rhs.position);
        let at_operator = || operator_position(self.left.end, rhs, query);
        let error = |at: Position, text: String| Err(ParseError::new(query, at, text));

        if self.return_bool && !op.is_comparison() {
            let text = "bool modifier can only be used on comparison operators";
            return error(at_operator(), text.to_owned());
        }
        let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
        if op.is_comparison() && !self.return_bool && scalars {
            let text = "comparisons between scalars must use BOOL modifier";
            return error(at_operator(), text.to_owned());
        }
        let matching = self.matching.take().unwrap_or_default();
        let twice = |label: &&String| matching.on && matching.include.contains(label);
        if let Some(label) = matching.labels.iter().find(twice) {
            let label = quote(label);
            let text = format!("label {label} must not occur in ON and GROUP clause at once");
            return error(at_operator(), text);
        }
        for (ty, position) in [(left, self.left), (right, rhs)] {
            if !matches!(ty, ValueType::Scalar | ValueType::InstantVector) {
                let text = "binary expression must contain only scalar and instant vector types";
                return error(position, text.to_owned());
            }
        }
        if left == ValueType::InstantVector && right == ValueType::InstantVector {
            *self.matching = Some(matching_of(op, matching, self.position, query)?);
        } else {
            check_no_matching(op, &matching, self.position, query)?;
        }
        let value_type = if scalars { ValueType::Scalar } else { ValueType::InstantVector };
        *self.value_type = value_type;
        Ok(value_type)
    }
}

/// What only operators between vectors may have.
fn check_no_matching(
    op: BinaryOp,
    matching: &VectorMatching,
    position: Position,
    query: &str,
) -> Result<(), ParseError> {
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    let text = if !matching.labels.is_empty() {
        "vector matching only allowed between instant vectors".to_owned()
    } else if fills {
        "filling in missing series only allowed between instant vectors".to_owned()
    } else if op.is_set() {
        let op = quote(op.as_str());
        format!("set operator {op} not allowed in binary scalar expression")
    } else {
        return Ok(());
    };
    Err(ParseError::new(query, position, text))
}

/// The matching of an operator between vectors; set operators have one of their own.
fn matching_of(
    op: BinaryOp,
    mut matching: VectorMatching,
    position: Position,
    query: &str,
) -> Result<VectorMatching, ParseError> {
    if !op.is_set() {
        return Ok(matching);
    }
    if matching.cardinality != Cardinality::OneToOne {
        let text = format!("no grouping allowed for {} operation", quote(op.as_str()));
        return Err(ParseError::new(query, position, text));
    }
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        let text = "filling in missing series not allowed for set operators";
        return Err(ParseError::new(query, position, text));
    }
    matching.cardinality = Cardinality::ManyToMany;
    Ok(matching)
}

/// Where the operator and its modifiers stand: between the sides, without the space around.
fn operator_position(left_end: usize, right: Position, query: &str) -> Position {
    let between = query.get(left_end..right.start).unwrap_or_default();
    let start = right.start - between.trim_start().len();
    Position { start, end: start + between.trim().len() }
}

fn check_call(call: &mut Call, position: Position, query: &str) -> Result<ValueType, ParseError> {
    let signature = call.function.signature();
    let function = quote(call.function.name());
    let error = |at: Position, text: String| Err(ParseError::new(query, at, text));
    let (listed, count) = (signature.args.len(), call.args.len());
    let most = match signature.variadic {
        _ if call.function == Function::HistogramQuantiles => HISTOGRAM_QUANTILES_ARGS_MAX,
        Variadic::No | Variadic::Optional => listed,
        Variadic::Repeated => usize::MAX,
    };
    let least = match signature.variadic {
        Variadic::No => listed,
        Variadic::Optional | Variadic::Repeated => listed.saturating_sub(1),
    };
    if count < least || count > most {
        let bound = match signature.variadic {
            Variadic::No => format!("{listed}"),
            _ if count < least => format!("at least {least}"),
            _ => format!("at most {most}"),
        };
        let text = format!("expected {bound} argument(s) in call to {function}, got {count}");
        return error(position, text);
    }
    let is_info = call.function == Function::Info;
    for (i, arg) in call.args.iter_mut().enumerate() {
        if is_info && i == 1 {
            check_info_selector(arg, query)?;
            continue;
        }
        let Some(wanted) = signature.args.get(i).or(signature.args.last()) else { break };
        expect(arg, *wanted, &format!("call to function {function}"), query)?;
    }
    Ok(signature.returns)
}

/// The second argument of `info` selects labels, so it may match everything, but names no metric.
fn check_info_selector(arg: &mut Expr, query: &str) -> Result<(), ParseError> {
    let text = match &arg.kind {
        ExprKind::VectorSelector(selector) if selector.name.is_none() => return Ok(()),
        ExprKind::VectorSelector(_) => "expected label selectors only, got vector selector instead",
        _ => {
            expect(arg, ValueType::InstantVector, "call to function \"info\"", query)?;
            "expected label selectors only"
        }
    };
    Err(ParseError::new(query, arg.position, text))
}
