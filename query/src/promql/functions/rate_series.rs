//! `rate`, `increase` and `delta` of a whole series of floats at once: the bits of the kernel for
//! one window, but what depends on times alone is computed once for all series sampled at the
//! same times.

use super::Function;
use super::rate::average_seconds;

/// A range window over samples, and what extrapolation needs to know of it.
#[derive(Clone, Copy, Debug)]
struct RateWindow {
    /// First sample and the one after the last; empty if there is no result.
    from: u32,
    to: u32,
    /// Seconds between first and last sample.
    interval: f64,
    /// Seconds to extrapolate towards the start, unless zero is nearer.
    to_start: f64,
    /// Seconds to extrapolate towards the end.
    to_end: f64,
    /// The factor of the result, unless zero is nearer than the start.
    factor: f64,
}

/// The windows of a function over samples at given times.
#[derive(Clone, Debug)]
pub struct RateWindows {
    function: Function,
    windows: Vec<RateWindow>,
    range_seconds: f64,
    /// Places of values that are greater than the next one.
    resets: Vec<u32>,
}

impl RateWindows {
    /// Windows of `function`, or none if it is another function. `windows` gives the samples of
    /// each and the time its range ends.
    #[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 ms")]
    #[must_use]
    pub fn new(
        function: Function,
        timestamps: &[i64],
        range_ms: i64,
        windows: impl Iterator<Item = ((u32, u32), i64)>,
    ) -> Option<Self> {
        if !matches!(function, Function::Rate | Function::Increase | Function::Delta) {
            return None;
        }
        let range_seconds = range_ms as f64 / 1000.0;
        let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
        let window = |((from, to), range_end_ms): ((u32, u32), i64)| {
            let samples = timestamps.get(from as usize..to as usize).unwrap_or_default();
            let [first_ms, .., last_ms] = *samples else {
                return RateWindow {
                    from: 0,
                    to: 0,
                    interval: 0.0,
                    to_start: 0.0,
                    to_end: 0.0,
                    factor: 0.0,
                };
            };
            let average = average_seconds(first_ms, last_ms, samples.len());
            let held = |border: f64| if border >= average * 1.1 { average / 2.0 } else { border };
            let interval = seconds(first_ms, last_ms);
            let to_start = held(seconds(range_end_ms - range_ms, first_ms));
            let to_end = held(seconds(range_end_ms, last_ms).abs());
            let mut factor = (interval + to_start + to_end) / interval;
            if function == Function::Rate {
                factor /= range_seconds;
            }
            RateWindow { from, to, interval, to_start, to_end, factor }
        };
        let windows = windows.map(window).collect();
        Some(Self { function, windows, range_seconds, resets: Vec::new() })
    }

    /// Puts the results for a series with these values into `out`, one a window; where there is
    /// none, `out` stays as it is.
    pub fn evaluate(&mut self, values: &[f64], out: &mut [f64]) {
        let is_counter = self.function != Function::Delta;
        self.resets.clear();
        if is_counter && values.windows(2).any(|pair| pair[1] < pair[0]) {
            let falls = values.windows(2).enumerate().filter(|(_, pair)| pair[1] < pair[0]);
            self.resets.extend(falls.map(|(i, _)| i as u32));
        }
        let mut passed = 0;
        for (window, out) in self.windows.iter().zip(out) {
            if window.from == window.to {
                continue;
            }
            let first = values[window.from as usize];
            let mut result = values[window.to as usize - 1] - first;
            if !self.resets.is_empty() {
                passed += self.resets[passed..].partition_point(|at| *at < window.from);
                let inside = self.resets[passed..].iter().take_while(|at| **at + 1 < window.to);
                result = inside.fold(result, |sum, at| sum + values[*at as usize]);
            }
            *out = if is_counter && result > 0.0 && first >= 0.0 {
                result * self.counter_factor(window, first, result)
            } else {
                result * window.factor
            };
        }
    }

    /// The factor for a counter that grew, whose zero may lie nearer than the start.
    #[inline]
    fn counter_factor(&self, window: &RateWindow, first: f64, result: f64) -> f64 {
        // Most zeros are far away, which a product shows without the cost of a division; the
        // margin is wide of its rounding.
        if first * window.interval > window.to_start * result * (1.0 + 1e-9) {
            return window.factor;
        }
        let to_zero = window.interval * (first / result);
        if to_zero >= window.to_start || to_zero.is_nan() {
            return window.factor;
        }
        let factor = (window.interval + to_zero + window.to_end) / window.interval;
        if self.function == Function::Rate { factor / self.range_seconds } else { factor }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Notes, RangeCall, Window};
    use super::*;
    use crate::promql::ast::Extension;
    use crate::promql::exec::batch::Point;
    use ephemeris_model::SampleBuffer;

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (0u32..1000).prop_map(f64::from),
            2 => -10.0f64..1e6,
            1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-0.0), Just(f64::MAX)],
        ]
    }

    proptest! {
        #[test]
        fn results_have_the_bits_of_the_kernel_for_one_window(
            samples in proptest::collection::vec((1i64..40, any_value()), 0..40),
            range_ms in 1i64..400,
            ends in proptest::collection::vec(0i64..900, 1..20),
        ) {
            let mut series = SampleBuffer::default();
            let mut at = 0;
            for (gap, value) in samples {
                at += gap;
                series.push(at, value);
            }
            let mut ends = ends;
            ends.sort_unstable();
            let place = |t: i64| series.timestamps.partition_point(|x| *x <= t) as u32;
            let windows: Vec<((u32, u32), i64)> =
                ends.iter().map(|end| ((place(end - range_ms), place(*end)), *end)).collect();
            for function in [Function::Rate, Function::Increase, Function::Delta] {
                let times = &series.timestamps;
                let rates = RateWindows::new(function, times, range_ms, windows.iter().copied());
                let mut rates = rates.expect("it is one of the three");
                let mut out = vec![-1.0; windows.len()];
                rates.evaluate(&series.values, &mut out);
                let mut call = RangeCall::new(function);
                call.start_series();
                for (((from, to), end), got) in windows.iter().zip(&out) {
                    let window = Window {
                        series: &series,
                        samples: *from as usize..*to as usize,
                        range_start_ms: end - range_ms,
                        range_end_ms: *end,
                        evaluated_at_ms: *end,
                        extension: Extension::None,
                        metric_name: "",
                    };
                    let expected = call.evaluate(&window, &[], &mut Notes::default());
                    match expected.expect("there is no parameter") {
                        None => prop_assert_eq!(*got, -1.0),
                        Some(Point::Float(value)) => {
                            let same = got.to_bits() == value.to_bits()
                                || (got.is_nan() && value.is_nan());
                            prop_assert!(same, "{:?}: {} is not {}", function, got, value);
                        }
                        Some(Point::Histogram(_)) => prop_assert!(false, "no histograms"),
                    }
                }
            }
        }
    }
}
