//! What all rules of the grammar use: the token at hand, errors, lists, depth.

use ephemeris_model::{MatcherError, PatternBudget};

use super::DEPTH_MAX;
use super::lexer::Lexer;
use super::token::{Token, TokenKind};
use crate::logs::ast::{Grouping, GroupingKind};
use crate::logs::error::ParseError;
use crate::logs::units::parse_float;

/// Reads a query from its first token to its last.
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    pub(super) token: Token,
    depth: usize,
    /// The first thing wrong that is no matter of grammar; told only if the grammar is kept.
    wrong: Option<ParseError>,
    patterns: PatternBudget,
}

impl<'a> Parser<'a> {
    pub(super) fn new(query: &'a str) -> Self {
        let mut lexer = Lexer::new(query);
        let token = lexer.next();
        Self { lexer, token, depth: 0, wrong: None, patterns: PatternBudget::default() }
    }

    /// What was wrong beside the grammar.
    pub(super) fn finish(&mut self) -> Result<(), ParseError> {
        self.wrong.take().map_or(Ok(()), Err)
    }

    /// Goes to the next token; gives the one at hand.
    pub(super) fn advance(&mut self) -> Token {
        let next = self.lexer.next();
        std::mem::replace(&mut self.token, next)
    }

    /// The token behind the one at hand.
    pub(super) fn peek(&self) -> Token {
        self.lexer.clone().next()
    }

    /// Remembers what is wrong beside the grammar.
    pub(super) fn note(&mut self, message: impl Into<String>) {
        if self.wrong.is_none() {
            self.wrong = Some(ParseError::anywhere(message));
        }
    }

    /// Takes what a pattern costs from what all patterns of a query may; gives it back if it may be
    /// compiled. What else is wrong with it is told where that is done.
    pub(super) fn charged<'p>(&mut self, pattern: &'p str) -> Option<&'p str> {
        match self.patterns.charge(pattern) {
            Ok(()) | Err(MatcherError::Pattern { .. }) => Some(pattern),
            Err(error) => {
                self.note(error.to_string());
                None
            }
        }
    }

    /// The error that the token at hand may not stand here.
    pub(super) fn unexpected(&self, expecting: &[&str]) -> ParseError {
        let message = match (&self.token.kind, expecting) {
            (TokenKind::Invalid(error), _) => error.clone(),
            (_, []) => format!("syntax error: unexpected {}", self.token.name()),
            (_, words) => format!(
                "syntax error: unexpected {}, expecting {}",
                self.token.name(),
                words.join(" or ")
            ),
        };
        ParseError { message, line: self.token.line, column: self.token.column }
    }

    pub(super) fn at(&self, word: &str) -> bool {
        matches!(&self.token.kind, TokenKind::Word(at) if *at == word)
    }

    /// The word at hand, if it is one.
    pub(super) fn word(&self) -> Option<&'static str> {
        match self.token.kind {
            TokenKind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Takes `word` if it stands here.
    pub(super) fn accept(&mut self, word: &str) -> bool {
        let found = self.at(word);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, word: &'static str) -> Result<(), ParseError> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected(&[])) }
    }

    pub(super) fn end(&self) -> Result<(), ParseError> {
        if self.token.kind == TokenKind::End { Ok(()) } else { Err(self.unexpected(&[])) }
    }

    pub(super) fn identifier(&mut self) -> Result<String, ParseError> {
        match self.advance_if(|kind| matches!(kind, TokenKind::Identifier(_))) {
            Some(TokenKind::Identifier(name)) => Ok(name),
            _ => Err(self.unexpected(&["IDENTIFIER"])),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, ParseError> {
        match self.advance_if(|kind| matches!(kind, TokenKind::Text(_))) {
            Some(TokenKind::Text(text)) => Ok(text),
            _ => Err(self.unexpected(&["STRING"])),
        }
    }

    /// A number without sign, as written.
    pub(super) fn number_text(&mut self) -> Result<String, ParseError> {
        match self.advance_if(|kind| matches!(kind, TokenKind::Number(_))) {
            Some(TokenKind::Number(text)) => Ok(text),
            _ => Err(self.unexpected(&["NUMBER"])),
        }
    }

    /// The value of a number as written.
    pub(super) fn float(&mut self, text: &str) -> f64 {
        parse_float(text).unwrap_or_else(|error| {
            self.note(format!("unable to parse literal as a float: {error}"));
            0.0
        })
    }

    fn advance_if(&mut self, wanted: impl Fn(&TokenKind) -> bool) -> Option<TokenKind> {
        wanted(&self.token.kind).then(|| self.advance().kind)
    }

    /// `(a, b)` or `()`.
    pub(super) fn names(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect("(")?;
        let mut names = Vec::new();
        if self.accept(")") {
            return Ok(names);
        }
        loop {
            names.push(self.identifier()?);
            if self.accept(")") {
                return Ok(names);
            }
            if !self.accept(",") {
                return Err(self.unexpected(&[")", ","]));
            }
        }
    }

    /// `by (…)` or `without (…)`, if it stands here.
    pub(super) fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let kind = match self.word() {
            Some("by") => GroupingKind::By,
            Some("without") => GroupingKind::Without,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Grouping { kind, names: self.names()? }))
    }

    /// Runs `rule` a level deeper.
    pub(super) fn deeper<T>(
        &mut self,
        rule: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }
}

pub(super) fn too_deep() -> ParseError {
    ParseError::anywhere(format!("query is nested too deep; limit is {DEPTH_MAX} levels"))
}
