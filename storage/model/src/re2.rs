//! Patterns in Prometheus' syntax, RE2, written for the `regex` crate.
//!
//! Where the two differ a pattern keeps the meaning it has in RE2: `\d`, `\w`, `\s` and `\b` know
//! ASCII only, `{` without a count is a brace, `\Q…\E` quotes, `\101` is octal, `\<` is `<`, and
//! `[`, `&`, `~` inside a class are themselves. What RE2 refuses and the crate takes stays taken.

use std::fmt::Write;

/// `pattern` in the syntax of the `regex` crate.
#[must_use]
pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        rest = match c {
            '\\' => escape(behind, Place::Outside, &mut out),
            '[' => class(behind, &mut out),
            '{' if !is_count(behind) => {
                out.push_str("\\{");
                behind
            }
            _ => {
                out.push(c);
                behind
            }
        };
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    InClass,
}

/// Whether `text`, which stands behind `{`, is `n}`, `n,}` or `n,m}`.
fn is_count(text: &str) -> bool {
    let Some((inside, _)) = text.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// What stands behind a backslash; gives the rest.
fn escape<'a>(text: &'a str, place: Place, out: &mut String) -> &'a str {
    let Some(c) = text.chars().next() else {
        out.push('\\');
        return text;
    };
    let rest = &text[c.len_utf8()..];
    let set = |inside: &str| match place {
        Place::Outside => format!("[{inside}]"),
        Place::InClass => inside.to_owned(),
    };
    match c {
        'd' => out.push_str(&set("0-9")),
        's' => out.push_str(&set("\\t\\n\\x0c\\r\\x20")),
        'w' => out.push_str(&set("0-9A-Za-z_")),
        'D' => out.push_str("[^0-9]"),
        'S' => out.push_str("[^\\t\\n\\x0c\\r\\x20]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'b' if place == Place::Outside => out.push_str("(?-u:\\b)"),
        'Q' if place == Place::Outside => {
            let (quoted, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex_syntax::escape(quoted));
            return rest;
        }
        '<' | '>' => out.push(c),
        '0'..='7' => return octal(text, out),
        // `\p{Greek}`, `\x{10ffff}`: the braces belong to the escape.
        'p' | 'P' | 'x' if rest.starts_with('{') => {
            let length = rest.find('}').map_or(rest.len(), |at| at + 1);
            out.push('\\');
            out.push(c);
            out.push_str(&rest[..length]);
            return &rest[length..];
        }
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    rest
}

/// `\0`, `\12`, `\123`; a single digit other than 0 would be a reference back, which neither knows.
fn octal<'a>(text: &'a str, out: &mut String) -> &'a str {
    let length = text.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
    let (digits, rest) = text.split_at(length);
    match u32::from_str_radix(digits, 8) {
        Ok(value) if length > 1 || digits == "0" => {
            let written = write!(out, "\\x{{{value:x}}}");
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
        _ => {
            out.push('\\');
            out.push_str(digits);
        }
    }
    rest
}

/// A class, whose bracket was read; gives what stands behind it.
fn class<'a>(text: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix('^') {
        out.push('^');
        rest = behind;
    }
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        rest = match c {
            ']' if !first => {
                out.push(']');
                return behind;
            }
            '\\' => escape(behind, Place::InClass, out),
            '[' => match named_class(behind) {
                Some((name, behind)) => {
                    out.push('[');
                    out.push_str(name);
                    behind
                }
                None => {
                    out.push_str("\\[");
                    behind
                }
            },
            ']' | '&' | '~' => {
                out.push('\\');
                out.push(c);
                behind
            }
            _ => {
                out.push(c);
                behind
            }
        };
        first = false;
    }
    rest
}

/// `:alpha:]` and its kind, at the start of `text`; and the rest.
fn named_class(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix(':')?;
    // The colon that opens a class does not close it.
    let length = inner.find(":]")?;
    let name = inner[..length].trim_start_matches('^');
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    is_name.then(|| text.split_at(length + 3))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn patterns_keep_their_meaning() {
        for (pattern, hits, misses) in [
            (r"\d+", &["12"][..], &["٣", "a"][..]),
            (r"\w+", &["a_1"], &["é"]),
            (r"a\sb", &["a b", "a\tb"], &["a\u{a0}b", "a\u{b}b"]),
            (r"[\d.]+", &["1.5"], &["٣"]),
            (r"[^\D5]", &["4"], &["5", "a"]),
            (r"[\w-]+", &["a-b"], &["a b"]),
            (r"a{2}", &["aa"], &["a", "a{2}"]),
            (r"a{2,}b{1,2}", &["aaab", "aabb"], &["ab"]),
            (r"a{x}", &["a{x}"], &["ax"]),
            (r"a{,2}", &["a{,2}"], &["aa"]),
            (r"{", &["{"], &[]),
            (r"\Qa.b\E+", &["a.b"], &["axb"]),
            (r"\Qa.b", &["a.b"], &["axb"]),
            (r"\101\x41\0", &["AA\0"], &[]),
            (r"\<a\>", &["<a>"], &["a"]),
            (r"[[:alpha:]&&[^]", &["a", "&", "[", "^"], &["1", "]"]),
            (r"[[:^digit:]]", &["a"], &["1"]),
            (r"[[:]", &["[", ":"], &["]"]),
            (r"[[:^]", &["[", ":", "^"], &["]"]),
            (r"[]a]", &["]", "a"], &["b"]),
            (r"[^]a]", &["b"], &["]", "a"]),
            (r"[a~~b]", &["~"], &["c"]),
            (r"[[]", &["["], &["]"]),
            (r"\ba\b", &["a"], &["aa"]),
            (r"\pL\p{Greek}", &["eα"], &["1α"]),
            (r"\x{41}[\x{42}]", &["AB"], &[]),
            (r"(?i)abc", &["aBc"], &["ab"]),
        ] {
            let translated = translate(pattern);
            let regex = Regex::new(&format!("^(?s:{translated})$"));
            let regex = regex.unwrap_or_else(|error| panic!("{pattern}: {translated}: {error}"));
            for hit in hits {
                assert!(regex.is_match(hit), "{pattern} as {translated}: {hit}");
            }
            for miss in misses {
                assert!(!regex.is_match(miss), "{pattern} as {translated}: {miss}");
            }
        }
    }

    #[test]
    fn what_is_wrong_stays_wrong() {
        for pattern in ["a(", "a)", "[a", "*", r"\", r"\1", "a{2,1}", r"[\", r"(?P<n>"] {
            assert!(Regex::new(&translate(pattern)).is_err(), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn plain_text_stays_as_it_is(text in "[a-zA-Z0-9_:/ .*+?|()^$-]*") {
            proptest::prop_assert_eq!(translate(&text), text);
        }

        #[test]
        fn quoted_text_matches_itself(text in "\\PC*") {
            let pattern = translate(&regex_syntax::escape(&text));
            let regex = Regex::new(&format!("^(?s:{pattern})$"));
            proptest::prop_assert!(regex.is_ok_and(|regex| regex.is_match(&text)));
        }

        #[test]
        fn nothing_panics(text in "[\\\\\\[\\]{}Qd:^&,0-9a-]*") {
            let _ = translate(&text);
        }
    }
}
