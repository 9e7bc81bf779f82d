//! Any bytes as a Loki push message: no panic, and `prost` takes what we take.
#![no_main]

use ephemeris_ingest::loki::{json, push};
use ephemeris_ingest::proto::push::PushRequest;
use ephemeris_ingest::{ErrorKind, Limits};
use ephemeris_model::BodyKind;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|message: &[u8]| {
    match push::decode(BodyKind::LokiPushPlain, message, message, &Limits::default()) {
        Ok(batch) => {
            assert!(PushRequest::decode(message).is_ok(), "prost refuses it");
            for entry in &batch.entries {
                let pairs = entry.metadata.start as usize..entry.metadata.end as usize;
                assert!(batch.metadata[pairs].is_sorted_by(|a, b| a.0 < b.0));
            }
        }
        Err(e) if e.kind() == ErrorKind::Limit => {}
        Err(_) => assert!(PushRequest::decode(message).is_err(), "prost takes it"),
    }
    let _ = json::to_message(message, &Limits::default());
});
