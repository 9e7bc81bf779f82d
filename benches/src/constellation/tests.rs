//! Samples in bodies are the ones that can be computed again; values move as their kinds say.

use std::collections::{BTreeMap, BTreeSet};

use ephemeris_ingest::proto::write_v1::WriteRequest;
use ephemeris_ingest::{Limits, body};
use prost::Message as _;

use super::bodies::{STALE_BITS, record};
use super::entities::{Entity, Group, Tier};
use super::values::{Kind, mix, value};
use super::*;
use crate::recorded::LaneReader;

fn small(seed: u64) -> Constellation {
    let start_ms = 1_790_000_000_000;
    Constellation {
        seed,
        tier: Tier { satellites: 30, terminals: 20, ..Tier::named("ci").expect("a tier") },
        start_ms,
        scrape_count: 45,
        churn_per_mille: 100,
        storm_ms: Some(start_ms + 400_000),
        dumps: Dumps::Late,
    }
}

/// Labels as text.
type Text = Vec<(String, String)>;

#[test]
fn every_sample_that_is_sent_can_be_computed_again() {
    let mut dumps = 0;
    for seed in [1, 2, 3] {
        let of = small(seed);
        let mut expected = BTreeMap::new();
        let mut all_labels = BTreeSet::new();
        for entity in of.tier.entities() {
            for n in (0..of.scrape_count).filter(|n| of.arrival(entity, *n) != Arrival::Missed) {
                let time_ms = of.scrape_ms(entity, n);
                for metric in entity.group.metrics() {
                    let labels = of.labels(entity, metric, time_ms);
                    let text: Text =
                        labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                    all_labels.insert(text.clone());
                    let bits = of.value(entity, metric, time_ms).to_bits();
                    let before = expected.insert((text, time_ms), bits);
                    assert_eq!(before, None, "two series have the same labels");
                }
            }
        }
        let dir = tempfile::tempdir().expect("a directory");
        let manifest = record(&of, 2, dir.path()).expect("written");
        let (mut sent, mut stored, mut repeats) = (0, BTreeSet::new(), 0);
        for path in &manifest.lanes {
            let (mut reader, mut bytes) = (LaneReader::open(path).expect("a file"), Vec::new());
            while let Some(samples) = reader.next(&mut bytes).expect("whole") {
                let mut buffer = Vec::new();
                let raw = body::decompress_snappy(&bytes, &Limits::default(), &mut buffer);
                let request = WriteRequest::decode(raw.expect("valid")).expect("valid");
                assert_eq!(request.timeseries.len(), samples);
                for series in request.timeseries {
                    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
                    let labels = series.labels.into_iter();
                    let text: Text = labels.map(|l| (text(l.name), text(l.value))).collect();
                    let sample = series.samples[0];
                    let bits = sample.value.expect("a value").to_bits();
                    sent += 1;
                    if bits == STALE_BITS {
                        assert!(all_labels.contains(&text));
                        continue;
                    }
                    let key = (text, sample.timestamp);
                    assert_eq!(expected.get(&key), Some(&bits), "{key:?}");
                    repeats += usize::from(!stored.insert(key));
                }
            }
        }
        assert_eq!(stored.len(), expected.len());
        assert_eq!((manifest.sent_count, manifest.stored_count), (sent, stored.len()));
        assert!(repeats > 0, "{manifest:?}");
        dumps += usize::from(manifest.lanes.len() > 2);
        assert!(
            manifest.series_count >= all_labels.len() && all_labels.len() > of.tier.series_count()
        );
    }
    assert!(dumps > 0, "no satellite sends late");
}

#[test]
fn counters_only_fall_at_a_start_and_walks_stay_in_bounds() {
    for round in 0..2_000_u64 {
        let series = mix(round);
        let time = 1_790_000_000_000 + i64::try_from(mix(series) % 10_000_000_000).expect("small");
        let [first, second] = [0, 15_000].map(|t| value(Kind::Counter(500), series, time + t));
        let rise = second - first;
        assert!((0.0..=1000.0).contains(&rise) || second < 1000.0, "{first} then {second}");
        let walk = value(Kind::Walk(10.0, 5.0, 0.1), series, time);
        assert!((5.0..=15.0).contains(&walk), "{walk}");
        assert_eq!((walk * 10.0).round() / 10.0, walk);
        let sparse = value(Kind::Sparse(0.1, 2.0), series, time);
        assert!((0.0..=2.0).contains(&sparse), "{sparse}");
    }
}

#[test]
fn a_handover_storm_changes_every_link_and_churn_the_stated_share() {
    let of = Constellation {
        tier: Tier { satellites: 2_000, ..Tier::named("ci").expect("a tier") },
        ..small(9)
    };
    let storm_ms = of.storm_ms.expect("it has one");
    let (mut changed, mut replaced) = (0, 0);
    for number in 0..2_000 {
        let link = Entity { group: Group::GatewayLink, number };
        changed += usize::from(of.identity(link, storm_ms - 1).0 != of.identity(link, storm_ms).0);
        let window = of.start_ms + CHURN_WINDOW_MS;
        replaced += usize::from(of.identity(link, window - 1).1 != of.identity(link, window).1);
    }
    assert_eq!(changed, 2_000);
    assert!((150..250).contains(&replaced), "{replaced} of 2,000 at 10 %");
}
