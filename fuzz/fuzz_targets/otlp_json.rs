//! Any bytes as OTLP metrics in JSON: no panic, and what comes of it is well-formed protobuf.
#![no_main]

use ephemeris_ingest::otlp::json::metrics_to_protobuf;
use ephemeris_ingest::otlp::{self, Accumulator, Cache, DeltaMode, Options, Stored, StoredSample};
use ephemeris_ingest::{IngestError, Limits};
use libfuzzer_sys::fuzz_target;

struct Nothing;

impl Stored for Nothing {
    fn newest(&self, _: &[(&str, &str)]) -> Result<Option<StoredSample>, String> {
        Ok(None)
    }

    fn holds(&self, _: &[(&str, &str)], _: i64) -> Result<bool, String> {
        Ok(false)
    }
}

fuzz_target!(|body: &[u8]| {
    let mut message = Vec::new();
    if metrics_to_protobuf(body, 1 << 24, &mut message).is_err() {
        return;
    }
    let accumulator = Accumulator::new(100);
    let mut session = accumulator.session("t", &Nothing);
    let options = Options { delta: DeltaMode::Keep, ..Options::default() };
    match otlp::translate(&message, &options, &Limits::default(), &mut session, &mut Cache::default(), None) {
        Ok(_) | Err(IngestError::BadMessage(_) | IngestError::BatchTooLarge { .. }) => {}
        // Values may be nested deeper in JSON than they are read.
        Err(IngestError::Malformed { what, .. }) if what.contains("nested") => {}
        Err(error) => panic!("{error}"),
    }
});
