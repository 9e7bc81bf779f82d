use ephemeris_model::SampleBuffer;
use proptest::prelude::*;

use super::*;
use crate::promql::ast::Extension;
use crate::promql::exec::batch::Point;
use crate::promql::functions::notes::Notes;
use crate::promql::functions::window::RangeCall;

const SLIDING: [Function; 9] = [
    Function::MinOverTime,
    Function::MaxOverTime,
    Function::SumOverTime,
    Function::AvgOverTime,
    Function::QuantileOverTime,
    Function::Changes,
    Function::Resets,
    Function::Increase,
    Function::Rate,
];

fn evaluate(call: &mut RangeCall, series: &SampleBuffer, samples: Range<usize>) -> Option<u64> {
    let window = Window {
        series,
        range_start_ms: series.timestamps[samples.start] - 7,
        range_end_ms: series.timestamps[samples.end - 1] + 3,
        evaluated_at_ms: 0,
        extension: Extension::None,
        metric_name: "",
        samples,
    };
    let point = call.evaluate(&window, &[0.3], &mut Notes::default()).expect("valid parameters");
    point.map(|point| match point {
        Point::Float(value) if value.is_nan() => f64::NAN.to_bits(),
        Point::Float(value) => value.to_bits(),
        Point::Histogram(_) => panic!("there are no histograms"),
    })
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (0..100u32).prop_map(f64::from),
        2 => -5.0..5.0f64,
        1 => prop_oneof![Just(f64::NAN), Just(-0.0), Just(f64::INFINITY), Just(1e300)],
    ]
}

/// Values of one kind or all mixed, so that exact sums are met too.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let whole = proptest::collection::vec((0..1000i32).prop_map(f64::from), 30..200);
    let mixed = proptest::collection::vec(value(), 30..200);
    let counter = whole.clone().prop_map(|steps| {
        let mut total = 0.0;
        let add = |step: &f64| {
            total = if *step < 20.0 { 0.0 } else { total + step };
            total
        };
        steps.iter().map(add).collect::<Vec<_>>()
    });
    prop_oneof![whole, mixed, counter]
}

proptest! {
    #[test]
    fn sliding_gives_the_bits_of_the_plain_kernel(
        values in values(),
        starts in proptest::collection::vec((0..9usize, 0..9usize), 3..40),
        length in 10..80usize,
        start_every in 0..20usize,
    ) {
        let mut series = SampleBuffer::default();
        for (i, value) in values.iter().enumerate() {
            series.push(i as i64 * 10, *value);
            if start_every > 0 && i % start_every == 1 {
                series.set_last_start(i as i64 * 10 - 4);
            }
        }
        for function in SLIDING {
            let mut sliding = RangeCall::new(function);
            sliding.start_series();
            let (mut from, mut to) = (0, 1);
            for (step, grow) in &starts {
                from = (from + step).min(values.len() - 1);
                to = (from + length + grow).min(values.len()).max(to);
                let mut plain = RangeCall::new(function);
                plain.start_series();
                prop_assert_eq!(
                    evaluate(&mut sliding, &series, from..to),
                    evaluate(&mut plain, &series, from..to),
                    "{} of {}..{}", function.name(), from, to
                );
            }
        }
    }
}
