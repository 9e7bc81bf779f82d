//! Remote write 2.0: the same data decodes to the same batch as by remote write 1.0, and what
//! `prost` refuses, we refuse.

use ephemeris_ingest::proto::write_v1::WriteRequest;
use ephemeris_ingest::proto::write_v2::{
    Exemplar, Metadata, Request, Sample, SymbolTable, TimeSeries,
};
use ephemeris_ingest::remote_write::{v1, v2};
use ephemeris_ingest::{IngestError, Limits};
use ephemeris_model::{BodyKind, RejectReason, WriteBatch};
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
        batch.read_labels(series, &mut pairs).expect("well-formed");
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

/// Compares a batch with what `prost` made of the same message. What breaks a rule of its own is in
/// the rejects, and so cannot be told from what is lost by the batch alone; their numbers can.
fn compare(batch: &WriteBatch<'_>, request: &Request) {
    let symbol = |reference: &u32| request.symbols.get(*reference as usize).map(Vec::as_slice);
    let resolve = |refs: &[u32]| -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let pair = |pair: &[u32]| match pair {
            [name, value] => Some((symbol(name)?.to_vec(), symbol(value)?.to_vec())),
            _ => None,
        };
        refs.chunks(2).map(pair).collect()
    };
    let mut series = batch.series.iter().peekable();
    let mut refused = 0;
    for sent in &request.timeseries {
        let items = sent.samples.len() + sent.histograms.len() + sent.exemplars.len();
        if items == 0 {
            // It is not the next one that came, which may have the same labels.
            refused += 1;
            continue;
        }
        let Some(labels) = resolve(&sent.labels_refs) else {
            refused += items.max(1);
            continue;
        };
        let labels: Vec<(&[u8], &[u8])> =
            labels.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let mut pairs = Vec::new();
        let is_this = series.peek().is_some_and(|got| {
            batch.read_labels(got, &mut pairs).expect("well-formed");
            pairs == labels && got.samples.len() == sent.samples.len()
        });
        if !is_this {
            assert!(sent.samples.is_empty(), "a series is missing");
            refused += items.max(1);
            continue;
        }
        let got = series.next().expect("seen by peek");
        refused += items - got.samples.len() - got.histograms.len() - got.exemplars.len();
        let range = got.samples.start as usize..got.samples.end as usize;
        for (at, sent_sample) in range.zip(&sent.samples) {
            let sample = batch.samples[at];
            assert_eq!(sample.timestamp_ms, sent_sample.timestamp);
            assert_eq!(sample.value.to_bits(), sent_sample.value.unwrap_or(0.0).to_bits());
            let start = match sent_sample.start_timestamp {
                0 => sent.created_timestamp,
                start => start,
            };
            assert_eq!(batch.start_timestamps.get(at).copied().unwrap_or(0), start);
        }
        let range = got.exemplars.start as usize..got.exemplars.end as usize;
        let mut exemplars = sent.exemplars.iter();
        for got in &batch.exemplars[range] {
            let value = got.value.to_bits();
            let same = |e: &Exemplar| {
                (e.timestamp, e.value.unwrap_or(0.0).to_bits()) == (got.timestamp_ms, value)
            };
            assert!(exemplars.any(same), "an exemplar was not sent");
        }
    }
    assert!(series.next().is_none(), "a series was not sent");
    let of_series: u64 = batch
        .rejects
        .iter()
        .filter(|(reason, ..)| *reason != RejectReason::InvalidMetadata)
        .map(|(_, count, _)| count)
        .sum();
    assert_eq!(of_series, refused as u64);
}

fn same_verdict(message: &[u8]) {
    let mut labels = Vec::new();
    match (
        v2::decode(BodyKind::RemoteWrite2, message, message, &Limits::default(), &mut labels),
        Request::decode(message),
    ) {
        (Ok(batch), Ok(request)) => {
            let kept = batch.series.len() as u64 + batch.rejects.total();
            assert!(kept >= request.timeseries.len() as u64, "a series is lost without a word");
            compare(&batch, &request);
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
        let batch = v2::decode(BodyKind::RemoteWrite2, b"", &message, &Limits::default(), &mut labels);
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
