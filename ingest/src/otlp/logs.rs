//! OTLP logs: the records of a request become entries of streams, as in Loki, and are written as a
//! push of Loki in its plain form.
//!
//! Resource attributes that tell where a record is from are labels of its stream; all others, the
//! scope, and what the record says beside its body, are structured metadata. What is derived from
//! them, the level among it, is derived by the decoder of pushes.

use std::borrow::Cow;

use crate::body::Limits;
use crate::error::IngestError;
use crate::loki::json::{put_bytes, put_entry};
use crate::loki::labels;
use crate::wire::{Field, Reader, WireType, malformed};

use super::attributes::{VALUE_DEPTH_MAX, Value, hex, key_value, read_value, shown, text};
use super::message::each;
use super::naming::{Naming, label_name};

/// Resource attributes that become labels of the stream.
const STREAM_ATTRIBUTES: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];
/// The label of a stream whose resource has none of them.
const UNKNOWN_SERVICE: (&str, &str) = ("service_name", "unknown_service");
/// Bits of `flags` that are those of the trace.
const TRACE_FLAGS: u32 = 0xff;
const TRACE_ID_BYTES: usize = 16;
const SPAN_ID_BYTES: usize = 8;
/// Bytes of the names of nested attributes of one record, scope or resource.
const JOINED_BYTES_MAX: usize = 1 << 20;

/// A name and a value, of a label or of structured metadata.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The message ([`ephemeris_model::BodyKind::LokiPushPlain`]) for an `ExportLogsServiceRequest`;
/// empty if it has no records. Records without a time get `received_ns`, in their order.
///
/// # Errors
/// If the request is not well-formed, or the message passes `limits.batch_bytes_max`.
pub fn to_push(request: &[u8], received_ns: i64, limits: &Limits) -> Result<Vec<u8>, IngestError> {
    let mut walk = Walk { out: Vec::new(), next_ns: received_ns, limit: limits.batch_bytes_max };
    each(Reader::new(request), 1, "resource logs", |part| walk.resource(part))?;
    Ok(walk.out)
}

struct Walk {
    out: Vec<u8>,
    /// The time of the next record that brings none. Each gets its own: two records that are alike
    /// at one time would be one entry.
    next_ns: i64,
    limit: usize,
}

impl Walk {
    /// All records of a resource, which are one stream.
    fn resource(&mut self, part: Reader<'_>) -> Result<(), IngestError> {
        let resource = Resource::read(part)?;
        let mut stream = Vec::new();
        let mut name = Vec::new();
        labels::write(resource.labels.iter().map(|(n, v)| (&**n, &**v)), &mut name);
        put_bytes(&mut stream, 1, &name);
        let before = stream.len();
        each(part, 2, "scope logs", |part| {
            let scope = read_scope(part)?;
            each(part, 2, "log record", |part| {
                let record = Record::read(part)?;
                let pairs = record.pairs.iter().chain(&scope).chain(&resource.metadata);
                let pairs = pairs.map(|(name, value)| (&**name, &**value));
                let time = record.time_ns.unwrap_or_else(|| {
                    self.next_ns += 1;
                    self.next_ns - 1
                });
                put_entry(&mut stream, time, record.line.as_bytes(), pairs);
                if self.out.len() + stream.len() > self.limit {
                    return Err(IngestError::BatchTooLarge { limit: self.limit });
                }
                Ok(())
            })
        })?;
        if stream.len() > before {
            put_bytes(&mut self.out, 1, &stream);
        }
        Ok(())
    }
}

/// What a resource adds to its entries.
struct Resource<'a> {
    labels: Vec<Pair<'a>>,
    metadata: Vec<Pair<'a>>,
}

impl<'a> Resource<'a> {
    /// The resource of a `ResourceLogs`.
    fn read(part: Reader<'a>) -> Result<Self, IngestError> {
        let (mut labels, mut metadata) = (Flat::default(), Flat::default());
        each(part, 1, "resource", |message| {
            each(message, 1, "attribute", |attribute| {
                let (key, value) = key_value(attribute)?;
                if STREAM_ATTRIBUTES.contains(&key) {
                    labels.add(key, value)
                } else {
                    metadata.add(key, value)
                }
            })
        })?;
        let mut labels = labels.pairs;
        labels.sort_by(|a, b| a.0.cmp(&b.0));
        labels.dedup_by(|b, a| a.0 == b.0);
        if labels.is_empty() {
            let (name, value) = UNKNOWN_SERVICE;
            labels.push((name.into(), value.into()));
        }
        Ok(Self { labels, metadata: metadata.pairs })
    }
}

/// What the scope of a `ScopeLogs` adds to each of its entries.
fn read_scope(part: Reader<'_>) -> Result<Vec<Pair<'_>>, IngestError> {
    let (mut own, mut attributes) = (Vec::new(), Flat::default());
    each(part, 1, "scope", |mut scope| {
        while let Some(field) = scope.field()? {
            match field.number {
                1 => put(&mut own, "scope_name", text(&mut scope, field, "name of scope")?),
                2 => put(&mut own, "scope_version", text(&mut scope, field, "version of scope")?),
                3 => attributes.read(&mut scope, field)?,
                4 => {
                    let count = count(&mut scope, field)?;
                    put(&mut own, "scope_dropped_attributes_count", count);
                }
                _ => scope.skip(field)?,
            }
        }
        Ok(())
    })?;
    own.append(&mut attributes.pairs);
    Ok(own)
}

/// A `LogRecord`.
struct Record<'a> {
    time_ns: Option<i64>,
    line: Cow<'a, str>,
    /// Its fields, then its attributes; of pairs with the same name the first counts.
    pairs: Vec<Pair<'a>>,
}

impl<'a> Record<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self, IngestError> {
        let (mut time, mut observed, mut line) = (0, 0, Cow::Borrowed(""));
        let (mut pairs, mut attributes) = (Vec::new(), Flat::default());
        while let Some(field) = reader.field()? {
            match field.number {
                1 => time = fixed(&mut reader, field)?,
                2 => put(&mut pairs, "severity_number", count(&mut reader, field)?),
                3 => put(&mut pairs, "severity_text", text(&mut reader, field, "severity")?),
                5 => {
                    field.expect(WireType::Length, "body")?;
                    line = shown(read_value(reader.message("body")?)?, 0)?;
                }
                6 => attributes.read(&mut reader, field)?,
                7 => put(&mut pairs, "dropped_attributes_count", count(&mut reader, field)?),
                8 => {
                    field.expect(WireType::Fixed32, "flags")?;
                    let flags = reader.fixed32("flags")? & TRACE_FLAGS;
                    put(&mut pairs, "flags", number(u64::from(flags)));
                }
                9 => put(&mut pairs, "trace_id", id(&mut reader, field, TRACE_ID_BYTES)?),
                10 => put(&mut pairs, "span_id", id(&mut reader, field, SPAN_ID_BYTES)?),
                11 => {
                    observed = fixed(&mut reader, field)?;
                    put(&mut pairs, "observed_timestamp", number(observed));
                }
                12 => put(&mut pairs, "event_name", text(&mut reader, field, "event name")?),
                _ => reader.skip(field)?,
            }
        }
        pairs.append(&mut attributes.pairs);
        // A time that no entry can have is one the store refuses.
        let time = [time, observed].into_iter().find(|ns| *ns != 0);
        let time_ns = time.map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
        Ok(Self { time_ns, line, pairs })
    }
}

/// Adds a pair, but not an empty value.
fn put<'a>(out: &mut Vec<Pair<'a>>, name: &'static str, value: impl Into<Cow<'a, str>>) {
    let value = value.into();
    if !value.is_empty() {
        out.push((name.into(), value));
    }
}

fn fixed(reader: &mut Reader<'_>, field: Field) -> Result<u64, IngestError> {
    field.expect(WireType::Fixed64, "time")?;
    reader.fixed64("time")
}

/// A count as text; 0 is not there.
fn count(reader: &mut Reader<'_>, field: Field) -> Result<String, IngestError> {
    field.expect(WireType::Varint, "number")?;
    Ok(number(reader.varint("number")?))
}

fn number(value: u64) -> String {
    if value == 0 { String::new() } else { value.to_string() }
}

/// An id in hexadecimal digits; one of zeros, or of another length, is not there.
fn id(reader: &mut Reader<'_>, field: Field, length: usize) -> Result<String, IngestError> {
    field.expect(WireType::Length, "id")?;
    let bytes = reader.bytes("id")?;
    let valid = bytes.len() == length && bytes.iter().any(|b| *b != 0);
    Ok(if valid { hex(bytes) } else { String::new() })
}

/// Attributes as pairs.
#[derive(Default)]
struct Flat<'a> {
    pairs: Vec<Pair<'a>>,
    /// Bytes of the names that were put together.
    joined_bytes: usize,
}

impl<'a> Flat<'a> {
    /// Reads the `KeyValue` in `field` and adds it.
    fn read(&mut self, reader: &mut Reader<'a>, field: Field) -> Result<(), IngestError> {
        field.expect(WireType::Length, "attribute")?;
        let (key, value) = key_value(reader.message("attribute")?)?;
        self.add(key, value)
    }

    fn add(&mut self, key: &'a str, value: Option<Reader<'a>>) -> Result<(), IngestError> {
        value.map_or(Ok(()), |value| self.add_nested(Cow::Borrowed(key), value, 0))
    }

    /// Adds a value; a map is one pair for each of its values, keys joined by `_`.
    fn add_nested(
        &mut self,
        key: Cow<'a, str>,
        value: Reader<'a>,
        depth: u32,
    ) -> Result<(), IngestError> {
        let items = match read_value(value)? {
            Value::Map(items) => items,
            value => {
                self.push(key, shown(value, depth)?);
                return Ok(());
            }
        };
        if depth >= VALUE_DEPTH_MAX {
            return Err(malformed(items.at(), "value of attribute is nested too deep"));
        }
        each(items, 1, "value of attribute", |item| {
            let (inner, value) = key_value(item)?;
            let Some(value) = value else { return Ok(()) };
            self.joined_bytes += key.len() + inner.len() + 1;
            if self.joined_bytes > JOINED_BYTES_MAX {
                return Err(malformed(item.at(), "names of nested attributes are too long"));
            }
            self.add_nested(Cow::Owned(format!("{key}_{inner}")), value, depth + 1)
        })
    }

    fn push(&mut self, key: Cow<'a, str>, value: Cow<'a, str>) {
        if value.is_empty() {
            return;
        }
        let name = match key {
            Cow::Borrowed(key) => label_name(Naming::default(), key),
            Cow::Owned(key) => {
                label_name(Naming::default(), &key).map(|name| Cow::Owned(name.into_owned()))
            }
        };
        if let Some(name) = name {
            self.pairs.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use ephemeris_model::BodyKind;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::loki::push;
    use crate::otlp::json::logs_to_protobuf;

    const RECEIVED_NS: i64 = 1_700_000_000_000_000_000;

    fn request(attributes: &Json, records: &Json) -> Json {
        json!({"resourceLogs": [{
            "scopeLogs": [{
                "scope": {"name": "lib", "version": "1", "attributes": [
                    {"key": "team", "value": {"stringValue": "t"}}]},
                "logRecords": records,
            }],
            "resource": {"attributes": attributes},
        }]})
    }

    /// Labels, time, line and metadata of each entry.
    fn entries(request: &Json) -> Vec<String> {
        let (mut message, limits) = (Vec::new(), Limits::default());
        logs_to_protobuf(request.to_string().as_bytes(), 1 << 20, &mut message).expect("JSON");
        let body = to_push(&message, RECEIVED_NS, &limits).expect("it is valid");
        let batch = push::decode(BodyKind::LokiPushPlain, &body, &body, &limits).expect("a push");
        let shown = |pairs: &[Pair<'_>]| {
            pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(",")
        };
        let mut out = Vec::new();
        for stream in &batch.streams {
            let labels = shown(stream.labels.as_ref().expect("labels"));
            for entry in &batch.entries[stream.entries.start as usize..stream.entries.end as usize]
            {
                let line = String::from_utf8_lossy(entry.line);
                let pairs = entry.metadata.start as usize..entry.metadata.end as usize;
                let pairs = shown(&batch.metadata[pairs]);
                out.push(format!("{labels} | {} {line} | {pairs}", entry.timestamp_ns));
            }
        }
        out
    }

    #[test]
    fn a_record_is_an_entry_of_the_stream_of_its_resource() {
        let attributes = json!([
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "k8s.pod.name", "value": {"stringValue": "p-1"}},
            {"key": "host.name", "value": {"stringValue": "h1"}},
        ]);
        let records = json!([{
            "timeUnixNano": "1700000000000000005", "observedTimeUnixNano": "1700000000000000009",
            "severityNumber": "SEVERITY_NUMBER_WARN2", "severityText": "WARN",
            "body": {"stringValue": "disk is full"}, "flags": 1, "eventName": "e",
            "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0000000000000000",
            "droppedAttributesCount": 2,
            "attributes": [
                {"key": "http", "value": {"kvlistValue": {"values": [
                    {"key": "status.code", "value": {"intValue": "500"}},
                    {"key": "to", "value": {"kvlistValue": {"values": [
                        {"key": "ip", "value": {"stringValue": "::1"}}]}}}]}}},
                {"key": "tags", "value": {"arrayValue": {"values": [
                    {"stringValue": "a"}, {"boolValue": true}]}}},
                {"key": "host.name", "value": {"stringValue": "own"}},
            ],
        }]);
        assert_eq!(
            entries(&request(&attributes, &records)),
            ["k8s_pod_name=p-1,service_name=shop | 1700000000000000005 disk is full | \
              detected_level=warn,dropped_attributes_count=2,event_name=e,flags=1,host_name=own,\
              http_status_code=500,http_to_ip=::1,observed_timestamp=1700000000000000009,\
              scope_name=lib,scope_version=1,severity_number=14,severity_text=WARN,\
              tags=[\"a\",true],team=t,trace_id=0102030405060708090a0b0c0d0e0f10"]
        );
    }

    #[test]
    fn what_is_not_told_is_derived() {
        let records = json!([
            {"observedTimeUnixNano": "5", "severityNumber": 21, "body": {"intValue": 7}},
            {"body": {"kvlistValue": {"values": [
                {"key": "level", "value": {"stringValue": "error"}}]}}},
            {},
        ]);
        let scope = "scope_name=lib,scope_version=1";
        let entries = entries(&request(&json!([]), &records));
        let wanted = [
            format!("5 7 | detected_level=fatal,observed_timestamp=5,{scope},severity_number=21"),
            format!("{RECEIVED_NS} {{\"level\":\"error\"}} | detected_level=error,{scope}"),
            format!("{}  | detected_level=unknown,{scope}", RECEIVED_NS + 1),
        ];
        let wanted = wanted.map(|entry| format!("service_name=unknown_service | {entry},team=t"));
        assert_eq!(entries, wanted);
    }

    #[test]
    fn what_is_too_large_or_malformed_is_refused() {
        let limits = Limits { batch_bytes_max: 1 << 10, ..Limits::default() };
        let record = json!({"body": {"stringValue": "x".repeat(2000)}});
        let mut message = Vec::new();
        let text = request(&json!([]), &json!([record])).to_string();
        logs_to_protobuf(text.as_bytes(), 1 << 20, &mut message).expect("JSON");
        let error = to_push(&message, 0, &limits).expect_err("it is too large");
        assert!(matches!(error, IngestError::BatchTooLarge { limit: 1024 }), "{error}");
        let limits = Limits::default();
        assert_eq!(to_push(b"", 0, &limits).expect("no records"), b"");
        assert!(to_push(b"\x0a\x02\x12\x05", 0, &limits).is_err(), "it is cut off");
    }
}
