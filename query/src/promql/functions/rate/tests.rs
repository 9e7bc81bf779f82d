use ephemeris_model::SampleBuffer;

use super::*;
use crate::promql::ast::Extension;
use crate::promql::exec::batch::Point;
use crate::promql::functions::window::RangeCall;

const MINUTE: i64 = 60_000;

/// A series with a sample a `step_ms`, and start timestamps as offsets from its samples.
fn series(step_ms: i64, first: i64, values: &[f64], start_offsets: &[i64]) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    for (i, value) in values.iter().enumerate() {
        let at = (first + i as i64) * step_ms;
        buffer.push(at, *value);
        if let Some(offset) = start_offsets.get(i) {
            buffer.set_last_start(if *offset == i64::MIN { 0 } else { at + offset });
        }
    }
    buffer
}

fn call(function: Function, series: &SampleBuffer, start: i64, end: i64) -> Option<f64> {
    call_noting(function, series, start, end).0
}

fn call_noting(
    function: Function,
    series: &SampleBuffer,
    start: i64,
    end: i64,
) -> (Option<f64>, Notes) {
    let inside = |t: &&i64| **t > start && **t <= end;
    let first = series.timestamps.iter().take_while(|t| **t <= start).count();
    let count = series.timestamps.iter().filter(inside).count();
    let window = Window {
        series,
        samples: first..first + count,
        range_start_ms: start,
        range_end_ms: end,
        evaluated_at_ms: end,
        extension: Extension::None,
        metric_name: "x_total",
    };
    let mut notes = Notes::default();
    let value = RangeCall::new(function).evaluate(&window, &[], &mut notes).expect("no parameter");
    let value = value.map(|point| match point {
        Point::Float(value) => value,
        Point::Histogram(_) => f64::NAN,
    });
    (value, notes)
}

fn near(got: Option<f64>, wanted: f64) {
    let got = got.expect("a value");
    assert!((got - wanted).abs() <= 1e-9 * wanted.abs().max(1.0), "got {got}, wanted {wanted}");
}

#[test]
fn increase_reaches_the_borders_but_not_below_zero() {
    let step = 5 * MINUTE;
    let ramp = |from: f64| (0..11).map(|i| from + 10.0 * f64::from(i)).collect::<Vec<_>>();
    let increase = |from| {
        let series = series(step, 0, &ramp(from), &[]);
        call(Function::Increase, &series, -50 * MINUTE, 50 * MINUTE)
    };
    near(increase(0.0), 100.0);
    near(increase(10.0), 105.0);
    near(increase(1.0), 101.0);
}

#[test]
fn resets_are_added() {
    let values = [0.0, 1.0, 2.0, 3.0, 2.0, 3.0, 4.0];
    let series = series(5 * MINUTE, 0, &values, &[]);
    near(call(Function::Increase, &series, 0, 30 * MINUTE), 7.0);
    near(call(Function::Resets, &series, -1, 30 * MINUTE), 1.0);
    near(call(Function::Changes, &series, -1, 30 * MINUTE), 6.0);
    assert_eq!(call(Function::Rate, &series, 29 * MINUTE, 30 * MINUTE), None);
}

#[test]
fn start_timestamps_mark_resets_and_zero_points() {
    let unknown = i64::MIN;
    let offsets = [-30_000, -90_000, -150_000, -60_000, -120_000, -180_000, -59_999];
    let values: Vec<f64> = (0..7).map(|i| 60.0 * f64::from(i)).collect();
    let counter = series(MINUTE, 2, &values, &offsets);
    near(call(Function::Increase, &counter, 2 * MINUTE, 7 * MINUTE), 420.0);
    near(call(Function::Increase, &counter, 3 * MINUTE, 8 * MINUTE), 780.0);
    near(call(Function::Irate, &counter, 3 * MINUTE, 8 * MINUTE), 6.0);
    near(call(Function::Resets, &counter, 3 * MINUTE, 8 * MINUTE), 2.0);

    let single = series(MINUTE, 4, &[3.0], &[-150_000]);
    near(call(Function::Increase, &single, MINUTE, 6 * MINUTE), 3.0);
    let single = series(MINUTE, 4, &[3.0], &[-180_000]);
    assert_eq!(call(Function::Increase, &single, MINUTE, 6 * MINUTE), None);

    let mixed = series(MINUTE, 2, &[5.0, 5.0, 2.0], &[-60_000, -1_000, unknown]);
    near(call(Function::Increase, &mixed, 0, 5 * MINUTE), 16.0);
}

#[test]
fn a_start_at_the_previous_sample_needs_a_known_predecessor() {
    assert!(start_says_reset((60_000, 120_000), (120_000, 180_000)));
    assert!(!start_says_reset((0, 120_000), (120_000, 180_000)));
    assert!(!start_says_reset((120_000, 120_000), (120_000, 180_000)));
    assert!(!start_says_reset((180_000, 120_000), (120_000, 180_000)));
    assert!(!start_says_reset((120_000, 120_000), (180_000, 180_000)));
    assert!(start_says_reset((0, 120_000), (120_001, 180_000)));
}

#[test]
fn overlapping_starts_are_noted() {
    let values = [60.0, 120.0, 180.0];
    let overlap = series(MINUTE, 2, &values, &[-120_000, -120_000, -120_000]);
    let (value, notes) = call_noting(Function::Rate, &overlap, MINUTE, 4 * MINUTE);
    near(value, 1.0);
    assert_eq!(notes.iter().count(), 1);
    let cumulative = series(MINUTE, 2, &values, &[-30_000, -90_000, -150_000]);
    let (value, notes) = call_noting(Function::Rate, &cumulative, MINUTE, 4 * MINUTE);
    near(value, 1.0);
    assert!(notes.is_empty());
}

#[test]
fn instant_rates_take_the_last_two() {
    let series = series(5 * MINUTE, 0, &[1.0, f64::NAN, f64::NAN, 5.0, 11.0], &[]);
    near(call(Function::Irate, &series, 0, 20 * MINUTE), 0.02);
    near(call(Function::Idelta, &series, 0, 20 * MINUTE), 6.0);
    assert!(call(Function::Irate, &series, 0, 15 * MINUTE).is_some_and(f64::is_nan));
}

#[test]
fn counters_are_known_by_their_names() {
    assert!(possibly_no_counter(Function::Rate, "up"));
    assert!(!possibly_no_counter(Function::Rate, "x_total"));
    assert!(!possibly_no_counter(Function::Delta, "up"));
    assert!(!possibly_no_counter(Function::Rate, ""));
}
