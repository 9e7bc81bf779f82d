//! Every encoding against what went in, bit for bit; and every decoder against bytes nobody wrote.

use std::sync::Arc;

use ephemeris_model::{
    CounterResetHint, Histogram, HistogramCounts, STALE_NAN_BITS, Span, stale_nan,
};
use proptest::prelude::*;

use super::*;
use crate::metrics::codec::histograms::LayoutTable;

fn float_bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn encode_floats(values: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    floats::encode(values, &mut out);
    out
}

fn assert_floats(values: &[f64]) -> usize {
    let bytes = encode_floats(values);
    let mut input = Input::new(&bytes);
    let mut out = Vec::new();
    floats::decode(&mut input, values.len(), 0..values.len(), &mut out).expect("it was encoded");
    assert_eq!(input.end(), Ok(()));
    assert_eq!(float_bits(&out), float_bits(values));
    bytes.len()
}

fn assert_integers(values: &[i64]) -> usize {
    let mut bytes = Vec::new();
    integers::encode(values, &mut bytes);
    let mut input = Input::new(&bytes);
    let mut out = Vec::new();
    integers::decode(&mut input, values.len(), 0..values.len(), &mut out).expect("it was encoded");
    assert_eq!(input.end(), Ok(()));
    assert_eq!(out, values);
    bytes.len()
}

/// Values that have broken float encodings before.
fn odd_float() -> impl Strategy<Value = f64> {
    let odd = vec![
        0.0,
        -0.0,
        f64::NAN,
        -f64::NAN,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::from_bits(u64::MAX),
        stale_nan(),
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE / 8.0,
        -f64::MIN_POSITIVE / 8.0,
        f64::from_bits(1),
        f64::MAX,
        f64::MIN,
        9_007_199_254_740_993.0,
        -9_223_372_036_854_775_808.0,
        9_223_372_036_854_775_807.0,
        9_223_372_036_854_775_296.0,
        1e300,
        0.1 + 0.2,
        1e-12,
        123_456_789.000_001,
    ];
    prop_oneof![
        proptest::sample::select(odd),
        any::<u64>().prop_map(f64::from_bits),
        any::<f32>().prop_map(f64::from),
    ]
}

/// One shape of real data, with a few odd values in it.
fn float_column() -> impl Strategy<Value = Vec<f64>> {
    let decimals = (0i32..13, -1_000_000i64..1_000_000);
    let shape = prop_oneof![
        // Decimals that walk.
        (decimals, proptest::collection::vec(-50i64..50, 0..600)).prop_map(
            |((e, first), steps)| {
                let mut at = first;
                let step = |s: &i64| {
                    at += s;
                    at as f64 / 10f64.powi(e)
                };
                steps.iter().map(step).collect::<Vec<f64>>()
            }
        ),
        // A counter with resets.
        proptest::collection::vec((0u64..1 << 40, 0u8..60), 0..600).prop_map(|increments| {
            let mut at = 0u64;
            let step = |&(by, reset): &(u64, u8)| {
                at = if reset == 0 { by & 0xff } else { at.wrapping_add(by) };
                at as f64
            };
            increments.iter().map(step).collect::<Vec<f64>>()
        }),
        proptest::collection::vec(odd_float(), 0..500),
        (odd_float(), 0usize..600).prop_map(|(value, n)| vec![value; n]),
        proptest::collection::vec(any::<f64>(), 0..300),
    ];
    (shape, proptest::collection::vec((any::<u16>(), odd_float()), 0..6)).prop_map(
        |(mut values, odd)| {
            for (at, value) in odd {
                if !values.is_empty() {
                    let at = usize::from(at) % values.len();
                    values[at] = value;
                }
            }
            values
        },
    )
}

fn integer_column() -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        proptest::collection::vec(any::<i64>(), 0..500),
        proptest::collection::vec(
            proptest::sample::select(vec![i64::MIN, i64::MAX, 0, -1, 1]),
            0..500
        ),
        proptest::collection::vec((-100i64..100, 0u8..40), 0..600).prop_map(|steps| {
            let mut at = 0i64;
            let step = |&(by, jump): &(i64, u8)| {
                at = if jump == 0 { by << 50 } else { at.wrapping_add(by) };
                at
            };
            steps.iter().map(step).collect()
        }),
        (any::<i64>(), any::<i64>(), 0usize..600).prop_map(|(first, by, n)| {
            let at =
                |i: usize| first.wrapping_add(by.wrapping_mul(i64::try_from(i).expect("small")));
            (0..n).map(at).collect()
        }),
    ]
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let counts = proptest::collection::vec(any::<i64>(), 4);
    (counts, 0u8..3, any::<bool>(), odd_float(), 0u64..4).prop_map(
        |(counts, layout, float, sum, hint)| {
            let [count, zero, rest @ ..] = &counts[..] else { unreachable!("there are four") };
            let negative: Vec<i64> = rest.iter().take(usize::from(layout)).copied().collect();
            let as_floats =
                |v: &[i64]| v.iter().map(|&n| f64::from_bits(n.cast_unsigned())).collect();
            Histogram {
                schema: i32::from(layout) - 1,
                sum,
                zero_threshold: if layout == 0 { f64::NAN } else { 1e-128 },
                reset_hint: CounterResetHint::from_number(hint),
                positive_spans: vec![Span { offset: -3, length: 2 }],
                negative_spans: vec![Span { offset: i32::MIN, length: u32::from(layout) }],
                custom_values: if layout == 2 { vec![-0.0, 1.5] } else { Vec::new() },
                counts: if float {
                    HistogramCounts::Float {
                        count: f64::from_bits(count.cast_unsigned()),
                        zero_count: f64::from_bits(zero.cast_unsigned()),
                        positive: as_floats(rest),
                        negative: as_floats(&negative),
                    }
                } else {
                    HistogramCounts::Integer {
                        count: count.cast_unsigned(),
                        zero_count: zero.cast_unsigned(),
                        positive: rest.to_vec(),
                        negative,
                    }
                },
            }
        },
    )
}

/// `Debug` of floats shows NaN without its payload, so bits are compared.
fn histogram_bits(h: &Histogram) -> (String, Vec<u64>) {
    let mut bits = vec![h.sum.to_bits(), h.zero_threshold.to_bits()];
    bits.extend(h.custom_values.iter().map(|v| v.to_bits()));
    if let HistogramCounts::Float { count, zero_count, positive, negative } = &h.counts {
        let all = [count, zero_count].into_iter().chain(positive).chain(negative);
        bits.extend(all.map(|v| v.to_bits()));
    }
    (format!("{h:?}"), bits)
}

proptest! {
    #[test]
    fn floats_come_back(values in float_column()) {
        assert_floats(&values);
    }

    #[test]
    fn integers_come_back(values in integer_column()) {
        assert_integers(&values);
    }

    #[test]
    fn a_part_of_a_column_comes_back(values in float_column(), a: u16, b: u16) {
        prop_assume!(!values.is_empty());
        let (a, b) = (usize::from(a) % values.len(), usize::from(b) % values.len());
        let wanted = a.min(b)..a.max(b) + 1;
        let bytes = encode_floats(&values);
        let mut out = vec![7.0];
        floats::decode(&mut Input::new(&bytes), values.len(), wanted.clone(), &mut out)
            .expect("it was encoded");
        prop_assert_eq!(float_bits(&out[1..]), float_bits(&values[wanted]));
    }

    #[test]
    fn times_come_back(mut times in integer_column()) {
        times.sort_unstable();
        times.dedup();
        let mut bytes = Vec::new();
        times::encode(&times, &mut bytes);
        let mut out = Vec::new();
        times::decode(&bytes, times.len(), &mut out).expect("they were encoded");
        prop_assert_eq!(out, times);
    }

    #[test]
    fn histograms_come_back(
        all in proptest::collection::vec(histogram(), 1..30), a: u16, b: u16
    ) {
        let mut table = LayoutTable::default();
        let mut body = Vec::new();
        histograms::encode(&mut table, &all.iter().collect::<Vec<_>>(), &mut body);
        let mut layouts = Vec::new();
        table.put(&mut layouts);
        let layouts = LayoutTable::read(&mut Input::new(&layouts)).expect("it was encoded");
        let (a, b) = (usize::from(a) % all.len(), usize::from(b) % all.len());
        let wanted = a.min(b)..a.max(b) + 1;
        let mut out: Vec<Arc<Histogram>> = Vec::new();
        histograms::decode(&layouts, &mut Input::new(&body), all.len(), wanted.clone(), &mut out)
            .expect("they were encoded");
        let out: Vec<_> = out.iter().map(|h| histogram_bits(h)).collect();
        let expected: Vec<_> = all[wanted].iter().map(histogram_bits).collect();
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), len in 0usize..600) {
        let _ = floats::decode(&mut Input::new(&bytes), len, 0..len, &mut Vec::new());
        let _ = integers::decode(&mut Input::new(&bytes), len, 0..len, &mut Vec::new());
        let _ = times::decode(&bytes, len, &mut Vec::new());
        let mut input = Input::new(&bytes);
        if let Ok(layouts) = LayoutTable::read(&mut input) {
            let _ = histograms::decode(&layouts, &mut input, len, 0..len, &mut Vec::new());
        }
    }

    #[test]
    fn changed_bytes_never_panic(values in float_column(), at: u16, to: u8) {
        let mut bytes = encode_floats(&values);
        prop_assume!(!bytes.is_empty());
        let at = usize::from(at) % bytes.len();
        bytes[at] = to;
        let _ = floats::decode(&mut Input::new(&bytes), values.len(), 0..values.len(), &mut Vec::new());
        let _ = floats::decode(&mut Input::new(&bytes[..at]), values.len(), 0..values.len(), &mut Vec::new());
    }
}

#[test]
fn regular_data_takes_next_to_nothing() {
    assert!(assert_floats(&[42.0; 240]) <= 3);
    let line: Vec<f64> = (0..240).map(|i| f64::from(i) * 15.0).collect();
    assert!(assert_floats(&line) <= 8);
    let mut with_marker = line.clone();
    with_marker[100] = stale_nan();
    // The marker takes its own byte and the two uneven steps around it.
    assert!(assert_floats(&with_marker) <= 8 + 16, "{}", assert_floats(&with_marker));
    let mut with_reset: Vec<f64> = (0..240).map(|i| 1e9 + f64::from(i * 1000 + i % 7)).collect();
    let plain = assert_floats(&with_reset);
    with_reset.iter_mut().skip(120).for_each(|v| *v -= 1e9);
    assert!(assert_floats(&with_reset) <= plain + 16);
    let tenths: Vec<f64> = (0..240).map(|i| f64::from(i % 16 + 200) / 10.0).collect();
    assert!(assert_floats(&tenths) <= 240 / 2 + 8);
}

#[test]
fn an_all_stale_column_is_exact() {
    assert_floats(&[stale_nan(); 3]);
    let mut bytes = encode_floats(&[stale_nan(); 250]);
    let mut out = Vec::new();
    floats::decode(&mut Input::new(&bytes), 250, 0..250, &mut out).expect("it was encoded");
    assert!(out.iter().all(|v| v.to_bits() == STALE_NAN_BITS));
    bytes.truncate(20);
    assert!(floats::decode(&mut Input::new(&bytes), 250, 0..250, &mut Vec::new()).is_err());
}
