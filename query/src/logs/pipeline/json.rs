//! A reader of JSON that looks only at what it is asked for, and does not mind what is wrong
//! elsewhere: log lines are often cut.

use super::names::text_of;

/// What a value is, and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// What stands between the quotes, escapes and all.
    Text(&'a [u8]),
    /// Number or boolean as written.
    Plain(&'a [u8]),
    Null,
    /// With its braces.
    Object(&'a [u8]),
    /// With its brackets.
    Array(&'a [u8]),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    Stop,
}

const NO_OBJECT: &str = "Value looks like object, but can't find closing '}' symbol";
const NO_ARRAY: &str = "Value looks like array, but can't find closing ']' symbol";
const NO_STRING: &str = "Value looks like string, but can't find closing '\"' symbol";
const MALFORMED: &str = "Malformed JSON error";
const UNKNOWN: &str = "Unknown value type";

/// Hands out keys and values of the object `text` starts with. What follows it is not looked at.
pub(super) fn each_field<'a>(
    text: &'a [u8],
    visit: &mut dyn FnMut(&'a [u8], Value<'a>) -> Result<Next, &'static str>,
) -> Result<(), &'static str> {
    let mut rest = blank(text).strip_prefix(b"{").ok_or(NO_OBJECT)?;
    rest = blank(rest);
    if rest.first() == Some(&b'}') {
        return Ok(());
    }
    loop {
        let quoted = blank(rest).strip_prefix(b"\"").ok_or(if rest.is_empty() {
            NO_OBJECT
        } else {
            MALFORMED
        })?;
        let length = text_length(quoted).ok_or(NO_STRING)?;
        let key = &quoted[..length];
        rest = blank(&quoted[length + 1..]).strip_prefix(b":").ok_or(MALFORMED)?;
        let (value, behind) = value(rest)?;
        if visit(key, value)? == Next::Stop {
            return Ok(());
        }
        rest = blank(behind);
        match rest.first() {
            Some(b'}') => return Ok(()),
            Some(b',') => rest = blank(&rest[1..]),
            Some(_) => return Err(MALFORMED),
            None => return Err(NO_OBJECT),
        }
    }
}

/// The element of an array at `index`.
pub(super) fn element(text: &[u8], index: usize) -> Option<Value<'_>> {
    let mut rest = blank(text).strip_prefix(b"[")?;
    for i in 0.. {
        if blank(rest).first() == Some(&b']') {
            return None;
        }
        let (value, behind) = value(rest).ok()?;
        if i == index {
            return Some(value);
        }
        rest = blank(behind).strip_prefix(b",")?;
    }
    None
}

/// The first value of `text`, and what stands behind it.
pub(super) fn value(text: &[u8]) -> Result<(Value<'_>, &[u8]), &'static str> {
    let text = blank(text);
    match text.first() {
        Some(b'"') => {
            let length = text_length(&text[1..]).ok_or(NO_STRING)?;
            Ok((Value::Text(&text[1..=length]), &text[length + 2..]))
        }
        Some(b'{') => {
            let length = block_length(text, b'{', b'}').ok_or(NO_OBJECT)?;
            Ok((Value::Object(&text[..length]), &text[length..]))
        }
        Some(b'[') => {
            let length = block_length(text, b'[', b']').ok_or(NO_ARRAY)?;
            Ok((Value::Array(&text[..length]), &text[length..]))
        }
        _ => {
            let ends = |b: &u8| b.is_ascii_whitespace() || b",}]".contains(b);
            let length = text.iter().position(ends).ok_or(MALFORMED)?;
            let (plain, rest) = text.split_at(length);
            match plain {
                b"null" => Ok((Value::Null, rest)),
                b"true" | b"false" => Ok((Value::Plain(plain), rest)),
                [b'0'..=b'9' | b'-', ..] => Ok((Value::Plain(plain), rest)),
                _ => Err(UNKNOWN),
            }
        }
    }
}

fn blank(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// Length of the text up to the quote that ends it.
fn text_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at > text.len() {
            return None;
        }
    }
}

/// Length of the object or array `text` starts with.
fn block_length(text: &[u8], open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        at += memchr::memchr3(open, close, b'"', &text[at..])?;
        match text[at] {
            b'"' => at += 1 + text_length(&text[at + 1..])?,
            byte if byte == open => depth += 1,
            _ => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
        }
        at += 1;
    }
}

/// A text without its escapes; nothing if one of them is wrong.
pub(super) fn unescape(text: &[u8]) -> String {
    if memchr::memchr(b'\\', text).is_none() {
        return text_of(text).into_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    if unescape_into(text, &mut out).is_none() {
        return String::new();
    }
    text_of(&out).into_owned()
}

/// Appends a text without its escapes; stops at one that is wrong.
pub(super) fn unescape_into(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let escape = *rest.get(at + 1)?;
        rest = &rest[at + 2..];
        match escape {
            b'"' | b'\\' | b'/' | b'\'' => out.push(escape),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (c, behind) = unicode(rest)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
            }
            _ => return None,
        }
    }
    out.extend_from_slice(rest);
    Some(())
}

/// Four hexadecimal digits, or a pair of surrogates.
fn unicode(text: &[u8]) -> Option<(char, &[u8])> {
    let unit = |text: &[u8]| {
        let digits = std::str::from_utf8(text.get(..4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let high = unit(text)?;
    let rest = &text[4..];
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), rest));
    }
    let low = rest.strip_prefix(b"\\u").and_then(unit).filter(|u| (0xdc00..0xe000).contains(u));
    match low {
        Some(low) => {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), &rest[6..]))
        }
        None => Some((char::REPLACEMENT_CHARACTER, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> (Vec<String>, Result<(), &'static str>) {
        let mut found = Vec::new();
        let result = each_field(text.as_bytes(), &mut |key, value| {
            found.push(format!("{}:{value:?}", String::from_utf8_lossy(key)));
            Ok(Next::Continue)
        });
        (found, result)
    }

    #[test]
    fn fields_are_handed_out_up_to_what_is_wrong() {
        assert_eq!(fields("{}").1, Ok(()));
        let (found, result) = fields(r#" {"a":1,"b":{"c":"}"}, "d" : [ "]" ],"e":null} rest"#);
        assert_eq!((found.len(), result), (4, Ok(())));
        let (found, result) = fields(r#"{"a":1,"b":"cut"#);
        assert_eq!((found.len(), result), (1, Err(NO_STRING)));
        assert_eq!(fields("broken").1, Err(NO_OBJECT));
        assert_eq!(fields("").1, Err(NO_OBJECT));
        assert_eq!(fields(r#"{"a":x}"#).1, Err(UNKNOWN));
        assert_eq!(fields(r#"{"a" 1}"#).1, Err(MALFORMED));
    }

    #[test]
    fn texts_are_unescaped() {
        assert_eq!(unescape(br#"a\n\"\u00e9\ud83d\ude00"#), "a\n\"\u{e9}\u{1f600}");
        assert_eq!(unescape(br"bad \x"), "");
        assert_eq!(unescape(b"cut \xff here"), "cut  here");
    }

    #[test]
    fn elements_are_counted() {
        assert_eq!(element(b"[1, \"b\", {}]", 1), Some(Value::Text(b"b")));
        assert_eq!(element(b"[1]", 1), None);
        assert_eq!(element(b"[]", 0), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[{}\\[\\]\",:\\\\ua1 ]{0,40}") {
            let _ = fields(&text);
            let _ = element(text.as_bytes(), 1);
            let _ = unescape(text.as_bytes());
        }
    }
}
