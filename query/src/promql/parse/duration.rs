//! Durations between brackets and behind `offset`, and arithmetic on them.

use super::number::{is_out_of_range, seconds_to_ms};
use super::parser::{Parser, Result};
use super::token::{Preprocessor, TokenKind};
use crate::promql::ast::{
    BinaryOp, Duration, DurationExpr, DurationExprKind, NumberLiteral, Position, UnaryOp,
};

/// A duration expression and its levels.
struct DurationTree {
    expr: DurationExpr,
    depth: usize,
}

/// How tightly an operator binds; none for those that durations do not have.
const fn precedence(op: BinaryOp) -> Option<u8> {
    match op {
        BinaryOp::Add | BinaryOp::Sub => Some(1),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => Some(2),
        BinaryOp::Pow => Some(POW),
        _ => None,
    }
}

const POW: u8 = 3;

/// What the error says where a duration is missing.
#[derive(Clone, Copy)]
struct Place<'a> {
    context: &'a str,
    expected: &'a str,
}

impl Parser<'_> {
    /// A range or a step: an expression that is not known to be zero or less.
    pub(super) fn positive_duration(&mut self, context: &str, expected: &str) -> Result<Duration> {
        let tree = self.duration_binary(1, Place { context, expected })?;
        match tree.expr.kind {
            DurationExprKind::Number(number) if seconds_to_ms(number.value) <= 0 => {
                Err(self.error(tree.expr.position, "duration must be greater than 0"))
            }
            _ => Ok(into_duration(tree.expr)),
        }
    }

    /// An offset: one operand with or without a sign, so that `x offset 5m + 1` adds to `x`.
    pub(super) fn offset_duration(&mut self) -> Result<Duration> {
        let place = Place { context: "offset", expected: "number, duration, step(), or range()" };
        Ok(into_duration(self.duration_unary(place, Self::duration_operand)?.expr))
    }

    fn duration_binary(&mut self, min: u8, place: Place<'_>) -> Result<DurationTree> {
        self.deeper(|parser| {
            let mut left =
                parser.duration_unary(place, |p, place| p.duration_binary(POW, place))?;
            while let TokenKind::Op(op) = parser.kind()
                && let Some(level) = precedence(op)
                && level >= min
            {
                let sign = parser.advance();
                let right = parser.duration_binary(level + u8::from(op != BinaryOp::Pow), place)?;
                let zero = matches!(
                    right.expr.kind,
                    DurationExprKind::Number(NumberLiteral { value: 0.0, .. })
                );
                if zero && matches!(op, BinaryOp::Div | BinaryOp::Mod) {
                    let at = Position { start: sign.start, end: sign.end() };
                    let what = if op == BinaryOp::Div { "division" } else { "modulo" };
                    return Err(parser.error(at, format!("{what} by zero")));
                }
                let position =
                    Position { start: left.expr.position.start, end: right.expr.position.end };
                let below = left.depth.max(right.depth);
                let kind = DurationExprKind::Binary(op, Box::new(left.expr), Box::new(right.expr));
                left = parser.duration_tree(kind, position, below)?;
            }
            Ok(left)
        })
    }

    /// A sign, if there is one, in front of what `operand` reads.
    fn duration_unary(
        &mut self,
        place: Place<'_>,
        operand: impl Fn(&mut Self, Place<'_>) -> Result<DurationTree>,
    ) -> Result<DurationTree> {
        let op = match self.kind() {
            TokenKind::Op(BinaryOp::Add) => UnaryOp::Plus,
            TokenKind::Op(BinaryOp::Sub) => UnaryOp::Minus,
            _ => return self.duration_operand(place),
        };
        let start = self.advance().start;
        let mut tree = operand(self, place)?;
        let position = Position { start, end: tree.expr.position.end };
        match (&mut tree.expr.kind, op) {
            (DurationExprKind::Number(number), UnaryOp::Minus) => number.value = -number.value,
            (_, UnaryOp::Plus) => {}
            (_, UnaryOp::Minus) => {
                let kind = DurationExprKind::Unary(op, Box::new(tree.expr));
                return self.duration_tree(kind, position, tree.depth);
            }
        }
        tree.expr.position = position;
        Ok(tree)
    }

    fn duration_operand(&mut self, place: Place<'_>) -> Result<DurationTree> {
        let start = self.here();
        match self.kind() {
            TokenKind::Number | TokenKind::Duration => {
                let number = self.number()?;
                if is_out_of_range(number.value) {
                    return Err(self.error(self.since(start), "duration out of range"));
                }
                self.duration_tree(DurationExprKind::Number(number), self.since(start), 0)
            }
            TokenKind::Preprocessor(word @ (Preprocessor::Step | Preprocessor::Range)) => {
                self.advance();
                if !self.accept(TokenKind::LeftParen) || !self.accept(TokenKind::RightParen) {
                    return Err(self.unexpected(place.context, place.expected));
                }
                let kind = match word {
                    Preprocessor::Step => DurationExprKind::Step,
                    _ => DurationExprKind::Range,
                };
                self.duration_tree(kind, self.since(start), 0)
            }
            TokenKind::LeftParen => {
                self.advance();
                let inner = self.duration_binary(1, place)?;
                if !self.accept(TokenKind::RightParen) {
                    return Err(self.unexpected(place.context, place.expected));
                }
                let kind = DurationExprKind::Paren(Box::new(inner.expr));
                self.duration_tree(kind, self.since(start), inner.depth)
            }
            TokenKind::Identifier => self.min_or_max_of(place),
            _ => Err(self.unexpected(place.context, place.expected)),
        }
    }

    /// `min_of(a, b)` or `max_of(a, b)`
    fn min_or_max_of(&mut self, place: Place<'_>) -> Result<DurationTree> {
        let is_min = match self.token().text.to_ascii_lowercase().as_str() {
            "min_of" => true,
            "max_of" => false,
            _ => return Err(self.unexpected(place.context, place.expected)),
        };
        let start = self.advance().start;
        let open = self.accept(TokenKind::LeftParen);
        if !open {
            return Err(self.unexpected(place.context, place.expected));
        }
        let left = self.duration_binary(1, place)?;
        if !self.accept(TokenKind::Comma) {
            return Err(self.unexpected(place.context, place.expected));
        }
        let right = self.duration_binary(1, place)?;
        if !self.accept(TokenKind::RightParen) {
            return Err(self.unexpected(place.context, place.expected));
        }
        let below = left.depth.max(right.depth);
        let (left, right) = (Box::new(left.expr), Box::new(right.expr));
        let kind = if is_min {
            DurationExprKind::MinOf(left, right)
        } else {
            DurationExprKind::MaxOf(left, right)
        };
        self.duration_tree(kind, self.since(start), below)
    }

    fn duration_tree(
        &self,
        kind: DurationExprKind,
        position: Position,
        below: usize,
    ) -> Result<DurationTree> {
        let depth = self.level(position, below)?;
        Ok(DurationTree { expr: DurationExpr { kind, position }, depth })
    }
}

/// A number is known at once, everything else only when the query runs.
fn into_duration(expr: DurationExpr) -> Duration {
    match expr.kind {
        DurationExprKind::Number(number) => Duration::Millis(seconds_to_ms(number.value)),
        _ => Duration::Expr(Box::new(expr)),
    }
}
