//! Matchers: conditions on the value of one label.

use std::fmt;

use regex::Regex;
use thiserror::Error;

use crate::pattern::PatternBudget;
use crate::re2::translate;

/// Size limit of a compiled pattern, in bytes.
const COMPILED_REGEX_BYTES_MAX: usize = 4 << 20;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// As written in PromQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// Why a matcher could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MatcherError {
    /// The pattern is no regular expression, or too large a one.
    #[error("error parsing regexp: {cause}: `{pattern}`")]
    Pattern {
        /// The pattern as written.
        pattern: String,
        /// What the parser says.
        cause: String,
    },
    /// The pattern is longer than the limit.
    #[error("regexp is {length} bytes; limit is {max}")]
    TooLong {
        /// Length in bytes.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// More patterns than a request may have.
    #[error("request has more than {max} regular expressions, which is the limit")]
    TooManyPatterns {
        /// The limit.
        max: usize,
    },
    /// The patterns of the request would take too much memory and time to compile.
    #[error(
        "regular expressions of the request are too large; limit is {max} for their bytes of text \
         and ranges of characters together, each as often as it is repeated"
    )]
    TooCostly {
        /// The limit.
        max: u64,
    },
}

impl MatcherError {
    pub(crate) fn invalid(pattern: &str, error: &str) -> Self {
        Self::Pattern { pattern: pattern.to_owned(), cause: last_line(error) }
    }
}

/// A condition on the value of label `name`; an absent label has the empty value.
#[derive(Clone)]
pub struct Matcher {
    /// Name of the label.
    pub name: String,
    /// How to compare.
    pub op: MatchOp,
    /// The value or pattern as written.
    pub value: String,
    /// The anchored pattern, for the two regex operators.
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher; compiles the pattern if `op` is a regex operator.
    ///
    /// # Errors
    /// If the pattern is invalid or too large.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        Self::within(&mut PatternBudget::default(), op, name, value)
    }

    /// As [`Matcher::new`], for one of several matchers of a request, which share `budget`.
    ///
    /// # Errors
    /// If the pattern is invalid, too large, or more than what is left.
    pub fn within(
        budget: &mut PatternBudget,
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => {
                budget.charge(&value)?;
                Some(compile(&value)?)
            }
        };
        Ok(Self { name, op, value, regex })
    }

    /// `name="value"`.
    #[must_use]
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// Whether a label with this value satisfies the matcher; pass `""` for an absent label.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let hit = |regex: &Option<Regex>| regex.as_ref().is_some_and(|r| r.is_match(value));
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Regex => hit(&self.regex),
            MatchOp::NotRegex => !hit(&self.regex),
        }
    }

    /// Whether series without the label are selected.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The pattern as the regex engine sees it: anchored, `.` matching newlines.
    #[must_use]
    pub fn anchored_pattern(&self) -> String {
        anchored(&self.value)
    }
}

/// As Prometheus does: the whole value must match, and `.` matches a newline too.
fn anchored(pattern: &str) -> String {
    format!("^(?s:{})$", translate(pattern))
}

fn compile(pattern: &str) -> Result<Regex, MatcherError> {
    regex::RegexBuilder::new(&anchored(pattern))
        .size_limit(COMPILED_REGEX_BYTES_MAX)
        .build()
        .map_err(|error| MatcherError::invalid(pattern, &error.to_string()))
}

/// The parser draws the pattern with a caret over several lines; its last line says what is wrong.
/// The common errors get the words Prometheus has for them.
fn last_line(text: &str) -> String {
    let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    let known = match cause {
        "repetition operator missing expression" => "missing argument to repetition operator",
        "unclosed group" => "missing closing )",
        "unopened group" => "unexpected )",
        "unclosed character class" => "missing closing ]",
        "incomplete escape sequence, reached end of pattern prematurely" => {
            "trailing backslash at end of expression"
        }
        "unrecognized escape sequence" => "invalid escape sequence",
        _ if cause.starts_with("invalid character class range") => "invalid character class range",
        _ => cause,
    };
    known.to_owned()
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.name, &self.value) == (other.op, &other.name, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(op: MatchOp, value: &str) -> Matcher {
        Matcher::new(op, "x", value).expect("the pattern is valid")
    }

    #[test]
    fn patterns_are_anchored_and_cross_newlines() {
        assert!(matcher(MatchOp::Regex, "a.c").matches("a\nc"));
        assert!(!matcher(MatchOp::Regex, "b").matches("abc"));
        assert!(matcher(MatchOp::Regex, "a|b").matches("b"));
        assert!(!matcher(MatchOp::Regex, "a|b").matches("ab"));
        assert!(matcher(MatchOp::NotRegex, "a+").matches(""));
    }

    #[test]
    fn patterns_are_those_of_re2() {
        assert!(matcher(MatchOp::Regex, r"{\d}").matches("{5}"));
        assert!(!matcher(MatchOp::Regex, r"{\d}").matches("{\u{663}}"));
        let error = Matcher::new(MatchOp::Regex, "x", "a(").expect_err("not closed").to_string();
        assert_eq!(error, "error parsing regexp: missing closing ): `a(`");
    }

    #[test]
    fn a_pattern_cannot_close_the_anchors_own_group() {
        assert!(Matcher::new(MatchOp::Regex, "x", "a)|(b").is_err());
    }
}
