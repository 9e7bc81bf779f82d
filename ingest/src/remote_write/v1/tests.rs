//! Remote write 1.0: what senders send, what they should not, and `prost` as the reference.

use ephemeris_model::{Labels, Metadata, MetricType, RejectReason, Sample};
use prost::Message as _;

use super::*;
use crate::proto::encode_remote_write;
use crate::proto::write_v1 as proto;

fn decode_plain(message: &[u8]) -> Result<WriteBatch<'_>, IngestError> {
    decode(BodyKind::RemoteWrite1Plain, message, message, &Limits::default())
}

fn pairs(batch: &WriteBatch<'_>, series: usize) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    batch.read_labels(&batch.series[series], &mut pairs).expect("well-formed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    pairs.into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn an_empty_message_is_a_request_without_series() {
    let batch = decode_plain(b"").expect("valid");
    assert!(batch.series.is_empty() && batch.rejects.is_empty());
}

#[test]
fn series_samples_and_metadata_come_as_encoded() {
    let up = Labels::from_pairs([("__name__", "up"), ("job", "node")]);
    let down = Labels::from_pairs([("__name__", "down"), ("text", &"x".repeat(300))]);
    let nan = f64::from_bits(0x7ff0_0000_0000_0abc);
    let samples = [(1_790_000_000_123, 1.5), (1_790_000_015_123, -0.0), (i64::MIN, nan), (0, 0.0)]
        .map(|(timestamp_ms, value)| Sample { timestamp_ms, value });
    let metadata = Metadata {
        metric: "up".to_owned(),
        metric_type: MetricType::Gauge,
        help: "Whether it is up.".to_owned(),
        unit: String::new(),
    };
    let message = encode_remote_write(&[(&up, &samples), (&down, &samples[1..2])], &[metadata]);
    let batch = decode_plain(&message).expect("valid");
    assert_eq!(batch.series.len(), 2);
    assert_eq!(pairs(&batch, 0), [pair("__name__", "up"), pair("job", "node")]);
    assert!(matches!(batch.series[1].labels, Cow::Borrowed(_)));
    assert_eq!((batch.series[0].samples.clone(), batch.series[1].samples.clone()), (0..4, 4..5));
    for (got, sent) in batch.samples.iter().zip(samples.iter().chain(&samples[1..2])) {
        assert_eq!(got.timestamp_ms, sent.timestamp_ms);
        assert_eq!(got.value.to_bits(), sent.value.to_bits());
    }
    assert_eq!(batch.metadata.len(), 1);
    assert_eq!(batch.metadata[0].help, "Whether it is up.");
    assert_eq!(batch.metadata[0].metric_type, MetricType::Gauge);
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("short");
    [&[number << 3 | 2, length], content].concat()
}

#[test]
fn labels_apart_from_each_other_are_joined() {
    let label = |name: &[u8], value: &[u8]| field(1, &[field(1, name), field(2, value)].concat());
    let sample = field(2, &[0x10, 1]);
    let (name, a) = (label(b"__name__", b"x"), label(b"a", b"1"));
    let unknown = field(9, b"??");
    let apart = [&sample, &name, &unknown, &a, &sample, &a].map(Vec::as_slice).concat();
    let message = field(1, &apart);
    let batch = decode_plain(&message).expect("valid");
    assert_eq!(batch.samples.len(), 2);
    let expected = [pair("__name__", "x"), pair("a", "1"), pair("a", "1")];
    assert_eq!(pairs(&batch, 0), expected);
    let together = field(1, &[&name, &a, &a, &sample].map(Vec::as_slice).concat());
    let other = decode_plain(&together).expect("valid");
    assert_eq!(batch.series[0].labels, other.series[0].labels);
}

#[test]
fn series_without_items_are_passed_over() {
    let mut message = proto::WriteRequest::default();
    message.timeseries.push(proto::TimeSeries {
        labels: vec![proto::Label::new("__name__", "x")],
        ..Default::default()
    });
    let message = message.encode_to_vec();
    let batch = decode_plain(&message).expect("valid");
    assert!(batch.series.is_empty() && batch.rejects.is_empty());
}

#[test]
fn what_is_malformed_is_named_with_its_place() {
    for (message, text) in [
        (&b"\x0a\x05\x0a\x01"[..], "byte 1: timeseries is 5 bytes, but only 2 are left"),
        (b"\x0a\x04\x0a\x05\x0a\x01", "byte 3: label is 5 bytes, but only 2 are left"),
        (b"\x0a\x04\x0a\x02\x0a\x01", "byte 5: label name is 1 bytes, but only 0 are left"),
        (b"\x0a\x03\x12\x01\x09", "byte 5: value of sample is cut off"),
        (b"\x0a\x04\x12\x02\x10\xff", "byte 5: timestamp of sample is cut off"),
        (b"\x08\x01", "byte 0: timeseries is Varint, expected Length"),
        (b"\x0f", "byte 0: unknown wire type 7"),
        (b"\x1a\x02\x10\x01", "byte 2: name in metadata is Varint, expected Length"),
    ] {
        let error = decode_plain(message).err().expect("malformed");
        assert_eq!(error.to_string(), format!("malformed message at {text}"));
    }
}

#[test]
fn many_empty_items_pass_the_memory_limit() {
    let series = field(1, &field(2, b""));
    let message = series.repeat(100_000);
    let limits = Limits { batch_bytes_max: 1 << 20, ..Limits::default() };
    let error = decode(BodyKind::RemoteWrite1, b"", &message, &limits).err().expect("too much");
    assert_eq!(
        error.to_string(),
        "decoded request needs more than 1048576 bytes (limits.batch_bytes_max)"
    );
    assert!(decode_plain(&message).is_ok());
}

#[test]
fn bad_exemplars_and_metadata_are_rejects_of_their_own() {
    let exemplar =
        |labels: Vec<proto::Label>| proto::Exemplar { labels, value: Some(1.0), timestamp: 5 };
    let request = proto::WriteRequest {
        timeseries: vec![proto::TimeSeries {
            labels: vec![proto::Label::new("__name__", "x")],
            samples: vec![proto::Sample::new(5, 1.0)],
            exemplars: vec![
                exemplar(vec![proto::Label::new("trace_id", "a".repeat(121))]),
                exemplar(vec![proto::Label::new("trace_id", "a".repeat(120))]),
                exemplar(vec![]),
            ],
            ..Default::default()
        }],
        metadata: vec![
            proto::MetricMetadata { metric_family_name: b"a\xff".to_vec(), ..Default::default() },
            proto::MetricMetadata { metric_family_name: b"a".to_vec(), ..Default::default() },
            proto::MetricMetadata::default(),
        ],
    };
    let message = request.encode_to_vec();
    let batch = decode_plain(&message).expect("valid");
    assert_eq!(batch.series[0].exemplars, 0..2);
    assert_eq!(batch.metadata.len(), 1);
    let rejects: Vec<_> = batch.rejects.iter().collect();
    assert_eq!(
        rejects,
        [
            (
                RejectReason::InvalidExemplar,
                1,
                "series \"x\": labels of exemplar have 129 characters; limit is 128"
            ),
            (RejectReason::InvalidMetadata, 2, "name in metadata of \"a\u{fffd}\" is not UTF-8"),
        ]
    );
}
