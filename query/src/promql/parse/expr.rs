//! Operators, calls, aggregations, literals.

use ephemeris_model::MatcherError;

use super::number::{parse_duration, parse_number};
use super::parser::{Parser, Result, Tree};
use super::token::{Keyword, Preprocessor, Token, TokenKind};
use crate::promql::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, ExprKind, Grouping,
    NumberLiteral, Position, UnaryOp, ValueType, VectorMatching,
};
use crate::promql::functions::Function;
use crate::promql::text::{quote, unquote};

/// How tightly `^` binds; signs bind less tightly than it.
const POW: u8 = 6;

/// How tightly an operator binds.
const fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Eql
        | BinaryOp::Neq
        | BinaryOp::Lss
        | BinaryOp::Gtr
        | BinaryOp::Lte
        | BinaryOp::Gte
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
        BinaryOp::Pow => POW,
    }
}

/// Arguments of a call, and the levels of the deepest.
#[derive(Default)]
struct Arguments {
    exprs: Vec<Expr>,
    depth: usize,
}

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Tree> {
        self.binary(1)
    }

    /// Operators that bind at least as tightly as `min`.
    fn binary(&mut self, min: u8) -> Result<Tree> {
        self.deeper(|parser| {
            let mut left = parser.unary()?;
            while let TokenKind::Op(op) = parser.kind()
                && precedence(op) >= min
            {
                parser.advance();
                left = parser.binary_with(left, op)?;
            }
            Ok(left)
        })
    }

    fn binary_with(&mut self, left: Tree, op: BinaryOp) -> Result<Tree> {
        let (return_bool, matching) = self.modifiers()?;
        // `^` groups to the right, all else to the left.
        let right = self.binary(precedence(op) + u8::from(op != BinaryOp::Pow))?;
        // A chain grows to the left, where nothing recurses, so it is as deep as its deepest part.
        let in_chain = usize::from(matches!(left.expr.kind, ExprKind::Binary(_)));
        let below = left.depth.saturating_sub(in_chain).max(right.depth);
        let (lhs, rhs) = (left.expr, right.expr);
        let position = Position { start: lhs.position.start, end: rhs.position.end };
        let matching = Some(matching);
        let value_type = ValueType::InstantVector;
        let binary = Binary { op, lhs, rhs, return_bool, matching, value_type };
        self.tree(ExprKind::Binary(Box::new(binary)), position, below)
    }

    /// `bool`, `on (…)`, `group_left (…)`, `fill (…)`
    fn modifiers(&mut self) -> Result<(bool, VectorMatching)> {
        let return_bool = self.accept(TokenKind::Keyword(Keyword::Bool));
        let mut matching = VectorMatching::default();
        if let TokenKind::Keyword(word @ (Keyword::On | Keyword::Ignoring)) = self.kind() {
            self.advance();
            matching.on = word == Keyword::On;
            matching.labels = self.grouping_labels()?;
            if let TokenKind::Keyword(word @ (Keyword::GroupLeft | Keyword::GroupRight)) =
                self.kind()
            {
                self.advance();
                matching.cardinality = match word {
                    Keyword::GroupLeft => Cardinality::ManyToOne,
                    _ => Cardinality::OneToMany,
                };
                if self.kind() == TokenKind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fills(&mut matching)?;
        Ok((return_bool, matching))
    }

    fn fills(&mut self, matching: &mut VectorMatching) -> Result<()> {
        while let TokenKind::Keyword(
            word @ (Keyword::Fill | Keyword::FillLeft | Keyword::FillRight),
        ) = self.kind()
        {
            let start = self.advance().start;
            self.require(TokenKind::LeftParen)?;
            let value = self.signed_number("fill", "number")?;
            self.require(TokenKind::RightParen)?;
            let (left, right) = (word != Keyword::FillRight, word != Keyword::FillLeft);
            if left && matching.fill_left.is_some() || right && matching.fill_right.is_some() {
                let text = "fill modifiers may not be set multiple times";
                return Err(self.error(self.since(start), text));
            }
            if left {
                matching.fill_left = Some(value);
            }
            if right {
                matching.fill_right = Some(value);
            }
        }
        Ok(())
    }

    fn unary(&mut self) -> Result<Tree> {
        let op = match self.kind() {
            TokenKind::Op(BinaryOp::Add) => UnaryOp::Plus,
            TokenKind::Op(BinaryOp::Sub) => UnaryOp::Minus,
            _ => return self.postfix(),
        };
        let start = self.advance().start;
        let mut operand = self.binary(POW)?;
        let position = Position { start, end: operand.expr.position.end };
        if let ExprKind::Number(number) = &mut operand.expr.kind {
            if op == UnaryOp::Minus {
                number.value = -number.value;
            }
            operand.expr.position = position;
            return Ok(operand);
        }
        self.tree(ExprKind::Unary(op, Box::new(operand.expr)), position, operand.depth)
    }

    /// An operand and all that stands behind it: ranges, `offset`, `@`.
    fn postfix(&mut self) -> Result<Tree> {
        let mut operand = self.primary()?;
        loop {
            operand = match self.kind() {
                TokenKind::LeftBracket => self.range(operand)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(operand)?,
                TokenKind::Keyword(Keyword::Anchored | Keyword::Smoothed) => {
                    self.extension(operand)?
                }
                TokenKind::At => self.at_modifier(operand)?,
                _ => return Ok(operand),
            };
        }
    }

    fn primary(&mut self) -> Result<Tree> {
        match self.kind() {
            TokenKind::Number | TokenKind::Duration => {
                let start = self.here();
                let number = self.number()?;
                self.tree(ExprKind::Number(number), self.since(start), 0)
            }
            TokenKind::String => {
                let token = self.advance();
                let text = self.unquoted(&token)?;
                self.tree(ExprKind::String(text), self.since(token.start), 0)
            }
            TokenKind::LeftParen => {
                let start = self.advance().start;
                let inner = self.expression()?;
                self.require(TokenKind::RightParen)?;
                let kind = ExprKind::Paren(Box::new(inner.expr));
                self.tree(kind, self.since(start), inner.depth)
            }
            TokenKind::LeftBrace => self.selector_tree(),
            TokenKind::Aggregate(op) => self.aggregate_or_selector(op),
            TokenKind::Identifier | TokenKind::Preprocessor(_) => self.call_or_selector(),
            _ if self.token().is_metric_name() => self.selector_tree(),
            _ => Err(self.unexpected("", "")),
        }
    }

    fn selector_tree(&mut self) -> Result<Tree> {
        let expr = self.vector_selector()?;
        Ok(Tree { expr, depth: 1 })
    }

    fn call_or_selector(&mut self) -> Result<Tree> {
        let name = self.advance();
        if self.kind() != TokenKind::LeftParen {
            let expr = self.named_selector(&name)?;
            return Ok(Tree { expr, depth: 1 });
        }
        let args = self.arguments()?;
        let function = match name.kind {
            TokenKind::Preprocessor(Preprocessor::Start) => Some(Function::Start),
            TokenKind::Preprocessor(Preprocessor::End) => Some(Function::End),
            TokenKind::Preprocessor(Preprocessor::Step) => Some(Function::Step),
            TokenKind::Preprocessor(Preprocessor::Range) => Some(Function::Range),
            _ => Function::from_name(name.text),
        };
        let Some(function) = function else {
            let position = Position { start: name.start, end: name.end() };
            let text = format!("unknown function with name {}", quote(name.text));
            return Err(self.error(position, text));
        };
        let call = Call { function, args: args.exprs };
        self.charge_pattern(&call)?;
        self.tree(ExprKind::Call(call), self.since(name.start), args.depth)
    }

    /// The pattern of `label_replace` counts as those of matchers do. Whether it is valid is told
    /// when it is used.
    fn charge_pattern(&mut self, call: &Call) -> Result<()> {
        if call.function != Function::LabelReplace {
            return Ok(());
        }
        let Some(mut pattern) = call.args.get(4) else { return Ok(()) };
        while let ExprKind::Paren(inner) = &pattern.kind {
            pattern = inner;
        }
        let ExprKind::String(text) = &pattern.kind else { return Ok(()) };
        match self.patterns.charge(text) {
            Err(MatcherError::Pattern { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(self.error(pattern.position, error.to_string())),
        }
    }

    /// `( … )` behind a function or an aggregation
    fn arguments(&mut self) -> Result<Arguments> {
        self.require(TokenKind::LeftParen)?;
        let mut args = Arguments::default();
        if self.accept(TokenKind::RightParen) {
            return Ok(args);
        }
        loop {
            let tree = self.expression()?;
            args.depth = args.depth.max(tree.depth);
            args.exprs.push(tree.expr);
            if self.accept(TokenKind::RightParen) {
                return Ok(args);
            }
            let comma = self.require(TokenKind::Comma)?;
            if self.kind() == TokenKind::RightParen {
                let position = Position { start: comma.start, end: comma.end() };
                let text = "trailing commas not allowed in function call args";
                return Err(self.error(position, text));
            }
        }
    }

    fn aggregate_or_selector(&mut self, op: AggregateOp) -> Result<Tree> {
        let name = self.advance();
        let aggregates = matches!(
            self.kind(),
            TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without)
        );
        if !aggregates {
            let expr = self.named_selector(&name)?;
            return Ok(Tree { expr, depth: 1 });
        }
        self.open_aggregations += 1;
        let mut grouping = self.grouping()?;
        let args = self.arguments()?;
        self.open_aggregations -= 1;
        let position = self.since(name.start);
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let grouping = grouping.unwrap_or(Grouping { without: false, labels: Vec::new() });
        let position = Position { end: self.since(name.start).end, ..position };
        let (expr, param) = self.aggregate_arguments(op, args.exprs, position)?;
        let aggregate = Aggregate { op, expr, param, grouping };
        self.tree(ExprKind::Aggregate(Box::new(aggregate)), position, args.depth)
    }

    fn aggregate_arguments(
        &self,
        op: AggregateOp,
        args: Vec<Expr>,
        position: Position,
    ) -> Result<(Expr, Option<Expr>)> {
        let count = args.len();
        if count == 0 {
            let text = "no arguments for aggregate expression provided";
            return Err(self.error(position, text));
        }
        let mut args = args.into_iter();
        let found = match (op.has_param(), count) {
            (false, 1) => args.next().map(|expr| (expr, None)),
            (true, 2) => args.next().and_then(|param| args.next().map(|expr| (expr, Some(param)))),
            _ => None,
        };
        found.ok_or_else(|| {
            let wanted = if op.has_param() { 2 } else { 1 };
            let text = format!(
                "wrong number of arguments for aggregate expression provided, \
                 expected {wanted}, got {count}"
            );
            self.error(position, text)
        })
    }

    /// `by (…)` or `without (…)`, if it stands here
    fn grouping(&mut self) -> Result<Option<Grouping>> {
        let without = match self.kind() {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Grouping { without, labels: self.grouping_labels()? }))
    }

    /// `(a, "b.c")`
    fn grouping_labels(&mut self) -> Result<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        if !self.accept(TokenKind::LeftParen) {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        let mut labels = Vec::new();
        while !self.accept(TokenKind::RightParen) {
            let token = *self.token();
            let label = match token.kind {
                TokenKind::String => self.unquoted(&token)?,
                _ if token.is_label_name() => token.text.to_owned(),
                _ => return Err(self.unexpected(CONTEXT, "label")),
            };
            if label.is_empty() || crate::promql::text::has_stray_bytes(&label) {
                let position = Position { start: token.start, end: token.end() };
                let text = format!("invalid label name for grouping: {}", quote(&label));
                return Err(self.error(position, text));
            }
            self.advance();
            labels.push(label);
            if self.kind() != TokenKind::RightParen && !self.accept(TokenKind::Comma) {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    /// A number or a duration, which must stand here.
    pub(super) fn number(&mut self) -> Result<NumberLiteral> {
        let token = self.advance();
        let position = Position { start: token.start, end: token.end() };
        let is_duration = token.kind == TokenKind::Duration;
        let value = if is_duration {
            parse_duration(token.text).map(in_seconds)
        } else {
            parse_number(token.text)
        };
        let value = value.map_err(|text| self.error(position, text))?;
        Ok(NumberLiteral { value, is_duration })
    }

    pub(super) fn signed_number(&mut self, context: &str, expected: &str) -> Result<f64> {
        let sign = match self.kind() {
            TokenKind::Op(BinaryOp::Sub) => -1.0,
            _ => 1.0,
        };
        if matches!(self.kind(), TokenKind::Op(BinaryOp::Add | BinaryOp::Sub)) {
            self.advance();
        }
        match self.kind() {
            TokenKind::Number | TokenKind::Duration => Ok(sign * self.number()?.value),
            _ => Err(self.unexpected(context, expected)),
        }
    }

    pub(super) fn unquoted(&self, token: &Token<'_>) -> Result<String> {
        unquote(token.text).map_err(|_| {
            let position = Position { start: token.start, end: token.end() };
            let text = format!("error unquoting string {}: invalid syntax", quote(token.text));
            self.error(position, text)
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number in a query is a float")]
fn in_seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
