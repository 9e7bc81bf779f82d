//! OTLP and text from any bytes: no panic, and what is translated can be replayed.

use ephemeris_ingest::otlp::json::metrics_to_protobuf;
use ephemeris_ingest::otlp::{
    self, Accumulator, Cache, DeltaMode, ExplicitHistograms, Naming, Options, Stored, StoredSample,
};
use ephemeris_ingest::text::{self, Format};
use ephemeris_ingest::{Buffers, Limits, remote_write};
use ephemeris_model::BodyKind;
use proptest::collection::vec;
use proptest::prelude::*;

struct Nothing;

impl Stored for Nothing {
    fn newest(&self, _: &[(&str, &str)]) -> Result<Option<StoredSample>, String> {
        Ok(None)
    }

    fn holds(&self, _: &[(&str, &str)], _: i64) -> Result<bool, String> {
        Ok(false)
    }
}

/// A request with a metric of every kind.
fn example() -> Vec<u8> {
    let point = r#""timeUnixNano":"2000000000","startTimeUnixNano":"1000000000","attributes":[
        {"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"},{"doubleValue":0.5}]}}},
        {"key":"b","value":{"kvlistValue":{"values":[{"key":"c","value":{"boolValue":true}}]}}}]"#;
    let exemplar = r#""exemplars":[{"timeUnixNano":"1500000000","asDouble":1.5,"traceId":"01ff"}]"#;
    let json = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
        {{"key":"service.name","value":{{"stringValue":"s"}}}},
        {{"key":"x","value":{{"stringValue":"y"}}}}]}},"scopeMetrics":[{{
        "scope":{{"name":"n"}},"metrics":[
        {{"name":"g","gauge":{{"dataPoints":[{{{point},"asDouble":1}}]}}}},
        {{"name":"s","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
            {{{point},"asInt":5,{exemplar}}}]}}}},
        {{"name":"h","histogram":{{"aggregationTemporality":1,"dataPoints":[{{{point},"count":3,
            "sum":2,"bucketCounts":[1,2],"explicitBounds":[1],{exemplar}}}]}}}},
        {{"name":"e","exponentialHistogram":{{"aggregationTemporality":1,"dataPoints":[{{{point},
            "count":6,"sum":2,"scale":12,"zeroCount":1,"positive":{{"offset":-3,
            "bucketCounts":[1,0,0,0,2]}},"negative":{{"offset":9,"bucketCounts":[2]}}}}]}}}},
        {{"name":"q","summary":{{"dataPoints":[{{{point},"count":3,"sum":2,"quantileValues":[
            {{"quantile":0.5,"value":1}}]}}]}}}}]}}]}}]}}"#
    );
    let mut message = Vec::new();
    metrics_to_protobuf(json.as_bytes(), 1 << 20, &mut message).expect("valid JSON");
    message
}

/// Translates, twice over for the totals, and reads back.
fn run(message: &[u8], options: &Options) -> Option<u64> {
    let accumulator = Accumulator::new(100);
    let limits = Limits { batch_bytes_max: 1 << 22, ..Limits::default() };
    let (mut points, mut cache) = (None, Cache::default());
    for _ in 0..2 {
        let mut session = accumulator.session("t", &Nothing);
        let translated =
            otlp::translate(message, options, &limits, &mut session, &mut cache, None).ok()?;
        assert!(translated.refused.points <= translated.points);
        points = Some(translated.points - translated.refused.points);
        session.commit();
        if translated.body.is_empty() {
            continue;
        }
        let mut buffers = Buffers::default();
        let kind = BodyKind::LabelParts;
        let batch = remote_write::decode(kind, &translated.body, &Limits::REPLAY, &mut buffers)
            .expect("what is translated can be replayed");
        assert_eq!(batch.samples.len(), translated.sample_points.len());
        assert_eq!(batch.histograms.len(), translated.histogram_points.len());
        assert_eq!(batch.kind, kind);
    }
    points
}

fn all_options() -> impl Strategy<Value = Options> {
    let naming = prop::sample::select(Naming::ALL.map(|(naming, _)| naming).to_vec());
    (naming, any::<bool>(), any::<bool>()).prop_map(|(naming, yes, no)| Options {
        naming,
        promoted: if yes { vec!["*".to_owned()] } else { Vec::new() },
        scope_labels: yes,
        histograms: if no { ExplicitHistograms::Native } else { ExplicitHistograms::Classic },
        delta: if no && yes { DeltaMode::Keep } else { DeltaMode::Accumulate },
        ..Options::default()
    })
}

#[test]
fn every_kind_of_point_is_taken() {
    assert_eq!(run(&example(), &Options::default()), Some(5));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_requests_are_refused_or_read(
        options in all_options(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut message = example();
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        run(&message, &options);
        message.truncate(cut.index(message.len()));
        run(&message, &options);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in vec(any::<u8>(), 0..200)) {
        run(&bytes, &Options::default());
        let mut message = Vec::new();
        let _ = metrics_to_protobuf(&bytes, 1 << 20, &mut message);
    }

    #[test]
    fn any_text_is_refused_or_read(line in "[a{}=\",# 1\\\\nTYPE_.+-]{0,60}", raw in vec(any::<u8>(), 0..60)) {
        for (text, format) in [
            (line.as_bytes(), Format::Prometheus),
            (line.as_bytes(), Format::OpenMetrics),
            (&raw, Format::Prometheus),
        ] {
            let batch = text::read(text, format, 1, &[], &Limits::default()).expect("short");
            if !batch.body.is_empty() {
                let mut buffers = Buffers::default();
                let kind = BodyKind::RemoteWrite2Plain;
                remote_write::decode(kind, &batch.body, &Limits::REPLAY, &mut buffers)
                    .expect("what is read can be replayed");
            }
        }
    }
}
