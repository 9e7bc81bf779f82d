//! Remote write 1.0: what `prost` decodes, we decode; what it refuses, we refuse.

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::write_v1::{Exemplar, Label, WriteRequest};
use ephemeris_ingest::remote_write::v1;
use ephemeris_ingest::{Decoder, IngestError, Limits};
use ephemeris_model::{BodyDecoder as _, BodyKind, WriteBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use crate::messages;

fn decode(message: &[u8]) -> Result<WriteBatch<'_>, IngestError> {
    v1::decode(BodyKind::RemoteWrite1Plain, message, message, &Limits::default())
}

/// Whether the labels of an exemplar keep the rules.
fn labels_are_valid(labels: &[Label]) -> bool {
    let texts: Vec<_> = labels.iter().flat_map(|l| [&l.name, &l.value]).collect();
    let chars = |bytes: &&Vec<u8>| std::str::from_utf8(bytes).map(|s| s.chars().count());
    let Ok(counts) = texts.iter().map(chars).collect::<Result<Vec<_>, _>>() else { return false };
    let names: std::collections::BTreeSet<_> = labels.iter().map(|l| &l.name).collect();
    counts.iter().sum::<usize>() <= 128
        && names.len() == labels.len()
        && labels.iter().all(|l| !l.name.is_empty())
}

/// Compares a batch with what `prost` made of the same message.
fn compare(batch: &WriteBatch<'_>, request: &WriteRequest) {
    let mut series = batch.series.iter().peekable();
    let mut refused = 0;
    for sent in &request.timeseries {
        let exemplars: Vec<&Exemplar> =
            sent.exemplars.iter().filter(|e| labels_are_valid(&e.labels)).collect();
        let histograms = series.peek().map_or(0, |s| s.histograms.len());
        refused += sent.exemplars.len() - exemplars.len();
        if sent.samples.is_empty() && exemplars.is_empty() && sent.histograms.is_empty() {
            continue;
        }
        let mut pairs = Vec::new();
        let is_this = series.peek().is_some_and(|s| {
            batch.read_labels(s, &mut pairs).expect("well-formed");
            let same = pairs.iter().map(|(n, v)| Label::new(*n, *v)).eq(sent.labels.clone());
            same && s.samples.len() == sent.samples.len() && s.exemplars.len() == exemplars.len()
        });
        if !is_this {
            assert!(sent.samples.is_empty() && exemplars.is_empty(), "series is missing");
            refused += sent.histograms.len();
            continue;
        }
        let got = series.next().expect("seen by peek");
        refused += sent.histograms.len() - histograms;
        let samples = &batch.samples[got.samples.start as usize..got.samples.end as usize];
        for (got, sent) in samples.iter().zip(&sent.samples) {
            assert_eq!(got.timestamp_ms, sent.timestamp);
            assert_eq!(got.value.to_bits(), sent.value.unwrap_or(0.0).to_bits());
        }
        let range = got.exemplars.start as usize..got.exemplars.end as usize;
        for (got, sent) in batch.exemplars[range].iter().zip(exemplars) {
            assert_eq!(got.timestamp_ms, sent.timestamp);
            assert_eq!(got.value.to_bits(), sent.value.unwrap_or(0.0).to_bits());
            assert!(
                sent.labels.iter().all(|l| l.value.is_empty()
                    || got.labels.iter().any(|(n, v)| *l == Label::new(n, v)))
            );
        }
    }
    assert!(series.next().is_none(), "a series was not sent");
    refused += request.metadata.len() - batch.metadata.len();
    assert_eq!(batch.rejects.total(), refused as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_was_encoded_is_decoded(request in messages::request()) {
        let message = request.encode_to_vec();
        compare(&decode(&message).expect("well-formed"), &request);
    }

    #[test]
    fn replay_decodes_the_same(request in messages::request()) {
        let message = request.encode_to_vec();
        let body = compress_snappy(&message).expect("small");
        let decoder = Decoder::default();
        for (kind, body) in
            [(BodyKind::RemoteWrite1, &body), (BodyKind::RemoteWrite1Plain, &message)]
        {
            let mut visits = 0;
            let result = decoder.decode(kind, body, &mut |batch| {
                visits += 1;
                assert_eq!((batch.kind, batch.body), (kind, &body[..]));
                compare(batch, &request);
            });
            // An empty body is never logged.
            prop_assert_eq!(result.is_ok(), !body.is_empty());
            prop_assert_eq!(visits, usize::from(!body.is_empty()));
        }
    }

    #[test]
    fn damaged_messages_are_taken_as_prost_takes_them(
        request in messages::request(),
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

    #[test]
    fn any_bytes_are_taken_as_prost_takes_them(message in vec(any::<u8>(), 0..300)) {
        same_verdict(&message);
    }
}

fn same_verdict(message: &[u8]) {
    let ours = decode(message);
    let reference = WriteRequest::decode(message);
    assert_eq!(
        ours.as_ref().err().map(ToString::to_string).is_none(),
        reference.is_ok(),
        "{:?} and {reference:?}",
        ours.err()
    );
    if let (Ok(batch), Ok(request)) = (decode(message), reference) {
        compare(&batch, &request);
    }
}
