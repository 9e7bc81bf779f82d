//! The workload is what it says.

use std::collections::BTreeSet;

use ephemeris_ingest::{Limits, body, remote_write::v1};
use ephemeris_model::BodyKind;

use super::*;

fn tiny(connection_count: usize) -> Shape {
    let (series_count, scrape_count) = Size::Tiny.counts();
    Shape {
        series_count,
        scrape_count,
        connection_count,
        interval_ms: 15_000,
        start_ms: 1_790_000_000_000,
        seed: 7,
    }
}

#[test]
fn bodies_hold_every_series_once_a_scrape_with_labels_of_the_stated_size() {
    let workload = Workload::generate(&tiny(3)).expect("small");
    assert_eq!((workload.lanes.len(), workload.series_count), (3, 1_600));
    let mut all = BTreeSet::new();
    let mut samples = 0;
    for lane in &workload.lanes {
        let mut of_lane = BTreeSet::new();
        for sent in lane {
            let mut buffer = Vec::new();
            let message = body::decompress_snappy(&sent.bytes, &Limits::default(), &mut buffer);
            let kind = BodyKind::RemoteWrite1;
            let batch = v1::decode(kind, b"", message.expect("valid"), &Limits::default());
            let batch = batch.expect("valid");
            assert!(batch.samples.len() <= SAMPLES_PER_BODY_MAX);
            assert_eq!(batch.samples.len(), sent.sample_count);
            samples += batch.samples.len();
            of_lane.extend(batch.series.iter().map(|s| s.labels.to_vec()));
        }
        assert!(of_lane.is_disjoint(&all), "a series is on two connections");
        all.extend(of_lane);
    }
    assert_eq!((all.len(), samples), (1_600, workload.sample_count));
    let mean = workload.label_bytes / workload.series_count;
    assert!((185..=205).contains(&mean), "{mean} label bytes a series");
}

#[test]
fn values_depend_on_the_seed_not_on_connections() {
    let values = |shape: &Shape| {
        let probes = Workload::generate(shape).expect("small").probes;
        probes.into_iter().map(|p| (p.labels.to_string(), p.samples)).collect::<Vec<_>>()
    };
    let mut wide = tiny(1);
    wide.series_count = 16_000;
    assert_eq!(values(&wide).len(), 4);
    assert_eq!(values(&wide), values(&Shape { connection_count: 4, ..wide }));
    assert_ne!(values(&wide), values(&Shape { seed: 8, ..wide }));
}
