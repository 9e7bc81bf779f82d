//! How texts and patterns are looked for, in a line and in many lines at once.

use std::sync::Arc;

use memchr::memmem::Finder;
use regex_automata::util::pool::Pool;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{Input, MatchKind, Span, meta};
use regex_syntax::hir::{Hir, HirKind};

use super::{COMPILED_BYTES_MAX, Lines};
use crate::literals::any_literals;

/// How something is looked for.
#[derive(Clone)]
pub(super) enum Look {
    Text(Arc<Finder<'static>>),
    Pattern(Arc<Pattern>),
}

pub(super) struct Pattern {
    regex: meta::Regex,
    caches: Pool<meta::Cache, Box<dyn Fn() -> meta::Cache + Send + Sync>>,
    /// Finds texts one of which is in every match, and whether they begin it.
    texts: Option<(Prefilter, bool)>,
}

impl Look {
    /// Looks for a pattern; for a short one first for texts that must be there.
    pub(super) fn new(hir: &Hir, is_short: bool) -> Result<Self, String> {
        if let HirKind::Literal(literal) = hir.kind() {
            return Ok(Self::Text(Arc::new(Finder::new(&literal.0).into_owned())));
        }
        let config = meta::Config::new()
            .utf8_empty(false)
            .which_captures(regex_automata::nfa::thompson::WhichCaptures::Implicit)
            .nfa_size_limit(Some(COMPILED_BYTES_MAX));
        let regex = meta::Builder::new().configure(config).build_from_hir(hir);
        let regex = regex.map_err(|error| {
            let size = error.size_limit();
            let size = size.map(|max| format!("compiled regex exceeds size limit of {max} bytes"));
            size.unwrap_or_else(|| error.to_string())
        })?;
        let caches: Box<dyn Fn() -> meta::Cache + Send + Sync> = {
            let regex = regex.clone();
            Box::new(move || regex.create_cache())
        };
        let texts = if is_short { any_literals(hir) } else { None };
        let texts = texts
            // The first place is what is wanted, whichever text begins there.
            .and_then(|found| {
                Some((Prefilter::new(MatchKind::LeftmostFirst, &found.texts)?, found.begin))
            });
        Ok(Self::Pattern(Arc::new(Pattern { regex, caches: Pool::new(caches), texts })))
    }

    pub(super) fn is_in(&self, line: &[u8]) -> bool {
        match self {
            Self::Text(finder) => finder.find(line).is_some(),
            Self::Pattern(pattern) => pattern.is_in(line, 0, &mut pattern.caches.get()),
        }
    }

    /// The lines it is found in, ascending.
    pub(super) fn lines(&self, lines: Lines<'_>) -> Vec<usize> {
        match self {
            Self::Text(finder) => {
                let length = finder.needle().len();
                let next = |from: usize| Some(from + finder.find(lines.text.get(from..)?)?);
                let all = length == 0;
                // Where one lies across the end of a line, no other is in what is left of it.
                let is_in = |line: &[u8], at: usize| line.len() - at >= length;
                if all { (0..lines.len()).collect() } else { lines_with(lines, next, is_in) }
            }
            Self::Pattern(pattern) => pattern.lines(lines),
        }
    }
}

impl Pattern {
    /// Whether it is found in a line, where nothing begins before `from`.
    fn is_in(&self, line: &[u8], from: usize, cache: &mut meta::Cache) -> bool {
        let input = Input::new(line).range(from..).earliest(true);
        self.regex.search_half_with(cache, &input).is_some()
    }

    fn lines(&self, lines: Lines<'_>) -> Vec<usize> {
        let mut cache = self.caches.get();
        let mut is_in = |line: &[u8], from: usize| self.is_in(line, from, &mut cache);
        let Some((texts, begin)) = &self.texts else {
            return (0..lines.len()).filter(|&line| is_in(lines.line(line), 0)).collect();
        };
        let next = |from: usize| {
            let span = Span { start: from, end: lines.text.len() };
            (from <= span.end).then(|| texts.find(lines.text, span))?.map(|found| found.start)
        };
        lines_with(lines, next, |line, at| is_in(line, if *begin { at } else { 0 }))
    }
}

/// The lines `is_in` is true of, of those in which a text begins; `next` finds the first such place
/// from a position on, and `is_in` is told where in the line it is. The text found may lie across
/// the end of the line, and hide another one that does not, so `is_in` decides by the line alone.
fn lines_with(
    lines: Lines<'_>,
    next: impl Fn(usize) -> Option<usize>,
    mut is_in: impl FnMut(&[u8], usize) -> bool,
) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut from, mut line) = (0, 0);
    while let Some(start) = next(from) {
        while lines.ends.get(line).is_some_and(|&end| end as usize <= start) {
            line += 1;
        }
        let Some(&line_end) = lines.ends.get(line) else { break };
        if is_in(lines.line(line), start - lines.place(line).start) {
            found.push(line);
        }
        from = line_end as usize;
    }
    found
}
