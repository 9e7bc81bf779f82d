//! Quantiles of values: numbers in order, NaN before all of them, -0 before 0.

/// Comparisons that are fewer than a sorted window costs to keep, about.
const NEAR_END_MAX: usize = 200;

/// The `quantile` of unsorted values, by linear interpolation between ranks; NaN sorts first.
#[must_use]
pub fn quantile_of(quantile: f64, values: &[f64]) -> f64 {
    let mut keys: Vec<i64> = values.iter().map(|value| key(*value)).collect();
    let Some(place) = Place::new(quantile, keys.len()) else { return out_of_bounds(quantile) };
    // Two neighbouring ranks are wanted, not the order of all.
    let (_, lower, above) = keys.select_nth_unstable(place.lower);
    let lower = *lower;
    let upper = if place.upper > place.lower { above.iter().min() } else { None };
    place.between(value_of(lower), value_of(upper.copied().unwrap_or(lower)))
}

/// The `quantile` of values whose keys are in order.
pub(super) fn quantile_of_keys(quantile: f64, keys: &[i64]) -> f64 {
    let Some(place) = Place::new(quantile, keys.len()) else { return out_of_bounds(quantile) };
    place.between(value_of(keys[place.lower]), value_of(keys[place.upper]))
}

/// The `quantile` of values with these keys in any order, if it lies so near to the least or the
/// greatest of them that one look at each finds it.
pub(super) fn quantile_near_end(quantile: f64, keys: &[i64]) -> Option<f64> {
    let place = Place::new(quantile, keys.len())?;
    let from_top = keys.len() - place.lower;
    let (count, reversed) =
        if from_top <= place.upper + 1 { (from_top, 0) } else { (place.upper + 1, -1) };
    let found = match count {
        _ if count * keys.len() > NEAR_END_MAX => return None,
        1 => greatest::<1>(keys, reversed),
        2 => greatest::<2>(keys, reversed),
        3 => greatest::<3>(keys, reversed),
        4 => greatest::<4>(keys, reversed),
        _ => return None,
    };
    let value = |rank: usize| {
        let from_end = if reversed == 0 { keys.len() - 1 - rank } else { rank };
        value_of(found[from_end] ^ reversed)
    };
    Some(place.between(value(place.lower), value(place.upper)))
}

/// The `K` greatest keys, the greatest first; with `reversed` of -1 the least, all bits turned.
#[inline]
fn greatest<const K: usize>(keys: &[i64], reversed: i64) -> [i64; 4] {
    let mut found = [i64::MIN; K];
    for key in keys {
        let mut key = *key ^ reversed;
        for slot in &mut found {
            (*slot, key) = ((*slot).max(key), (*slot).min(key));
        }
    }
    let mut all = [i64::MIN; 4];
    all[..K].copy_from_slice(&found);
    all
}

/// An integer that sorts as quantiles are taken: NaN first, whatever its bits.
pub(super) fn key(value: f64) -> i64 {
    if value.is_nan() {
        return i64::MIN;
    }
    let bits = value.to_bits().cast_signed();
    // Negative numbers sort backwards by their bits: turn all but the sign.
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// The value with this key.
fn value_of(key: i64) -> f64 {
    if key == i64::MIN {
        return f64::NAN;
    }
    f64::from_bits((key ^ ((key >> 63).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

/// Between which ranks a quantile lies.
struct Place {
    lower: usize,
    upper: usize,
    weight: f64,
}

impl Place {
    /// The place among `count` values; none if there is no value, or for a quantile out of bounds.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie between zero and the number of values"
    )]
    fn new(quantile: f64, count: usize) -> Option<Self> {
        if count == 0 || !(0.0..=1.0).contains(&quantile) {
            return None;
        }
        let last = count - 1;
        let rank = quantile * last as f64;
        let lower = (rank.floor() as usize).min(last);
        Some(Self { lower, upper: (lower + 1).min(last), weight: rank - rank.floor() })
    }

    fn between(&self, lower: f64, upper: f64) -> f64 {
        lower * (1.0 - self.weight) + upper * self.weight
    }
}

/// What a quantile is that lies outside [0, 1], or of no values.
fn out_of_bounds(quantile: f64) -> f64 {
    if quantile < 0.0 {
        f64::NEG_INFINITY
    } else if quantile > 1.0 {
        f64::INFINITY
    } else {
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nan_is_the_least_value() {
        assert!(quantile_of(0.0, &[1.0, f64::NAN]).is_nan());
        assert_eq!(quantile_of(1.0, &[1.0, f64::NAN]), 1.0);
        assert_eq!(quantile_of(0.8, &[1.0, 0.0, 4.0]), 2.8000000000000003);
        assert!(quantile_of(0.5, &[]).is_nan() && quantile_of(f64::NAN, &[1.0]).is_nan());
    }

    #[test]
    fn quantiles_out_of_bounds_are_infinite() {
        assert_eq!(quantile_of(-0.1, &[1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile_of(1.1, &[1.0]), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn keys_sort_like_values(a in any::<f64>(), b in any::<f64>()) {
            if !a.is_nan() && !b.is_nan() && a != b {
                prop_assert_eq!(key(a) < key(b), a < b);
                prop_assert_eq!(value_of(key(a)).to_bits(), a.to_bits());
            }
            prop_assert!(key(f64::NAN) <= key(a));
        }

        #[test]
        fn a_look_at_each_value_gives_the_same(
            values in proptest::collection::vec(
                prop_oneof![4 => (-4..4i8).prop_map(f64::from), 1 => Just(f64::NAN)], 1..60,
            ),
            quantile in prop_oneof![0.0..=1.0f64, Just(0.95), Just(0.0), Just(1.0)],
        ) {
            let mut keys: Vec<i64> = values.iter().map(|v| key(*v)).collect();
            let near_end = quantile_near_end(quantile, &keys);
            keys.sort_unstable();
            let sorted = quantile_of_keys(quantile, &keys);
            let rank = quantile * (values.len() - 1) as f64;
            let inside = rank >= 3.0 && rank < values.len() as f64 - 4.0;
            prop_assert!(near_end.is_some() || inside || values.len() > 50);
            if let Some(found) = near_end {
                let same = found.to_bits() == sorted.to_bits();
                prop_assert!(same || (found.is_nan() && sorted.is_nan()));
            }
        }

        #[test]
        fn sorting_all_gives_the_same(
            values in proptest::collection::vec(-4..4i8, 1..30), quantile in 0.0..=1.0f64,
        ) {
            let values: Vec<f64> = values.into_iter().map(|v| f64::from(v) / 3.0).collect();
            let mut keys: Vec<i64> = values.iter().map(|v| key(*v)).collect();
            keys.sort_unstable();
            let sorted = quantile_of_keys(quantile, &keys);
            prop_assert_eq!(quantile_of(quantile, &values).to_bits(), sorted.to_bits());
        }
    }
}
