//! What is computed from the values of a window, as Loki computes it.

use crate::logs::ast::RangeOp;

/// Samples of one window, in order of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    /// Nanoseconds.
    pub(super) times: &'a [i64],
    /// Never empty.
    pub(super) values: &'a [f64],
}

/// The value of a window that is not empty.
pub(super) fn value(op: RangeOp, param: f64, range_ns: i64, window: Window<'_>) -> f64 {
    let values = window.values;
    match op {
        RangeOp::Sum | RangeOp::Bytes => values.iter().sum(),
        RangeOp::Rate | RangeOp::BytesRate => values.iter().sum::<f64>() / seconds(range_ns),
        RangeOp::RateCounter => rate_counter(window, range_ns),
        RangeOp::Avg => mean(values),
        RangeOp::Max => extreme(values, |value, most| value > most),
        RangeOp::Min => extreme(values, |value, least| value < least),
        RangeOp::First => values.first().copied().unwrap_or(f64::NAN),
        RangeOp::Last => values.last().copied().unwrap_or(f64::NAN),
        RangeOp::Stddev => variance(values).sqrt(),
        RangeOp::Stdvar => variance(values),
        RangeOp::Quantile => quantile(param, values),
        RangeOp::Count => values.len() as f64,
        RangeOp::Absent => 1.0,
    }
}

pub(super) fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

fn extreme(values: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let worse = |best: f64, value: f64| best.is_nan() || better(value, best);
    let first = values.first().copied().unwrap_or(f64::NAN);
    values.iter().fold(first, |best, value| if worse(best, *value) { *value } else { best })
}

fn mean(values: &[f64]) -> f64 {
    let mut mean = 0.0_f64;
    for (i, value) in values.iter().enumerate() {
        let count = (i + 1) as f64;
        if mean.is_infinite() {
            let same = value.is_infinite() && (mean > 0.0) == (*value > 0.0);
            // An infinite mean stays, unless the other infinity or no number comes.
            if same || value.is_finite() {
                continue;
            }
        }
        mean += value / count - mean / count;
    }
    mean
}

fn variance(values: &[f64]) -> f64 {
    let (mut sum, mut mean) = (0.0, 0.0);
    for (i, value) in values.iter().enumerate() {
        let delta = value - mean;
        mean += delta / (i + 1) as f64;
        sum += delta * (value - mean);
    }
    sum / values.len() as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks lie between 0 and the number of values"
)]
pub(super) fn quantile(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let mut sorted = values.to_vec();
    // What is no number comes first.
    sorted.sort_unstable_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let last = (sorted.len() - 1) as f64;
    let rank = q * last;
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(last);
    let weight = rank - rank.floor();
    sorted[lower as usize] * (1.0 - weight) + sorted[upper as usize] * weight
}

/// The increase per second, resets taken out. Loki reads times in nanoseconds as milliseconds where
/// it extrapolates, so that next to nothing is added; its answers are the measure here.
fn rate_counter(window: Window<'_>, range_ns: i64) -> f64 {
    let Window { times, values } = window;
    let ([first_time, .., last_time], [first, .., last]) = (times, values) else { return 0.0 };
    let resets = values.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]);
    let increase = last - first + resets.sum::<f64>();
    let sampled = last_time.saturating_sub(*first_time) as f64 / 1000.0;
    let average = sampled / (values.len() - 1) as f64;
    let mut to_start = (range_ns / 1_000_000) as f64 / 1000.0;
    if increase > 0.0 && *first >= 0.0 {
        to_start = to_start.min(sampled * (first / increase));
    }
    let added = if to_start < average * 1.1 { to_start } else { average / 2.0 };
    // All samples at one moment leave nothing to divide by, and nothing to extrapolate.
    let factor = if sampled > 0.0 { (sampled + added) / sampled } else { f64::NAN };
    increase * factor / seconds(range_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_numbers() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(extreme(&[nan, 1.0, 2.0], |a, b| a > b), 2.0);
        assert_eq!(mean(&[inf, 1.0]), inf);
        assert!(mean(&[inf, -inf]).is_nan());
        assert_eq!(quantile(0.5, &[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(2.0, &[1.0]), inf);
        assert!((quantile(0.25, &[1.0, 2.0]) - 1.25).abs() < 1e-12);
    }

    #[test]
    fn a_counter_may_start_again() {
        let times = [0, 10_000_000_000, 20_000_000_000];
        let window = Window { times: &times, values: &[5.0, 8.0, 2.0] };
        let rate = rate_counter(window, 60_000_000_000);
        assert!((rate - 5.0 / 60.0).abs() < 1e-6, "{rate}");
    }
}
