//! Any bytes as a request of OTLP metrics: no panic, and what is translated can be replayed.
#![no_main]

use ephemeris_ingest::otlp::{self, Accumulator, Options, Stored, StoredSample};
use ephemeris_ingest::proto::otlp::MetricsRequest;
use ephemeris_ingest::{Buffers, Limits, remote_write};
use ephemeris_model::BodyKind;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

struct Nothing;

impl Stored for Nothing {
    fn newest(&self, _: &[(&str, &str)]) -> Result<Option<StoredSample>, String> {
        Ok(None)
    }

    fn holds(&self, _: &[(&str, &str)], _: i64) -> Result<bool, String> {
        Ok(false)
    }
}

fuzz_target!(|message: &[u8]| {
    let accumulator = Accumulator::new(100);
    let mut session = accumulator.session("t", &Nothing);
    let limits = Limits::default();
    let translated = otlp::translate(message, &Options::default(), &limits, &mut session);
    let Ok(translated) = translated else { return };
    if let Ok(reference) = MetricsRequest::decode(message) {
        // What prost makes of it, in its own encoding, is translated to the same.
        let again = reference.encode_to_vec();
        let accumulator = Accumulator::new(100);
        let mut session = accumulator.session("t", &Nothing);
        let other = otlp::translate(&again, &Options::default(), &Limits::REPLAY, &mut session)
            .expect("it was translated before");
        assert_eq!((&translated.body, translated.points), (&other.body, other.points));
        assert_eq!(translated.refused.points, other.refused.points);
    }
    if translated.body.is_empty() {
        return;
    }
    let mut buffers = Buffers::default();
    let kind = BodyKind::RemoteWrite2Plain;
    let batch = remote_write::decode(kind, &translated.body, &Limits::REPLAY, &mut buffers)
        .expect("what is translated can be replayed");
    assert_eq!(batch.samples.len(), translated.sample_points.len());
    assert_eq!(batch.histograms.len(), translated.histogram_points.len());
});
