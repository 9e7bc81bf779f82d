//! Selectors: matchers in braces, and what stands behind: range, `offset`, `@`, extension.

use ephemeris_model::{METRIC_NAME, MatchOp, Matcher};

use super::parser::{Parser, Result, Tree};
use super::token::{Keyword, Preprocessor, Token, TokenKind};
use crate::promql::ast::{
    AtModifier, BinaryOp, Duration, Expr, ExprKind, Extension, MatrixSelector, Position, Subquery,
    VectorSelector,
};

const MATCHING: &str = "label matching";

impl Parser<'_> {
    /// A selector with or without a name in front, one of which must stand here.
    pub(super) fn vector_selector(&mut self) -> Result<Expr> {
        if self.token().is_metric_name() {
            let name = self.advance();
            return self.named_selector(&name);
        }
        let start = self.here();
        let matchers = self.matchers()?;
        Ok(self.selector(None, matchers, start))
    }

    /// A selector whose name was read already.
    pub(super) fn named_selector(&mut self, name: &Token<'_>) -> Result<Expr> {
        let mut matchers = match self.kind() {
            TokenKind::LeftBrace => self.matchers()?,
            _ => Vec::new(),
        };
        matchers.push(Matcher::equal(METRIC_NAME, name.text));
        Ok(self.selector(Some(name.text.to_owned()), matchers, name.start))
    }

    fn selector(&self, name: Option<String>, matchers: Vec<Matcher>, start: usize) -> Expr {
        let (offset, at, extension) = (None, None, Extension::None);
        let selector = VectorSelector { name, matchers, offset, at, extension };
        Expr { kind: ExprKind::VectorSelector(selector), position: self.since(start) }
    }

    /// `{a="1", "b.c"!="2", "name"}`
    fn matchers(&mut self) -> Result<Vec<Matcher>> {
        self.require(TokenKind::LeftBrace)?;
        let mut matchers = Vec::new();
        while !self.accept(TokenKind::RightBrace) {
            matchers.push(self.matcher()?);
            if self.kind() != TokenKind::RightBrace && !self.accept(TokenKind::Comma) {
                return Err(self.unexpected(MATCHING, "\",\" or \"}\""));
            }
        }
        Ok(matchers)
    }

    fn matcher(&mut self) -> Result<Matcher> {
        let name = *self.token();
        let label = match name.kind {
            TokenKind::Identifier => name.text.to_owned(),
            TokenKind::String => self.unquoted(&name)?,
            _ => return Err(self.unexpected(MATCHING, "identifier or \"}\"")),
        };
        self.advance();
        let op = match self.kind() {
            TokenKind::Assign => MatchOp::Equal,
            TokenKind::Op(BinaryOp::Neq) => MatchOp::NotEqual,
            TokenKind::AssignRegex => MatchOp::Regex,
            TokenKind::NotRegex => MatchOp::NotRegex,
            _ if name.kind == TokenKind::String => {
                return Ok(Matcher::equal(METRIC_NAME, label));
            }
            _ => return Err(self.unexpected(MATCHING, "label matching operator")),
        };
        self.advance();
        if self.kind() != TokenKind::String {
            return Err(self.unexpected(MATCHING, "string"));
        }
        let value = self.advance();
        let text = self.unquoted(&value)?;
        let position = Position { start: name.start, end: value.end() };
        Matcher::within(&mut self.patterns, op, label, text)
            .map_err(|error| self.error(position, error.to_string()))
    }

    /// `[range]` or `[range:step]`
    pub(super) fn range(&mut self, operand: Tree) -> Result<Tree> {
        const EXPECTED: &str = "number, duration, step(), or range()";
        let open = self.advance().start;
        if self.kind() == TokenKind::RightBracket {
            return Err(self.unexpected("subquery or range selector", EXPECTED));
        }
        let range = self.positive_duration("subquery or range selector", EXPECTED)?;
        if self.accept(TokenKind::RightBracket) {
            return self.matrix_selector(operand, range, open);
        }
        if !self.accept(TokenKind::Colon) {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        }
        let mut step = None;
        if self.kind() != TokenKind::RightBracket {
            const STEP: &str = "number, duration, step(), range(), or \"]\"";
            step = Some(self.positive_duration("subquery selector", STEP)?);
        }
        if !self.accept(TokenKind::RightBracket) {
            return Err(self.unexpected("subquery selector", "\"]\""));
        }
        let position = self.since(operand.expr.position.start);
        let subquery = Subquery { expr: operand.expr, range, step, offset: None, at: None };
        self.tree(ExprKind::Subquery(Box::new(subquery)), position, operand.depth)
    }

    fn matrix_selector(&self, operand: Tree, range: Duration, open: usize) -> Result<Tree> {
        let selector_position = operand.expr.position;
        let ExprKind::VectorSelector(selector) = operand.expr.kind else {
            return Err(self.error(self.since(open), "ranges only allowed for vector selectors"));
        };
        if selector.offset.is_some() {
            return Err(self.error(self.since(open), "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(self.error(self.since(open), "no @ modifiers allowed before range"));
        }
        let matrix = MatrixSelector { selector, selector_position, range };
        let position = self.since(selector_position.start);
        self.tree(ExprKind::MatrixSelector(matrix), position, 1)
    }

    /// `offset d`
    pub(super) fn offset(&mut self, mut operand: Tree) -> Result<Tree> {
        self.advance();
        let offset = self.offset_duration()?;
        let position = operand.expr.position;
        let slot = match &mut operand.expr.kind {
            ExprKind::VectorSelector(selector) => &mut selector.offset,
            ExprKind::MatrixSelector(matrix) => &mut matrix.selector.offset,
            ExprKind::Subquery(subquery) => &mut subquery.offset,
            _ => {
                let text = "offset modifier must be preceded by an instant vector selector \
                            or range vector selector or a subquery";
                return Err(self.error(position, text));
            }
        };
        if slot.is_some() {
            return Err(self.error(position, "offset may not be set multiple times"));
        }
        // No offset and an offset of nothing are the same.
        *slot = Some(offset).filter(|offset| *offset != Duration::Millis(0));
        operand.expr.position = self.since(position.start);
        Ok(operand)
    }

    /// `@ 1609746000`, `@ start()`, `@ end()`
    pub(super) fn at_modifier(&mut self, mut operand: Tree) -> Result<Tree> {
        self.advance();
        let position = operand.expr.position;
        let at = match self.kind() {
            TokenKind::Preprocessor(word @ (Preprocessor::Start | Preprocessor::End)) => {
                self.advance();
                if !self.accept(TokenKind::LeftParen) || !self.accept(TokenKind::RightParen) {
                    return Err(self.unexpected("@", "timestamp"));
                }
                match word {
                    Preprocessor::Start => AtModifier::Start,
                    _ => AtModifier::End,
                }
            }
            _ => {
                let seconds = self.signed_number("@", "timestamp")?;
                AtModifier::At(self.timestamp(seconds, position)?)
            }
        };
        let slot = match &mut operand.expr.kind {
            ExprKind::VectorSelector(selector) => &mut selector.at,
            ExprKind::MatrixSelector(matrix) => &mut matrix.selector.at,
            ExprKind::Subquery(subquery) => &mut subquery.at,
            _ => {
                let text = "@ modifier must be preceded by an instant vector selector \
                            or range vector selector or a subquery";
                return Err(self.error(position, text));
            }
        };
        if slot.is_some() {
            return Err(self.error(position, "@ <timestamp> may not be set multiple times"));
        }
        *slot = Some(at);
        operand.expr.position = self.since(position.start);
        Ok(operand)
    }

    /// Seconds as milliseconds, if they can be that.
    fn timestamp(&self, seconds: f64, position: Position) -> Result<i64> {
        const MS_LIMIT: f64 = 9.2e18;
        let ms = (seconds * 1000.0).round();
        if ms.abs() < MS_LIMIT {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "in range by the condition above"
            )]
            return Ok(ms as i64);
        }
        let shown = if seconds.is_infinite() {
            if seconds > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
        } else {
            format!("{seconds:.6}")
        };
        let text = format!("timestamp out of bounds for @ modifier: {shown}");
        Err(self.error(position, text))
    }

    /// `anchored` or `smoothed`
    pub(super) fn extension(&mut self, mut operand: Tree) -> Result<Tree> {
        let (word, extension) = match self.kind() {
            TokenKind::Keyword(Keyword::Anchored) => ("anchored", Extension::Anchored),
            _ => ("smoothed", Extension::Smoothed),
        };
        self.advance();
        let position = operand.expr.position;
        let slot = match &mut operand.expr.kind {
            ExprKind::VectorSelector(selector) => &mut selector.extension,
            ExprKind::MatrixSelector(matrix) => &mut matrix.selector.extension,
            ExprKind::Subquery(_) => {
                let text = format!("{word} modifier is not supported for subqueries");
                return Err(self.error(position, text));
            }
            _ => return Err(self.error(position, format!("{word} modifier not implemented"))),
        };
        if *slot != Extension::None && *slot != extension {
            let text = "anchored and smoothed modifiers cannot be used together";
            return Err(self.error(position, text));
        }
        *slot = extension;
        operand.expr.position = self.since(position.start);
        Ok(operand)
    }
}
