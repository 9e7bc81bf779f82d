//! `*_over_time` of floats: plain kernels over slices, bit for bit what Prometheus computes.

use super::Function;
use super::kahan::KahanSum;
use super::notes::{NoteKind, Notes};
use super::rank::quantile_of;
use super::window::Floats;

/// The aggregations that need nothing but the samples. None for an empty window, or if `function`
/// is none of them.
#[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^53")]
pub(super) fn call(function: Function, floats: &Floats<'_>) -> Option<f64> {
    let values = floats.values;
    let (first, last) = (*values.first()?, *values.last()?);
    let seconds = |timestamp: &i64| *timestamp as f64 / 1000.0;
    match function {
        Function::SumOverTime => Some(sum(values)),
        Function::AvgOverTime => Some(mean(values)),
        Function::MinOverTime => Some(min(values)),
        Function::MaxOverTime => Some(max(values)),
        Function::CountOverTime => Some(values.len() as f64),
        Function::StddevOverTime => Some(variance(values).sqrt()),
        Function::StdvarOverTime => Some(variance(values)),
        Function::MadOverTime => Some(median_absolute_deviation(values)),
        Function::FirstOverTime => Some(first),
        Function::LastOverTime => Some(last),
        Function::PresentOverTime | Function::AbsentOverTime => Some(1.0),
        Function::TsOfFirstOverTime => floats.timestamps.first().map(seconds),
        Function::TsOfLastOverTime => floats.timestamps.last().map(seconds),
        Function::TsOfMaxOverTime => position_of(values, |now, best| now >= best)
            .and_then(|at| floats.timestamps.get(at))
            .map(seconds),
        Function::TsOfMinOverTime => position_of(values, |now, best| now <= best)
            .and_then(|at| floats.timestamps.get(at))
            .map(seconds),
        _ => None,
    }
}

/// The compensated sum.
pub(super) fn sum(values: &[f64]) -> f64 {
    let mut sum = KahanSum::default();
    for value in values {
        sum.add(*value);
    }
    sum.total()
}

/// The mean: compensated sum by count, or, from the value on that would overflow the sum, the mean
/// carried along.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn mean(values: &[f64]) -> f64 {
    let Some((first, rest)) = values.split_first() else { return f64::NAN };
    let mut sum = KahanSum::new(*first);
    for (i, value) in rest.iter().enumerate() {
        let mut next = sum;
        next.add(*value);
        if next.sum.is_infinite() {
            return incremental_mean(sum, i + 1, &rest[i..]);
        }
        sum = next;
    }
    let count = values.len() as f64;
    sum.sum / count + sum.compensation / count
}

/// Goes on with `rest` from the sum of `count` values.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn incremental_mean(sum: KahanSum, count: usize, rest: &[f64]) -> f64 {
    let before = count as f64;
    let mut mean = KahanSum { sum: sum.sum / before, compensation: sum.compensation / before };
    for (i, value) in rest.iter().enumerate() {
        let count = (count + i + 1) as f64;
        let share = (count - 1.0) / count;
        mean = KahanSum { sum: share * mean.sum, compensation: share * mean.compensation };
        mean.add(value / count);
    }
    mean.sum + mean.compensation
}

/// The least value; NaN only if there is nothing else.
pub(super) fn min(values: &[f64]) -> f64 {
    values
        .iter()
        .copied()
        .fold(f64::NAN, |best, v| if v < best || best.is_nan() { v } else { best })
}

/// The greatest value; NaN only if there is nothing else.
pub(super) fn max(values: &[f64]) -> f64 {
    values
        .iter()
        .copied()
        .fold(f64::NAN, |best, v| if v > best || best.is_nan() { v } else { best })
}

/// Position of the last value that is `better` than all before it.
fn position_of(values: &[f64], better: impl Fn(f64, f64) -> bool) -> Option<usize> {
    let mut best = (0, *values.first()?);
    for (i, &value) in values.iter().enumerate() {
        if better(value, best.1) || best.1.is_nan() {
            best = (i, value);
        }
    }
    Some(best.0)
}

/// Population variance by Welford's method with compensated sums.
pub(super) fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares, mut count) = (KahanSum::default(), KahanSum::default(), 0.0);
    for value in values {
        count += 1.0;
        let delta = value - (mean.sum + mean.compensation);
        mean.add(delta / count);
        squares.add(delta * (value - (mean.sum + mean.compensation)));
    }
    (squares.sum + squares.compensation) / count
}

/// Median of the distances from the median; NaN if any value is.
fn median_absolute_deviation(values: &[f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = quantile_of(0.5, values);
    let deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    quantile_of(0.5, &deviations)
}

/// Notes a quantile outside of its bounds.
pub(super) fn note_quantile(quantile: f64, notes: &mut Notes) {
    if !(0.0..=1.0).contains(&quantile) {
        notes.add(NoteKind::InvalidQuantile(quantile), 0, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_leave_nan_out() {
        assert_eq!(min(&[f64::NAN, 0.0, 1.0]), 0.0);
        assert_eq!(max(&[2.0, f64::NAN, 1.0]), 2.0);
        assert!(max(&[f64::NAN, f64::NAN]).is_nan());
    }

    #[test]
    fn the_mean_of_huge_values_does_not_overflow() {
        let huge = 9.988_465_674_311_58e307;
        assert_eq!(mean(&[huge, huge]), huge);
        assert_eq!(mean(&[-huge, -huge, -huge]), -huge);
        assert_eq!(mean(&[f64::INFINITY, 0.0, f64::INFINITY]), f64::INFINITY);
        assert!(mean(&[1.0, f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(mean(&[1.0, 1e100, 1.0, -1e100]), 0.5);
    }

    #[test]
    fn equal_values_have_no_variance() {
        assert_eq!(variance(&[1.5990505637277868; 3]), 0.0);
        assert!((variance(&[0.0, 8.0, 8.0, 2.0, 3.0]) - 10.56).abs() < 1e-12);
    }

    #[test]
    fn deviation_from_the_median() {
        assert_eq!(median_absolute_deviation(&[4.0, 6.0, 2.0, 1.0, 999.0, 1.0, 2.0]), 1.0);
        assert!(median_absolute_deviation(&[1.0, 2.0, f64::NAN, 4.0]).is_nan());
    }

    #[test]
    fn the_time_of_an_extreme_is_that_of_its_last_sample() {
        let values = [1.0, 3.0, 0.0, 3.0, 0.0];
        assert_eq!(position_of(&values, |now, best| now >= best), Some(3));
        assert_eq!(position_of(&values, |now, best| now <= best), Some(4));
    }
}
