//! Texts and patterns for lines that have `0` for every digit.

use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind,
    Repetition,
};

/// `text` with `0` for every ASCII digit.
#[must_use]
pub fn mask_text(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte }).collect()
}

/// A pattern that is found in a masked text wherever `hir` is found in the text, and whether that is
/// the same pattern, found nowhere else: because it takes either all digits or none at each place.
#[must_use]
pub fn mask_pattern(hir: &Hir) -> (Hir, bool) {
    let mut is_exact = true;
    let masked = mask(hir, &mut is_exact);
    (if is_exact { hir.clone() } else { masked }, is_exact)
}

/// The depth of the tree is bounded by the parser.
fn mask(hir: &Hir, is_exact: &mut bool) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => hir.clone(),
        HirKind::Literal(literal) => {
            *is_exact &= !literal.0.iter().any(u8::is_ascii_digit);
            Hir::literal(mask_text(&literal.0))
        }
        HirKind::Class(Class::Unicode(class)) => {
            let (masked, exact) = unicode_class(class);
            *is_exact &= exact;
            Hir::class(Class::Unicode(masked))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let (masked, exact) = byte_class(class);
            *is_exact &= exact;
            Hir::class(Class::Bytes(masked))
        }
        HirKind::Repetition(repetition) => {
            let sub = Box::new(mask(&repetition.sub, is_exact));
            Hir::repetition(Repetition { sub, ..repetition.clone() })
        }
        HirKind::Capture(capture) => {
            let sub = Box::new(mask(&capture.sub, is_exact));
            Hir::capture(Capture { sub, ..capture.clone() })
        }
        HirKind::Concat(parts) => {
            Hir::concat(parts.iter().map(|part| mask(part, is_exact)).collect())
        }
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(|part| mask(part, is_exact)).collect())
        }
    }
}

/// The class with `0` if it has a digit, and whether it has all digits or none.
fn unicode_class(class: &ClassUnicode) -> (ClassUnicode, bool) {
    let all = ClassUnicode::new([ClassUnicodeRange::new('0', '9')]);
    let mut digits = class.clone();
    digits.intersect(&all);
    if digits.ranges().is_empty() || digits == all {
        return (class.clone(), true);
    }
    let mut masked = class.clone();
    masked.push(ClassUnicodeRange::new('0', '0'));
    (masked, false)
}

fn byte_class(class: &ClassBytes) -> (ClassBytes, bool) {
    let all = ClassBytes::new([ClassBytesRange::new(b'0', b'9')]);
    let mut digits = class.clone();
    digits.intersect(&all);
    if digits.ranges().is_empty() || digits == all {
        return (class.clone(), true);
    }
    let mut masked = class.clone();
    masked.push(ClassBytesRange::new(b'0', b'0'));
    (masked, false)
}
