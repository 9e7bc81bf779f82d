//! What all grammar rules share: the current token, depth, and how errors come about.

use ephemeris_model::{Matcher, PatternBudget};

use super::error::ParseError;
use super::lexer::Lexer;
use super::token::{Token, TokenKind};
use super::{DEPTH_MAX, QUERY_BYTES_MAX};
use crate::promql::ast::{Expr, ExprKind, Position};

pub(super) type Result<T> = std::result::Result<T, ParseError>;

/// Reads one query.
pub(super) struct Parser<'a> {
    query: &'a str,
    lexer: Lexer<'a>,
    /// The token to be read next; nothing further is looked at.
    token: Token<'a>,
    /// Where the token read last ends.
    last_end: usize,
    /// Rules entered and not left yet.
    depth: usize,
    /// Aggregations begun and not finished yet; errors inside say so.
    pub(super) open_aggregations: usize,
    /// What the patterns of the request may still cost.
    pub(super) patterns: PatternBudget,
}

/// An expression and the number of levels below it, itself included.
pub(super) struct Tree {
    pub(super) expr: Expr,
    pub(super) depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(query: &'a str, patterns: PatternBudget) -> Result<Self> {
        let mut parser = Self {
            query,
            lexer: Lexer::new(query),
            token: Token { kind: TokenKind::Eof, start: 0, text: "" },
            last_end: 0,
            depth: 0,
            open_aggregations: 0,
            patterns,
        };
        if query.len() > QUERY_BYTES_MAX {
            let text = format!("query is {} bytes; limit is {QUERY_BYTES_MAX}", query.len());
            return Err(parser.error(Position::default(), text));
        }
        parser.token = parser.lexer.next_token();
        Ok(parser)
    }

    /// A query, to its end.
    pub(super) fn whole_expression(&mut self) -> Result<Expr> {
        if self.kind() == TokenKind::Eof {
            return Err(self.error(Position::default(), "no expression found in input"));
        }
        let tree = self.expression()?;
        self.end()?;
        Ok(tree.expr)
    }

    /// A selector without range and modifiers, to its end.
    pub(super) fn whole_selector(&mut self) -> Result<Vec<Matcher>> {
        if !self.token.is_metric_name() && self.kind() != TokenKind::LeftBrace {
            return Err(self.unexpected("", ""));
        }
        let selector = self.vector_selector()?;
        self.end()?;
        match selector.kind {
            ExprKind::VectorSelector(selector) => Ok(selector.matchers),
            _ => Err(self.error(selector.position, "not a series selector")),
        }
    }

    fn end(&mut self) -> Result<()> {
        if self.kind() == TokenKind::Eof { Ok(()) } else { Err(self.unexpected("", "")) }
    }

    pub(super) fn kind(&self) -> TokenKind {
        self.token.kind
    }

    pub(super) fn token(&self) -> &Token<'a> {
        &self.token
    }

    /// Where the token to be read next begins.
    pub(super) fn here(&self) -> usize {
        self.token.start
    }

    /// From `start` to the end of the token read last.
    pub(super) fn since(&self, start: usize) -> Position {
        Position { start, end: self.last_end.max(start) }
    }

    /// Reads a token.
    pub(super) fn advance(&mut self) -> Token<'a> {
        self.last_end = self.token.end();
        let next = self.lexer.next_token();
        std::mem::replace(&mut self.token, next)
    }

    /// Reads a token if it is of this kind.
    pub(super) fn accept(&mut self, kind: TokenKind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.advance();
        }
        found
    }

    /// Reads a token that must be of this kind.
    pub(super) fn require(&mut self, kind: TokenKind) -> Result<Token<'a>> {
        if self.kind() == kind { Ok(self.advance()) } else { Err(self.unexpected("", "")) }
    }

    pub(super) fn error(&self, position: Position, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, position, message)
    }

    /// The error for the next token: where it does not belong, and what does belong there, either
    /// of which may be empty.
    pub(super) fn unexpected(&mut self, context: &str, expected: &str) -> ParseError {
        if let Some((start, message)) = self.lexer.take_error() {
            let position = Position { start, end: self.query.len() };
            return self.error(position, message);
        }
        let mut message = format!("unexpected {}", self.token.describe());
        let context = match context {
            "" if self.open_aggregations > 0 => "aggregation",
            context => context,
        };
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(Position { start: self.token.start, end: self.token.end() }, message)
    }

    /// Runs a rule that may come back to itself, one level deeper.
    pub(super) fn deeper<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.too_deep(self.since(self.here())));
        }
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// An expression above others with `below` levels.
    pub(super) fn tree(&self, kind: ExprKind, position: Position, below: usize) -> Result<Tree> {
        Ok(Tree { expr: Expr { kind, position }, depth: self.level(position, below)? })
    }

    /// The number of levels of something above `below` levels.
    pub(super) fn level(&self, position: Position, below: usize) -> Result<usize> {
        if below < DEPTH_MAX { Ok(below + 1) } else { Err(self.too_deep(position)) }
    }

    fn too_deep(&self, position: Position) -> ParseError {
        self.error(
            position,
            format!("expression is nested too deeply; limit is {DEPTH_MAX} levels"),
        )
    }
}
