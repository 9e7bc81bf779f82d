//! OTLP in JSON, as real clients send it, brought into protobuf, so that there is one decoder.
//!
//! Taken are: integers as numbers and as strings, `NaN` and the infinities as strings, enums as
//! numbers and as names, keys in `lowerCamelCase` and in `snake_case`. `null` is a field that is
//! not there. Unknown fields are passed over. Ids are hexadecimal.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::IngestError;

use super::schema::{Field, Kind, LOGS_REQUEST, METRICS_REQUEST, Message};
use crate::output::{varint, zigzag};

/// Bytes kept for the length of a message, which is known only after it.
const LENGTH_BYTES: usize = 5;

/// A buffer that grew beyond this for one large body is given back at the next.
const KEEP_BYTES: usize = 4 << 20;

/// Brings an `ExportMetricsServiceRequest` into protobuf, into `out`, which is cleared first.
///
/// # Errors
/// If it is not JSON, a field does not hold what it should, or it passes `bytes_max`.
pub fn metrics_to_protobuf(
    body: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), IngestError> {
    to_protobuf(&METRICS_REQUEST, body, bytes_max, out)
}

/// Brings an `ExportLogsServiceRequest` into protobuf, as [`metrics_to_protobuf`] does.
///
/// # Errors
/// The same.
pub fn logs_to_protobuf(
    body: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), IngestError> {
    to_protobuf(&LOGS_REQUEST, body, bytes_max, out)
}

fn to_protobuf(
    message: &'static Message,
    body: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), IngestError> {
    out.clear();
    out.shrink_to(KEEP_BYTES);
    let mut sink = Sink { out, bytes_max, is_too_large: false };
    let mut json = serde_json::Deserializer::from_slice(body);
    let seed = MessageSeed { message, sink: &mut sink };
    let result = seed.deserialize(&mut json).and_then(|()| json.end());
    let is_too_large = sink.is_too_large;
    match result {
        Err(_) if is_too_large => Err(IngestError::BatchTooLarge { limit: bytes_max }),
        Err(error) => Err(IngestError::BadMessage(format!("malformed JSON: {error}"))),
        Ok(()) => Ok(()),
    }
}

struct Sink<'a> {
    out: &'a mut Vec<u8>,
    bytes_max: usize,
    is_too_large: bool,
}

impl Sink<'_> {
    fn tag(&mut self, field: &Field, wire: u64) {
        varint(self.out, u64::from(field.number) << 3 | wire);
    }

    fn number(&mut self, field: &Field, value: u64) {
        self.tag(field, 0);
        varint(self.out, value);
    }

    fn four(&mut self, field: &Field, value: u32) {
        self.tag(field, 5);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn eight(&mut self, field: &Field, value: u64) {
        self.tag(field, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: &Field, content: &[u8]) {
        crate::output::bytes(self.out, field.number, content);
    }

    fn check<E: Error>(&mut self) -> Result<(), E> {
        if self.out.len() > self.bytes_max {
            self.is_too_large = true;
            return Err(E::custom("too large"));
        }
        Ok(())
    }
}

/// Reads a message and writes its fields.
struct MessageSeed<'a, 's> {
    message: &'static Message,
    sink: &'a mut Sink<'s>,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(KeySeed(self.message))? {
            match field {
                Some(field) => map.next_value_seed(FieldSeed { field, sink: self.sink })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            self.sink.check()?;
        }
        Ok(())
    }
}

struct KeySeed(&'static Message);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let fields = self.0.fields;
        let found = fields.iter().find(|f| f.name == key);
        Ok(found.or_else(|| fields.iter().find(|f| key.contains('_') && is_snake_of(key, f.name))))
    }
}

/// Whether `key` is the name in `snake_case`.
fn is_snake_of(key: &str, name: &str) -> bool {
    let mut wanted = name.bytes().flat_map(|b| {
        let underscore = b.is_ascii_uppercase().then_some(b'_');
        underscore.into_iter().chain([b.to_ascii_lowercase()])
    });
    key.bytes().all(|b| wanted.next() == Some(b)) && wanted.next().is_none()
}

/// Reads the value of a field, a list if it is repeated.
struct FieldSeed<'a, 's> {
    field: &'static Field,
    sink: &'a mut Sink<'s>,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.field.kind {
            _ if self.field.is_repeated => "a list",
            Kind::Text => "a text",
            Kind::Base64 => "bytes in base64",
            Kind::Hex => "an id in hexadecimal digits",
            Kind::Bool => "true or false",
            Kind::Message(_) => "an object",
            Kind::Enum(_) => "a number or a known name",
            Kind::Double => "a number",
            Kind::Int | Kind::Uint | Kind::Sint | Kind::Fixed32 | Kind::Fixed | Kind::Sfixed => {
                "a whole number"
            }
        };
        write!(f, "{what} in {:?}", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.field.is_repeated {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        while seq.next_element_seed(ItemSeed(self.field, self.sink))?.is_some() {
            self.sink.check()?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.item()?.visit_map(map)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.item()?.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.item()?.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.item()?.visit_u64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.item()?.visit_f64(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.item()?.visit_str(value)
    }
}

impl<'a, 's> FieldSeed<'a, 's> {
    fn item<E: Error>(self) -> Result<ItemSeed<'a, 's>, E> {
        if self.field.is_repeated {
            return Err(E::custom(format!("expected a list in {:?}", self.field.name)));
        }
        Ok(ItemSeed(self.field, self.sink))
    }
}

/// Reads one value of a field.
struct ItemSeed<'a, 's>(&'static Field, &'a mut Sink<'s>);

impl<'de> DeserializeSeed<'de> for ItemSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ItemSeed<'_, '_> {
    fn wrong<E: Error>(&self, got: impl fmt::Display) -> E {
        E::custom(format!("{:?} cannot be {got}", self.0.name))
    }

    /// Writes a number given without a fraction.
    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        let wrong = || E::custom(format!("{value} is out of range in {:?}", self.0.name));
        let unsigned = || u64::try_from(value).map_err(|_| wrong());
        let signed = || i64::try_from(value).map_err(|_| wrong());
        let small = || i32::try_from(value).map_err(|_| wrong());
        match self.0.kind {
            Kind::Int => self.1.number(self.0, signed()?.cast_unsigned()),
            Kind::Uint => self.1.number(self.0, unsigned()?),
            Kind::Sint => self.1.number(self.0, zigzag(i64::from(small()?))),
            Kind::Enum(_) => self.1.number(self.0, i64::from(small()?).cast_unsigned()),
            Kind::Fixed32 => self.1.four(self.0, u32::try_from(value).map_err(|_| wrong())?),
            Kind::Fixed => self.1.eight(self.0, unsigned()?),
            Kind::Sfixed => self.1.eight(self.0, signed()?.cast_unsigned()),
            _ => return Err(self.wrong("a number")),
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for ItemSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value in {:?}", self.0.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self(field, sink) = self;
        let Kind::Message(message) = field.kind else {
            return Err(A::Error::custom(format!("{:?} cannot be an object", field.name)));
        };
        sink.tag(field, 2);
        let start = sink.out.len();
        sink.out.extend_from_slice(&[0; LENGTH_BYTES]);
        MessageSeed { message, sink: &mut *sink }.visit_map(map)?;
        let mut length = sink.out.len() - start - LENGTH_BYTES;
        for (i, slot) in sink.out.iter_mut().skip(start).take(LENGTH_BYTES).enumerate() {
            let more = if i + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            *slot = length.to_le_bytes()[0] & 0x7f | more;
            length >>= 7;
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.0.kind {
            Kind::Bool => self.1.number(self.0, u64::from(value)),
            _ => return Err(self.wrong(value)),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match self.0.kind {
            Kind::Double => {
                self.1.eight(self.0, super::point::int_value(value).to_bits());
                Ok(())
            }
            _ => self.integer(i128::from(value)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match self.0.kind {
            Kind::Double => {
                self.1.eight(self.0, super::point::count_value(value).to_bits());
                Ok(())
            }
            _ => self.integer(i128::from(value)),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if matches!(self.0.kind, Kind::Double) {
            self.1.eight(self.0, value.to_bits());
            return Ok(());
        }
        match whole(value) {
            Some(value) => self.integer(value),
            None => Err(self.wrong(value)),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        match self.0.kind {
            Kind::Text => self.1.bytes(self.0, value.as_bytes()),
            Kind::Hex => match from_hex(value) {
                Some(id) => self.1.bytes(self.0, &id),
                None => return Err(self.wrong(format_args!("{value:?}; ids are hexadecimal"))),
            },
            Kind::Base64 => match from_base64(value) {
                Some(content) => self.1.bytes(self.0, &content),
                None => return Err(self.wrong(format_args!("{value:?}; bytes are base64"))),
            },
            Kind::Enum(names) => match names.iter().position(|name| *name == value) {
                Some(number) => self.1.number(self.0, number as u64),
                None => return Err(self.wrong(format_args!("{value:?}"))),
            },
            Kind::Double => match double(value) {
                Some(value) => self.1.eight(self.0, value.to_bits()),
                None => return Err(self.wrong(format_args!("{value:?}"))),
            },
            Kind::Bool | Kind::Message(_) => return Err(self.wrong(format_args!("{value:?}"))),
            _ => {
                let number = value.parse().ok().or_else(|| whole(value.parse().ok()?));
                let Some(number) = number else {
                    return Err(self.wrong(format_args!("{value:?}")));
                };
                return self.integer(number);
            }
        }
        Ok(())
    }
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok().filter(|n: &f64| n.is_finite()),
    }
}

/// A float without fraction as an integer.
#[expect(clippy::cast_possible_truncation, reason = "the bound is checked")]
fn whole(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() < 1e20).then_some(value as i128)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}

/// Bytes from base64, of either alphabet, with padding or without.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits: Cow<'_, str> = Cow::Borrowed(text.trim_end_matches('='));
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for b in digits.bytes() {
        let digit = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held).to_le_bytes()[0]);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(json: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        metrics_to_protobuf(json.as_bytes(), 1 << 20, &mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }

    #[test]
    fn keys_come_in_both_cases_and_unknown_ones_are_passed_over() {
        let camel = convert(r#"{"resourceMetrics":[{"schemaUrl":"x"}]}"#);
        let snake = convert(r#"{"resource_metrics":[{"schema_url":"x","new":{"a":[1,null]}}]}"#);
        assert_eq!(camel, snake);
        assert!(camel.is_ok_and(|bytes| !bytes.is_empty()));
        assert_eq!(convert("{}"), Ok(Vec::new()));
        assert_eq!(convert(r#"{"resourceMetrics":null}"#), Ok(Vec::new()));
    }

    #[test]
    fn mistakes_are_named() {
        for (json, text) in [
            ("", "malformed JSON: EOF"),
            ("[]", "malformed JSON: invalid type: sequence, expected an object"),
            (r#"{"resourceMetrics":{}}"#, "expected a list in \"resourceMetrics\""),
            (r#"{"resourceMetrics":[1]}"#, "\"resourceMetrics\" cannot be a number"),
            (r#"{"resourceMetrics":[]} x"#, "trailing characters"),
        ] {
            let error = convert(json).expect_err("must be refused");
            assert!(error.contains(text), "{error} lacks {text}");
        }
    }

    #[test]
    fn nesting_and_size_have_limits() {
        let deep = r#"{"arrayValue":{"values":["#.repeat(1000);
        let start = r#"{"resourceMetrics":[{"resource":{"attributes":[{"value":"#;
        assert!(convert(&format!("{start}{deep}")).unwrap_err().contains("recursion limit"));
        let mut out = Vec::new();
        let long = format!(r#"{{"resourceMetrics":[{{"schemaUrl":"{}"}}]}}"#, "x".repeat(100));
        let error = metrics_to_protobuf(long.as_bytes(), 50, &mut out).expect_err("too large");
        assert!(matches!(error, IngestError::BatchTooLarge { limit: 50 }), "{error}");
    }

    #[test]
    fn texts_become_bytes() {
        assert_eq!(from_base64("aGk="), Some(b"hi".to_vec()));
        assert_eq!(from_base64("a-_/"), Some(vec![0x6b, 0xef, 0xff]));
        assert_eq!(from_hex("00aB"), Some(vec![0, 0xab]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(whole(1e3), Some(1000));
        assert_eq!(whole(0.5), None);
    }
}
