//! Any bytes as a remote-write 2.0 message: no panic, and `prost` takes what we take. The same bytes
//! as a message of parts of label sets: no panic.
#![no_main]

use ephemeris_ingest::Limits;
use ephemeris_ingest::proto::write_v2::Request;
use ephemeris_ingest::remote_write::v2;
use ephemeris_model::BodyKind;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|message: &[u8]| {
    let mut labels = Vec::new();
    let kind = BodyKind::LabelParts;
    if let Ok(batch) = v2::decode(kind, message, message, &Limits::default(), &mut labels) {
        for series in &batch.series {
            // Parts may be anything; they are read when a series is met for the first time.
            let _ = batch.read_labels(series, &mut Vec::new());
        }
    }
    if let Ok(batch) = v2::decode(BodyKind::RemoteWrite2, message, message, &Limits::default(), &mut labels) {
        let reference = Request::decode(message).expect("prost takes it");
        // What prost makes of it, in its own encoding, is the same batch.
        let again = reference.encode_to_vec();
        let mut room = Vec::new();
        let other = v2::decode(BodyKind::RemoteWrite2, &again, &again, &Limits::REPLAY, &mut room).expect("well-formed");
        assert_eq!(ephemeris_fuzz::shown(&batch), ephemeris_fuzz::shown(&other));
        for series in &batch.series {
            let mut pairs = Vec::new();
            assert!(batch.read_labels(series, &mut pairs).is_ok());
        }
    }
});
