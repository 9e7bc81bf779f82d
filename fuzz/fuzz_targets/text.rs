//! Any bytes as Prometheus text and OpenMetrics: no panic, and what is read can be replayed.
#![no_main]

use ephemeris_ingest::text::{self, Format};
use ephemeris_ingest::{Buffers, Limits, remote_write};
use ephemeris_model::BodyKind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let batch = text::read(body, format, 7, &[], &Limits::default());
        let Some(batch) = batch.ok().filter(|batch| !batch.body.is_empty()) else { continue };
        let mut buffers = Buffers::default();
        let kind = BodyKind::RemoteWrite2Plain;
        remote_write::decode(kind, &batch.body, &Limits::REPLAY, &mut buffers)
            .expect("what is read can be replayed");
    }
});
