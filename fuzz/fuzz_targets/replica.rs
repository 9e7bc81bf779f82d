//! Any bytes as a message of a pair of agents: no panic, and what is kept is read as `prost` reads it.
#![no_main]

use ephemeris_ingest::Limits;
use ephemeris_ingest::proto::{write_v1, write_v2};
use ephemeris_ingest::remote_write::replica::{Fate, ReplicaLabels, filter};
use ephemeris_model::BodyKind;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|input: &[u8]| {
    let Some((first, message)) = input.split_first() else { return };
    let kind = if first % 2 == 0 { BodyKind::RemoteWrite1 } else { BodyKind::RemoteWrite2 };
    let labels = ReplicaLabels { cluster: "c".to_owned(), replica: "r".to_owned() };
    let mut fate = |_: &str, replica: &str| match replica.len() % 3 {
        0 => Fate::Drop,
        1 => Fate::Keep,
        _ => Fate::Refuse,
    };
    let filtered = filter(kind, message, &labels, &Limits::default(), &mut fate);
    let Ok(Some(filtered)) = filtered else { return };
    assert!(filtered.message.len() <= message.len());
    if kind == BodyKind::RemoteWrite1 && write_v1::WriteRequest::decode(message).is_ok() {
        assert!(write_v1::WriteRequest::decode(&filtered.message[..]).is_ok());
    }
    if kind == BodyKind::RemoteWrite2 && write_v2::Request::decode(message).is_ok() {
        assert!(write_v2::Request::decode(&filtered.message[..]).is_ok());
    }
});
