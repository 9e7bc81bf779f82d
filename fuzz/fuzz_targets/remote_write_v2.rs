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
        assert!(Request::decode(message).is_ok(), "prost refuses it");
        for series in &batch.series {
            let mut pairs = Vec::new();
            assert!(batch.label_source.read(&series.labels, &mut pairs).is_ok());
        }
    }
});
