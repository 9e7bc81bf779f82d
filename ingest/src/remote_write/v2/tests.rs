//! Remote write 2.0: what senders send, older drafts included, and what they should not.

use ephemeris_model::{MetricType, stale_nan};
use prost::Message as _;

use super::*;
use crate::proto::write_v2::{self as proto, SymbolTable};

/// Decodes and hands the batch to `check`.
fn decode_with(request: &proto::Request, check: impl FnOnce(&WriteBatch<'_>)) {
    let message = request.encode_to_vec();
    let mut labels = vec![1, 2, 3];
    let batch = decode(BodyKind::RemoteWrite2, b"body", &message, &Limits::default(), &mut labels)
        .expect("well-formed");
    assert_eq!((batch.kind, batch.body), (BodyKind::RemoteWrite2, &b"body"[..]));
    check(&batch);
}

fn refuse(request: &proto::Request) -> String {
    let message = request.encode_to_vec();
    let mut labels = Vec::new();
    let limits = Limits { batch_bytes_max: 1 << 20, ..Limits::default() };
    decode(BodyKind::RemoteWrite2, b"", &message, &limits, &mut labels)
        .err()
        .expect("refused")
        .to_string()
}

fn names(batch: &WriteBatch<'_>, series: usize) -> String {
    let mut pairs = Vec::new();
    batch.read_labels(&batch.series[series], &mut pairs).expect("well-formed");
    let texts = pairs.iter().map(|(name, value)| {
        format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
    });
    texts.collect::<Vec<_>>().join(",")
}

fn sample(timestamp: i64, value: f64, start_timestamp: i64) -> proto::Sample {
    proto::Sample { value: Some(value), timestamp, start_timestamp }
}

/// A request whose series all have the labels `b="2", __name__="x"`.
fn request(timeseries: Vec<proto::TimeSeries>) -> proto::Request {
    let mut symbols = SymbolTable::default();
    let refs = symbols.labels_refs([("b", "2"), ("__name__", "x")]);
    let mut request = proto::Request { timeseries, symbols: symbols.into_symbols() };
    for series in &mut request.timeseries {
        if series.labels_refs.is_empty() {
            series.labels_refs.clone_from(&refs);
        }
    }
    request
}

#[test]
fn an_empty_message_is_a_request_without_series() {
    decode_with(&proto::Request::default(), |batch| {
        assert!(batch.series.is_empty() && batch.rejects.is_empty());
    });
}

#[test]
fn series_come_as_encoded_with_labels_in_any_order() {
    let series = proto::TimeSeries {
        samples: vec![sample(1_790_000_000_000, stale_nan(), 0), sample(5, -0.0, 0)],
        ..Default::default()
    };
    decode_with(&request(vec![series.clone(), series]), |batch| {
        assert_eq!(names(batch, 0), "b=2,__name__=x");
        assert_eq!(batch.series[0].labels, batch.series[1].labels);
        assert_eq!(batch.series[1].samples, 2..4);
        assert!(batch.start_timestamps.is_empty());
        assert_eq!(batch.samples[2].timestamp_ms, 1_790_000_000_000);
        assert_eq!(batch.samples[2].value.to_bits(), stale_nan().to_bits());
        assert_eq!(batch.samples[3].value.to_bits(), (-0.0_f64).to_bits());
    });
}

#[test]
fn equal_labels_are_equal_whatever_the_symbol_table() {
    let series = |labels_refs: Vec<u32>| proto::TimeSeries {
        labels_refs,
        samples: vec![sample(1, 1.0, 0)],
        ..Default::default()
    };
    let symbols = |texts: &[&str]| texts.iter().map(|t| t.as_bytes().to_vec()).collect();
    let one = proto::Request {
        symbols: symbols(&["", "__name__", "x"]),
        timeseries: vec![series(vec![1, 2])],
    };
    let other = proto::Request {
        symbols: symbols(&["", "x", "x", "unused", "__name__"]),
        timeseries: vec![series(vec![4, 1]), series(vec![4, 2])],
    };
    decode_with(&one, |one| {
        decode_with(&other, |other| {
            assert_eq!(names(one, 0), names(other, 0));
            assert_eq!(names(one, 0), names(other, 1));
        });
    });
}

#[test]
fn symbols_may_come_after_the_series() {
    let parts =
        request(vec![proto::TimeSeries { samples: vec![sample(1, 1.0, 0)], ..Default::default() }]);
    let series = proto::Request { symbols: vec![], ..parts.clone() }.encode_to_vec();
    let symbols = proto::Request { timeseries: vec![], ..parts }.encode_to_vec();
    let message = [series, symbols].concat();
    let mut labels = Vec::new();
    let batch = decode(BodyKind::RemoteWrite2, b"", &message, &Limits::default(), &mut labels)
        .expect("well-formed");
    assert_eq!(names(&batch, 0), "b=2,__name__=x");
}

#[test]
fn start_timestamps_come_per_sample_or_per_series() {
    let series = |samples, created_timestamp| proto::TimeSeries {
        samples,
        created_timestamp,
        ..Default::default()
    };
    let all = request(vec![
        series(vec![sample(1, 1.0, 0)], 0),
        series(vec![sample(2, 1.0, 0), sample(3, 1.0, 7)], 5),
        series(vec![sample(4, 1.0, 0)], 0),
        series(vec![sample(5, 1.0, 9)], 0),
    ]);
    decode_with(&all, |batch| assert_eq!(batch.start_timestamps, [0, 5, 7, 0, 9]));
}

#[test]
fn bad_references_cost_their_series_only() {
    let good = proto::TimeSeries { samples: vec![sample(1, 1.0, 3)], ..Default::default() };
    let odd = proto::TimeSeries {
        labels_refs: vec![1],
        samples: vec![sample(1, 1.0, 3), sample(2, 1.0, 3)],
        ..Default::default()
    };
    let beyond = proto::TimeSeries { labels_refs: vec![3, 5], ..good.clone() };
    let nothing = proto::TimeSeries { labels_refs: vec![u32::MAX, 0], ..Default::default() };
    decode_with(&request(vec![good.clone(), odd, beyond, nothing, good]), |batch| {
        assert_eq!(batch.series.len(), 2);
        assert_eq!(batch.series[1].samples, 1..2);
        assert_eq!((batch.samples.len(), batch.start_timestamps.len()), (2, 2));
        assert_eq!(
            batch.rejects.summary(),
            "4 rejected (bad_symbol_reference): 1 references are no pairs of name and value"
        );
    });
}

#[test]
fn a_series_without_items_is_a_reject() {
    let bare = proto::TimeSeries::default();
    let exemplars_only = proto::TimeSeries {
        exemplars: vec![proto::Exemplar { labels_refs: vec![1, 2], ..Default::default() }],
        ..Default::default()
    };
    decode_with(&request(vec![bare, exemplars_only]), |batch| {
        assert_eq!(batch.series.len(), 1);
        assert_eq!(batch.exemplars[0].labels.to_string(), r#"{b="2"}"#);
        assert_eq!(
            batch.rejects.summary(),
            "1 rejected (empty_series): series \"x\" has neither samples nor histograms"
        );
    });
}

#[test]
fn the_first_symbol_must_be_empty() {
    let request = proto::Request { symbols: vec![b"a".to_vec()], timeseries: vec![] };
    assert_eq!(refuse(&request), "symbol 0 is \"a\", must be empty");
}

#[test]
fn references_pass_the_memory_limit_and_what_they_refer_to_does_not() {
    let request = |count: usize| {
        let labels_refs = vec![1; count];
        let series = proto::TimeSeries {
            labels_refs,
            samples: vec![sample(1, 1.0, 0)],
            ..Default::default()
        };
        let symbols = vec![vec![], vec![b'a'; 10_000]];
        proto::Request { symbols, timeseries: vec![series] }
    };
    let text = "decoded request needs more than 1048576 bytes (limits.batch_bytes_max)";
    assert_eq!(refuse(&request(300_000)), text);
    decode_with(&request(1000), |batch| assert_eq!(batch.series[0].labels.len(), 4000));
}

#[test]
fn metadata_concerns_the_family_and_comes_once() {
    let mut symbols = SymbolTable::default();
    let bucket = symbols.labels_refs([("__name__", "h_bucket"), ("le", "1")]);
    let count = symbols.labels_refs([("__name__", "c"), ("a", "1")]);
    let (help, unit) = (symbols.number("What h is."), symbols.number("seconds"));
    let series = |labels_refs: &[u32], number, help_ref| proto::TimeSeries {
        labels_refs: labels_refs.to_vec(),
        samples: vec![sample(1, 1.0, 0)],
        metadata: Some(proto::Metadata { r#type: number, help_ref, unit_ref: unit }),
        ..Default::default()
    };
    let timeseries = vec![
        series(&bucket, 3, help),
        series(&count, 1, 0),
        series(&bucket, 3, help),
        series(&count, 1, 999),
    ];
    let request = proto::Request { symbols: symbols.into_symbols(), timeseries };
    decode_with(&request, |batch| {
        assert_eq!(batch.series.len(), 4);
        let got: Vec<_> = batch
            .metadata
            .iter()
            .map(|m| (m.metric.as_str(), m.metric_type, m.help.as_str(), m.unit.as_str()))
            .collect();
        assert_eq!(
            got,
            [
                ("h", MetricType::Histogram, "What h is.", "seconds"),
                ("c", MetricType::Counter, "", "seconds"),
            ]
        );
        assert_eq!(
            batch.rejects.summary(),
            "1 rejected (invalid_metadata): metadata refers to symbols 999 and 8 of 9"
        );
    });
}

#[test]
fn an_exemplar_with_bad_references_is_a_reject_of_its_own() {
    let exemplar = |labels_refs| proto::Exemplar { labels_refs, value: Some(1.0), timestamp: 2 };
    let series = proto::TimeSeries {
        samples: vec![sample(1, 1.0, 0)],
        exemplars: vec![exemplar(vec![1, 99]), exemplar(vec![]), exemplar(vec![1, 2, 1, 4])],
        ..Default::default()
    };
    decode_with(&request(vec![series]), |batch| {
        assert_eq!((batch.samples.len(), batch.exemplars.len()), (1, 1));
        assert_eq!(
            batch.rejects.summary(),
            "2 rejected (invalid_exemplar): series \"x\": reference to symbol 99 of 5"
        );
    });
}
