//! `anchored` and `smoothed` range selectors: no extrapolation. An anchored range begins with the
//! last sample at or before its start; a smoothed one begins and ends with values interpolated
//! between the samples around its borders.

use std::ops::Range;
use std::sync::Arc;

use ephemeris_model::{CounterResetHint, FloatHistogram};

use super::histogram_range::{count_transitions, note_bounds, note_hints};
use super::notes::{Combination, NoteKind, Notes};
use super::window::Window;
use super::{Function, FunctionError};
use crate::promql::ast::Extension;
use crate::promql::exec::batch::Point;
use crate::promql::histogram::{self, Incompatible, compact, is_custom, is_reset};

/// Whether `function` may be used with the extension.
///
/// # Errors
/// If not, with the text for the user.
pub fn check_extension(function: Function, extension: Extension) -> Result<(), FunctionError> {
    let is_rate = matches!(function, Function::Delta | Function::Increase | Function::Rate);
    let (name, allowed, list) = match extension {
        Extension::None => return Ok(()),
        Extension::Anchored => (
            "anchored",
            is_rate || matches!(function, Function::Changes | Function::Resets),
            "changes, delta, increase, rate, resets",
        ),
        Extension::Smoothed => ("smoothed", is_rate, "delta, increase, rate"),
    };
    if allowed {
        return Ok(());
    }
    Err(FunctionError(format!(
        "{name} modifier can only be used with: {list} - not with {}",
        function.name()
    )))
}

/// A range function of an extended window.
pub(super) fn call(function: Function, window: &Window<'_>, notes: &mut Notes) -> Option<Point> {
    let selected = select(window)?;
    if matches!(function, Function::Resets | Function::Changes) {
        let window = Window { samples: selected, ..window.clone() };
        return Some(Point::Float(count_transitions(function, &window)));
    }
    let inside = Window { samples: selected.clone(), ..window.clone() };
    let histograms = inside.histogram_entries();
    if histograms.is_empty() {
        return Some(Point::Float(float_rate(function, window, selected)));
    }
    if histograms.len() < selected.len() {
        notes.add(NoteKind::MixedFloatsHistograms, 0, window.metric_name);
        return None;
    }
    let histograms: Vec<&Arc<FloatHistogram>> = histograms.iter().map(|(_, h)| h).collect();
    if function == Function::Delta {
        let ends = [histograms.first(), histograms.last()];
        note_hints(function, ends.into_iter().flatten().copied(), window, notes);
    } else {
        note_hints(function, histograms.iter().copied(), window, notes);
    }
    match histogram_rate(function, window, selected.start, &histograms, notes) {
        Ok(rate) => Some(Point::Histogram(Arc::new(rate))),
        Err(Incompatible) => {
            notes.add(NoteKind::MixedExponentialCustom, 0, window.metric_name);
            None
        }
    }
}

/// The samples that take part: from the last one at or before the start of the range (or the first
/// after it) to the last one in the range, or, smoothed, the first one at or after its end. None if
/// there is nothing in between.
fn select(window: &Window<'_>) -> Option<Range<usize>> {
    let times = window.series.timestamps.get(window.samples.clone())?;
    let last = times.len().checked_sub(1)?;
    let before = times.partition_point(|t| *t <= window.range_start_ms);
    let first = before.saturating_sub(1);
    let last = match window.extension {
        Extension::Smoothed => times.partition_point(|t| *t < window.range_end_ms).min(last),
        _ => last,
    };
    if times[last] <= window.range_start_ms || times[first] > window.range_end_ms {
        return None;
    }
    let base = window.samples.start;
    Some(base + first..base + last + 1)
}

fn is_smoothed(window: &Window<'_>) -> bool {
    window.extension == Extension::Smoothed
}

/// Whether the value at the start of the range is interpolated.
fn interpolates_left(window: &Window<'_>, first: usize) -> bool {
    is_smoothed(window) && window.series.timestamps[first] < window.range_start_ms
}

/// Whether the value at the end of the range is interpolated.
fn interpolates_right(window: &Window<'_>, selected: &Range<usize>) -> bool {
    is_smoothed(window)
        && selected.len() > 1
        && window.series.timestamps[selected.end - 1] > window.range_end_ms
}

/// How far `at` lies from sample `i` to the next.
#[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 ms")]
fn share(window: &Window<'_>, i: usize, at: i64) -> f64 {
    let times = &window.series.timestamps;
    (at - times[i]) as f64 / (times[i + 1] - times[i]) as f64
}

#[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 ms")]
fn interpolate(window: &Window<'_>, i: usize, at: i64, is_counter: bool) -> f64 {
    let (times, values) = (&window.series.timestamps, &window.series.values);
    let (mut from, to) = (values[i], values[i + 1]);
    if is_counter && to < from {
        from = 0.0;
    }
    from + (to - from) * (at - times[i]) as f64 / (times[i + 1] - times[i]) as f64
}

fn float_rate(function: Function, window: &Window<'_>, selected: Range<usize>) -> f64 {
    let is_counter = function != Function::Delta;
    let (first, last) = (selected.start, selected.end - 1);
    let values = &window.series.values;
    let left = if interpolates_left(window, first) && first < last {
        interpolate(window, first, window.range_start_ms, is_counter)
    } else {
        values[first]
    };
    let right = if interpolates_right(window, &selected) {
        interpolate(window, last - 1, window.range_end_ms, is_counter)
    } else {
        values[last]
    };
    let mut result = right - left;
    if is_counter {
        let times = &window.series.timestamps;
        let inner_start = first + usize::from(times[first] <= window.range_start_ms);
        let inner_end = selected.end - usize::from(times[last] >= window.range_end_ms);
        let inner = values.get(inner_start..inner_end).unwrap_or_default();
        let mut previous = left;
        let mut lost = 0.0;
        for value in inner.iter().chain([&right]) {
            if *value < previous {
                lost += previous;
            }
            previous = *value;
        }
        result += lost;
    }
    if function == Function::Rate { result / window.range_seconds() } else { result }
}

fn histogram_rate(
    function: Function,
    window: &Window<'_>,
    first: usize,
    histograms: &[&Arc<FloatHistogram>],
    notes: &mut Notes,
) -> Result<FloatHistogram, Incompatible> {
    let is_counter = function != Function::Delta;
    let last = histograms.len() - 1;
    if histograms.iter().any(|h| is_custom(h) != is_custom(histograms[0])) {
        return Err(Incompatible);
    }
    let from_left = last > 0 && interpolates_left(window, first);
    let mut result = if interpolates_right(window, &(first..first + histograms.len())) {
        let share = share(window, first + last - 1, window.range_end_ms);
        between(histograms[last - 1], histograms[last], share, is_counter)?
    } else {
        FloatHistogram::clone(histograms[last])
    };
    // A value interpolated across a reset already counts from zero.
    let skipped = usize::from(from_left);
    let resets: Vec<usize> = (skipped..last)
        .filter(|i| is_counter && is_reset(histograms[i + 1], histograms[*i]))
        .collect();
    if resets.first() != Some(&0) {
        let left = if from_left {
            let share = share(window, first, window.range_start_ms);
            between(histograms[0], histograms[1], share, is_counter)?
        } else {
            FloatHistogram::clone(histograms[0])
        };
        let step = histogram::subtract(&result, &left)?;
        note_bounds(step.bounds_reconciled, Combination::Subtraction, notes);
        result = step.histogram;
    }
    // A reset right after the first sample: what would be added is what was not subtracted.
    for i in resets.into_iter().filter(|i| *i > 0) {
        let step = histogram::add(&result, histograms[i])?;
        note_bounds(step.bounds_reconciled, Combination::Addition, notes);
        result = step.histogram;
    }
    result.reset_hint = CounterResetHint::Gauge;
    compact(&mut result);
    if function == Function::Rate {
        result = histogram::divide(&result, window.range_seconds());
    }
    Ok(result)
}

/// The histogram `share` of the way between two. A counter that was reset starts from zero.
fn between(
    from: &FloatHistogram,
    to: &FloatHistogram,
    share: f64,
    is_counter: bool,
) -> Result<FloatHistogram, Incompatible> {
    if is_custom(from) != is_custom(to) {
        return Err(Incompatible);
    }
    if is_counter && is_reset(to, from) {
        return Ok(histogram::multiply(to, share));
    }
    let mut step = histogram::subtract(to, from)?.histogram;
    step = histogram::multiply(&step, share);
    step.reset_hint = from.reset_hint;
    Ok(histogram::add(from, &step)?.histogram)
}

/// The value of a `smoothed` instant selector: between the samples around the evaluation time, or
/// the last one if none follows. The window reaches one lookback to both sides of its end.
pub fn smoothed_point(window: &Window<'_>, notes: &mut Notes) -> Option<Point> {
    let (series, at) = (window.series, window.range_end_ms);
    let histograms = window.histogram_entries();
    if !histograms.is_empty() && histograms.len() < window.len() {
        notes.add(NoteKind::MixedFloatsHistograms, 0, window.metric_name);
        return None;
    }
    let times = series.timestamps.get(window.samples.clone())?;
    let after = window.samples.start + times.partition_point(|t| *t <= at);
    let before = after.checked_sub(1).filter(|i| window.samples.contains(i))?;
    let exact = series.timestamps[before] == at || after >= window.samples.end;
    if histograms.is_empty() {
        let value =
            if exact { series.values[before] } else { interpolate(window, before, at, false) };
        return Some(Point::Float(value));
    }
    let from = series.histogram_at(before)?;
    if exact {
        return Some(Point::Histogram(Arc::clone(from)));
    }
    let to = series.histogram_at(after)?;
    let is_counter = from.reset_hint != CounterResetHint::Gauge;
    match between(from, to, share(window, before, at), is_counter) {
        Ok(histogram) => Some(Point::Histogram(Arc::new(histogram))),
        Err(Incompatible) => {
            notes.add(NoteKind::MixedExponentialCustom, 0, window.metric_name);
            None
        }
    }
}

#[cfg(test)]
mod tests;
