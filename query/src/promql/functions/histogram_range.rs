//! Range functions of native histograms, and of ranges that hold floats and histograms.

use std::sync::Arc;

use ephemeris_model::{CounterResetHint, FloatHistogram};

use super::Function;
use super::notes::{Combination, NoteKind, Notes};
use super::rate::{
    Sampled, extrapolation_factor, instant, is_change, start_overlaps, start_says_reset, zero_point,
};
use super::window::{Floats, HistogramAt, Window};
use crate::promql::exec::batch::Point;
use crate::promql::histogram::{
    self, HistogramMean, HistogramSum, Incompatible, compact, is_custom, is_reset,
};

/// A function of a window that holds nothing but histograms.
pub(super) fn call(
    function: Function,
    window: &Window<'_>,
    samples: &[HistogramAt<'_>],
    notes: &mut Notes,
) -> Option<Point> {
    let result = match function {
        Function::Rate | Function::Increase | Function::Delta => {
            extrapolated(function, window, samples, notes)
        }
        Function::Irate | Function::Idelta => last_two(function, window, samples, notes),
        Function::SumOverTime => sum(window, samples, notes),
        Function::AvgOverTime => mean(window, samples, notes),
        Function::Resets | Function::Changes => {
            return Some(Point::Float(count_transitions(function, window)));
        }
        _ => return either(function, window),
    };
    result.map(|histogram| Point::Histogram(Arc::new(histogram)))
}

/// Functions that look at samples of either kind alike.
#[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^53")]
pub(super) fn either(function: Function, window: &Window<'_>) -> Option<Point> {
    let (first, last) = (window.samples.start, window.samples.end.checked_sub(1)?);
    let seconds = |at: usize| window.series.timestamps[at] as f64 / 1000.0;
    let sample = |at: usize| match window.series.histogram_at(at) {
        Some(histogram) => Point::Histogram(Arc::clone(histogram)),
        None => Point::Float(window.series.values[at]),
    };
    Some(match function {
        Function::FirstOverTime => sample(first),
        Function::LastOverTime => sample(last),
        Function::CountOverTime => Point::Float(window.len() as f64),
        Function::PresentOverTime | Function::AbsentOverTime => Point::Float(1.0),
        Function::TsOfFirstOverTime => Point::Float(seconds(first)),
        Function::TsOfLastOverTime => Point::Float(seconds(last)),
        _ => return None,
    })
}

/// `resets` and `changes` over samples of both kinds: a change of kind is both.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn count_transitions(function: Function, window: &Window<'_>) -> f64 {
    let series = window.series;
    let transition = |at: &usize| {
        let before = at - 1;
        match (series.histogram_at(before), series.histogram_at(*at)) {
            (None, None) => {
                let (previous, value) = (series.values[before], series.values[*at]);
                match function {
                    Function::Resets => value < previous || start_reset(window, before),
                    _ => is_change(previous, value),
                }
            }
            (Some(previous), Some(histogram)) => match function {
                Function::Resets => is_reset(histogram, previous) || start_reset(window, before),
                _ => !histogram::equal(histogram, previous),
            },
            _ => true,
        }
    };
    (window.samples.start + 1..window.samples.end).filter(transition).count() as f64
}

/// Whether start timestamps say that the counter was reset after sample `before`.
fn start_reset(window: &Window<'_>, before: usize) -> bool {
    let at = |i: usize| (window.start_at(i), window.series.timestamps[i]);
    start_says_reset(at(before), at(before + 1))
}

/// `irate` and `idelta` of a range with samples of both kinds: the last two decide.
pub(super) fn instant_mixed(
    function: Function,
    window: &Window<'_>,
    floats: &Floats<'_>,
    histograms: &[HistogramAt<'_>],
    notes: &mut Notes,
) -> Option<Point> {
    let last = window.samples.end.checked_sub(1)?;
    let before = last.checked_sub(1).filter(|at| window.samples.contains(at))?;
    let is_histogram = |at| window.series.histogram_at(at).is_some();
    match (is_histogram(before), is_histogram(last)) {
        (false, false) => instant(function, window, floats, notes).map(Point::Float),
        (true, true) => call(function, window, histograms, notes),
        _ => {
            notes.add(NoteKind::MixedFloatsHistograms, 0, window.metric_name);
            None
        }
    }
}

fn last_two(
    function: Function,
    window: &Window<'_>,
    samples: &[HistogramAt<'_>],
    notes: &mut Notes,
) -> Option<FloatHistogram> {
    let [.., previous, last] = samples else { return None };
    note_hints(function, [previous.histogram, last.histogram], window, notes);
    let is_counter = function == Function::Irate;
    let (from, to) = ((previous.start, previous.timestamp), (last.start, last.timestamp));
    if is_counter && start_overlaps(from, last.start) {
        notes.add(NoteKind::OverlappingStart, 0, window.metric_name);
    }
    let reset =
        is_counter && (start_says_reset(from, to) || is_reset(last.histogram, previous.histogram));
    let mut result = if reset {
        FloatHistogram::clone(last.histogram)
    } else {
        let Ok(difference) = histogram::subtract(last.histogram, previous.histogram) else {
            notes.add(NoteKind::MixedExponentialCustom, 0, window.metric_name);
            return None;
        };
        note_bounds(difference.bounds_reconciled, Combination::Subtraction, notes);
        difference.histogram
    };
    result.reset_hint = CounterResetHint::Gauge;
    compact(&mut result);
    if is_counter {
        #[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53")]
        let seconds = (last.timestamp - previous.timestamp) as f64 / 1000.0;
        result = histogram::divide(&result, seconds);
    }
    Some(result)
}

/// Notes histograms of the wrong kind for `function`: gauges where a counter is expected, or
/// anything else where a gauge is.
pub(super) fn note_hints<'a>(
    function: Function,
    histograms: impl IntoIterator<Item = &'a Arc<FloatHistogram>>,
    window: &Window<'_>,
    notes: &mut Notes,
) {
    let wants_gauge = matches!(function, Function::Delta | Function::Idelta);
    let is_gauge = |h: &Arc<FloatHistogram>| h.reset_hint == CounterResetHint::Gauge;
    if histograms.into_iter().any(|histogram| is_gauge(histogram) != wants_gauge) {
        let kind = if wants_gauge { NoteKind::NotGauge } else { NoteKind::NotCounter };
        notes.add(kind, 0, window.metric_name);
    }
}

pub(super) fn note_bounds(reconciled: bool, how: Combination, notes: &mut Notes) {
    if reconciled {
        notes.add(NoteKind::ReconciledBounds(how), 0, "");
    }
}

/// `rate`, `increase` and `delta`, extrapolated to the borders of the range.
fn extrapolated(
    function: Function,
    window: &Window<'_>,
    samples: &[HistogramAt<'_>],
    notes: &mut Notes,
) -> Option<FloatHistogram> {
    let (first, last) = (samples.first()?, samples.last()?);
    let is_counter = function != Function::Delta;
    let zero_ms = if is_counter { zero_point(window, first.start, first.timestamp) } else { None };
    if samples.len() < 2 && zero_ms.is_none() {
        return None;
    }
    let mut found = Notes::default();
    let difference = match difference(function, window, samples, zero_ms.is_some(), &mut found) {
        Ok(difference) => difference,
        Err(Incompatible) => {
            notes.add(NoteKind::MixedExponentialCustom, 0, window.metric_name);
            return None;
        }
    };
    notes.merge(found);
    let grew = is_counter && difference.count > 0.0 && first.histogram.count >= 0.0;
    let zero_ratio = grew.then(|| first.histogram.count / difference.count);
    let times = (first.timestamp, last.timestamp);
    let sampled = Sampled::new(window, times, samples.len(), zero_ms, zero_ratio);
    let mut factor = extrapolation_factor(&sampled);
    if function == Function::Rate {
        factor /= window.range_seconds();
    }
    Some(histogram::multiply(&difference, factor))
}

/// Last less first histogram, with what resets took away; a gauge, compacted. `from_zero` if the
/// counter was zero before the first sample.
fn difference(
    function: Function,
    window: &Window<'_>,
    samples: &[HistogramAt<'_>],
    from_zero: bool,
    notes: &mut Notes,
) -> Result<FloatHistogram, Incompatible> {
    let [first, .., last] = samples else {
        // One sample, and a zero before it.
        let mut only = samples.first().map_or_else(FloatHistogram::default, |sample| {
            note_hints(function, [sample.histogram], window, notes);
            FloatHistogram::clone(sample.histogram)
        });
        only.reset_hint = CounterResetHint::Gauge;
        compact(&mut only);
        return Ok(only);
    };
    let is_counter = function != Function::Delta;
    if is_counter {
        note_hints(function, samples.iter().map(|sample| sample.histogram), window, notes);
        note_overlaps(window, samples, notes);
    } else {
        note_hints(function, [first.histogram, last.histogram], window, notes);
    }
    let resets = if is_counter { find_resets(samples) } else { Vec::new() };
    // A first sample that was reset right away need not fit to the others.
    let skip_first = resets.first() == Some(&0);
    let relevant = &samples[usize::from(skip_first)..];
    let terms = if is_counter { relevant } else { &[*first, *last][..] };
    if terms.iter().any(|sample| is_custom(sample.histogram) != is_custom(last.histogram)) {
        return Err(Incompatible);
    }
    let mut result = FloatHistogram::clone(last.histogram);
    if let Some(schema) = terms.iter().map(|sample| sample.histogram.schema).min() {
        histogram::reduce_resolution(&mut result, schema);
    }
    if !skip_first {
        let step = histogram::subtract(&result, first.histogram)?;
        note_bounds(step.bounds_reconciled, Combination::Subtraction, notes);
        result = step.histogram;
    }
    for at in resets.iter().filter(|at| **at > 0 || !skip_first) {
        let step = histogram::add(&result, samples[*at].histogram)?;
        note_bounds(step.bounds_reconciled, Combination::Addition, notes);
        result = step.histogram;
    }
    if from_zero {
        result = histogram::add(&result, first.histogram)?.histogram;
    }
    result.reset_hint = CounterResetHint::Gauge;
    compact(&mut result);
    Ok(result)
}

fn note_overlaps(window: &Window<'_>, samples: &[HistogramAt<'_>], notes: &mut Notes) {
    let overlaps = |pair: &[HistogramAt<'_>]| {
        start_overlaps((pair[0].start, pair[0].timestamp), pair[1].start)
    };
    if samples.windows(2).any(overlaps) {
        notes.add(NoteKind::OverlappingStart, 0, window.metric_name);
    }
}

/// The samples after which the counter was reset.
fn find_resets(samples: &[HistogramAt<'_>]) -> Vec<usize> {
    let is_reset = |(_, pair): &(usize, &[HistogramAt<'_>])| {
        let (before, after) = (&pair[0], &pair[1]);
        start_says_reset((before.start, before.timestamp), (after.start, after.timestamp))
            || is_reset(after.histogram, before.histogram)
    };
    samples.windows(2).enumerate().filter(is_reset).map(|(at, _)| at).collect()
}

fn sum(
    window: &Window<'_>,
    samples: &[HistogramAt<'_>],
    notes: &mut Notes,
) -> Option<FloatHistogram> {
    let (first, rest) = samples.split_first()?;
    let mut sum = HistogramSum::new(first.histogram);
    if rest.iter().any(|sample| sum.add(sample.histogram).is_err()) {
        notes.add(NoteKind::MixedExponentialCustom, 0, window.metric_name);
        return None;
    }
    note_aggregation(sum.reset_collision(), sum.bounds_reconciled(), notes);
    Some(sum.total())
}

fn mean(
    window: &Window<'_>,
    samples: &[HistogramAt<'_>],
    notes: &mut Notes,
) -> Option<FloatHistogram> {
    let (first, rest) = samples.split_first()?;
    let mut mean = HistogramMean::new(first.histogram);
    if rest.iter().any(|sample| mean.add(sample.histogram).is_err()) {
        notes.add(NoteKind::MixedExponentialCustom, 0, window.metric_name);
        return None;
    }
    note_aggregation(mean.reset_collision(), mean.bounds_reconciled(), notes);
    Some(mean.total())
}

fn note_aggregation(reset_collision: bool, bounds_reconciled: bool, notes: &mut Notes) {
    if reset_collision {
        notes.add(NoteKind::ResetCollision(Combination::Aggregation), 0, "");
    }
    note_bounds(bounds_reconciled, Combination::Aggregation, notes);
}

#[cfg(test)]
mod tests;
