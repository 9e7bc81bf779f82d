use ephemeris_model::SampleBuffer;

use super::*;
use crate::promql::ast::Extension;
use crate::promql::functions::notes::Note;
use crate::promql::functions::window::RangeCall;
use crate::promql::histogram::samples::{custom, exponential};

const MINUTE: i64 = 60_000;

/// A sample a minute, from minute `first` on: a float, or a histogram.
fn series(first: i64, samples: Vec<Point>) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    for (i, sample) in samples.into_iter().enumerate() {
        let at = (first + i as i64) * MINUTE;
        match sample {
            Point::Float(value) => buffer.push(at, value),
            Point::Histogram(histogram) => buffer.push_histogram(at, histogram),
        }
    }
    buffer
}

fn counted(count: f64) -> Point {
    hinted(count, CounterResetHint::Unknown)
}

fn hinted(count: f64, reset_hint: CounterResetHint) -> Point {
    let mut histogram = exponential(0, &[(1, count)], &[]);
    histogram.sum = count * 2.0;
    histogram.reset_hint = reset_hint;
    Point::Histogram(Arc::new(histogram))
}

fn with_bounds(bounds: &[f64], counts: &[f64]) -> Point {
    Point::Histogram(Arc::new(custom(bounds, counts)))
}

/// The function of the samples in (start, end], in minutes, and what it notes.
fn call(
    function: Function,
    series: &SampleBuffer,
    start: i64,
    end: i64,
) -> (Option<Point>, Vec<String>) {
    let position = |limit: i64| series.timestamps.partition_point(|t| *t <= limit * MINUTE);
    let window = Window {
        series,
        samples: position(start)..position(end),
        range_start_ms: start * MINUTE,
        range_end_ms: end * MINUTE,
        evaluated_at_ms: end * MINUTE,
        extension: Extension::None,
        metric_name: "m",
    };
    let mut notes = Notes::default();
    let point = RangeCall::new(function).evaluate(&window, &[0.5], &mut notes).expect("valid");
    (point, notes.iter().map(Note::text).collect())
}

fn histogram(point: Option<Point>) -> Arc<FloatHistogram> {
    match point {
        Some(Point::Histogram(histogram)) => histogram,
        other => panic!("no histogram: {other:?}"),
    }
}

fn float(point: Option<Point>) -> f64 {
    match point {
        Some(Point::Float(value)) => value,
        other => panic!("no float: {other:?}"),
    }
}

#[test]
fn increase_is_extrapolated_and_a_gauge() {
    let series = series(0, (0..6).map(|i| counted(f64::from(i) * 10.0)).collect());
    let (point, notes) = call(Function::Increase, &series, 0, 5);
    let increase = histogram(point);
    assert_eq!((increase.count, increase.sum), (50.0, 100.0));
    assert_eq!(increase.positive_buckets, [50.0]);
    assert_eq!(increase.reset_hint, CounterResetHint::Gauge);
    assert!(notes.is_empty());
    let rate = histogram(call(Function::Rate, &series, 0, 5).0);
    assert!((rate.count - 50.0 / 300.0).abs() < 1e-12);
}

#[test]
fn resets_are_added() {
    let series = series(0, [5.0, 10.0, 3.0, 6.0].map(counted).to_vec());
    let increase = histogram(call(Function::Increase, &series, -1, 3).0);
    // 6 - 5 + 10, and up to one minute more before the first sample: 11/3 minutes in all.
    assert!((increase.count - 11.0 * (3.0 + 1.0) / 3.0).abs() < 1e-9, "{increase:?}");
    assert_eq!(float(call(Function::Resets, &series, -1, 3).0), 1.0);
    assert_eq!(float(call(Function::Changes, &series, -1, 3).0), 3.0);
}

#[test]
fn a_first_sample_that_was_reset_need_not_fit() {
    let samples = vec![
        with_bounds(&[1.0], &[9.0, 9.0]),
        with_bounds(&[5.0], &[1.0, 1.0]),
        with_bounds(&[5.0], &[2.0, 3.0]),
    ];
    let (point, notes) = call(Function::Increase, &series(0, samples), -1, 2);
    let increase = histogram(point);
    assert_eq!(increase.custom_values, [5.0]);
    assert!(notes.is_empty());
}

#[test]
fn kinds_that_do_not_fit_are_noted() {
    let mixed = series(0, vec![Point::Float(1.0), Point::Float(2.0), counted(3.0)]);
    for function in [Function::Rate, Function::SumOverTime, Function::Irate] {
        let (point, notes) = call(function, &mixed, -1, 2);
        assert!(point.is_none());
        assert_eq!(notes, ["encountered a mix of histograms and floats for metric name \"m\""]);
    }
    let (point, notes) = call(Function::MaxOverTime, &mixed, -1, 2);
    assert_eq!(float(point), 2.0);
    assert_eq!(notes.len(), 1);
    assert_eq!(float(call(Function::CountOverTime, &mixed, -1, 2).0), 3.0);
    assert!(
        call(Function::LastOverTime, &mixed, -1, 2)
            .0
            .is_some_and(|p| matches!(p, Point::Histogram(_)))
    );
    let layouts = series(0, vec![counted(1.0), with_bounds(&[1.0], &[2.0, 2.0])]);
    let text = "vector contains a mix of histograms with exponential and custom buckets schemas \
                for metric name \"m\"";
    for function in [Function::Delta, Function::Idelta, Function::AvgOverTime] {
        let (point, notes) = call(function, &layouts, -1, 2);
        assert!(point.is_none() && notes.contains(&text.to_owned()), "{}", function.name());
    }
}

#[test]
fn gauges_and_counters_are_told_apart() {
    let gauges = series(0, vec![hinted(1.0, CounterResetHint::Gauge); 3]);
    let counters = series(0, vec![counted(1.0); 3]);
    let not_counter = "this native histogram metric is not a counter: \"m\"";
    let not_gauge = "this native histogram metric is not a gauge: \"m\"";
    assert_eq!(call(Function::Rate, &gauges, -1, 2).1, [not_counter]);
    assert_eq!(call(Function::Irate, &gauges, -1, 2).1, [not_counter]);
    assert_eq!(call(Function::Delta, &counters, -1, 2).1, [not_gauge]);
    assert_eq!(call(Function::Idelta, &counters, -1, 2).1, [not_gauge]);
    assert!(call(Function::Delta, &gauges, -1, 2).1.is_empty());
    assert!(call(Function::Rate, &counters, -1, 2).1.is_empty());
}

#[test]
fn the_last_two_samples_make_an_instant_rate() {
    let counters = series(0, [1.0, 7.0, 67.0].map(counted).to_vec());
    assert_eq!(histogram(call(Function::Irate, &counters, -1, 2).0).count, 1.0);
    let reset = series(0, [100.0, 60.0].map(counted).to_vec());
    assert_eq!(histogram(call(Function::Irate, &reset, -1, 1).0).count, 1.0);
    let (point, notes) = call(Function::Idelta, &reset, -1, 1);
    assert_eq!(histogram(point).count, -40.0);
    assert_eq!(notes.len(), 1);
}

#[test]
fn start_timestamps_mark_resets_and_zero_points() {
    let mut deltas = SampleBuffer::default();
    for minute in 2..8 {
        let Point::Histogram(sixty) = counted(60.0) else { panic!("a histogram") };
        deltas.push_histogram(minute * MINUTE, sixty);
        deltas.set_last_start((minute - 1) * MINUTE);
    }
    assert_eq!(histogram(call(Function::Increase, &deltas, 2, 7).0).count, 300.0);
    assert_eq!(float(call(Function::Resets, &deltas, 2, 7).0), 4.0);
    assert_eq!(histogram(call(Function::Irate, &deltas, 2, 7).0).count, 1.0);
    // One sample, and a zero inside the range before it.
    assert_eq!(histogram(call(Function::Increase, &deltas, -1, 2).0).count, 60.0);
}

#[test]
fn sums_and_means_tell_of_collisions() {
    let samples = vec![
        hinted(1.0, CounterResetHint::Reset),
        hinted(2.0, CounterResetHint::NotReset),
        hinted(3.0, CounterResetHint::NotReset),
    ];
    let series = series(0, samples);
    let text = "conflicting counter resets during histogram aggregation";
    let (point, notes) = call(Function::SumOverTime, &series, -1, 2);
    assert_eq!(histogram(point).count, 6.0);
    assert_eq!(notes, [text]);
    let (point, notes) = call(Function::AvgOverTime, &series, -1, 2);
    assert_eq!(histogram(point).count, 2.0);
    assert_eq!(notes, [text]);
}
