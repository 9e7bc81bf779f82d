//! `deriv`, `predict_linear` and `double_exponential_smoothing`.

use super::kahan::KahanSum;
use super::window::Floats;
use super::{FunctionError, format_g};

/// Slope per second of the line through the samples; needs two of them.
pub(super) fn deriv(floats: &Floats<'_>) -> Option<f64> {
    if floats.len() < 2 {
        return None;
    }
    // Times are counted from the first sample: large numbers would cost precision.
    Some(fit(floats, *floats.timestamps.first()?).0)
}

/// Value of the line through the samples `seconds` after `from_ms`; needs two of them.
pub(super) fn predict_linear(floats: &Floats<'_>, from_ms: i64, seconds: f64) -> Option<f64> {
    if floats.len() < 2 {
        return None;
    }
    let (slope, intercept) = fit(floats, from_ms);
    Some(slope * seconds + intercept)
}

/// Least squares: slope per second, and value at `origin_ms`.
#[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 ms")]
fn fit(floats: &Floats<'_>, origin_ms: i64) -> (f64, f64) {
    let first = floats.values[0];
    if floats.values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut sums = [KahanSum::default(); 4];
    for (timestamp, y) in floats.timestamps.iter().zip(floats.values) {
        let x = timestamp.saturating_sub(origin_ms) as f64 / 1000.0;
        sums[0].add(x);
        sums[1].add(*y);
        sums[2].add(x * y);
        sums[3].add(x * x);
    }
    let [x, y, xy, xx] = sums.map(|sum| sum.sum + sum.compensation);
    let n = floats.len() as f64;
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// Smoothed value and trend carried from sample to sample; needs two of them.
///
/// # Errors
/// If a factor does not lie between 0 and 1.
pub(super) fn double_exponential_smoothing(
    floats: &Floats<'_>,
    smoothing: f64,
    trend_factor: f64,
) -> Result<Option<f64>, FunctionError> {
    check_factor("smoothing", "sf", smoothing)?;
    check_factor("trend", "tf", trend_factor)?;
    let [first, second, ..] = *floats.values else { return Ok(None) };
    let (mut before, mut smoothed, mut trend) = (0.0, first, second - first);
    for (i, value) in floats.values.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (smoothed - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (smoothed + trend);
        (before, smoothed) = (smoothed, next);
    }
    Ok(Some(smoothed))
}

fn check_factor(name: &str, short: &str, value: f64) -> Result<(), FunctionError> {
    if value <= 0.0 || value >= 1.0 {
        let got = if value.is_finite() { format!("{value:.6}") } else { format_g(value) };
        return Err(FunctionError(format!(
            "invalid {name} factor. Expected: 0 < {short} < 1, got: {got}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: [i64; 4] = [0, 1_000, 2_000, 3_000];

    fn floats(values: &[f64]) -> Floats<'_> {
        Floats { timestamps: &TIMES[..values.len()], values, starts: &[] }
    }

    #[test]
    fn a_line_is_found_again() {
        let line = floats(&[1.0, 3.0, 5.0, 7.0]);
        assert_eq!(deriv(&line), Some(2.0));
        assert_eq!(predict_linear(&line, 3_000, 10.0), Some(27.0));
        assert_eq!(deriv(&floats(&[1.0])), None);
    }

    #[test]
    fn a_constant_has_no_slope_unless_it_is_infinite() {
        assert_eq!(deriv(&floats(&[4.0, 4.0, 4.0])), Some(0.0));
        assert!(deriv(&floats(&[f64::INFINITY; 2])).is_some_and(f64::is_nan));
    }

    #[test]
    fn factors_have_bounds() {
        let values = floats(&[1.0, 2.0]);
        let error = double_exponential_smoothing(&values, 1.0, 0.5).expect_err("out of bounds");
        assert_eq!(error.0, "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000");
        assert!(double_exponential_smoothing(&values, 0.5, 0.0).is_err());
        assert!(double_exponential_smoothing(&values, 0.5, f64::NAN).is_ok());
    }

    #[test]
    fn a_line_is_its_own_smoothing() {
        let value = double_exponential_smoothing(&floats(&[0.0, 10.0, 20.0, 30.0]), 0.01, 0.1);
        assert!(value.is_ok_and(|v| v.is_some_and(|v| (v - 30.0).abs() < 1e-9)));
    }
}
