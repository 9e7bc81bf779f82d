//! Any bytes as a request of OTLP metrics: no panic, and what is translated can be replayed.
#![no_main]

use std::collections::BTreeSet;

use ephemeris_ingest::otlp::{self, Accumulator, Cache, Options, Stored, StoredSample, Translated};
use ephemeris_ingest::proto::otlp::MetricsRequest;
use ephemeris_ingest::{Buffers, IngestError, Limits, remote_write};
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

/// Translates as for a server that was just started, but with `cache`.
fn translate(message: &[u8], cache: &mut Cache) -> Result<Translated, IngestError> {
    let accumulator = Accumulator::new(100);
    let mut session = accumulator.session("t", &Nothing);
    otlp::translate(message, &Options::default(), &Limits::default(), &mut session, cache, None)
}

/// All of the batch; metadata of a metric whose bytes differ may come twice.
fn shown(translated: &Translated) -> Vec<String> {
    if translated.body.is_empty() {
        // Nothing is stored, and nothing replayed.
        assert!(translated.sample_points.is_empty() && translated.histogram_points.is_empty());
        return Vec::new();
    }
    let mut buffers = Buffers::default();
    let kind = BodyKind::LabelParts;
    let mut batch = remote_write::decode(kind, &translated.body, &Limits::REPLAY, &mut buffers)
        .expect("what is translated can be replayed");
    assert_eq!(batch.samples.len(), translated.sample_points.len());
    assert_eq!(batch.histograms.len(), translated.histogram_points.len());
    let metadata = std::mem::take(&mut batch.metadata);
    let metadata: BTreeSet<String> = metadata.iter().map(|m| format!("{m:?}")).collect();
    ephemeris_fuzz::shown(&batch).into_iter().chain(metadata).collect()
}

fuzz_target!(|message: &[u8]| {
    let mut cache = Cache::default();
    let Ok(translated) = translate(message, &mut cache) else { return };
    let again = translate(message, &mut cache).expect("it was translated before");
    assert_eq!((&translated.body, translated.points), (&again.body, again.points));
    let refused = |translated: &Translated| translated.refused.message();
    assert_eq!(refused(&translated), refused(&again));
    let lines = shown(&translated);
    if let Ok(reference) = MetricsRequest::decode(message) {
        // What prost makes of it, in its own encoding, is translated to the same.
        let other = translate(&reference.encode_to_vec(), &mut Cache::default())
            .expect("it was translated before");
        assert_eq!((&lines, translated.points), (&shown(&other), other.points));
        assert_eq!(translated.refused.points, other.refused.points);
    }
});
