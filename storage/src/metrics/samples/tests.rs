//! The conflict rule against its three laws, and the columns against a plain map.

use std::collections::BTreeMap;

use ephemeris_model::{CounterResetHint, stale_nan};
use proptest::prelude::*;

use super::*;

fn histogram(count: u64, sum: f64) -> Histogram {
    Histogram {
        schema: 0,
        sum,
        zero_threshold: 0.0,
        reset_hint: CounterResetHint::Unknown,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: HistogramCounts::Integer {
            count,
            zero_count: 0,
            positive: vec![i64::try_from(count).expect("small")],
            negative: Vec::new(),
        },
    }
}

/// Few times and few values, so that conflicts are common.
fn samples() -> impl Strategy<Value = SeriesSamples> {
    let values = vec![0.0, -0.0, 1.0, -1.0, f64::NAN, -f64::NAN, stale_nan(), f64::INFINITY];
    let sample = (0i64..12, 0u64..12, proptest::sample::select(values), 0i64..3);
    proptest::collection::vec(sample, 0..20).prop_map(|rows| {
        let mut samples = SeriesSamples::default();
        for (timestamp, kind, value, start) in rows {
            if kind < 3 {
                samples.push_histogram(timestamp, Arc::new(histogram(kind, value)));
            } else {
                samples.push(timestamp, value);
            }
            samples.set_last_start(start);
        }
        samples.sort_and_dedup();
        samples
    })
}

/// All bits of all samples.
fn bits(samples: &SeriesSamples) -> Vec<(i64, u64, Option<String>, i64)> {
    let one = |s: SampleRef<'_>| {
        let text = s.histogram.map(|h| format!("{h:?} {}", h.sum.to_bits()));
        (s.timestamp, if text.is_some() { 0 } else { s.value.to_bits() }, text, s.start)
    };
    samples.iter().map(one).collect()
}

fn merged(a: &SeriesSamples, b: &SeriesSamples) -> SeriesSamples {
    let mut out = a.clone();
    out.merge(b);
    out
}

proptest! {
    #[test]
    fn merging_is_commutative(a in samples(), b in samples()) {
        prop_assert_eq!(bits(&merged(&a, &b)), bits(&merged(&b, &a)));
    }

    #[test]
    fn merging_is_associative(a in samples(), b in samples(), c in samples()) {
        prop_assert_eq!(bits(&merged(&merged(&a, &b), &c)), bits(&merged(&a, &merged(&b, &c))));
    }

    #[test]
    fn merging_is_idempotent(a in samples(), b in samples()) {
        let both = merged(&a, &b);
        prop_assert_eq!(bits(&merged(&both, &a)), bits(&both));
        prop_assert_eq!(bits(&merged(&both, &both)), bits(&both));
    }

    #[test]
    fn merging_keeps_every_time_once(a in samples(), b in samples()) {
        let times: BTreeMap<i64, ()> =
            a.timestamps.iter().chain(&b.timestamps).map(|&t| (t, ())).collect();
        let both = merged(&a, &b);
        prop_assert!(both.timestamps.iter().copied().eq(times.into_keys()));
        prop_assert!(both.values.len() == both.len());
        prop_assert!(both.start_timestamps.is_empty() || both.start_timestamps.len() == both.len());
    }

    #[test]
    fn a_range_is_what_lies_inside(a in samples(), start in 0i64..12, length in 0i64..12) {
        let range = TimeRange::new(TimestampMs(start), TimestampMs(start + length));
        let mut buffer = SampleBuffer::default();
        a.append_range_to(range, &mut buffer);
        let inside = |s: &SampleRef<'_>| range.contains(TimestampMs(s.timestamp));
        let wanted: Vec<SampleRef<'_>> = a.iter().filter(inside).collect();
        prop_assert_eq!(buffer.len(), wanted.len());
        for (i, sample) in wanted.iter().enumerate() {
            prop_assert_eq!(buffer.timestamps[i], sample.timestamp);
            prop_assert_eq!(buffer.values[i].to_bits(), sample.value.to_bits());
            prop_assert_eq!(buffer.histogram_at(i).is_some(), sample.histogram.is_some());
        }
        let mut kept = a.clone();
        kept.retain_range(range);
        prop_assert_eq!(&kept.timestamps, &buffer.timestamps);
    }
}

#[test]
fn a_sample_beats_a_staleness_marker_and_a_histogram_beats_a_float() {
    let mut stale = SeriesSamples::default();
    stale.push(1, stale_nan());
    let mut float = SeriesSamples::default();
    float.push(1, f64::NEG_INFINITY);
    let mut with_histogram = SeriesSamples::default();
    with_histogram.push_histogram(1, Arc::new(histogram(0, 0.0)));
    assert_eq!(bits(&merged(&stale, &float)), bits(&float));
    assert_eq!(bits(&merged(&with_histogram, &float)), bits(&with_histogram));
    let mut greater = SeriesSamples::default();
    greater.push(1, 3.0);
    assert_eq!(bits(&merged(&greater, &float)), bits(&greater));
}

#[test]
fn a_histogram_with_a_stale_sum_is_the_staleness_marker() {
    let mut samples = SeriesSamples::default();
    samples.push_histogram(1, Arc::new(histogram(3, stale_nan())));
    assert!(samples.histograms.is_empty());
    assert!(is_stale(samples.values[0]));
}
