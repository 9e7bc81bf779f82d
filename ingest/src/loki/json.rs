//! Pushes in JSON, brought to the protobuf message, so that the WAL and replay know one form.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::labels;
use crate::body::Limits;
use crate::error::IngestError;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The message for a body in JSON ([`ephemeris_model::BodyKind::LokiPushPlain`]).
///
/// # Errors
/// If the body is no push in JSON, or the message passes `limits.decompressed_bytes_max`.
pub fn to_message(body: &[u8], limits: &Limits) -> Result<Vec<u8>, IngestError> {
    let bad = |e: serde_json::Error| IngestError::BadMessage(format!("invalid JSON: {e}"));
    let push: Push<'_> = serde_json::from_slice(body).map_err(bad)?;
    let mut out = Vec::with_capacity(body.len());
    let (mut message, mut text) = (Vec::new(), Vec::new());
    for stream in push.streams {
        message.clear();
        text.clear();
        labels::write(stream.stream.0.iter().map(|(n, v)| (&**n, &**v)), &mut text);
        put_bytes(&mut message, 1, &text);
        for entry in &stream.values {
            let pairs = entry.metadata.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
            put_entry(&mut message, entry.timestamp_ns, entry.line.as_bytes(), pairs);
        }
        put_bytes(&mut out, 1, &message);
        if out.len() > limits.decompressed_bytes_max {
            let (got, limit) = (out.len(), limits.decompressed_bytes_max);
            return Err(IngestError::DecompressedTooLarge { got, limit });
        }
    }
    if out.is_empty() {
        // A body without streams is a message too, but the WAL knows no empty ones.
        put_bytes(&mut out, 15, b"");
    }
    Ok(out)
}

/// Appends an entry to the message of a stream.
pub fn put_entry<'a>(
    out: &mut Vec<u8>,
    timestamp_ns: i64,
    line: &[u8],
    metadata: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let mut entry = Vec::with_capacity(line.len() + 32);
    let mut part = Vec::with_capacity(16);
    let seconds = timestamp_ns.div_euclid(NANOS_PER_SECOND);
    let nanos = timestamp_ns.rem_euclid(NANOS_PER_SECOND);
    put_number(&mut part, 1, seconds.cast_unsigned());
    put_number(&mut part, 2, nanos.cast_unsigned());
    put_bytes(&mut entry, 1, &part);
    put_bytes(&mut entry, 2, line);
    for (name, value) in metadata {
        part.clear();
        put_bytes(&mut part, 1, name.as_bytes());
        put_bytes(&mut part, 2, value.as_bytes());
        put_bytes(&mut entry, 3, &part);
    }
    put_bytes(out, 2, &entry);
}

/// Appends a length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    if number != 0 {
        put_varint(out, field << 3);
        put_varint(out, number);
    }
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push((n & 0x7f) as u8);
}

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow, default)]
    streams: Vec<Stream<'a>>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, default)]
    stream: Pairs<'a>,
    #[serde(borrow, default)]
    values: Vec<Entry<'a>>,
}

/// A string that borrows from the body where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object of strings, in order.
#[derive(Default)]
struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// `["<ns>", "<line>"]`, or with an object of structured metadata behind.
struct Entry<'a> {
    timestamp_ns: i64,
    line: Cow<'a, str>,
    metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Entry<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of timestamp, line and, if wanted, structured metadata")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry<'de>, A::Error> {
                let lacks = |what| A::Error::custom(format!("an entry has no {what}"));
                let Text(time) = seq.next_element()?.ok_or_else(|| lacks("timestamp"))?;
                let timestamp_ns = time.parse().map_err(|_| {
                    A::Error::custom(format!("timestamp {time:?} is not in nanoseconds"))
                })?;
                let Text(line) = seq.next_element()?.ok_or_else(|| lacks("line"))?;
                let metadata = seq.next_element::<Option<Pairs<'de>>>()?.flatten();
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                let metadata = metadata.unwrap_or_default().0;
                Ok(Entry { timestamp_ns, line, metadata })
            }
        }
        deserializer.deserialize_seq(Visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::push;
    use ephemeris_model::BodyKind;

    #[test]
    fn a_push_in_json_is_decoded_as_its_message() {
        let body = br#"{"streams":[{"stream":{"app":"a","q":"x\"y"},"values":[
            ["1700000000000000001","one \u00e4 info"],
            ["1700000000000000002","two",{"trace_id":"ff","detected_level":"ERR"}]]}]}"#;
        let message = to_message(body, &Limits::default()).expect("it is valid");
        let batch = push::decode(BodyKind::LokiPushPlain, &message, &message, &Limits::default());
        let batch = batch.expect("it is a message");
        let labels = batch.streams[0].labels.clone().expect("labels");
        let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(labels, ["app=a", "q=x\"y", "service_name=a"]);
        assert_eq!(batch.entries[0].timestamp_ns, 1_700_000_000_000_000_001);
        assert_eq!(batch.entries[0].line, "one \u{e4} info".as_bytes());
        let metadata: Vec<_> = batch.metadata.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(metadata, ["detected_level=info", "detected_level=error", "trace_id=ff"]);
    }

    #[test]
    fn what_is_no_push_is_refused() {
        for body in [
            r#"{"streams":[{"stream":{"a":"b"},"values":[[1700000000000000001,"x"]]}]}"#,
            r#"{"streams":[{"stream":{"a":1},"values":[]}]}"#,
            r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"n":1}]]}]}"#,
            r#"{"streams":[{"stream":{"a":"b"},"values":[["1"]]}]}"#,
            r#"{"streams":[{"stream":{"a":"b"},"values":[["1.5","x"]]}]}"#,
            "{",
            "",
        ] {
            assert!(to_message(body.as_bytes(), &Limits::default()).is_err(), "{body}");
        }
        assert!(to_message(br#"{"streams":[]}"#, &Limits::default()).is_ok());
    }
}
