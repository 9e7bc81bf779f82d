//! The decoder against `prost`, and what it derives.

use ephemeris_model::{BodyKind, LogBatch};
use proptest::prelude::*;
use prost::Message as _;

use super::decode;
use crate::body::Limits;
use crate::error::IngestError;
use crate::proto::push::{Entry, Pair, PushRequest, Stream, Timestamp};

fn decoded(message: &[u8]) -> Result<LogBatch<'_>, IngestError> {
    decode(BodyKind::LokiPushPlain, message, message, &Limits::default())
}

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let name = prop::sample::select(vec!["a", "b", "trace_id", "level", "detected_level", ""]);
    let value = prop::sample::select(vec!["", "x", "ERROR", "ff00"]);
    let pair = (name, value).prop_map(|(name, value)| Pair::new(name, value));
    prop::collection::vec(pair, 0..4)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let time = (any::<i32>(), 0..1_000_000_000_i32);
    let line = prop::collection::vec(any::<u8>(), 0..40);
    let entry = (time, line, pairs()).prop_map(|((seconds, nanos), line, metadata)| Entry {
        timestamp: Some(Timestamp { seconds: i64::from(seconds), nanos }),
        line,
        structured_metadata: metadata,
    });
    prop::collection::vec(entry, 0..5)
}

fn requests() -> impl Strategy<Value = PushRequest> {
    let labels = prop::sample::select(vec!["{a=\"b\"}", "{}", "{level=\"warn\",x=\"\\n\"}", "x"]);
    let stream = (labels, entries()).prop_map(|(labels, entries)| Stream {
        labels: labels.as_bytes().to_vec(),
        entries,
        hash: 7,
    });
    prop::collection::vec(stream, 0..4).prop_map(|streams| PushRequest { streams })
}

proptest! {
    #[test]
    fn what_prost_encodes_is_decoded(request in requests()) {
        let message = request.encode_to_vec();
        let batch = decoded(&message).expect("a message");
        prop_assert_eq!(batch.streams.len(), request.streams.len());
        for (stream, sent) in batch.streams.iter().zip(&request.streams) {
            prop_assert_eq!(&*stream.raw, &*sent.labels);
            let places = stream.entries.start as usize..stream.entries.end as usize;
            prop_assert_eq!(places.len(), sent.entries.len());
            for (entry, sent) in batch.entries[places].iter().zip(&sent.entries) {
                let time = sent.timestamp.unwrap_or_default();
                let ns = time.seconds * 1_000_000_000 + i64::from(time.nanos);
                prop_assert_eq!(entry.timestamp_ns, ns);
                prop_assert_eq!(entry.line, &*sent.line);
                let places = entry.metadata.start as usize..entry.metadata.end as usize;
                let found = &batch.metadata[places];
                prop_assert!(found.is_sorted_by(|a, b| a.0 < b.0));
                prop_assert!(found.iter().any(|(name, _)| name == "detected_level"));
                for (name, value) in found.iter().filter(|(name, _)| name != "detected_level") {
                    let sent = sent.structured_metadata.iter();
                    let mut sent = sent.filter(|p| p.name == name.as_bytes() && !p.value.is_empty());
                    prop_assert_eq!(&*sent.next().expect("it was sent").value, value.as_bytes());
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_taken_as_prost_takes_them(message in prop::collection::vec(any::<u8>(), 0..60)) {
        let taken = PushRequest::decode(&*message).is_ok();
        prop_assert_eq!(decoded(&message).is_ok(), taken);
    }

    #[test]
    fn a_changed_byte_is_taken_as_prost_takes_it(
        request in requests(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut message = request.encode_to_vec();
        if !message.is_empty() {
            let at = at.index(message.len());
            message[at] = byte;
        }
        prop_assert_eq!(decoded(&message).is_ok(), PushRequest::decode(&*message).is_ok());
    }
}

#[test]
fn the_level_comes_from_the_stream_before_the_line() {
    let entry = |line: &str| Entry {
        timestamp: Some(Timestamp { seconds: 1, nanos: 0 }),
        line: line.as_bytes().to_vec(),
        structured_metadata: Vec::new(),
    };
    let stream = |labels: &str| Stream {
        labels: labels.as_bytes().to_vec(),
        entries: vec![entry("an error"), entry("nothing")],
        hash: 0,
    };
    let streams = vec![stream("{level=\"Warning\"}"), stream("{a=\"b\"}")];
    let message = PushRequest { streams }.encode_to_vec();
    let batch = decoded(&message).expect("a message");
    let levels: Vec<&str> = batch.metadata.iter().map(|(_, value)| &**value).collect();
    assert_eq!(levels, ["warn", "warn", "error", "unknown"]);
}

#[test]
fn a_batch_over_its_memory_is_refused() {
    let entries = vec![Entry::default(); 1000];
    let streams = vec![Stream { labels: b"{a=\"b\"}".to_vec(), entries, hash: 0 }];
    let message = PushRequest { streams }.encode_to_vec();
    let limits = Limits { batch_bytes_max: 10_000, ..Limits::default() };
    let refused = decode(BodyKind::LokiPushPlain, &message, &message, &limits);
    assert!(matches!(refused, Err(IngestError::BatchTooLarge { limit: 10_000 })));
}
