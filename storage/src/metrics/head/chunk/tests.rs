//! What was pushed comes back, in few bytes where values are of a common shape.

use proptest::prelude::*;

use super::*;

/// Pushes all, reads all back, compares bit for bit.
fn check(samples: &[(i64, u64)]) -> usize {
    let (mut chunk, mut arena) = (Chunk::default(), Arena::default());
    for &(time, bits) in samples {
        assert_eq!(chunk.fit(time, bits), Fit::Next);
        chunk.push(&mut arena, time, bits);
        assert_eq!(chunk.fit(time, bits), Fit::Same);
        assert_eq!(chunk.fit(time, bits ^ 1), Fit::Late);
    }
    let (mut scratch, mut out) = (Vec::new(), SeriesSamples::default());
    chunk.read(&arena, &mut scratch, &mut out);
    let back: Vec<_> =
        out.timestamps.iter().zip(&out.values).map(|(&t, v)| (t, v.to_bits())).collect();
    assert_eq!(back, samples);
    scratch.len().saturating_sub(PADDING.len())
}

fn at_interval(values: impl IntoIterator<Item = f64>) -> Vec<(i64, u64)> {
    let times = (0i64..).map(|i| 1_700_000_000_000 + 15_000 * i);
    times.zip(values).map(|(t, v)| (t, v.to_bits())).collect()
}

#[test]
fn common_shapes_take_few_bytes() {
    let n = 240u32;
    assert!(check(&at_interval((0..n).map(|_| 1.0))) < 30);
    assert!(check(&at_interval((0..n).map(|i| f64::from(i * 37)))) < 520);
    assert!(check(&at_interval((0..n).map(|i| f64::from(i * i % 977) / 100.0))) < 800);
    assert!(check(&at_interval((0..n).map(|i| f64::from(i).sqrt()))) < 2100);
}

#[test]
fn markers_zeros_and_infinities_keep_their_bits() {
    let odd = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, f64::MAX, 1e18];
    let stale = f64::from_bits(STALE_NAN_BITS);
    let values = odd.iter().flat_map(|&v| [v, v, stale, stale, v, v, v, v, 1.5]);
    check(&at_interval(values));
    check(&at_interval(std::iter::repeat_n(stale, 9)));
}

#[test]
fn long_runs_go_on_after_the_counter_is_full() {
    check(&at_interval(std::iter::repeat_n(7.0, 1000)));
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<f64>().prop_map(f64::to_bits),
        (-1000i64..1000, 0u8..13).prop_map(|(n, e)| from_decimal(n, e)),
        any::<i64>().prop_map(|n| from_decimal(n, 0)),
        Just(STALE_NAN_BITS),
        proptest::sample::select(vec![0u64, 1.0f64.to_bits(), (-0.0f64).to_bits()]),
    ]
}

proptest! {
    #[test]
    fn any_samples_come_back(
        start in any::<i64>(),
        steps in proptest::collection::vec(
            (prop_oneof![Just(15_000i64), 14_995i64..15_006, 1i64..1 << 50], value()),
            0..200,
        ),
    ) {
        let mut time = start >> 2;
        let samples: Vec<_> = steps
            .into_iter()
            .map(|(step, bits)| {
                time += step;
                (time, bits)
            })
            .collect();
        check(&samples);
    }
}
