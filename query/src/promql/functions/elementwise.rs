//! Functions of one sample at a time: rounding, logarithms, trigonometry, clamping, dates and the
//! scalar properties of native histograms.

use super::{Function, calendar};
use crate::promql::exec::batch::{ABSENT, StepSeries};
use crate::promql::histogram;
use ephemeris_model::{FloatHistogram, is_stale};

/// Applies `function` to every sample of `series`, in place, and marks the name for removal.
/// `params` are the scalar arguments, each with one value a step. Samples the function has no
/// result for become absent: histograms for functions of floats, floats for those of histograms.
///
/// Returns whether `function` is of this kind; if not, nothing has happened.
pub fn apply(function: Function, series: &mut StepSeries, params: &[Vec<f64>]) -> bool {
    if let Some(property) = histogram_property(function) {
        for (value, histogram) in series.values.iter_mut().zip(&series.histograms) {
            *value = histogram.as_ref().map_or(ABSENT, |histogram| property(histogram));
        }
        if series.histograms.is_empty() {
            series.values.fill(ABSENT);
        }
    } else if let Some(map) = float_map(function) {
        for value in series.values.iter_mut().filter(|value| !is_stale(**value)) {
            *value = map(*value);
        }
    } else if is_date(function) {
        for value in series.values.iter_mut().filter(|value| !is_stale(**value)) {
            *value = calendar::call(function, *value).unwrap_or(f64::NAN);
        }
    } else if !apply_with_params(function, series, params) {
        return false;
    }
    series.histograms.clear();
    series.drop_name = true;
    true
}

fn apply_with_params(function: Function, series: &mut StepSeries, params: &[Vec<f64>]) -> bool {
    let param = |index: usize, step: usize, missing: f64| {
        params.get(index).and_then(|column| column.get(step)).copied().unwrap_or(missing)
    };
    let steps = series.values.iter_mut().enumerate().filter(|(_, value)| !is_stale(**value));
    match function {
        Function::Round => steps.for_each(|(step, v)| *v = round(*v, param(0, step, 1.0))),
        Function::Clamp => steps.for_each(|(step, v)| {
            *v = clamp(*v, param(0, step, f64::NEG_INFINITY), param(1, step, f64::INFINITY));
        }),
        Function::ClampMin => steps.for_each(|(step, v)| {
            *v = clamp(*v, param(0, step, f64::NEG_INFINITY), f64::INFINITY);
        }),
        Function::ClampMax => steps.for_each(|(step, v)| {
            *v = clamp(*v, f64::NEG_INFINITY, param(0, step, f64::INFINITY));
        }),
        _ => return false,
    }
    true
}

/// Whether `function` takes dates apart. Without an argument they take the evaluation time.
#[must_use]
pub const fn is_date(function: Function) -> bool {
    matches!(
        function,
        Function::DayOfMonth
            | Function::DayOfWeek
            | Function::DayOfYear
            | Function::DaysInMonth
            | Function::Hour
            | Function::Minute
            | Function::Month
            | Function::Year
    )
}

fn float_map(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Abs => f64::abs,
        Function::Acos => f64::acos,
        Function::Acosh => f64::acosh,
        Function::Asin => f64::asin,
        Function::Asinh => f64::asinh,
        Function::Atan => f64::atan,
        Function::Atanh => f64::atanh,
        Function::Ceil => f64::ceil,
        Function::Cos => f64::cos,
        Function::Cosh => f64::cosh,
        Function::Deg => |v| v * 180.0 / std::f64::consts::PI,
        Function::Exp => f64::exp,
        Function::Floor => f64::floor,
        Function::Ln => f64::ln,
        Function::Log10 => f64::log10,
        Function::Log2 => f64::log2,
        Function::Rad => |v| v * std::f64::consts::PI / 180.0,
        Function::Sgn => sign,
        Function::Sin => f64::sin,
        Function::Sinh => f64::sinh,
        Function::Sqrt => f64::sqrt,
        Function::Tan => f64::tan,
        Function::Tanh => f64::tanh,
        _ => return None,
    })
}

fn histogram_property(function: Function) -> Option<fn(&FloatHistogram) -> f64> {
    Some(match function {
        Function::HistogramCount => |h| h.count,
        Function::HistogramSum => |h| h.sum,
        Function::HistogramAvg => |h| h.sum / h.count,
        Function::HistogramStddev => |h| histogram::variance(h).sqrt(),
        Function::HistogramStdvar => histogram::variance,
        _ => return None,
    })
}

/// Zero keeps its sign, NaN stays NaN.
fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// To the nearest multiple of `nearest`, halves upwards.
fn round(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

/// NaN if either bound or the value is; absent if the bounds leave nothing between them.
fn clamp(value: f64, min: f64, max: f64) -> f64 {
    if max < min { ABSENT } else { max_of(min, min_of(max, value)) }
}

/// The lesser. NaN if either is, but nothing is less than -Inf.
#[must_use]
pub fn min_of(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == b {
        // -0 is less than 0.
        if a.is_sign_negative() { a } else { b }
    } else {
        a.min(b)
    }
}

/// The greater. NaN if either is, but nothing is greater than +Inf.
#[must_use]
pub fn max_of(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == b {
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ephemeris_model::Labels;

    use super::*;

    fn series(values: &[f64]) -> StepSeries {
        let mut series = StepSeries::absent(Labels::empty(), values.len());
        series.values.copy_from_slice(values);
        series
    }

    fn applied(function: Function, values: &[f64], params: &[Vec<f64>]) -> Vec<f64> {
        let mut series = series(values);
        assert!(apply(function, &mut series, params));
        assert!(series.drop_name);
        series.values
    }

    #[test]
    fn every_function_of_its_kind_is_known() {
        let other = |function: &Function| !apply(*function, &mut series(&[1.0]), &[]);
        let known = Function::ALL.iter().filter(|function| !other(function)).count();
        assert_eq!(known, 23 + 5 + 8 + 4);
    }

    #[test]
    fn rounding_takes_halves_upwards() {
        assert_eq!(applied(Function::Round, &[2.5, -2.5, -0.4], &[]), [3.0, -2.0, 0.0]);
        assert_eq!(applied(Function::Round, &[7.0], &[vec![5.0]]), [5.0]);
    }

    #[test]
    fn bounds_may_be_nan_or_crossed() {
        let clamped = |min, max| applied(Function::Clamp, &[-50.0, 100.0], &[vec![min; 2], max]);
        assert_eq!(clamped(-25.0, vec![75.0; 2]), [-25.0, 75.0]);
        assert!(clamped(0.0, vec![f64::NAN; 2]).iter().all(|v| v.is_nan() && !is_stale(*v)));
        assert!(clamped(5.0, vec![-5.0; 2]).iter().all(|v| is_stale(*v)));
        assert_eq!(applied(Function::ClampMax, &[4.0, 6.0], &[vec![5.0; 2]]), [4.0, 5.0]);
    }

    #[test]
    fn absent_steps_and_other_kinds_of_sample_stay_out() {
        let mut mixed = series(&[ABSENT, 4.0]);
        let histogram = FloatHistogram { count: 2.0, sum: 6.0, ..FloatHistogram::default() };
        mixed.histograms = vec![Some(Arc::new(histogram)), None];
        let mut averages = mixed.clone();
        assert!(apply(Function::HistogramAvg, &mut averages, &[]));
        assert_eq!(averages.values[0], 3.0);
        assert!(is_stale(averages.values[1]));
        assert!(apply(Function::Sqrt, &mut mixed, &[]));
        assert!(is_stale(mixed.values[0]));
        assert_eq!(mixed.values[1], 2.0);
    }

    #[test]
    fn extremes_of_two_propagate_nan() {
        assert_eq!((min_of(3.0, 5.0), max_of(3.0, 5.0)), (3.0, 5.0));
        assert!(min_of(f64::NAN, 1.0).is_nan() && max_of(1.0, f64::NAN).is_nan());
        assert!(min_of(0.0, -0.0).is_sign_negative() && max_of(-0.0, 0.0).is_sign_positive());
    }
}
