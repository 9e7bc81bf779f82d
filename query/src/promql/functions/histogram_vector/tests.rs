use std::sync::Arc;

use ephemeris_model::FloatHistogram;

use super::*;
use crate::promql::functions::vector::{QueryKind, VectorArg, call_vector};
use crate::promql::functions::{Function, Note};
use crate::promql::histogram::samples::exponential;

fn bucket(name: &str, bound: &str, counts: &[f64]) -> StepSeries {
    let labels = Labels::from_pairs([("__name__", name), ("le", bound)]);
    let mut series = StepSeries::absent(labels, counts.len());
    series.values.copy_from_slice(counts);
    series
}

fn native(name: &str, histogram: FloatHistogram, step_count: usize) -> StepSeries {
    let mut series = StepSeries::absent(Labels::from_pairs([("__name__", name)]), step_count);
    series.histograms = vec![Some(Arc::new(histogram)); step_count];
    series
}

fn call(
    function: Function,
    args: &[VectorArg],
    series: Vec<StepSeries>,
) -> (Vec<StepSeries>, Vec<String>) {
    let step_count = series.first().map_or(0, |one| one.values.len());
    let call = VectorCall { function, args, step_count, kind: QueryKind::Range };
    let mut notes = Notes::default();
    let results = call_vector(&call, series, &mut notes).expect("valid arguments");
    (results, notes.iter().map(Note::text).collect())
}

fn numbers(value: f64, steps: usize) -> VectorArg {
    VectorArg::Numbers(vec![value; steps])
}

#[test]
fn buckets_of_a_classic_histogram_belong_together() {
    let series = vec![
        bucket("a", "+Inf", &[4.0, 8.0]),
        bucket("a", "1", &[2.0, 8.0]),
        bucket("b", "1", &[1.0, 1.0]),
        bucket("b", "Inf", &[1.0, 2.0]),
    ];
    let (results, notes) = call(Function::HistogramQuantile, &[numbers(0.5, 2)], series);
    assert_eq!(results.len(), 2);
    assert_eq!(results[0].labels.to_string(), r#"{__name__="a"}"#);
    assert!(results[0].drop_name);
    assert_eq!(results[0].values, [1.0, 0.5]);
    assert_eq!(results[1].values, [0.5, 1.0]);
    assert!(notes.is_empty());
}

#[test]
fn bounds_that_are_no_numbers_are_noted() {
    let series = vec![bucket("a", "much", &[4.0]), bucket("a", "", &[1.0])];
    let (results, notes) = call(Function::HistogramQuantile, &[numbers(0.5, 1)], series);
    assert!(results.is_empty());
    let text = |value| {
        format!(
            "bucket label \"le\" is missing or has a malformed value of \"{value}\" for metric \
             name \"a\""
        )
    };
    assert_eq!(notes, [text("much"), text("")]);
}

#[test]
fn native_and_classic_under_the_same_labels_do_not_count() {
    let series = vec![
        native("m", exponential(0, &[(1, 10.0)], &[]), 1),
        bucket("m", "1", &[2.0]),
        bucket("m", "+Inf", &[3.0]),
        native("n", exponential(0, &[(1, 10.0)], &[]), 1),
    ];
    let (results, notes) = call(Function::HistogramQuantile, &[numbers(0.5, 1)], series);
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].labels.metric_name(), Some("n"));
    assert_eq!(
        notes,
        ["vector contains a mix of classic and native histograms for metric name \"m\""]
    );
}

#[test]
fn each_quantile_has_a_series() {
    let series = vec![native("m", exponential(0, &[(1, 10.0)], &[]), 2)];
    let args = [
        VectorArg::Text("q".into()),
        VectorArg::Numbers(vec![1.0, 0.5]),
        VectorArg::Numbers(vec![2.0, 2.0]),
    ];
    let (results, notes) = call(Function::HistogramQuantiles, &args, series);
    let labels: Vec<String> = results.iter().map(|one| one.labels.to_string()).collect();
    assert_eq!(
        labels,
        [r#"{__name__="m", q="1.0"}"#, r#"{__name__="m", q="0.5"}"#, r#"{__name__="m", q="2.0"}"#]
    );
    assert_eq!(results[2].values, [f64::INFINITY; 2]);
    assert_eq!(notes, ["quantile value should be between 0 and 1, got 2"]);
}

#[test]
fn fractions_of_both_kinds() {
    let series = vec![
        native("n", exponential(0, &[(1, 10.0)], &[]), 1),
        bucket("c", "1", &[2.0]),
        bucket("c", "+Inf", &[4.0]),
    ];
    let args = [numbers(0.0, 1), numbers(std::f64::consts::SQRT_2, 1)];
    let (results, _) = call(Function::HistogramFraction, &args, series);
    assert!((results[0].values[0] - 0.5).abs() < 1e-12);
    assert_eq!(results[1].values, [0.5]);
}
