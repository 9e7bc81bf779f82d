//! The canonical form: one line, Prometheus' spelling.

use std::fmt::{self, Display, Formatter};

use ephemeris_model::{METRIC_NAME, MatchOp, Matcher};

use crate::promql::ast::{
    Aggregate, AtModifier, Binary, BinaryOp, Cardinality, Duration, DurationExpr, DurationExprKind,
    Expr, ExprKind, Extension, MatrixSelector, NumberLiteral, Subquery, UnaryOp, VectorMatching,
    VectorSelector,
};
use crate::promql::text::quote;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => f.write_str(&quote(text)),
            ExprKind::VectorSelector(selector) => selector.fmt(f),
            ExprKind::MatrixSelector(matrix) => matrix.fmt(f),
            ExprKind::Subquery(subquery) => {
                write!(f, "{}{}", subquery.expr, SubquerySuffix(subquery))
            }
            ExprKind::Call(call) => {
                write!(f, "{}({})", call.function.name(), List(&call.args))
            }
            ExprKind::Aggregate(aggregate) => {
                write!(f, "{}(", AggregateHead(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            ExprKind::Binary(binary) => {
                let (mut links, mut first) = (Vec::new(), &**binary);
                while let ExprKind::Binary(below) = &first.lhs.kind {
                    links.push(first);
                    first = below;
                }
                write!(f, "{} {} {}", Base(first), Operator(first), first.rhs)?;
                links
                    .iter()
                    .rev()
                    .try_for_each(|link| write!(f, " {} {}", Operator(link), link.rhs))
            }
            ExprKind::Unary(op, inner) => write!(f, "{}{inner}", sign(*op)),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

/// The left side of an operator. A sign in front of `a ^ b` belongs to the power, so infinity
/// stands there without one.
struct Base<'a>(&'a Binary);

impl Display for Base<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.0.lhs.kind, self.0.op) {
            (ExprKind::Number(number), BinaryOp::Pow) if number.value == f64::INFINITY => {
                f.write_str("Inf")
            }
            _ => self.0.lhs.fmt(f),
        }
    }
}

/// Expressions with commas between.
struct List<'a>(&'a [Expr]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        separated(f, self.0, ", ")
    }
}

fn separated<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

pub(super) const fn sign(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Plus => "+",
        UnaryOp::Minus => "-",
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            let sign = if self.value < 0.0 { "-" } else { "" };
            return write!(f, "{sign}{}", format_duration(whole_ms(self.value.abs())));
        }
        fixed(f, self.value)
    }
}

/// Without an exponent.
fn fixed(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_infinite() {
        return f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    write!(f, "{value}")
}

#[expect(clippy::cast_possible_truncation, reason = "a duration literal is far below the limit")]
fn whole_ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// Milliseconds, not negative, in Prometheus' form: `1h30m`; `0s` for none.
#[must_use]
pub fn format_duration(ms: i64) -> String {
    const HOUR: i64 = 3_600_000;
    // Years and weeks only where nothing remains: 90d reads better than 12w6d.
    const UNITS: [(&str, i64, bool); 7] = [
        ("y", 365 * 24 * HOUR, true),
        ("w", 7 * 24 * HOUR, true),
        ("d", 24 * HOUR, false),
        ("h", HOUR, false),
        ("m", 60_000, false),
        ("s", 1000, false),
        ("ms", 1, false),
    ];
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut out = String::new();
    for (name, length, exact) in UNITS {
        if rest >= length && (!exact || rest % length == 0) {
            out.push_str(&format!("{}{name}", rest / length));
            rest %= length;
        }
    }
    out
}

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Millis(ms) if *ms < 0 => write!(f, "-{}", format_duration(ms.saturating_neg())),
            Self::Millis(ms) => f.write_str(&format_duration(*ms)),
            Self::Expr(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationExprKind::Number(number) => number.fmt(f),
            DurationExprKind::Step => f.write_str("step()"),
            DurationExprKind::Range => f.write_str("range()"),
            DurationExprKind::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            DurationExprKind::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
            DurationExprKind::Binary(op, a, b) => write!(f, "{a} {} {b}", op.as_str()),
            DurationExprKind::Unary(op, a) => write!(f, "{}{a}", sign(*op)),
            DurationExprKind::Paren(a) => write!(f, "({a})"),
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Matchers(self).fmt(f)?;
        At(self.at).fmt(f)?;
        f.write_str(extension(self.extension))?;
        Offset(self.offset.as_ref()).fmt(f)
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let selector = &self.selector;
        write!(f, "{}[{}]", Matchers(selector), self.range)?;
        f.write_str(extension(selector.extension))?;
        write!(f, "{}{}", At(selector.at), Offset(selector.offset.as_ref()))
    }
}

const fn extension(extension: Extension) -> &'static str {
    match extension {
        Extension::None => "",
        Extension::Anchored => " anchored",
        Extension::Smoothed => " smoothed",
    }
}

/// Name and matchers, these in order of their text.
struct Matchers<'a>(&'a VectorSelector);

impl Display for Matchers<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.0.name.as_deref();
        let is_name_in_front = |m: &Matcher| {
            m.name == METRIC_NAME && m.op == MatchOp::Equal && Some(m.value.as_str()) == name
        };
        let in_braces = self.0.matchers.iter().filter(|m| !is_name_in_front(m));
        let mut in_braces: Vec<String> = in_braces.map(matcher).collect();
        in_braces.sort_unstable();
        f.write_str(name.unwrap_or_default())?;
        if in_braces.is_empty() && name.is_some() {
            return Ok(());
        }
        f.write_str("{")?;
        separated(f, &in_braces, ",")?;
        f.write_str("}")
    }
}

fn matcher(matcher: &Matcher) -> String {
    format!("{}{}{}", label_name(&matcher.name), matcher.op.as_str(), quote(&matcher.value))
}

/// In quotes unless it is a plain word.
fn label_name(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if plain { name.to_owned() } else { quote(name) }
}

struct At(Option<AtModifier>);

impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(AtModifier::Start) => f.write_str(" @ start()"),
            Some(AtModifier::End) => f.write_str(" @ end()"),
            Some(AtModifier::At(ms)) => {
                let sign = if ms < 0 { "-" } else { "" };
                let ms = ms.unsigned_abs();
                write!(f, " @ {sign}{}.{:03}", ms / 1000, ms % 1000)
            }
        }
    }
}

struct Offset<'a>(Option<&'a Duration>);

impl Display for Offset<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |offset| write!(f, " offset {offset}"))
    }
}

/// `[range:step]` and what stands behind.
pub(super) struct SubquerySuffix<'a>(pub(super) &'a Subquery);

impl Display for SubquerySuffix<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:", self.0.range)?;
        if let Some(step) = &self.0.step {
            step.fmt(f)?;
        }
        write!(f, "]{}{}", At(self.0.at), Offset(self.0.offset.as_ref()))
    }
}

/// `sum by (a) `, up to the parenthesis.
pub(super) struct AggregateHead<'a>(pub(super) &'a Aggregate);

impl Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let grouping = &self.0.grouping;
        f.write_str(self.0.op.as_str())?;
        if grouping.without {
            write!(f, " without ({}) ", Names(&grouping.labels))
        } else if grouping.labels.is_empty() {
            Ok(())
        } else {
            write!(f, " by ({}) ", Names(&grouping.labels))
        }
    }
}

struct Names<'a>(&'a [String]);

impl Display for Names<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|name| label_name(name)).collect();
        separated(f, &names, ", ")
    }
}

/// An operator with its modifiers.
pub(super) struct Operator<'a>(pub(super) &'a Binary);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        self.0.matching.as_ref().map_or(Ok(()), |matching| modifiers(f, matching))
    }
}

fn modifiers(f: &mut Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        let word = if matching.on { "on" } else { "ignoring" };
        write!(f, " {word} ({})", Names(&matching.labels))?;
    }
    if let Some(group) = group {
        write!(f, " {group} ({})", Names(&matching.include))?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => fill(f, "fill", left),
        (left, right) => {
            left.map_or(Ok(()), |value| fill(f, "fill_left", value))?;
            right.map_or(Ok(()), |value| fill(f, "fill_right", value))
        }
    }
}

fn fill(f: &mut Formatter<'_>, word: &str, value: f64) -> fmt::Result {
    write!(f, " {word} (")?;
    fixed(f, value)?;
    f.write_str(")")
}
