//! Attributes: keys with values of any kind, read in place and written out as text.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::error::IngestError;
use crate::wire::{Field, Reader, WireType, malformed};

/// Attributes of one resource, scope or data point; one with more is refused.
pub(super) const ATTRIBUTES_MAX: usize = 1024;
/// Values nested deeper than this are refused.
pub(super) const VALUE_DEPTH_MAX: u32 = 32;

/// An attribute; its value as the text a label has. An empty text is no label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) key: &'a str,
    pub(super) value: Cow<'a, str>,
}

/// Checked text of a field.
pub(super) fn text<'a>(
    reader: &mut Reader<'a>,
    field: Field,
    what: &str,
) -> Result<&'a str, IngestError> {
    field.expect(WireType::Length, what)?;
    let at = reader.at();
    let bytes = reader.bytes(what)?;
    simdutf8::basic::from_utf8(bytes).map_err(|_| malformed(at, &format!("{what} is not UTF-8")))
}

/// Reads a `KeyValue` and appends it, unless there are too many already.
pub(super) fn push_attribute<'a>(
    reader: &mut Reader<'a>,
    field: Field,
    out: &mut Vec<Attribute<'a>>,
) -> Result<(), IngestError> {
    field.expect(WireType::Length, "attribute")?;
    let message = reader.message("attribute")?;
    if out.len() <= ATTRIBUTES_MAX {
        out.push(attribute(message)?);
    }
    Ok(())
}

/// An attribute from its `KeyValue`.
pub(super) fn attribute(message: Reader<'_>) -> Result<Attribute<'_>, IngestError> {
    let (key, value) = key_value(message)?;
    let value = value.map_or(Ok(Cow::Borrowed("")), |value| value_text(value, 0))?;
    Ok(Attribute { key, value })
}

pub(super) fn key_value<'a>(
    mut reader: Reader<'a>,
) -> Result<(&'a str, Option<Reader<'a>>), IngestError> {
    let (mut key, mut value) = ("", None);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => key = text(&mut reader, field, "key of attribute")?,
            2 => {
                field.expect(WireType::Length, "value of attribute")?;
                let message = reader.message("value of attribute")?;
                if value.replace(message).is_some() {
                    return Err(twice(field, "value of attribute"));
                }
            }
            _ => reader.skip(field)?,
        }
    }
    Ok((key, value))
}

/// A message that may be there once. Protobuf would have its parts put together, which no sender
/// relies on.
#[cold]
pub(super) fn twice(field: Field, what: &str) -> IngestError {
    malformed(field.at, &format!("{what} comes twice"))
}

/// An `AnyValue`, taken apart.
pub(super) enum Value<'a> {
    Empty,
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Reader<'a>),
    Map(Reader<'a>),
    Bytes(&'a [u8]),
}

pub(super) fn read_value<'a>(mut reader: Reader<'a>) -> Result<Value<'a>, IngestError> {
    let mut value = Value::Empty;
    while let Some(field) = reader.field()? {
        let what = "value of attribute";
        let wire = match field.number {
            1 | 5..=7 => WireType::Length,
            2 | 3 => WireType::Varint,
            4 => WireType::Fixed64,
            _ => {
                reader.skip(field)?;
                continue;
            }
        };
        field.expect(wire, what)?;
        if matches!((&value, field.number), (Value::Array(_), 5) | (Value::Map(_), 6)) {
            return Err(twice(field, what));
        }
        value = match field.number {
            1 => Value::Text(text(&mut reader, field, what)?),
            2 => Value::Bool(reader.varint(what)? != 0),
            3 => Value::Int(reader.varint(what)?.cast_signed()),
            4 => Value::Double(reader.double(what)?),
            5 => Value::Array(reader.message(what)?),
            6 => Value::Map(reader.message(what)?),
            _ => Value::Bytes(reader.bytes(what)?),
        };
    }
    Ok(value)
}

/// The value as the text of a label.
pub(super) fn value_text(reader: Reader<'_>, depth: u32) -> Result<Cow<'_, str>, IngestError> {
    shown(read_value(reader)?, depth)
}

/// A value as text, that was taken apart already.
pub(super) fn shown(value: Value<'_>, depth: u32) -> Result<Cow<'_, str>, IngestError> {
    Ok(match value {
        Value::Empty => Cow::Borrowed(""),
        Value::Text(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Int(n) => Cow::Owned(n.to_string()),
        Value::Double(n) => Cow::Owned(number_text(n)),
        Value::Bytes(bytes) => Cow::Owned(base64(bytes)),
        value @ (Value::Array(_) | Value::Map(_)) => {
            let mut out = String::new();
            write_json(&mut out, &value, depth)?;
            Cow::Owned(out)
        }
    })
}

fn number_text(n: f64) -> String {
    if n.is_nan() {
        "NaN".to_owned()
    } else if n.is_infinite() {
        if n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        format!("{n}")
    }
}

fn write_json(out: &mut String, value: &Value<'_>, depth: u32) -> Result<(), IngestError> {
    match value {
        Value::Empty => out.push_str("null"),
        Value::Text(text) => write_quoted(out, text),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => drop(write!(out, "{n}")),
        Value::Double(n) if n.is_finite() => out.push_str(&number_text(*n)),
        Value::Double(n) => write_quoted(out, &number_text(*n)),
        Value::Bytes(bytes) => write_quoted(out, &base64(bytes)),
        Value::Array(reader) => {
            write_items(out, *reader, depth, ('[', ']'), |out, item, depth| {
                write_json(out, &read_value(item)?, depth)
            })?;
        }
        Value::Map(reader) => {
            write_items(out, *reader, depth, ('{', '}'), |out, item, depth| {
                let (key, value) = key_value(item)?;
                write_quoted(out, key);
                out.push(':');
                write_json(out, &value.map_or(Ok(Value::Empty), read_value)?, depth)
            })?;
        }
    }
    Ok(())
}

/// Writes field 1 of `reader`, which is repeated, between brackets.
fn write_items(
    out: &mut String,
    mut reader: Reader<'_>,
    depth: u32,
    (open, close): (char, char),
    mut write: impl FnMut(&mut String, Reader<'_>, u32) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    if depth >= VALUE_DEPTH_MAX {
        return Err(malformed(reader.at(), "value of attribute is nested too deep"));
    }
    out.push(open);
    let mut separator = "";
    while let Some(field) = reader.field()? {
        if field.number != 1 {
            reader.skip(field)?;
            continue;
        }
        field.expect(WireType::Length, "value of attribute")?;
        out.push_str(separator);
        separator = ",";
        write(out, reader.message("value of attribute")?, depth + 1)?;
    }
    out.push(close);
    Ok(())
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Bytes as text, in base64 with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let all =
            chunk.iter().fold(0_u32, |all, b| all << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(all >> (18 - 6 * i) & 63) as usize];
            out.push(if i > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

/// Bytes as hexadecimal digits, as ids of traces are written.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(value: &[u8]) -> Result<String, String> {
        value_text(Reader::new(value), 0).map(Cow::into_owned).map_err(|e| e.to_string())
    }

    #[test]
    fn values_of_every_kind_have_a_text() {
        assert_eq!(text_of(b""), Ok(String::new()));
        assert_eq!(text_of(b"\x0a\x02hi"), Ok("hi".to_owned()));
        assert_eq!(text_of(b"\x10\x01"), Ok("true".to_owned()));
        assert_eq!(text_of(b"\x18\x2a"), Ok("42".to_owned()));
        assert_eq!(text_of(b"\x21\0\0\0\0\0\0\xf8\x3f"), Ok("1.5".to_owned()));
        assert_eq!(text_of(b"\x3a\x02hi"), Ok("aGk=".to_owned()));
        assert_eq!(text_of(b"\x2a\x06\x0a\x04\x0a\x02hi"), Ok("[\"hi\"]".to_owned()));
        let map = b"\x32\x09\x0a\x07\x0a\x01k\x12\x02\x18\x07";
        assert_eq!(text_of(map), Ok("{\"k\":7}".to_owned()));
        assert!(text_of(b"\x0a\x01\xff").unwrap_err().contains("not UTF-8"));
    }

    #[test]
    fn nesting_has_an_end() {
        let mut value = Vec::new();
        for _ in 0..40 {
            let mut array = vec![0x0a];
            array.push(u8::try_from(value.len()).expect("short"));
            array.extend_from_slice(&value);
            value = vec![0x2a, u8::try_from(array.len()).expect("short")];
            value.extend_from_slice(&array);
            if value.len() > 120 {
                break;
            }
        }
        assert!(text_of(&value).is_ok() || text_of(&value).unwrap_err().contains("too deep"));
    }

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(hex(&[0, 0xab, 0x7f]), "00ab7f");
        assert_eq!(base64(b"abc"), "YWJj");
        assert_eq!(base64(b"a"), "YQ==");
    }
}
