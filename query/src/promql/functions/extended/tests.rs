use ephemeris_model::SampleBuffer;

use super::*;
use crate::promql::functions::notes::Note;
use crate::promql::functions::window::RangeCall;
use crate::promql::histogram::samples::{custom, exponential};

const LOOKBACK: i64 = 300;

fn floats(step: i64, values: &[f64]) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    for (i, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        buffer.push(i as i64 * step, *value);
    }
    buffer
}

/// Histograms of one bucket, the ones marked by a negative number with the hint of a reset.
fn histograms(step: i64, counts: &[f64]) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    for (i, count) in counts.iter().enumerate() {
        let mut histogram = exponential(0, &[(1, count.abs())], &[]);
        if *count < 0.0 {
            histogram.reset_hint = CounterResetHint::Reset;
        }
        buffer.push_histogram(i as i64 * step, Arc::new(histogram));
    }
    buffer
}

/// Times are in seconds here, so that a rate is per millisecond; ranges are (end - range, end].
fn call(
    function: Function,
    series: &SampleBuffer,
    (end, range): (i64, i64),
    extension: Extension,
) -> (Option<f64>, Vec<String>) {
    let behind = if extension == Extension::Smoothed { LOOKBACK } else { 0 };
    let position = |limit: i64| series.timestamps.partition_point(|t| *t <= limit);
    let window = Window {
        series,
        samples: position(end - range - LOOKBACK)..position(end + behind),
        range_start_ms: end - range,
        range_end_ms: end,
        evaluated_at_ms: end,
        extension,
        metric_name: "m",
    };
    let mut notes = Notes::default();
    let point = RangeCall::new(function).evaluate(&window, &[], &mut notes).expect("valid");
    let value = point.map(|point| match point {
        Point::Float(value) => value,
        Point::Histogram(histogram) => {
            assert_eq!(histogram.reset_hint, CounterResetHint::Gauge);
            histogram.count
        }
    });
    (value, notes.iter().map(Note::text).collect())
}

fn check(series: &SampleBuffer, extension: Extension, cases: &[((i64, i64), Option<f64>)]) {
    for (at, wanted) in cases {
        let (got, notes) = call(Function::Increase, series, *at, extension);
        let near = match (got, wanted) {
            (Some(got), Some(wanted)) => (got - wanted).abs() < 1e-9,
            (got, wanted) => got.is_none() && wanted.is_none(),
        };
        assert!(near, "{extension:?} at {at:?}: got {got:?}, wanted {wanted:?}");
        assert!(notes.is_empty());
    }
}

#[test]
fn floats_and_histograms_alike() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 10.0, 11.0, 12.0, 13.0];
    let anchored = [
        ((5, 60), Some(0.0)),
        ((20, 60), Some(1.0)),
        ((50, 60), Some(3.0)),
        ((65, 60), Some(4.0)),
        ((80, 60), Some(7.0)),
        ((125, 60), Some(7.0)),
    ];
    let smoothed = [
        ((5, 60), Some(1.0 / 3.0)),
        ((20, 60), Some(4.0 / 3.0)),
        ((50, 60), Some(10.0 / 3.0)),
        ((65, 60), Some(5.0)),
        ((80, 60), Some(7.0)),
        ((125, 60), Some(6.0)),
    ];
    for series in [floats(15, &values), histograms(15, &values)] {
        check(&series, Extension::Anchored, &anchored);
        check(&series, Extension::Smoothed, &smoothed);
    }
}

#[test]
fn resets_at_every_place_of_the_range() {
    // Negative counts carry the hint; floats just fall.
    let cases = [
        (30, &[5.0f64, 10.0, -3.0][..], (70, 70), Extension::Anchored, 8.0),
        (30, &[5.0, -3.0], (30, 30), Extension::Anchored, 3.0),
        (10, &[10.0, -5.0, -2.0, 4.0], (15, 14), Extension::Smoothed, 5.5),
        (20, &[10.0, -5.0], (15, 10), Extension::Smoothed, 2.5),
        (10, &[5.0, 10.0, -3.0], (15, 10), Extension::Smoothed, 4.0),
        (15, &[100.0, -10.0], (12, 10), Extension::Smoothed, 20.0 / 3.0),
        (60, &[9.0, -8.0, -5.0, -4.0], (135, 120), Extension::Smoothed, 12.0),
    ];
    for (step, counts, at, extension, wanted) in cases {
        let absolute: Vec<f64> = counts.iter().copied().map(f64::abs).collect();
        check(&floats(step, &absolute), extension, &[(at, Some(wanted))]);
        check(&histograms(step, counts), extension, &[(at, Some(wanted))]);
    }
}

#[test]
fn nothing_comes_of_samples_on_one_side_of_the_range() {
    let late = floats(10, &[f64::NAN, 5.0, 6.0]);
    check(&late, Extension::Smoothed, &[((5, 5), None), ((15, 10), Some(0.5)), ((60, 5), None)]);
    check(&late, Extension::Anchored, &[((5, 5), None), ((60, 5), None)]);
}

#[test]
fn changes_and_resets_count_from_the_anchor() {
    let series =
        floats(60, &[2.0, f64::NAN, 1.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN, f64::NAN, 0.0]);
    let count = |function, end, range| call(function, &series, (end, range), Extension::Anchored).0;
    assert_eq!(count(Function::Changes, 120, 60), Some(1.0));
    assert_eq!(count(Function::Resets, 120, 60), Some(1.0));
    assert_eq!(count(Function::Changes, 180, 60), None);
    assert_eq!(count(Function::Changes, 480, 60), Some(0.0));
    assert_eq!(count(Function::Resets, 480, 61), Some(1.0));
}

#[test]
fn kinds_and_layouts_that_do_not_fit_are_noted() {
    let mut mixed = histograms(10, &[1.0, 2.0]);
    mixed.push(20, 3.0);
    let (value, notes) = call(Function::Increase, &mixed, (20, 15), Extension::Anchored);
    assert_eq!(value, None);
    assert_eq!(notes, ["encountered a mix of histograms and floats for metric name \"m\""]);
    let mut layouts = histograms(10, &[1.0]);
    layouts.push_histogram(10, Arc::new(custom(&[1.0], &[1.0, 1.0])));
    for extension in [Extension::Anchored, Extension::Smoothed] {
        let (value, notes) = call(Function::Rate, &layouts, (10, 5), extension);
        assert_eq!(value, None);
        assert!(notes[0].starts_with("vector contains a mix of histograms with exponential"));
    }
}

#[test]
fn only_some_functions_take_extended_ranges() {
    assert!(check_extension(Function::Deriv, Extension::None).is_ok());
    assert!(check_extension(Function::Resets, Extension::Anchored).is_ok());
    assert_eq!(
        check_extension(Function::Deriv, Extension::Anchored).expect_err("not allowed").0,
        "anchored modifier can only be used with: changes, delta, increase, rate, resets - not \
         with deriv"
    );
    assert_eq!(
        check_extension(Function::Resets, Extension::Smoothed).expect_err("not allowed").0,
        "smoothed modifier can only be used with: delta, increase, rate - not with resets"
    );
}

fn point(series: &SampleBuffer, at: i64) -> Option<f64> {
    let position = |limit: i64| series.timestamps.partition_point(|t| *t <= limit);
    let window = Window {
        series,
        samples: position(at - LOOKBACK)..position(at + LOOKBACK),
        range_start_ms: at - LOOKBACK,
        range_end_ms: at,
        evaluated_at_ms: at,
        extension: Extension::Smoothed,
        metric_name: "m",
    };
    smoothed_point(&window, &mut Notes::default()).map(|point| match point {
        Point::Float(value) => value,
        Point::Histogram(histogram) => histogram.count,
    })
}

#[test]
fn a_smoothed_point_lies_between_its_neighbours() {
    let series = floats(10, &[f64::NAN, 1.0, 2.0, 1.0]);
    assert_eq!(point(&series, 5), None);
    assert_eq!(point(&series, 10), Some(1.0));
    assert_eq!(point(&series, 15), Some(1.5));
    assert_eq!(point(&series, 25), Some(1.5));
    assert_eq!(point(&series, 45), Some(1.0));
    assert_eq!(point(&series, 330), None);
    let series = histograms(15, &[5.0, 10.0, -2.0]);
    assert!(point(&series, 3).is_some_and(|count| (count - 6.0).abs() < 1e-9));
    assert!(point(&series, 20).is_some_and(|count| (count - 2.0 / 3.0).abs() < 1e-9));
}
