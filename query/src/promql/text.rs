//! Quoted text as PromQL knows it: reading string literals and writing them, both by Go's rules.
//!
//! A literal may spell bytes that are not UTF-8 (`"\xff"`). Such a byte is kept as a character of
//! a private-use plane, U+10FF00 + byte, so that texts stay `str` and [`quote`] gives
//! the byte back. [`has_stray_bytes`] tells whether a text holds one.

use std::fmt::Write;

/// Start of the 256 characters that stand for bytes outside UTF-8.
const STRAY_BYTE_BASE: u32 = 0x10_ff00;

/// Why a quoted text cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidQuoting;

/// Whether `text` stands for bytes that are not UTF-8, which no label may hold.
#[must_use]
pub fn has_stray_bytes(text: &str) -> bool {
    text.chars().any(|c| stray_byte(c).is_some())
}

fn stray_byte(c: char) -> Option<u8> {
    u32::from(c).checked_sub(STRAY_BYTE_BASE).and_then(|b| u8::try_from(b).ok())
}

/// `text` in double quotes, escaped as Go's `%q` does.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if c == '"' {
            out.push_str("\\\"");
        } else {
            push_escaped(&mut out, c);
        }
    }
    out.push('"');
    out
}

/// `c` in single quotes, escaped as Go's `%q` does for a character.
#[must_use]
pub fn quote_char(c: char) -> String {
    let mut out = String::from("'");
    if c == '\'' {
        out.push_str("\\'");
    } else {
        push_escaped(&mut out, c);
    }
    out.push('\'');
    out
}

fn push_escaped(out: &mut String, c: char) {
    let written = match c {
        '\\' => out.write_str("\\\\"),
        '\x07' => out.write_str("\\a"),
        '\x08' => out.write_str("\\b"),
        '\x0c' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\x0b' => out.write_str("\\v"),
        ' '..='~' => out.write_char(c),
        '\0'..='\x7f' => write!(out, "\\x{:02x}", u32::from(c)),
        _ => match stray_byte(c) {
            Some(byte) => write!(out, "\\x{byte:02x}"),
            None if is_printable(c) => out.write_char(c),
            None if u32::from(c) <= 0xffff => write!(out, "\\u{:04x}", u32::from(c)),
            None => write!(out, "\\U{:08x}", u32::from(c)),
        },
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// Letters, marks, numbers, punctuation and symbols; no control, format, space or unassigned
/// characters.
#[must_use]
pub fn is_printable(c: char) -> bool {
    // Behind a letter, `escape_debug` leaves combining marks alone, as Go does.
    let mut behind_letter = String::from("a");
    behind_letter.push(c);
    !behind_letter.escape_debug().any(|e| e == '{') || c == '{'
}

/// Reads a literal with its quotes: `"…"`, `'…'` or `` `…` ``.
///
/// # Errors
/// If the quotes do not fit or an escape is unknown.
pub fn unquote(literal: &str) -> Result<String, InvalidQuoting> {
    let quote = literal.chars().next().ok_or(InvalidQuoting)?;
    let inner = literal
        .strip_prefix(quote)
        .and_then(|rest| rest.strip_suffix(quote))
        .ok_or(InvalidQuoting)?;
    match quote {
        '`' if inner.contains('`') => Err(InvalidQuoting),
        '`' => Ok(inner.to_owned()),
        '"' | '\'' => unescape(inner, quote),
        _ => Err(InvalidQuoting),
    }
}

fn unescape(inner: &str, quote: char) -> Result<String, InvalidQuoting> {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            unescape_one(&mut chars, quote, &mut bytes)?;
        } else if c == quote || c == '\n' {
            return Err(InvalidQuoting);
        } else {
            push_char(&mut bytes, c);
        }
    }
    Ok(decode(&bytes))
}

fn unescape_one(
    chars: &mut std::str::Chars<'_>,
    quote: char,
    bytes: &mut Vec<u8>,
) -> Result<(), InvalidQuoting> {
    match chars.next().ok_or(InvalidQuoting)? {
        'a' => bytes.push(0x07),
        'b' => bytes.push(0x08),
        'f' => bytes.push(0x0c),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(0x0b),
        '\\' => bytes.push(b'\\'),
        c if c == quote => push_char(bytes, c),
        c @ '0'..='7' => {
            let first = c.to_digit(8).ok_or(InvalidQuoting)?;
            let value = digits(chars, 2, 8, first)?;
            bytes.push(u8::try_from(value).map_err(|_| InvalidQuoting)?);
        }
        'x' => {
            let value = digits(chars, 2, 16, 0)?;
            bytes.push(u8::try_from(value).map_err(|_| InvalidQuoting)?);
        }
        'u' => push_code_point(bytes, digits(chars, 4, 16, 0)?)?,
        'U' => push_code_point(bytes, digits(chars, 8, 16, 0)?)?,
        _ => return Err(InvalidQuoting),
    }
    Ok(())
}

fn push_code_point(bytes: &mut Vec<u8>, value: u32) -> Result<(), InvalidQuoting> {
    push_char(bytes, char::from_u32(value).ok_or(InvalidQuoting)?);
    Ok(())
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn digits(
    chars: &mut std::str::Chars<'_>,
    count: usize,
    base: u32,
    start: u32,
) -> Result<u32, InvalidQuoting> {
    (0..count).try_fold(start, |value, _| {
        let digit = chars.next().and_then(|c| c.to_digit(base)).ok_or(InvalidQuoting)?;
        value.checked_mul(base).and_then(|v| v.checked_add(digit)).ok_or(InvalidQuoting)
    })
}

/// UTF-8 as it is, every other byte as its stand-in.
fn decode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        let stand_ins = chunk.invalid().iter();
        out.extend(stand_ins.filter_map(|b| char::from_u32(STRAY_BYTE_BASE + u32::from(*b))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        assert_eq!(unquote(r#""a\n\"\x41\101\u00e9\U0001F600\\""#).unwrap(), "a\n\"AAé😀\\");
        assert_eq!(unquote(r"'it\'s'").unwrap(), "it's");
        assert_eq!(unquote(r"`a\n`").unwrap(), r"a\n");
        assert_eq!(unquote(r#""\xc3\xa9""#).unwrap(), "é");
        for bad in [r#""\q""#, r#""\x4""#, r#""\400""#, r#""\ud800""#, r#"""#, r#""a"b""#, ""] {
            assert_eq!(unquote(bad), Err(InvalidQuoting), "{bad}");
        }
    }

    #[test]
    fn bytes_outside_utf8_survive() {
        let text = unquote(r#""a\xc5z""#).unwrap();
        assert!(has_stray_bytes(&text));
        assert_eq!(quote(&text), r#""a\xc5z""#);
        assert!(!has_stray_bytes("aÅz"));
    }

    #[test]
    fn quoting_is_go_s() {
        assert_eq!(quote("a\"\\\n\x01\x7f'é\u{200b}"), r#""a\"\\\n\x01\x7f'é\u200b""#);
        assert_eq!(quote_char('\''), r"'\''");
        assert_eq!(quote("{e\u{301}}"), "\"{e\u{301}}\"");
    }
}
