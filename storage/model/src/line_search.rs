//! Conditions on lines, told of many lines at once, also while their digits are masked.
//!
//! A store may keep lines with `0` for every digit and the digits apart. Most conditions can be told
//! without putting them back: a pattern that takes all digits where it takes one finds the same in
//! masked lines, and of any other a wider one rules lines out.

mod look;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use look::Look;
use memchr::memmem::Finder;
use regex_syntax::hir::Hir;

use crate::line_filter::LineMatch;
use crate::literals::literals_of;
use crate::masked::{mask_pattern, mask_text};
use crate::matcher::MatcherError;
use crate::re2::translate;

/// Size limit of a compiled pattern, in bytes.
const COMPILED_BYTES_MAX: usize = 10 << 20;
/// Deepest nesting of a pattern.
const NEST_MAX: u32 = 250;
/// In longer patterns no texts are looked for, as finding them takes more than linear time.
const TEXTS_PATTERN_BYTES_MAX: usize = 2 << 10;
/// A text with fewer bytes that are no digits is in nearly all masked lines.
const UNMASKED_BYTES_MIN: usize = 2;

/// Lines that follow one another.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    text: &'a [u8],
    ends: &'a [u32],
}

/// What the digits of lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// Themselves.
    There,
    /// Each is `0`.
    Masked,
}

/// What is known of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fulfils the condition.
    Kept,
    /// It does not.
    Dropped,
    /// Its digits decide. Never of lines that have them.
    Open,
}

/// A condition on lines: one of some texts or patterns is found, or none of them.
#[derive(Clone)]
pub struct LineSearch {
    /// Whether finding one keeps a line.
    wanted: bool,
    look: Look,
    /// For masked lines, where `look` may not find the same: finds all of that, and more.
    masked: Option<Look>,
    needles: Vec<Vec<u8>>,
}

impl<'a> Lines<'a> {
    /// Lines by where they end in `text`; `None` if they do not cover it in order.
    #[must_use]
    pub fn new(text: &'a [u8], ends: &'a [u32]) -> Option<Self> {
        let last = ends.last().map_or(0, |&end| end as usize);
        (last == text.len() && ends.is_sorted()).then_some(Self { text, ends })
    }

    /// Number of lines.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no line.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All lines, one after the other.
    #[must_use]
    pub const fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where a line, which must be there, lies in the text.
    #[must_use]
    pub fn place(&self, line: usize) -> std::ops::Range<usize> {
        let start = line.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        start..self.ends[line] as usize
    }

    /// A line, which must be there.
    #[must_use]
    pub fn line(&self, line: usize) -> &'a [u8] {
        &self.text[self.place(line)]
    }
}

impl LineSearch {
    /// A condition on texts, or patterns in RE2's syntax, of which one is enough.
    ///
    /// # Errors
    /// If a pattern is not valid or too large.
    pub fn new(op: LineMatch, texts: &[String]) -> Result<Self, MatcherError> {
        let parsed = texts.iter().map(|text| match op {
            LineMatch::Contains | LineMatch::NotContains => Ok(Hir::literal(text.as_bytes())),
            LineMatch::Regex | LineMatch::NotRegex => parse(text),
        });
        let alternatives: Vec<Hir> = parsed.collect::<Result<_, _>>()?;
        let hir = match <[Hir; 1]>::try_from(alternatives) {
            Ok([only]) => only,
            Err(several) => Hir::alternation(several),
        };
        let bad = |error: &String| MatcherError::invalid(&texts.join("|"), error);
        let wanted = matches!(op, LineMatch::Contains | LineMatch::Regex);
        let needles = if wanted { literals_of(&hir) } else { Vec::new() };
        let is_short = texts.iter().map(String::len).sum::<usize>() <= TEXTS_PATTERN_BYTES_MAX;
        let look = |hir: &Hir| Look::new(hir, is_short).map_err(|error| bad(&error));
        let (masked, is_exact) = mask_pattern(&hir);
        let masked = if is_exact { None } else { Some(look(&masked)?) };
        let look = look(&hir)?;
        Ok(Self { wanted, look, masked, needles })
    }

    /// The condition that a text is in the line.
    #[must_use]
    pub fn text(text: &[u8]) -> Self {
        let masked = mask_text(text);
        let look = |text: &[u8]| Look::Text(Arc::new(Finder::new(text).into_owned()));
        let needles = if text.is_empty() { Vec::new() } else { vec![text.to_vec()] };
        let is_exact = masked == text && !text.contains(&b'0');
        let masked = (!is_exact).then(|| look(&masked));
        Self { wanted: true, look: look(text), masked, needles }
    }

    /// Byte strings each of which is in every line it keeps.
    #[must_use]
    pub fn needles(&self) -> &[Vec<u8>] {
        &self.needles
    }

    /// Whether it keeps a line that has its digits.
    #[must_use]
    pub fn keeps(&self, line: &[u8]) -> bool {
        self.look.is_in(line) == self.wanted
    }

    /// What is known of a line.
    #[must_use]
    pub fn verdict(&self, line: &[u8], digits: Digits) -> Verdict {
        let look = self.look_for(digits);
        self.verdict_of(look.is_in(line), digits)
    }

    fn look_for(&self, digits: Digits) -> &Look {
        let masked = self.masked.as_ref().filter(|_| digits == Digits::Masked);
        masked.unwrap_or(&self.look)
    }

    fn verdict_of(&self, found: bool, digits: Digits) -> Verdict {
        if found && digits == Digits::Masked && self.masked.is_some() {
            Verdict::Open
        } else if found == self.wanted {
            Verdict::Kept
        } else {
            Verdict::Dropped
        }
    }

    /// Whether masked lines tell enough to be looked at.
    #[must_use]
    pub fn rules_out(&self) -> bool {
        match self.masked.as_ref() {
            Some(Look::Text(finder)) => {
                let others = finder.needle().iter().filter(|byte| !byte.is_ascii_digit());
                others.count() >= UNMASKED_BYTES_MIN
            }
            _ => true,
        }
    }

    /// Bytes of the longest text it must find, for what is looked for first.
    fn rarity(&self) -> (bool, usize) {
        (self.wanted, self.needles.iter().map(Vec::len).max().unwrap_or(0))
    }
}

/// Conditions all of which must be fulfilled.
#[derive(Clone, Debug, Default)]
pub struct LineSearches {
    /// Those first that keep the fewest lines, as a rule.
    all: Vec<LineSearch>,
    /// The most digits one of the needles has.
    digits: Vec<u8>,
}

impl LineSearches {
    /// All of these conditions.
    #[must_use]
    pub fn new(mut all: Vec<LineSearch>) -> Self {
        all.sort_by_key(|search| std::cmp::Reverse(search.rarity()));
        let needles = all.iter().flat_map(LineSearch::needles);
        let digits = |needle: &Vec<u8>| needle.iter().copied().filter(u8::is_ascii_digit).collect();
        let digits = needles.map(digits).max_by_key(Vec::len).unwrap_or_default();
        Self { all, digits }
    }

    /// These and others.
    #[must_use]
    pub fn with(&self, others: impl IntoIterator<Item = LineSearch>) -> Self {
        Self::new(self.all.iter().cloned().chain(others).collect())
    }

    /// Whether there is no condition.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Byte strings each of which is in every line they keep.
    #[must_use]
    pub fn needles(&self) -> Vec<Vec<u8>> {
        self.all.iter().flat_map(|search| search.needles.iter().cloned()).collect()
    }

    /// Digits that follow one another among the digits of every line they keep, whatever else is
    /// between them in the line.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        &self.digits
    }

    /// Whether they keep a line that has its digits.
    #[must_use]
    pub fn keep(&self, line: &[u8]) -> bool {
        self.all.iter().all(|search| search.keeps(line))
    }

    /// Whether masked lines tell enough to be looked at.
    #[must_use]
    pub fn rule_out(&self) -> bool {
        self.all.iter().any(LineSearch::rules_out)
    }

    /// The lines they keep, ascending, or may keep: those of which the digits decide come with
    /// `true`.
    #[must_use]
    pub fn find(&self, lines: Lines<'_>, digits: Digits) -> Vec<(usize, bool)> {
        let Some((first, others)) = self.all.split_first() else {
            return (0..lines.len()).map(|line| (line, false)).collect();
        };
        let found = first.look_for(digits).lines(lines);
        let (on_match, else_) = (first.verdict_of(true, digits), first.verdict_of(false, digits));
        let mut kept = Vec::with_capacity(found.len());
        let mut found = found.into_iter().peekable();
        let mut add = |line: usize, verdict: Verdict| {
            let mut open = verdict == Verdict::Open;
            for other in others {
                match other.verdict(lines.line(line), digits) {
                    Verdict::Kept => {}
                    Verdict::Open => open = true,
                    Verdict::Dropped => return,
                }
            }
            kept.push((line, open));
        };
        if else_ == Verdict::Dropped {
            found.for_each(|line| add(line, on_match));
            return kept;
        }
        for line in 0..lines.len() {
            let verdict = if found.next_if_eq(&line).is_some() { on_match } else { else_ };
            if verdict != Verdict::Dropped {
                add(line, verdict);
            }
        }
        kept
    }
}

fn parse(pattern: &str) -> Result<Hir, MatcherError> {
    regex_syntax::ParserBuilder::new()
        .utf8(false)
        .nest_limit(NEST_MAX)
        .build()
        .parse(&translate(pattern))
        .map_err(|error| MatcherError::invalid(pattern, &error.to_string()))
}

impl fmt::Debug for LineSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineSearch")
            .field("wanted", &self.wanted)
            .field("needles", &self.needles)
            .finish_non_exhaustive()
    }
}
