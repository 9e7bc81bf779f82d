use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::proto::{write_v1, write_v2};

fn names() -> ReplicaLabels {
    ReplicaLabels { cluster: "cluster".to_owned(), replica: "__replica__".to_owned() }
}

type Pairs = Vec<(String, String)>;

/// Label sets, many of them with one or both labels of a pair.
fn label_sets() -> impl Strategy<Value = Vec<Pairs>> {
    let pair = prop_oneof![
        "[ab]".prop_map(|value| ("cluster".to_owned(), value)),
        "[xy]".prop_map(|value| ("__replica__".to_owned(), value)),
        ("[a-z]{1,3}", "[a-z]{0,3}"),
    ];
    prop::collection::vec(prop::collection::vec(pair, 0..5), 0..6)
}

fn last<'a>(pairs: &'a Pairs, name: &str) -> &'a str {
    pairs.iter().rfind(|(n, _)| n == name).map_or("", |(_, value)| value)
}

/// Keeps replica `x`, drops `y` of cluster `a` and refuses it of `b`.
fn fate(cluster: &str, replica: &str) -> Fate {
    match (cluster, replica) {
        (_, "x") => Fate::Keep,
        ("a", _) => Fate::Drop,
        _ => Fate::Refuse,
    }
}

/// What must be left of label sets, how many series are dropped and refused, and whether any has
/// both labels.
fn expected(sets: &[Pairs]) -> (Vec<Pairs>, u64, u64, bool) {
    let (mut kept, mut dropped, mut refused, mut any) = (Vec::new(), 0, 0, false);
    for pairs in sets {
        let (cluster, replica) = (last(pairs, "cluster"), last(pairs, "__replica__"));
        if cluster.is_empty() || replica.is_empty() {
            kept.push(pairs.clone());
            continue;
        }
        any = true;
        match fate(cluster, replica) {
            Fate::Keep => {
                kept.push(pairs.iter().filter(|(n, _)| n != "__replica__").cloned().collect());
            }
            Fate::Drop => dropped += 1,
            Fate::Refuse => refused += 1,
        }
    }
    (kept, dropped, refused, any)
}

fn v1(sets: &[Pairs]) -> write_v1::WriteRequest {
    let series = |pairs: &Pairs| write_v1::TimeSeries {
        labels: pairs.iter().map(|(n, v)| write_v1::Label::new(n.clone(), v.clone())).collect(),
        samples: vec![write_v1::Sample::new(5, 1.5)],
        exemplars: vec![write_v1::Exemplar::default()],
        ..write_v1::TimeSeries::default()
    };
    let metadata = vec![write_v1::MetricMetadata {
        metric_family_name: b"m".to_vec(),
        ..write_v1::MetricMetadata::default()
    }];
    write_v1::WriteRequest { timeseries: sets.iter().map(series).collect(), metadata }
}

fn v2(sets: &[Pairs]) -> write_v2::Request {
    let mut symbols = write_v2::SymbolTable::default();
    let mut series = |pairs: &Pairs| write_v2::TimeSeries {
        labels_refs: symbols.labels_refs(pairs.iter().map(|(n, v)| (n, v))),
        samples: vec![write_v2::Sample { value: Some(1.5), timestamp: 5, start_timestamp: 1 }],
        histograms: vec![write_v1::Histogram::default()],
        ..write_v2::TimeSeries::default()
    };
    let timeseries = sets.iter().map(&mut series).collect();
    write_v2::Request { symbols: symbols.into_symbols(), timeseries }
}

/// The label sets of a request of 2.0.
fn sets_of(request: &write_v2::Request) -> Vec<Pairs> {
    let text = |reference: u32| {
        String::from_utf8(request.symbols[reference as usize].clone()).expect("a text")
    };
    let pairs = |series: &write_v2::TimeSeries| {
        series.labels_refs.chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect()
    };
    request.timeseries.iter().map(pairs).collect()
}

proptest! {
    #[test]
    fn one_replica_is_left_of_version_1(sets in label_sets()) {
        let message = v1(&sets).encode_to_vec();
        let limits = Limits::default();
        let out = filter(BodyKind::RemoteWrite1, &message, &names(), &limits, &mut fate);
        let (kept, dropped, refused, any) = expected(&sets);
        let out = out.expect("well-formed");
        prop_assert_eq!(out.is_some(), any);
        let Some(out) = out else { return Ok(()) };
        let got = write_v1::WriteRequest::decode(&out.message[..]).expect("well-formed");
        prop_assert_eq!(got, v1(&kept));
        let counts = |n| Counts { samples: n, exemplars: n, histograms: 0 };
        prop_assert_eq!((out.dropped, out.refused), (counts(dropped), counts(refused)));
    }

    #[test]
    fn one_replica_is_left_of_version_2(sets in label_sets()) {
        let message = v2(&sets).encode_to_vec();
        let limits = Limits::default();
        let out = filter(BodyKind::RemoteWrite2, &message, &names(), &limits, &mut fate);
        let (kept, dropped, refused, any) = expected(&sets);
        let out = out.expect("well-formed");
        prop_assert_eq!(out.is_some(), any);
        let Some(out) = out else { return Ok(()) };
        let got = write_v2::Request::decode(&out.message[..]).expect("well-formed");
        prop_assert_eq!(sets_of(&got), kept);
        prop_assert!(got.timeseries.iter().all(|s| s.samples[0].start_timestamp == 1));
        let counts = |n| Counts { samples: n, histograms: n, exemplars: 0 };
        prop_assert_eq!((out.dropped, out.refused), (counts(dropped), counts(refused)));
    }

    #[test]
    fn any_bytes_are_refused_or_read(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        sets in label_sets(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for kind in [BodyKind::RemoteWrite1, BodyKind::RemoteWrite2] {
            let mut message =
                if kind == BodyKind::RemoteWrite1 { v1(&sets).encode_to_vec() } else { v2(&sets).encode_to_vec() };
            if !message.is_empty() {
                let at = at.index(message.len());
                message[at] = byte;
            }
            for message in [&message, &bytes] {
                let out = filter(kind, message, &names(), &Limits::default(), &mut fate);
                if let Ok(Some(out)) = out {
                    prop_assert!(out.message.len() <= message.len());
                }
            }
        }
    }
}

#[test]
fn references_that_are_wrong_are_left_to_decoding() {
    let mut request = v2(&[vec![
        ("cluster".to_owned(), "a".to_owned()),
        ("__replica__".to_owned(), "y".to_owned()),
    ]]);
    request.timeseries.push(write_v2::TimeSeries {
        labels_refs: vec![1, 2, 99, 1],
        ..write_v2::TimeSeries::default()
    });
    let message = request.encode_to_vec();
    let out = filter(BodyKind::RemoteWrite2, &message, &names(), &Limits::default(), &mut fate);
    let out = out.expect("well-formed").expect("a replica");
    let got = write_v2::Request::decode(&out.message[..]).expect("well-formed");
    assert_eq!(got.timeseries.len(), 1);
    assert_eq!(got.timeseries[0].labels_refs, [1, 2, 99, 1]);
    assert_eq!(out.dropped.total(), 2);
}

#[test]
fn symbols_count_against_the_memory_of_a_request() {
    let message = [0x22, 0x00].repeat(1000);
    let limits = Limits { batch_bytes_max: 1000, ..Limits::default() };
    let error = filter(BodyKind::RemoteWrite2, &message, &names(), &limits, &mut fate);
    assert!(matches!(error, Err(IngestError::BatchTooLarge { limit: 1000 })));
}
