//! Any bytes as a remote-write 1.0 message: no panic, and `prost` takes what we take.
#![no_main]

use ephemeris_ingest::proto::write_v1::WriteRequest;
use ephemeris_ingest::remote_write::v1;
use ephemeris_ingest::{ErrorKind, Limits};
use ephemeris_model::BodyKind;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|message: &[u8]| {
    match v1::decode(BodyKind::RemoteWrite1Plain, message, message, &Limits::default()) {
        Ok(batch) => {
            let reference = WriteRequest::decode(message).expect("prost takes it");
            // What prost makes of it, in its own encoding, is the same batch.
            let again = reference.encode_to_vec();
            let kind = BodyKind::RemoteWrite1Plain;
            let limits = Limits::REPLAY;
            let other = v1::decode(kind, &again, &again, &limits).expect("well-formed");
            assert_eq!(ephemeris_fuzz::shown(&batch), ephemeris_fuzz::shown(&other));
            for series in &batch.series {
                let mut pairs = Vec::new();
                let _ = batch.read_labels(series, &mut pairs);
                assert!(batch.samples.get(series.samples.start as usize..).is_some());
            }
        }
        Err(e) if e.kind() == ErrorKind::Limit => {}
        Err(_) => assert!(WriteRequest::decode(message).is_err(), "prost takes it"),
    }
});
