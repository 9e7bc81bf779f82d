//! Texts that everything a regular expression matches must hold.

use regex_syntax::hir::literal::{Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// More texts than these are not looked for at once.
const ANY_LITERALS_MAX: usize = 64;
/// Of longer texts the beginning is enough.
const LITERAL_BYTES_MAX: usize = 8;

/// Byte strings each of which is in every text that `pattern` is found in, empty ones left out;
/// nothing if there are none, or the pattern is not valid. Its syntax is that of the crate `regex`:
/// RE2's has to be [translated](crate::re2::translate).
#[must_use]
pub fn required_literals(pattern: &str) -> Vec<Vec<u8>> {
    let parsed =
        regex_syntax::ParserBuilder::new().utf8(false).nest_limit(250).build().parse(pattern);
    parsed.map(|hir| literals_of(&hir)).unwrap_or_default()
}

/// Byte strings each of which is in every text that a pattern is found in.
pub(crate) fn literals_of(hir: &Hir) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    collect(hir, &mut found);
    found
}

/// Byte strings one of which is in everything a pattern finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnyLiterals {
    pub(crate) texts: Vec<Vec<u8>>,
    /// Whether it is the beginning of it.
    pub(crate) begin: bool,
}

/// Byte strings one of which is in everything a pattern finds; `None` if there are none, too many,
/// or any so short that it is everywhere.
pub(crate) fn any_literals(hir: &Hir) -> Option<AnyLiterals> {
    match hir.kind() {
        HirKind::Capture(capture) => any_literals(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => any_literals(&repetition.sub),
        HirKind::Alternation(parts) => {
            let parts: Vec<AnyLiterals> = parts.iter().map(any_literals).collect::<Option<_>>()?;
            let begin = parts.iter().all(|part| part.begin);
            let texts: Vec<Vec<u8>> = parts.into_iter().flat_map(|part| part.texts).collect();
            (texts.len() <= ANY_LITERALS_MAX).then_some(AnyLiterals { texts, begin })
        }
        HirKind::Concat(parts) => {
            // Texts begin at any of the parts, or lie inside of one.
            let from = |at: usize| {
                let found = prefixes(&Hir::concat(parts[at..].to_vec()))?;
                Some(AnyLiterals { begin: at == 0, ..found })
            };
            let within = |(at, part): (usize, &Hir)| {
                let found = any_literals(part)?;
                Some(AnyLiterals { begin: found.begin && at == 0, ..found })
            };
            let starts = (0..parts.len().min(ANY_LITERALS_MAX)).filter_map(from);
            let all = starts.chain(parts.iter().enumerate().filter_map(within));
            all.max_by_key(|found| (worth(&found.texts), found.begin))
        }
        _ => prefixes(hir),
    }
}

/// Texts one of which begins every match.
fn prefixes(hir: &Hir) -> Option<AnyLiterals> {
    let mut extractor = Extractor::new();
    extractor.limit_total(ANY_LITERALS_MAX).limit_literal_len(LITERAL_BYTES_MAX);
    let mut found: Seq = extractor.extract(hir);
    found.keep_first_bytes(LITERAL_BYTES_MAX);
    found.sort();
    found.dedup();
    let texts: Vec<Vec<u8>> =
        found.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect();
    let is_good = !texts.is_empty() && texts.iter().all(|text| text.len() >= 2);
    is_good.then_some(AnyLiterals { texts, begin: true })
}

/// How much sooner lines are ruled out by texts than by others: by the shortest, then by their
/// number.
fn worth(texts: &[Vec<u8>]) -> (usize, std::cmp::Reverse<usize>) {
    let shortest = texts.iter().map(Vec::len).min().unwrap_or(0);
    (shortest.min(4), std::cmp::Reverse(texts.len()))
}

/// The depth of the tree is bounded by the parser.
fn collect(hir: &Hir, found: &mut Vec<Vec<u8>>) {
    match hir.kind() {
        HirKind::Literal(literal) if !literal.0.is_empty() => found.push(literal.0.to_vec()),
        HirKind::Capture(capture) => collect(&capture.sub, found),
        HirKind::Repetition(repetition) if repetition.min > 0 => collect(&repetition.sub, found),
        HirKind::Concat(parts) => parts.iter().for_each(|part| collect(part, found)),
        HirKind::Literal(_)
        | HirKind::Repetition(_)
        | HirKind::Alternation(_)
        | HirKind::Empty
        | HirKind::Look(_)
        | HirKind::Class(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_some_texts_must_be_there() {
        let any = |pattern: &str| -> Option<(Vec<String>, bool)> {
            let hir = regex_syntax::parse(pattern).expect("it is valid");
            let found = any_literals(&hir)?;
            let texts = found.texts.iter().map(|text| String::from_utf8_lossy(text).into_owned());
            Some((texts.collect(), found.begin))
        };
        let found = |texts: &[&str], begin: bool| {
            Some((texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), begin))
        };
        assert_eq!(any("abcd|ef+"), found(&["abcd", "ef"], true));
        assert_eq!(any(".*(wxyz)"), found(&["wxyz"], false));
        assert_eq!(any("(?:ab|cd)[0-9]*longer"), found(&["longer"], false));
        assert_eq!(any("(?i)k.|zz"), None);
        assert_eq!(any("[a-z]+"), None);
        assert_eq!(any("(?:abc)*"), None);
        assert_eq!(any("(?i)ab"), found(&["AB", "Ab", "aB", "ab"], true));
    }

    #[test]
    fn only_what_must_be_there_is_named() {
        let literals = |pattern: &str| -> Vec<String> {
            let found = required_literals(&crate::re2::translate(pattern)).into_iter();
            found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
        };
        assert_eq!(literals("abc.*def"), ["abc", "def"]);
        assert_eq!(literals("(abc)+x?(de|fg)hij$"), ["abc", "hij"]);
        assert_eq!(literals("(?i)abc"), Vec::<String>::new());
        assert_eq!(literals("abc|abd"), Vec::<String>::new());
        assert_eq!(literals("(abc){0,3}"), Vec::<String>::new());
        assert_eq!(literals(r"\Qa.b\E\d"), ["a.b"]);
        assert_eq!(literals("(unclosed"), Vec::<String>::new());
    }
}
