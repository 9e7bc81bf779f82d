//! Line filters that are kept: which lines a deletion is about.

use std::fmt;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use crate::matcher::MatcherError;
use crate::pattern::PatternBudget;
use crate::re2::translate;

/// Size limit of a compiled pattern, in bytes.
const COMPILED_BYTES_MAX: usize = 4 << 20;
/// Deepest nesting of a pattern.
const NEST_MAX: u32 = 250;

/// How a line is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineMatch {
    /// `|=`: one of the texts is in it.
    Contains,
    /// `!=`: none of them is.
    NotContains,
    /// `|~`: one of the patterns is found in it.
    Regex,
    /// `!~`: none of them is.
    NotRegex,
}

/// A condition on lines, as LogQL's line filters are.
#[derive(Clone)]
pub struct LineFilter {
    op: LineMatch,
    texts: Vec<String>,
    tests: Vec<Test>,
}

/// How one operand is looked for.
#[derive(Clone)]
enum Test {
    Text(Box<Finder<'static>>),
    Pattern(Regex),
}

impl Test {
    fn holds(&self, line: &[u8]) -> bool {
        match self {
            Self::Text(finder) => finder.find(line).is_some(),
            Self::Pattern(pattern) => pattern.is_match(line),
        }
    }
}

impl LineFilter {
    /// A filter with texts, or patterns in RE2's syntax; compiles them within `budget`.
    ///
    /// # Errors
    /// If a pattern is not valid, or more than what is left.
    pub fn within(
        budget: &mut PatternBudget,
        op: LineMatch,
        texts: Vec<String>,
    ) -> Result<Self, MatcherError> {
        let mut compile = |text: &String| match op {
            LineMatch::Contains | LineMatch::NotContains => {
                Ok(Test::Text(Box::new(Finder::new(text).into_owned())))
            }
            LineMatch::Regex | LineMatch::NotRegex => {
                budget.charge(text)?;
                compiled(text, &translate(text)).map(Test::Pattern)
            }
        };
        let tests = texts.iter().map(&mut compile).collect::<Result<_, _>>()?;
        Ok(Self { op, texts, tests })
    }

    /// How a line is looked at.
    #[must_use]
    pub const fn op(&self) -> LineMatch {
        self.op
    }

    /// The texts or patterns as written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether it holds for a line.
    #[must_use]
    pub fn matches(&self, line: &[u8]) -> bool {
        let wanted = matches!(self.op, LineMatch::Contains | LineMatch::Regex);
        self.tests.iter().any(|test| test.holds(line)) == wanted
    }
}

fn compiled(written: &str, translated: &str) -> Result<Regex, MatcherError> {
    RegexBuilder::new(translated)
        .size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NEST_MAX)
        .build()
        .map_err(|error| MatcherError::invalid(written, &error.to_string()))
}

impl PartialEq for LineFilter {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.texts) == (other.op, &other.texts)
    }
}

impl Eq for LineFilter {}

impl fmt::Debug for LineFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LineFilter").field(&self.op).field(&self.texts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(op: LineMatch, texts: &[&str], line: &[u8]) -> bool {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        let filter = LineFilter::within(&mut PatternBudget::default(), op, texts);
        filter.expect("it is valid").matches(line)
    }

    #[test]
    fn one_operand_is_enough_and_a_negative_filter_wants_none() {
        assert!(matches(LineMatch::Contains, &["x", "a.b"], b"1a.b2"));
        assert!(!matches(LineMatch::Contains, &["a.b"], b"1axb2"));
        assert!(matches(LineMatch::NotContains, &["x", "y"], b"\xffz"));
        assert!(!matches(LineMatch::NotContains, &["x", "y"], b"zy"));
        assert!(matches(LineMatch::Regex, &["^a.b$"], b"axb"));
        assert!(!matches(LineMatch::NotRegex, &["^a", "b$"], b"xb"));
        assert!(matches(LineMatch::Contains, &[""], b""));
    }

    #[test]
    fn a_bad_pattern_is_told() {
        let texts = vec!["(".to_owned()];
        let refused =
            LineFilter::within(&mut PatternBudget::default(), LineMatch::Regex, texts).err();
        assert!(refused.expect("it is bad").to_string().contains("error parsing regexp"));
    }
}
