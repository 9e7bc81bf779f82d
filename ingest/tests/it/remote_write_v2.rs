//! Remote write 2.0: the same data decodes to the same batch as by remote write 1.0, and what
//! `prost` refuses, we refuse.

use ephemeris_ingest::proto::write_v1::WriteRequest;
use ephemeris_ingest::proto::write_v2::{
    Exemplar, Metadata, Request, Sample, SymbolTable, TimeSeries,
};
use ephemeris_ingest::remote_write::{v1, v2};
use ephemeris_ingest::{IngestError, Limits};
use ephemeris_model::{BodyKind, WriteBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use crate::messages;

/// The same series as a 2.0 request, each sample with `start_timestamp`.
fn translate(request: &WriteRequest, start_timestamp: i64) -> Request {
    let mut symbols = SymbolTable::default();
    let timeseries = request
        .timeseries
        .iter()
        .map(|series| TimeSeries {
            labels_refs: symbols.labels_refs(series.labels.iter().map(|l| (&l.name, &l.value))),
            samples: series
                .samples
                .iter()
                .map(|s| Sample { value: s.value, timestamp: s.timestamp, start_timestamp })
                .collect(),
            histograms: series.histograms.clone(),
            exemplars: series
                .exemplars
                .iter()
                .map(|e| Exemplar {
                    labels_refs: symbols.labels_refs(e.labels.iter().map(|l| (&l.name, &l.value))),
                    value: e.value,
                    timestamp: e.timestamp,
                })
                .collect(),
            ..Default::default()
        })
        .collect();
    Request { symbols: symbols.into_symbols(), timeseries }
}

/// All a batch holds but metadata and rejects, as text with the bits of floats.
fn show(batch: &WriteBatch<'_>) -> Vec<String> {
    let mut shown = Vec::new();
    for series in &batch.series {
        let mut pairs = Vec::new();
        batch.label_source.read(&series.labels, &mut pairs).expect("well-formed");
        shown.push(format!("{pairs:?} {:?} {:?}", series.samples, series.histograms));
        for e in &batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize] {
            shown.push(format!("{} {} {:x}", e.labels, e.timestamp_ms, e.value.to_bits()));
        }
    }
    shown.extend(
        batch.samples.iter().map(|s| format!("{} {:x}", s.timestamp_ms, s.value.to_bits())),
    );
    shown.extend(batch.histograms.iter().map(|h| format!("{h:?}")));
    shown
}

fn same_verdict(message: &[u8]) {
    let mut labels = Vec::new();
    match (v2::decode(message, message, &Limits::default(), &mut labels), Request::decode(message))
    {
        (Ok(batch), Ok(request)) => {
            let kept = batch.series.len() as u64 + batch.rejects.total();
            assert!(kept >= request.timeseries.len() as u64, "a series is lost without a word");
        }
        (Err(IngestError::Malformed { .. }), Err(_)) => {}
        (Err(IngestError::BadMessage(_)), Ok(request)) => {
            assert!(!request.symbols[0].is_empty());
        }
        (Err(IngestError::BadMessage(_)), Err(_)) => {} // both reasons hold
        (ours, reference) => panic!("{:?} and {reference:?}", ours.err()),
    }
}

/// Any 2.0 request; many of its references lead nowhere.
fn any_request() -> impl Strategy<Value = Request> {
    let reference = || prop_oneof![9 => 0_u32..6, 1 => any::<u32>()];
    let metadata = (any::<i32>(), reference(), reference()).prop_map(|(number, help, unit)| {
        Metadata { r#type: number, help_ref: help, unit_ref: unit }
    });
    let samples = vec((messages::timestamp(), any::<i64>()), 0..3);
    let exemplars = vec(vec(reference(), 0..5), 0..3);
    let series = (
        vec(reference(), 0..8),
        samples,
        exemplars,
        vec(messages::any_histogram(), 0..2),
        proptest::option::of(metadata),
        any::<i64>(),
    )
        .prop_map(
            |(labels_refs, samples, exemplars, histograms, metadata, created_timestamp)| {
                TimeSeries {
                    labels_refs,
                    samples: samples
                        .into_iter()
                        .map(|(timestamp, start_timestamp)| Sample {
                            value: None,
                            timestamp,
                            start_timestamp,
                        })
                        .collect(),
                    exemplars: exemplars
                        .into_iter()
                        .map(|labels_refs| Exemplar { labels_refs, value: None, timestamp: 0 })
                        .collect(),
                    histograms,
                    metadata,
                    created_timestamp,
                }
            },
        );
    (vec(messages::text(), 0..6), vec(series, 0..5)).prop_map(|(mut symbols, timeseries)| {
        if let Some(first) = symbols.first_mut() {
            first.clear();
        }
        Request { symbols, timeseries }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_versions_decode_to_the_same_batch(
        request in messages::request(),
        start in prop_oneof![Just(0_i64), any::<i64>()],
    ) {
        let message = request.encode_to_vec();
        let expected = v1::decode(BodyKind::RemoteWrite1, b"", &message, &Limits::default());
        let message = translate(&request, start).encode_to_vec();
        let mut labels = Vec::new();
        let batch = v2::decode(b"", &message, &Limits::default(), &mut labels);
        let batch = batch.expect("well-formed");
        prop_assert_eq!(show(&expected.expect("well-formed")), show(&batch));
        let starts = if start == 0 { vec![] } else { vec![start; batch.samples.len()] };
        prop_assert_eq!(&batch.start_timestamps, &starts);
    }

    #[test]
    fn any_request_is_taken_as_prost_takes_it(request in any_request()) {
        same_verdict(&request.encode_to_vec());
    }

    #[test]
    fn damaged_messages_are_taken_as_prost_takes_them(
        request in any_request(),
        damage in vec(messages::Damage::any(), 1..4),
    ) {
        let mut message = request.encode_to_vec();
        for one in damage {
            one.apply(&mut message);
        }
        same_verdict(&message);
    }

    #[test]
    fn any_fields_are_taken_as_prost_takes_them(parts in vec(messages::fields(), 0..6)) {
        same_verdict(&parts.concat());
    }
}
