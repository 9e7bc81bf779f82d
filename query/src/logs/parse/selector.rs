//! `{name="value", …}`

use ephemeris_model::{MatchOp, Matcher};

use super::parser::Parser;
use crate::logs::error::ParseError;
use crate::logs::regexes::go_error;

impl Parser<'_> {
    /// Matchers in braces.
    pub(super) fn matchers(&mut self) -> Result<Vec<Matcher>, ParseError> {
        self.expect("{")?;
        let mut matchers = Vec::new();
        if self.accept("}") {
            return Ok(matchers);
        }
        loop {
            let name = self.identifier()?;
            let Some(op) = self.match_op() else {
                return Err(self.unexpected(&["=", "=~", "!~", "!="]));
            };
            self.advance();
            let value = self.text()?;
            matchers.extend(self.matcher(op, name, &value));
            if self.accept("}") {
                return Ok(matchers);
            }
            if !self.accept(",") {
                return Err(self.unexpected(&["}", ","]));
            }
            if self.accept("}") {
                return Ok(matchers);
            }
        }
    }

    /// The operator of a matcher, which is not taken.
    pub(super) fn match_op(&self) -> Option<MatchOp> {
        match self.word()? {
            "=" => Some(MatchOp::Equal),
            "!=" => Some(MatchOp::NotEqual),
            "=~" => Some(MatchOp::Regex),
            "!~" => Some(MatchOp::NotRegex),
            _ => None,
        }
    }

    /// A matcher, or a note that its pattern is none.
    pub(super) fn matcher(&mut self, op: MatchOp, name: String, value: &str) -> Option<Matcher> {
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
            self.charged(value)?;
        }
        match Matcher::new(op, name, value) {
            Ok(matcher) => Some(matcher),
            Err(error) => {
                self.note(go_error(value, &error.to_string()));
                None
            }
        }
    }
}
