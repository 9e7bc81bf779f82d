//! Whatever histogram comes in, every operation ends, and without a panic.

use ephemeris_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use ephemeris_model::{CounterResetHint, FloatHistogram, Span};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn number() -> impl Strategy<Value = f64> {
    let special =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -0.0, 0.0];
    prop_oneof![3 => -10.0..10.0f64, 1 => proptest::sample::select(special.to_vec())]
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let offset = prop_oneof![4 => -5..20i32, 1 => any::<i32>()];
    let length = prop_oneof![4 => 0..4u32, 1 => any::<u32>()];
    vec((offset, length).prop_map(|(offset, length)| Span { offset, length }), 0..4)
}

fn anything() -> impl Strategy<Value = FloatHistogram> {
    let schema = prop_oneof![3 => -4..=8i32, 2 => Just(CUSTOM_BUCKETS_SCHEMA), 1 => any::<i32>()];
    let totals = (number(), number(), number(), number(), 0..4u64);
    let sides = (spans(), spans(), vec(number(), 0..6), vec(number(), 0..6));
    (schema, totals, sides, vec(number(), 0..4)).prop_map(|(schema, totals, sides, bounds)| {
        FloatHistogram {
            schema,
            count: totals.0,
            sum: totals.1,
            zero_threshold: totals.2,
            zero_count: totals.3,
            reset_hint: CounterResetHint::from_number(totals.4),
            positive_spans: sides.0,
            negative_spans: sides.1,
            positive_buckets: sides.2,
            negative_buckets: sides.3,
            custom_values: bounds,
        }
    })
}

proptest! {
    #[test]
    fn nothing_panics_and_everything_ends(a in anything(), b in anything(), x in number()) {
        let _ = validate(&a);
        let _ = (add(&a, &b), subtract(&a, &b), multiply(&a, x), divide(&a, x), negate(&a));
        let _ = (equal(&a, &b), is_reset(&a, &b), text(&a));
        let _ = (quantile(x, &a), quantile(0.5, &a), fraction(x, 1.0, &a), variance(&a));
        let _ = (trim_upper(&a, x), trim_lower(&a, x));
        let mut sum = HistogramSum::new(&a);
        let _ = (sum.add(&b), sum.add(&a), sum.total());
        let mut mean = HistogramMean::new(&a);
        let _ = (mean.add(&b), mean.add(&a), mean.total());
        let mut c = a.clone();
        reduce_resolution(&mut c, -4);
        compact(&mut c);
        prop_assert!(equal(&a, &a));
    }

    #[test]
    fn what_is_valid_stays_valid(a in anything(), b in anything(), x in 0.0..5.0f64) {
        if validate(&a).is_ok() && validate(&b).is_ok() {
            if let Ok(sum) = add(&a, &b) {
                prop_assert_eq!(validate(&sum.histogram), Ok(()));
            }
            prop_assert_eq!(validate(&trim_upper(&a, x)), Ok(()));
            prop_assert_eq!(validate(&multiply(&a, x)), Ok(()));
        }
    }
}
