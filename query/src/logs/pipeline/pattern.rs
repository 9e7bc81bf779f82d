//! Patterns: literals with `<captures>` between them.

use memchr::memmem;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    /// `<name>`, or `<_>` without a name.
    Capture(Option<String>),
}

/// Reads `<name>` and what stands between.
fn parts(pattern: &str) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        if let Some((name, behind)) = capture(rest) {
            if let Some(Part::Capture(before)) = parts.last() {
                let before = before.as_deref().unwrap_or("_");
                return Err(format!("found consecutive capture '<{before}>': '<{name}>'"));
            }
            parts.push(Part::Capture((name != "_").then(|| name.to_owned())));
            rest = behind;
            continue;
        }
        let length = rest.chars().next().map_or(0, char::len_utf8);
        let (text, behind) = rest.split_at(length);
        match parts.last_mut() {
            Some(Part::Literal(literal)) => literal.extend_from_slice(text.as_bytes()),
            _ => parts.push(Part::Literal(text.as_bytes().to_vec())),
        }
        rest = behind;
    }
    Ok(parts)
}

/// The name of the capture at the start of `text`, and what stands behind it.
fn capture(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.strip_prefix('<')?.split_once('>')?;
    let starts = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    let is_name = starts && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
    is_name.then_some((name, behind))
}

/// A pattern that takes a line apart.
#[derive(Clone, Debug)]
pub(super) struct CapturePattern {
    parts: Vec<Part>,
}

impl CapturePattern {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let parts = parts(pattern)?;
        let names: Vec<&String> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Capture(name) => name.as_ref(),
                Part::Literal(_) => None,
            })
            .collect();
        if names.is_empty() {
            return Err("at least one capture is required".to_owned());
        }
        let repeated = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
        if let Some((_, name)) = repeated {
            return Err(format!("duplicate capture name ({name})"));
        }
        Ok(Self { parts })
    }

    /// Hands out names and what they capture, as far as the line fits.
    pub(super) fn captures(&self, line: &[u8], mut visit: impl FnMut(&str, &[u8])) {
        let mut rest = line;
        let mut parts = self.parts.as_slice();
        if let Some((Part::Literal(literal), behind)) = parts.split_first() {
            let Some(stripped) = rest.strip_prefix(literal.as_slice()) else { return };
            (rest, parts) = (stripped, behind);
        }
        if line.is_empty() {
            return;
        }
        while let Some((Part::Capture(name), behind)) = parts.split_first() {
            let literal = match behind.first() {
                Some(Part::Literal(literal)) => memmem::find(rest, literal).map(|at| (at, literal)),
                _ => None,
            };
            let (value, next) = match literal {
                Some((at, literal)) => (&rest[..at], Some(&rest[at + literal.len()..])),
                // What is missing ends the line: the capture is all that is left.
                None => (rest, None),
            };
            if let Some(name) = name {
                visit(name, value);
            }
            let Some(next) = next else { return };
            rest = next;
            parts = &behind[1..];
        }
    }
}

/// A pattern a line fits or does not.
#[derive(Clone, Debug)]
pub(super) struct LinePattern {
    parts: Vec<Part>,
}

impl LinePattern {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let parts = parts(pattern)?;
        let named = parts.iter().find_map(|part| match part {
            Part::Capture(Some(name)) => Some(name),
            _ => None,
        });
        match named {
            Some(name) => Err(format!("named captures are not allowed: <{name}>")),
            None => Ok(Self { parts }),
        }
    }

    /// The first literal may start anywhere in the line, the last part ends it.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        if line.is_empty() || self.parts.is_empty() {
            return line.is_empty() && self.parts.is_empty();
        }
        let mut rest = line;
        for (i, part) in self.parts.iter().enumerate() {
            let Part::Literal(literal) = part else { continue };
            match memmem::find(rest, literal) {
                // A capture may not be empty.
                Some(0) if i > 0 => return false,
                Some(at) => rest = &rest[at + literal.len()..],
                None => return false,
            }
        }
        let ends_with_literal = matches!(self.parts.last(), Some(Part::Literal(_)));
        rest.is_empty() == ends_with_literal
    }

    /// Texts every line that fits holds.
    pub(super) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(literal) => Some(literal.as_slice()),
            Part::Capture(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, line: &str) -> Vec<String> {
        let mut found = Vec::new();
        let pattern = CapturePattern::new(pattern).expect("the pattern is valid");
        pattern.captures(line.as_bytes(), |name, value| {
            found.push(format!("{name}={}", String::from_utf8_lossy(value)));
        });
        found
    }

    #[test]
    fn captures_lie_between_literals() {
        assert_eq!(captured("<a> - <b>", "x - y"), ["a=x", "b=y"]);
        assert_eq!(captured("<a> <_> <c>", "1 2 3"), ["a=1", "c=3"]);
        assert_eq!(captured("<a> <b>", "one"), ["a=one"]);
        assert_eq!(captured("[<a>] <b>", "x"), Vec::<String>::new());
        assert_eq!(captured("[<a>]", "[x] y"), ["a=x"]);
    }

    #[test]
    fn patterns_end_where_the_line_ends() {
        let matches = |pattern: &str, line: &str| {
            LinePattern::new(pattern).expect("valid").matches(line.as_bytes())
        };
        assert!(matches("b <_> d", "a b c d"));
        assert!(!matches("b <_> d", "a b c d e"));
        assert!(!matches("<_> bar <_>", " bar "));
        assert!(matches("<_>bar<_>", " bar "));
        assert!(matches("", "") && !matches("", "x"));
    }
}
