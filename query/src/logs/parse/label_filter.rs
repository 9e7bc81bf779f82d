//! `name op value`, with `and`, `or` and parentheses.

use super::parser::Parser;
use super::token::TokenKind;
use crate::logs::ast::{CompareOp, Comparison, IpOp, LabelFilter};
use crate::logs::error::ParseError;

impl Parser<'_> {
    pub(super) fn label_filter(&mut self) -> Result<LabelFilter, ParseError> {
        self.deeper(|parser| {
            let mut filters = vec![parser.label_filters_and()?];
            while parser.accept("or") {
                filters.push(parser.label_filters_and()?);
            }
            Ok(one_or(filters, LabelFilter::Or))
        })
    }

    /// `and`, a comma or nothing at all stands between them.
    fn label_filters_and(&mut self) -> Result<LabelFilter, ParseError> {
        let mut filters = vec![self.single_label_filter()?];
        loop {
            let follows = self.accept("and") || self.accept(",");
            let starts = self.at("(") || matches!(self.token.kind, TokenKind::Identifier(_));
            if !follows && !starts {
                return Ok(one_or(filters, LabelFilter::And));
            }
            filters.push(self.single_label_filter()?);
        }
    }

    fn single_label_filter(&mut self) -> Result<LabelFilter, ParseError> {
        if self.accept("(") {
            let inner = self.label_filter()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = match self.token.kind {
            TokenKind::Identifier(_) => self.identifier()?,
            _ => return Err(self.unexpected(&[])),
        };
        if let Some(op) = self.match_op() {
            let equality = matches!(self.word(), Some("=" | "!="));
            let word = self.advance();
            if matches!(self.token.kind, TokenKind::Text(_)) {
                let value = self.text()?;
                // A matcher that cannot be made is noted; any other stands in for it.
                let matcher = self.matcher(op, name, &value);
                let stand_in = || ephemeris_model::Matcher::equal("", "");
                return Ok(LabelFilter::Text(matcher.unwrap_or_else(stand_in)));
            }
            if !equality {
                return Err(self.unexpected(&[]));
            }
            let negative = word.kind == TokenKind::Word("!=");
            if self.at("ip") {
                let op = if negative { IpOp::NotFound } else { IpOp::Found };
                return Ok(LabelFilter::Ip { name, op, pattern: self.ip_pattern()? });
            }
            let op = if negative { CompareOp::NotEqual } else { CompareOp::Equal };
            return self.comparison(name, op);
        }
        let op = match self.word() {
            Some("==") => CompareOp::Equal,
            Some(">") => CompareOp::Greater,
            Some(">=") => CompareOp::GreaterOrEqual,
            Some("<") => CompareOp::Less,
            Some("<=") => CompareOp::LessOrEqual,
            _ => return Err(self.unexpected(&[])),
        };
        self.advance();
        self.comparison(name, op)
    }

    /// `ip("…")`
    pub(super) fn ip_pattern(&mut self) -> Result<String, ParseError> {
        self.expect("ip")?;
        self.expect("(")?;
        let pattern = self.text()?;
        self.expect(")")?;
        Ok(pattern)
    }

    fn comparison(&mut self, name: String, op: CompareOp) -> Result<LabelFilter, ParseError> {
        let filter = match self.token.kind {
            TokenKind::Duration(value) => LabelFilter::Duration(Comparison { name, op, value }),
            TokenKind::Bytes(value) => LabelFilter::Bytes(Comparison { name, op, value }),
            _ => {
                let sign = if self.accept("-") {
                    -1.0
                } else {
                    if !self.accept("+") && !matches!(self.token.kind, TokenKind::Number(_)) {
                        return Err(self.unexpected(&[]));
                    }
                    1.0
                };
                let text = self.number_text()?;
                let value = sign * self.float(&text);
                return Ok(LabelFilter::Number(Comparison { name, op, value }));
            }
        };
        self.advance();
        Ok(filter)
    }
}

fn one_or(
    mut filters: Vec<LabelFilter>,
    all: impl FnOnce(Vec<LabelFilter>) -> LabelFilter,
) -> LabelFilter {
    match (filters.len(), filters.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            filters.extend(last);
            all(filters)
        }
    }
}
