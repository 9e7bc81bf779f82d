//! What the patterns of one request may cost: how many there may be, and how large they may become
//! when compiled. Told from the syntax tree, before any of them is compiled.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::matcher::MatcherError;
use crate::re2::translate;

/// Longest pattern accepted, in bytes.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// Most patterns of one request.
pub const PATTERNS_MAX: usize = 1000;
/// What all patterns of one request may cost: a byte of text is 1, a range of characters 1 or 2,
/// and what is repeated counts as often as it may be written out. Compiled, 1 is about 100 bytes.
pub const PATTERN_COST_MAX: u64 = 512 << 10;
/// The same for patterns that are kept compiled for as long as a deletion waits, in each of them.
const KEPT_COST_MAX: u64 = 8 << 10;
/// About what a class of Unicode such as `\pL` costs; charged before such classes are looked up.
const UNICODE_CLASS_COST: u64 = 300;

/// What the patterns of one request may still cost.
#[derive(Clone, Copy, Debug)]
pub struct PatternBudget {
    patterns: usize,
    cost: u64,
    cost_max: u64,
}

impl Default for PatternBudget {
    fn default() -> Self {
        Self { patterns: PATTERNS_MAX, cost: PATTERN_COST_MAX, cost_max: PATTERN_COST_MAX }
    }
}

impl PatternBudget {
    /// What the patterns of a deletion may cost, which are kept compiled: less than those of a
    /// query.
    #[must_use]
    pub const fn of_deletion() -> Self {
        Self { patterns: PATTERNS_MAX, cost: KEPT_COST_MAX, cost_max: KEPT_COST_MAX }
    }

    /// Takes what `pattern` costs.
    ///
    /// # Errors
    /// If it is not valid, too long, or if less is left than it costs.
    pub fn charge(&mut self, pattern: &str) -> Result<(), MatcherError> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(MatcherError::TooLong { length: pattern.len(), max: PATTERN_BYTES_MAX });
        }
        let too_many = MatcherError::TooManyPatterns { max: PATTERNS_MAX };
        self.patterns = self.patterns.checked_sub(1).ok_or(too_many)?;
        let max = self.cost_max;
        let too_costly = || MatcherError::TooCostly { max };
        let classes = pattern.matches(r"\p").count() + pattern.matches(r"\P").count();
        if classes as u64 * UNICODE_CLASS_COST > self.cost {
            return Err(too_costly());
        }
        // Parsed alone, so that an unbalanced parenthesis cannot pair with the anchors' own.
        let parsed = regex_syntax::ParserBuilder::new()
            .nest_limit(250)
            .build()
            .parse(&translate(pattern))
            .map_err(|error| MatcherError::invalid(pattern, &error.to_string()))?;
        self.cost = self.cost.checked_sub(cost_of(&parsed)).ok_or_else(too_costly)?;
        Ok(())
    }
}

/// The depth of the tree is bounded by the parser.
fn cost_of(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty => 0,
        HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => {
            class.iter().map(|range| if range.end().is_ascii() { 1 } else { 2 }).sum()
        }
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let copies = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            cost_of(&repetition.sub).saturating_mul(u64::from(copies))
        }
        HirKind::Capture(capture) => cost_of(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |sum: u64, part| sum.saturating_add(cost_of(part)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(pattern: &str) -> u64 {
        let mut budget = PatternBudget::default();
        budget.charge(pattern).expect("it is valid and small");
        PATTERN_COST_MAX - budget.cost
    }

    #[test]
    fn what_is_written_out_costs() {
        assert_eq!(cost("abc"), 3);
        assert_eq!(cost("[a-z0-9]{10}"), 20);
        assert_eq!(cost("a{2,5}b{3,}c*"), 5 + 4 + 1);
        assert!(cost(r"\pL{60}") > 60 * 600);
    }

    #[test]
    fn large_alternations_of_text_are_fine_and_many_large_classes_are_not() {
        let values: Vec<String> = (0..4000).map(|i| format!("instance-{i:05}")).collect();
        let mut budget = PatternBudget::default();
        for _ in 0..4 {
            budget.charge(&values.join("|")).expect("all values of a variable");
        }
        let refused = (0..300).find_map(|_| budget.charge(r"\pL{60}y17").err());
        let text = refused.expect("300 of them are too many").to_string();
        assert!(text.contains("524288"), "{text}");
        let mut budget = PatternBudget::default();
        let refused = budget.charge(&r"\pL".repeat(20_000)).expect_err("20,000 classes");
        assert!(matches!(refused, MatcherError::TooCostly { .. }), "{refused}");
    }

    #[test]
    fn the_number_of_patterns_has_a_limit() {
        let mut budget = PatternBudget::default();
        for _ in 0..PATTERNS_MAX {
            budget.charge("a").expect("few enough");
        }
        let refused = budget.charge("a").expect_err("one too many").to_string();
        assert_eq!(refused, "request has more than 1000 regular expressions, which is the limit");
    }
}
