//! Range functions over all windows of one series of floats at once: what the hot functions are
//! evaluated by. Values are bit for bit those of one window at a time.

use ephemeris_model::SampleBuffer;

use super::Function;
use super::over_time;
use super::rate::{Sampled, average_seconds, extrapolation_factor};

/// Windows of equal length at equal distances.
#[derive(Clone, Copy, Debug)]
pub struct WindowGrid {
    /// End of the first window, part of it.
    pub first_end_ms: i64,
    /// Distance of windows; zero if all are the same.
    pub step_ms: i64,
    /// Number of windows.
    pub count: usize,
    /// Length of a window; its start is not part of it.
    pub range_ms: i64,
}

/// Evaluates `function` for each window of `grid` into `out`, which is absent where nothing is
/// written. Returns how many samples lay in the windows; none if the function is not of those that
/// are done this way, or the series has histograms or start timestamps.
pub(super) fn evaluate(
    function: Function,
    series: &SampleBuffer,
    grid: &WindowGrid,
    out: &mut [f64],
) -> Option<u64> {
    if !series.histograms.is_empty() || !series.start_timestamps.is_empty() {
        return None;
    }
    let values = series.values.as_slice();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let looked_at = match function {
        Function::Rate | Function::Increase | Function::Delta => {
            let mut rate = RateColumn::new(function, series, grid);
            walk(&series.timestamps, grid, |step, from, to| {
                if let Some(value) = rate.value(grid, step, from, to) {
                    out[step] = value;
                }
            })
        }
        Function::CountOverTime => {
            walk(&series.timestamps, grid, |step, from, to| out[step] = (to - from) as f64)
        }
        Function::PresentOverTime => walk(&series.timestamps, grid, |step, _, _| out[step] = 1.0),
        Function::LastOverTime => {
            walk(&series.timestamps, grid, |step, _, to| out[step] = values[to - 1])
        }
        Function::FirstOverTime => {
            walk(&series.timestamps, grid, |step, from, _| out[step] = values[from])
        }
        Function::SumOverTime if is_short(series, grid) => {
            walk(&series.timestamps, grid, |step, from, to| {
                out[step] = over_time::sum(&values[from..to]);
            })
        }
        Function::AvgOverTime if is_short(series, grid) => {
            walk(&series.timestamps, grid, |step, from, to| {
                out[step] = over_time::mean(&values[from..to]);
            })
        }
        Function::MinOverTime if is_short(series, grid) => {
            walk(&series.timestamps, grid, |step, from, to| {
                out[step] = over_time::min(&values[from..to]);
            })
        }
        Function::MaxOverTime if is_short(series, grid) => {
            walk(&series.timestamps, grid, |step, from, to| {
                out[step] = over_time::max(&values[from..to]);
            })
        }
        _ => return None,
    };
    Some(looked_at)
}

/// Whether windows hold so few samples that sliding over them does not pay.
fn is_short(series: &SampleBuffer, grid: &WindowGrid) -> bool {
    let (Some(first), Some(last)) = (series.timestamps.first(), series.timestamps.last()) else {
        return true;
    };
    let samples = i128::try_from(series.len()).unwrap_or(i128::MAX);
    let span = i128::from(*last) - i128::from(*first) + 1;
    i128::from(grid.range_ms) * samples < super::sliding::WINDOW_MIN as i128 * span
}

/// Calls `visit` with each window that is not empty: its number and the samples in it. Returns how
/// many samples that were.
fn walk(times: &[i64], grid: &WindowGrid, mut visit: impl FnMut(usize, usize, usize)) -> u64 {
    let (mut from, mut to, mut looked_at) = (0, 0, 0);
    // As many samples as came last time come again, mostly.
    let (mut stride_from, mut stride_to) = (0, 0);
    let mut end = grid.first_end_ms;
    for step in 0..grid.count {
        let start = end.saturating_sub(grid.range_ms);
        let (before_from, before_to) = (from, to);
        to = advance(times, to, stride_to, end);
        from = advance(times, from, stride_from, start);
        (stride_from, stride_to) = (from - before_from, to - before_to);
        if from < to {
            looked_at += (to - from) as u64;
            visit(step, from, to);
        }
        end = end.saturating_add(grid.step_ms);
    }
    looked_at
}

/// The first sample after `limit`, from `at` on, probably `stride` further.
fn advance(times: &[i64], at: usize, stride: usize, limit: i64) -> usize {
    let mut next = at;
    let guess = at + stride;
    if stride > 0 && times.get(guess - 1).is_some_and(|t| *t <= limit) {
        next = guess;
    }
    while times.get(next).is_some_and(|t| *t <= limit) {
        next += 1;
    }
    next
}

/// `rate`, `increase` and `delta` of one series.
struct RateColumn<'a> {
    series: &'a SampleBuffer,
    is_counter: bool,
    /// Samples after which the counter was reset.
    resets: Vec<usize>,
    /// Seconds to divide by; none if the result is not a rate.
    seconds: Option<f64>,
    /// The factor of the window before, and what it depends on: samples that come at equal
    /// distances give the same factor over and over.
    known: (Shape, f64),
}

/// Where samples lie in a window: milliseconds from its start to the first one, between first and
/// last, from the last one to its end, and their number.
type Shape = (i64, i64, i64, usize);

impl<'a> RateColumn<'a> {
    #[expect(clippy::cast_precision_loss, reason = "ranges are far below 2^53 ms")]
    fn new(function: Function, series: &'a SampleBuffer, grid: &WindowGrid) -> Self {
        let is_counter = function != Function::Delta;
        let falls = |i: &usize| series.values[i + 1] < series.values[*i];
        let pairs = if is_counter { series.len().saturating_sub(1) } else { 0 };
        Self {
            series,
            is_counter,
            resets: (0..pairs).filter(falls).collect(),
            seconds: (function == Function::Rate).then(|| grid.range_ms as f64 / 1000.0),
            known: ((-1, -1, -1, 0), f64::NAN),
        }
    }

    fn value(&mut self, grid: &WindowGrid, step: usize, from: usize, to: usize) -> Option<f64> {
        if to - from < 2 {
            return None;
        }
        let (first, last) = (self.series.values[from], self.series.values[to - 1]);
        let mut result = last - first;
        if !self.resets.is_empty() {
            let range = self.resets.partition_point(|i| *i < from)
                ..self.resets.partition_point(|i| *i < to - 1);
            for at in &self.resets[range] {
                result += self.series.values[*at];
            }
        }
        let (first_ms, last_ms) = (self.series.timestamps[from], self.series.timestamps[to - 1]);
        let steps = i64::try_from(step).unwrap_or(i64::MAX).saturating_mul(grid.step_ms);
        let end = grid.first_end_ms.saturating_add(steps);
        let shape = (
            first_ms - end.saturating_sub(grid.range_ms),
            last_ms - first_ms,
            end - last_ms,
            to - from,
        );
        let grew = self.is_counter && result > 0.0 && first >= 0.0;
        // A zero that lies a whole interval back or more is out of reach of extrapolation, which
        // goes 1.1 times the average distance of samples back at most.
        if !grew || (first >= result && to - from > 2) {
            if self.known.0 != shape {
                self.known = (shape, self.factor(shape, None));
            }
            return Some(result * self.known.1);
        }
        Some(result * self.factor(shape, Some(first / result)))
    }

    fn factor(&self, shape: Shape, zero_ratio: Option<f64>) -> f64 {
        let (to_start_ms, interval_ms, to_end_ms, count) = shape;
        let factor = extrapolation_factor(&Sampled {
            to_start_ms,
            interval_ms,
            to_end_ms,
            average_seconds: average_seconds(interval_ms, count),
            from_zero: false,
            zero_ratio,
        });
        self.seconds.map_or(factor, |seconds| factor / seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::promql::ast::Extension;
    use crate::promql::exec::batch::{ABSENT, Point};
    use crate::promql::functions::notes::Notes;
    use crate::promql::functions::window::{RangeCall, Window};

    const FUNCTIONS: [Function; 11] = [
        Function::Rate,
        Function::Increase,
        Function::Delta,
        Function::CountOverTime,
        Function::PresentOverTime,
        Function::FirstOverTime,
        Function::LastOverTime,
        Function::SumOverTime,
        Function::AvgOverTime,
        Function::MinOverTime,
        Function::MaxOverTime,
    ];

    /// One window at a time.
    fn plainly(function: Function, series: &SampleBuffer, grid: &WindowGrid) -> Vec<f64> {
        let mut call = RangeCall::new(function);
        let value = |step: usize| {
            let end = grid.first_end_ms + step as i64 * grid.step_ms;
            let position = |limit: i64| series.timestamps.partition_point(|t| *t <= limit);
            let window = Window {
                series,
                samples: position(end - grid.range_ms)..position(end),
                range_start_ms: end - grid.range_ms,
                range_end_ms: end,
                evaluated_at_ms: end,
                extension: Extension::None,
                metric_name: "",
            };
            call.start_series();
            match call.evaluate(&window, &[], &mut Notes::default()).expect("no parameters") {
                Some(Point::Float(value)) => value,
                _ => ABSENT,
            }
        };
        (0..grid.count).map(value).collect()
    }

    fn bits(values: &[f64]) -> Vec<u64> {
        let canonical = |v: &f64| {
            if v.is_nan() && v.to_bits() != ABSENT.to_bits() { f64::NAN } else { *v }
        };
        values.iter().map(|v| canonical(v).to_bits()).collect()
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (0..40u32).prop_map(f64::from),
            2 => -3.0..9.0f64,
            1 => prop_oneof![Just(f64::NAN), Just(-0.0), Just(f64::INFINITY)],
        ]
    }

    proptest! {
        #[test]
        fn columns_give_the_bits_of_single_windows(
            samples in proptest::collection::vec((0..3usize, value()), 0..60),
            counter: bool,
            range_ms in 1..400i64,
            first_end_ms in -50..700i64,
            step_ms in 0..200i64,
        ) {
            let mut series = SampleBuffer::default();
            let (mut at, mut total) = (0, 0.0);
            for (gap, value) in samples {
                at += [10, 10, 17][gap];
                total = if value == 0.0 { 0.0 } else { total + value.abs() };
                series.push(at, if counter { total } else { value });
            }
            let grid = WindowGrid { first_end_ms, step_ms, count: 12, range_ms };
            for function in FUNCTIONS {
                let mut out = vec![ABSENT; grid.count];
                if evaluate(function, &series, &grid, &mut out).is_some() {
                    let plain = plainly(function, &series, &grid);
                    prop_assert_eq!(bits(&out), bits(&plain), "{}: {:?} is not {:?}",
                        function.name(), out, plain);
                }
            }
        }
    }
}
