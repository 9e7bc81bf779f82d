//! Texts that everything a regular expression matches must hold.

use regex_syntax::hir::{Hir, HirKind};

/// Byte strings each of which is in every text that `pattern` is found in, empty ones left out;
/// nothing if there are none, or the pattern is not valid. Its syntax is that of the crate `regex`:
/// RE2's has to be [translated](crate::re2::translate).
#[must_use]
pub fn required_literals(pattern: &str) -> Vec<Vec<u8>> {
    let parsed =
        regex_syntax::ParserBuilder::new().utf8(false).nest_limit(250).build().parse(pattern);
    let mut found = Vec::new();
    if let Ok(hir) = parsed {
        collect(&hir, &mut found);
    }
    found
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
