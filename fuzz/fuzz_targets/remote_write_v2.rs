//! Any bytes as a remote-write 2.0 message: no panic, and `prost` takes what we take.
#![no_main]

use ephemeris_ingest::Limits;
use ephemeris_ingest::proto::write_v2::Request;
use ephemeris_ingest::remote_write::v2;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|message: &[u8]| {
    let mut labels = Vec::new();
    if let Ok(batch) = v2::decode(message, message, &Limits::default(), &mut labels) {
        let reference = Request::decode(message).expect("prost takes it");
        // What prost makes of it, in its own encoding, is the same batch.
        let again = reference.encode_to_vec();
        let mut room = Vec::new();
        let other = v2::decode(&again, &again, &Limits::REPLAY, &mut room).expect("well-formed");
        assert_eq!(ephemeris_fuzz::shown(&batch), ephemeris_fuzz::shown(&other));
        for series in &batch.series {
            let mut pairs = Vec::new();
            assert!(batch.label_source.read(&series.labels, &mut pairs).is_ok());
        }
    }
});
