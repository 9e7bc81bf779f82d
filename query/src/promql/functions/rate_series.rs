//! `rate`, `increase` and `delta` of a whole series of floats at once: the bits of the kernel for
//! one window, but what depends on times alone is computed once for all series sampled at the
//! same times.

use super::Function;
use super::rate::average_seconds;

/// What extrapolation needs to know of a window, but for the values.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Seconds between first and last sample.
    interval: f64,
    /// Seconds to extrapolate towards the start, unless zero is nearer.
    to_start: f64,
    /// Seconds to extrapolate towards the end.
    to_end: f64,
    /// The factor of the result, unless zero is nearer than the start.
    factor: f64,
}

/// Windows of neighbouring steps that lie over their samples in the same way.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Number of windows.
    count: usize,
    /// First sample of the first window and the one after its last.
    from: usize,
    to: usize,
    /// How many samples each window lies behind the one before.
    stride: usize,
    /// Nothing if there is no result.
    shape: Option<Shape>,
}

/// The windows of a function over samples at given times.
#[derive(Clone, Debug)]
pub struct RateWindows {
    function: Function,
    runs: Vec<Run>,
    range_seconds: f64,
    /// Places of values that are greater than the next one.
    resets: Vec<usize>,
}

impl RateWindows {
    /// Windows of `function`, or none if it is another function. `windows` gives the samples of
    /// each and the time its range ends.
    #[expect(clippy::cast_precision_loss, reason = "lengths of ranges are far below 2^53 ms")]
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
        let mut all = Self { function, runs: Vec::new(), range_seconds, resets: Vec::new() };
        // The distances that make the shape of the window before.
        let mut before = None;
        for ((from, to), range_end_ms) in windows {
            let (from, to) = (from as usize, to as usize);
            let distances = match timestamps.get(from..to) {
                Some([first, .., last]) => {
                    Some((range_end_ms - first, range_end_ms - last, to - from))
                }
                _ => None,
            };
            if before == Some(distances)
                && let Some(run) = all.runs.last_mut()
                && run.goes_on(from)
            {
                run.count += 1;
                continue;
            }
            before = Some(distances);
            let shape =
                distances.map(|(first, last, count)| all.shape(range_ms, (first, last), count));
            all.runs.push(Run { count: 1, from, to, stride: 0, shape });
        }
        Some(all)
    }

    /// The shape of a window whose first and last sample lie so many ms before its end.
    #[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 ms")]
    fn shape(&self, range_ms: i64, (first_ms, last_ms): (i64, i64), count: usize) -> Shape {
        let average = average_seconds(-first_ms, -last_ms, count);
        let held = |border: f64| if border >= average * 1.1 { average / 2.0 } else { border };
        let interval = (first_ms - last_ms) as f64 / 1000.0;
        let to_start = held((range_ms - first_ms) as f64 / 1000.0);
        let to_end = held((last_ms as f64 / 1000.0).abs());
        let mut factor = (interval + to_start + to_end) / interval;
        if self.function == Function::Rate {
            factor /= self.range_seconds;
        }
        Shape { interval, to_start, to_end, factor }
    }

    /// Puts the results for a series with these values into `out`, one a window; where there is
    /// none, `out` stays as it is.
    pub fn evaluate(&mut self, values: &[f64], out: &mut [f64]) {
        let is_counter = self.function != Function::Delta;
        self.resets.clear();
        let falls = |pair: &[f64]| pair[1] < pair[0];
        if is_counter && values.windows(2).any(falls) {
            let falls = values.windows(2).enumerate().filter(|(_, pair)| falls(pair));
            self.resets.extend(falls.map(|(i, _)| i));
        }
        let mut rest = out;
        for run in &self.runs {
            let (out, others) = rest.split_at_mut(run.count.min(rest.len()));
            rest = others;
            let Some(shape) = &run.shape else { continue };
            let (firsts, lasts) = (&values[run.from..], &values[run.to - 1..]);
            match run.stride {
                _ if !self.resets.is_empty() => self.one_by_one(run, shape, values, out),
                1 => self.all_at_once(shape, firsts.iter().zip(lasts), out),
                0 => self.one_by_one(run, shape, values, out),
                n => self.all_at_once(
                    shape,
                    firsts.iter().step_by(n).zip(lasts.iter().step_by(n)),
                    out,
                ),
            }
        }
    }

    /// The windows of a run over values that never fall, by their first and last values.
    #[inline]
    fn all_at_once<'a>(
        &self,
        shape: &Shape,
        ends: impl Iterator<Item = (&'a f64, &'a f64)> + Clone,
        out: &mut [f64],
    ) {
        // Most zeros are farther away than the start; if one is not, it is looked at below.
        let mut near_zero = false;
        for ((first, last), out) in ends.clone().zip(&mut *out) {
            let result = last - first;
            *out = result * shape.factor;
            near_zero |= (result > 0.0) & (*first >= 0.0) & !shape.is_far_from_zero(*first, result);
        }
        if !near_zero || self.function == Function::Delta {
            return;
        }
        for ((first, last), out) in ends.zip(out) {
            let result = last - first;
            if result > 0.0 && *first >= 0.0 {
                *out = result * self.counter_factor(shape, *first, result);
            }
        }
    }

    /// The windows of a run whose counter may be reset, or that are all the same.
    fn one_by_one(&self, run: &Run, shape: &Shape, values: &[f64], out: &mut [f64]) {
        let mut passed = 0;
        for (i, out) in out.iter_mut().enumerate() {
            let (from, to) = (run.from + i * run.stride, run.to + i * run.stride);
            let first = values[from];
            passed += self.resets[passed..].partition_point(|at| *at < from);
            let inside = self.resets[passed..].iter().take_while(|at| **at + 1 < to);
            let result = inside.fold(values[to - 1] - first, |sum, at| sum + values[*at]);
            let is_counter = self.function != Function::Delta;
            *out = if is_counter && result > 0.0 && first >= 0.0 {
                result * self.counter_factor(shape, first, result)
            } else {
                result * shape.factor
            };
        }
    }

    /// The factor for a counter that grew, whose zero may lie nearer than the start.
    #[inline]
    fn counter_factor(&self, shape: &Shape, first: f64, result: f64) -> f64 {
        if shape.is_far_from_zero(first, result) {
            return shape.factor;
        }
        let to_zero = shape.interval * (first / result);
        if to_zero >= shape.to_start || to_zero.is_nan() {
            return shape.factor;
        }
        let factor = (shape.interval + to_zero + shape.to_end) / shape.interval;
        if self.function == Function::Rate { factor / self.range_seconds } else { factor }
    }
}

impl Shape {
    /// Whether the zero of a counter lies before the start, which a product shows without the cost
    /// of a division; the margin is wide of its rounding.
    #[inline]
    fn is_far_from_zero(&self, first: f64, result: f64) -> bool {
        first * self.interval > self.to_start * result * (1.0 + 1e-9)
    }
}

impl Run {
    /// Whether a window that begins at `from` is the next of the run; the second one decides the
    /// stride.
    fn goes_on(&mut self, from: usize) -> bool {
        if self.shape.is_none() {
            return true;
        }
        if self.count == 1 && from >= self.from {
            self.stride = from - self.from;
        }
        from == self.from + self.count * self.stride
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
