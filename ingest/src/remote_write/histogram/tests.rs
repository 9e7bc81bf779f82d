//! Native histograms: each rule, and what is kept of valid ones.

use prost::Message as _;

use super::*;
use crate::proto::write_v1::{self as proto, BucketSpan, Count, ZeroCount};

fn span(offset: i32, length: u32) -> BucketSpan {
    BucketSpan { offset, length }
}

/// How to break a rule, and the text that follows.
type Case = (fn(&mut proto::Histogram), &'static str);

/// A valid integer histogram: 3 + 4 + 0 observations in positive buckets, 2 negative, 1 of zero.
fn integer() -> proto::Histogram {
    proto::Histogram {
        count: Some(Count::Integer(10)),
        sum: Some(18.5),
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: Some(ZeroCount::Integer(1)),
        positive_spans: vec![span(-2, 1), span(3, 2)],
        positive_deltas: vec![3, 1, -4],
        negative_spans: vec![span(0, 1)],
        negative_deltas: vec![2],
        reset_hint: 2,
        timestamp: 1_790_000_000_000,
        start_timestamp: 1_789_999_000_000,
        ..Default::default()
    }
}

/// A valid float histogram with custom bounds.
fn custom() -> proto::Histogram {
    proto::Histogram {
        count: Some(Count::Float(4.5)),
        sum: Some(9.0),
        schema: -53,
        positive_spans: vec![span(0, 1), span(1, 1)],
        positive_counts: vec![1.5, 3.0],
        custom_values: vec![-1.0, 2.5],
        ..Default::default()
    }
}

fn receive(sent: &proto::Histogram) -> Result<HistogramSample, String> {
    let message = sent.encode_to_vec();
    read_histogram(Reader::new(&message), &mut Budget::new(1 << 20)).expect("well-formed").finish()
}

fn refuse(valid: proto::Histogram, spoil: impl FnOnce(&mut proto::Histogram)) -> String {
    let mut sent = valid;
    receive(&sent).expect("valid before it is spoilt");
    spoil(&mut sent);
    receive(&sent).expect_err("a rule is broken")
}

#[test]
fn an_integer_histogram_is_kept_with_absolute_buckets() {
    let got = receive(&integer()).expect("valid");
    assert_eq!(got.timestamp_ms, 1_790_000_000_000);
    assert_eq!(got.start_timestamp_ms, 1_789_999_000_000);
    let expected = Histogram {
        schema: 3,
        sum: 18.5,
        zero_threshold: 1e-128,
        reset_hint: CounterResetHint::NotReset,
        positive_spans: vec![Span { offset: -2, length: 1 }, Span { offset: 3, length: 2 }],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        custom_values: vec![],
        counts: HistogramCounts::Integer {
            count: 10,
            zero_count: 1,
            positive: vec![3, 4, 0],
            negative: vec![2],
        },
    };
    assert_eq!(got.histogram, expected);
}

#[test]
fn a_histogram_with_custom_bounds_is_kept() {
    let got = receive(&custom()).expect("valid").histogram;
    assert_eq!(got.custom_values, [-1.0, 2.5]);
    let counts = HistogramCounts::Float {
        count: 4.5,
        zero_count: 0.0,
        positive: vec![1.5, 3.0],
        negative: vec![],
    };
    assert_eq!(got.counts, counts);
    let mut from_minus_infinity = custom();
    from_minus_infinity.custom_values = vec![f64::NEG_INFINITY, 2.5];
    assert!(receive(&from_minus_infinity).is_ok());
}

#[test]
fn an_empty_histogram_is_valid() {
    assert!(receive(&proto::Histogram::default()).is_ok());
}

#[test]
fn each_rule_has_its_text() {
    let cases: [Case; 12] = [
        (
            |h| h.count = Some(Count::Integer(99)),
            "count of histogram is 99, but its buckets add up to 10",
        ),
        (|h| h.schema = 53, "schema of histogram is 53; allowed are -4 to 8 and -53"),
        (|h| h.schema = -5, "schema of histogram is -5; allowed are -4 to 8 and -53"),
        (|h| h.positive_deltas[1] = -4, "positive bucket 1 of histogram is negative (-1)"),
        (|h| h.negative_deltas[0] = -2, "negative bucket 0 of histogram is negative (-2)"),
        (|h| h.positive_deltas[1] = i64::MAX, "positive bucket 1 of histogram is beyond 64 bits"),
        (|h| h.positive_spans[1].offset = -1, "positive span 1 of histogram has offset -1"),
        (
            |h| h.positive_spans[1].length = u32::MAX,
            "positive span 1 of histogram lies beyond all buckets",
        ),
        (
            |h| h.negative_spans[0].length = 3,
            "negative spans of histogram cover 3 buckets, but 1 were sent",
        ),
        (
            |h| h.positive_spans.clear(),
            "positive spans of histogram cover 0 buckets, but 3 were sent",
        ),
        (|h| h.custom_values.push(1.0), "histogram of schema 3 has custom bounds"),
        (
            |h| h.positive_spans[0].offset = i32::MAX,
            "positive span 0 of histogram lies beyond all buckets",
        ),
    ];
    for (spoil, text) in cases {
        assert_eq!(refuse(integer(), spoil), text);
    }
}

#[test]
fn each_rule_of_custom_bounds_has_its_text() {
    let cases: [Case; 10] = [
        (
            |h| h.zero_count = Some(ZeroCount::Float(1.0)),
            "histogram with custom bounds has a zero bucket",
        ),
        (|h| h.zero_threshold = 0.1, "histogram with custom bounds has a zero bucket"),
        (
            |h| h.negative_spans.push(span(0, 0)),
            "histogram with custom bounds has negative buckets",
        ),
        (|h| h.custom_values[1] = -1.0, "custom bound -1 of histogram comes after -1"),
        (|h| h.custom_values[1] = f64::NAN, "histogram has NaN among its custom bounds"),
        (|h| h.custom_values[1] = f64::INFINITY, "histogram has inf among its custom bounds"),
        (|h| h.positive_spans[0].offset = -1, "positive span 0 of histogram has offset -1"),
        (
            |h| h.positive_spans[1].offset = 2,
            "spans of histogram reach to bucket 4, but only 2 bounds were sent",
        ),
        (|h| h.count = Some(Count::Float(-1.0)), "count of histogram is negative (-1)"),
        (|h| h.positive_counts[0] = -0.5, "a bucket of histogram is negative (-0.5)"),
    ];
    for (spoil, text) in cases {
        assert_eq!(refuse(custom(), spoil), text);
    }
}

#[test]
fn with_a_sum_of_nan_buckets_may_miss_observations() {
    let mut h = integer();
    h.sum = Some(f64::NAN);
    h.count = Some(Count::Integer(12));
    assert!(receive(&h).is_ok());
    h.count = Some(Count::Integer(9));
    assert!(receive(&h).is_err());
}

#[test]
fn buckets_beyond_64_bits_together_are_no_panic() {
    let mut h = integer();
    h.positive_deltas = vec![i64::MAX, 0, 0];
    assert!(receive(&h).is_err());
    h.zero_count = Some(ZeroCount::Integer(u64::MAX));
    assert!(receive(&h).is_err());
}

#[test]
fn of_a_staleness_marker_only_the_sum_counts() {
    let mut h = integer();
    h.sum = Some(stale_nan());
    h.count = Some(Count::Integer(99));
    h.schema = 77;
    let got = receive(&h).expect("a marker is never invalid").histogram;
    assert!(is_stale(got.sum));
    assert!(got.positive_spans.is_empty());
}

#[test]
fn a_resolution_of_the_future_is_reduced() {
    let mut h = integer();
    h.schema = 10;
    // Buckets 0, 1, 2, 3, 4 and 5: at schema 8 the first is bucket 0, the next four bucket 1.
    h.positive_spans = vec![span(0, 3), span(0, 2), span(0, 1)];
    h.positive_deltas = vec![1; 6];
    h.count = Some(Count::Integer(21 + 3));
    let got = receive(&h).expect("valid").histogram;
    assert_eq!(got.schema, 8);
    assert_eq!(got.positive_spans, [Span { offset: 0, length: 3 }]);
    let HistogramCounts::Integer { positive, .. } = got.counts else { panic!("integers") };
    assert_eq!(positive, [1, 14, 6]);
    h.schema = 52;
    h.positive_spans = vec![span(i32::MIN, 3), span(i32::MAX, 3)];
    let got = receive(&h).expect("valid").histogram;
    assert_eq!(got.positive_spans, [Span { offset: 0, length: 2 }]);
}

#[test]
fn buckets_may_be_sent_one_by_one() {
    let message =
        [&[0x08, 3][..], &[0x5a, 2, 0x10, 2], &[0x60, 2, 0x62, 1, 2], &[0x3a, 0][..0]].concat();
    let got = read_histogram(Reader::new(&message), &mut Budget::new(1 << 20)).expect("fine");
    let got = got.finish().expect("valid").histogram;
    let HistogramCounts::Integer { positive, .. } = got.counts else { panic!("integers") };
    assert_eq!(positive, [1, 2]);
}

/// A histogram message as it was read, compared with what `prost` reads of the same bytes.
fn same(raw: &RawHistogram, sent: &proto::Histogram) {
    let bits = |values: &[f64]| values.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
    let spans = |side: &[BucketSpan]| {
        side.iter().map(|s| Span { offset: s.offset, length: s.length }).collect::<Vec<_>>()
    };
    let count = match sent.count {
        None => Number::None,
        Some(Count::Integer(n)) => Number::Integer(n),
        Some(Count::Float(n)) => Number::Float(n),
    };
    let zero_count = match sent.zero_count {
        None => Number::None,
        Some(ZeroCount::Integer(n)) => Number::Integer(n),
        Some(ZeroCount::Float(n)) => Number::Float(n),
    };
    assert_eq!(format!("{:?}", raw.count), format!("{count:?}"));
    assert_eq!(format!("{:?}", raw.zero_count), format!("{zero_count:?}"));
    assert_eq!(raw.sum.to_bits(), sent.sum.unwrap_or(0.0).to_bits());
    assert_eq!(raw.schema, sent.schema);
    assert_eq!(raw.zero_threshold.to_bits(), sent.zero_threshold.to_bits());
    assert_eq!(raw.negative.spans, spans(&sent.negative_spans));
    assert_eq!(raw.negative.deltas, sent.negative_deltas);
    assert_eq!(bits(&raw.negative.counts), bits(&sent.negative_counts));
    assert_eq!(raw.positive.spans, spans(&sent.positive_spans));
    assert_eq!(raw.positive.deltas, sent.positive_deltas);
    assert_eq!(bits(&raw.positive.counts), bits(&sent.positive_counts));
    assert_eq!(bits(&raw.custom_values), bits(&sent.custom_values));
    assert_eq!(raw.reset_hint, u64::from(sent.reset_hint.cast_unsigned()));
    assert_eq!(raw.timestamp_ms, sent.timestamp);
    assert_eq!(raw.start_timestamp_ms, sent.start_timestamp);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_message_is_read_as_prost_reads_it(
        changes in proptest::collection::vec(
            (proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()),
            0..4,
        ),
        is_custom in proptest::prelude::any::<bool>(),
        twice in proptest::prelude::any::<bool>(),
    ) {
        let sent = if is_custom { custom() } else { integer() };
        let mut message = sent.encode_to_vec();
        if twice {
            // Fields may come again: the last number counts, and lists are put together.
            message.extend(custom().encode_to_vec());
        }
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        let ours = read_histogram(Reader::new(&message), &mut Budget::new(1 << 20));
        let reference = proto::Histogram::decode(&message[..]);
        assert_eq!(ours.is_ok(), reference.is_ok(), "{:?} and {reference:?}", ours.err());
        if let (Ok(ours), Ok(reference)) = (ours, reference) {
            same(&ours, &reference);
        }
    }
}
