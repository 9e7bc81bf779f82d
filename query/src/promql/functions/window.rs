//! Functions over a range window: one series, one step, one result.
//!
//! A caller makes one [`RangeCall`] per call and thread, tells it when a new series begins, and
//! evaluates window after window. Windows of one series come in order of time, so the call may
//! keep what it learned from the window before.

use std::ops::Range;
use std::sync::Arc;

use ephemeris_model::{FloatHistogram, SampleBuffer};

use super::notes::{NoteKind, Notes};
use super::rank::quantile_of;
use super::sliding::Sliding;
use super::{Function, FunctionError, extended, histogram_range, over_time, rate, regression};
use crate::promql::ast::Extension;
use crate::promql::exec::batch::Point;

/// A range window of one series.
#[derive(Clone, Debug)]
pub struct Window<'a> {
    /// Samples of the series, without staleness markers. Its start timestamps are used where they
    /// are known; a caller that does not want them leaves them out.
    pub series: &'a SampleBuffer,
    /// Which of them lie in the window. For `anchored` the window is taken longer by the lookback
    /// at its start, for `smoothed` at both ends; the bounds below stay those of the range.
    pub samples: Range<usize>,
    /// Start of the range, not part of it.
    pub range_start_ms: i64,
    /// End of the range, part of it.
    pub range_end_ms: i64,
    /// The step that is evaluated; differs from the end of the range by `offset` and `@`.
    pub evaluated_at_ms: i64,
    /// `anchored` or `smoothed`.
    pub extension: Extension,
    /// Name of the metric, for notes; may be empty.
    pub metric_name: &'a str,
}

/// Float samples of a window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floats<'a> {
    pub(super) timestamps: &'a [i64],
    pub(super) values: &'a [f64],
    /// As long as `values`, or empty.
    pub(super) starts: &'a [i64],
}

impl Floats<'_> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// A histogram of a window, with its time and start timestamp (0 = unknown).
#[derive(Clone, Copy, Debug)]
pub(super) struct HistogramAt<'a> {
    pub(super) timestamp: i64,
    pub(super) start: i64,
    pub(super) histogram: &'a Arc<FloatHistogram>,
}

/// Columns of the floats of a window that holds histograms too.
#[derive(Debug, Default)]
struct Scratch {
    timestamps: Vec<i64>,
    values: Vec<f64>,
    starts: Vec<i64>,
}

impl Window<'_> {
    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether the window holds no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Length of the range in seconds.
    #[expect(clippy::cast_precision_loss, reason = "ranges are far below 2^53 ms")]
    pub(super) fn range_seconds(&self) -> f64 {
        (self.range_end_ms - self.range_start_ms) as f64 / 1000.0
    }

    /// The part of the series' histograms that lies in the window.
    pub(super) fn histogram_entries(&self) -> &[(u32, Arc<FloatHistogram>)] {
        let all = &self.series.histograms;
        if all.is_empty() {
            return all;
        }
        let position = |limit: usize| all.partition_point(|(at, _)| (*at as usize) < limit);
        &all[position(self.samples.start)..position(self.samples.end)]
    }

    pub(super) fn start_at(&self, position: usize) -> i64 {
        self.series.start_timestamps.get(position).copied().unwrap_or(0)
    }

    fn floats(&self) -> Floats<'_> {
        let starts = self.series.start_timestamps.get(self.samples.clone());
        Floats {
            timestamps: &self.series.timestamps[self.samples.clone()],
            values: &self.series.values[self.samples.clone()],
            starts: starts.unwrap_or_default(),
        }
    }

    fn histograms(&self) -> Vec<HistogramAt<'_>> {
        let entries = self.histogram_entries().iter();
        entries
            .map(|(at, histogram)| HistogramAt {
                timestamp: self.series.timestamps[*at as usize],
                start: self.start_at(*at as usize),
                histogram,
            })
            .collect()
    }

    /// Copies the samples that are floats.
    fn gather_floats(&self, scratch: &mut Scratch) {
        scratch.timestamps.clear();
        scratch.values.clear();
        scratch.starts.clear();
        let mut histograms = self.histogram_entries().iter().map(|(at, _)| *at as usize).peekable();
        for position in self.samples.clone() {
            if histograms.next_if_eq(&position).is_some() {
                continue;
            }
            scratch.timestamps.push(self.series.timestamps[position]);
            scratch.values.push(self.series.values[position]);
            if !self.series.start_timestamps.is_empty() {
                scratch.starts.push(self.start_at(position));
            }
        }
    }
}

/// One call of a range function.
#[derive(Debug)]
pub struct RangeCall {
    function: Function,
    scratch: Scratch,
    sliding: Sliding,
}

impl RangeCall {
    /// A call of `function`, which must be one whose first range-vector argument is reduced to one
    /// value per series and step.
    #[must_use]
    pub fn new(function: Function) -> Self {
        Self { function, scratch: Scratch::default(), sliding: Sliding::default() }
    }

    /// Says that the windows that follow are those of another series.
    pub fn start_series(&mut self) {
        self.sliding.clear();
    }

    /// The value of the function for `window`; none if there is no result. `params` are the scalar
    /// arguments at this step, in order.
    ///
    /// # Errors
    /// If a parameter is out of its bounds.
    pub fn evaluate(
        &mut self,
        window: &Window<'_>,
        params: &[f64],
        notes: &mut Notes,
    ) -> Result<Option<Point>, FunctionError> {
        if window.is_empty() {
            return Ok(None);
        }
        if window.extension != Extension::None {
            return Ok(extended::call(self.function, window, notes));
        }
        if self.sliding.applies(self.function, window)
            && let Some(value) = self.slide(window, params, notes)
        {
            return Ok(Some(Point::Float(value)));
        }
        if window.histogram_entries().is_empty() {
            return call_floats(self.function, window, &window.floats(), params, notes);
        }
        window.gather_floats(&mut self.scratch);
        let floats = Floats {
            timestamps: &self.scratch.timestamps,
            values: &self.scratch.values,
            starts: &self.scratch.starts,
        };
        let histograms = window.histograms();
        if floats.len() == 0 {
            return Ok(histogram_range::call(self.function, window, &histograms, notes));
        }
        call_mixed(self.function, window, (&floats, &histograms), params, notes)
    }

    /// The value, from what is known of the window before; none if the function does not slide.
    fn slide(&mut self, window: &Window<'_>, params: &[f64], notes: &mut Notes) -> Option<f64> {
        match self.function {
            Function::QuantileOverTime => {
                let quantile = param(params, 0);
                over_time::note_quantile(quantile, notes);
                Some(self.sliding.quantile(quantile, window))
            }
            Function::Rate | Function::Increase => {
                let values = &window.series.values;
                let resets = self.sliding.resets(window);
                let lost = |result| resets.iter().fold(result, |sum, at| sum + values[*at]);
                rate::extrapolated(self.function, window, &window.floats(), lost, notes)
            }
            function => self.sliding.call(function, window),
        }
    }
}

fn call_floats(
    function: Function,
    window: &Window<'_>,
    floats: &Floats<'_>,
    params: &[f64],
    notes: &mut Notes,
) -> Result<Option<Point>, FunctionError> {
    let value = match function {
        Function::Rate | Function::Increase | Function::Delta => {
            let lost = |result| rate::add_resets(result, floats);
            rate::extrapolated(function, window, floats, lost, notes)
        }
        Function::Irate | Function::Idelta => rate::instant(function, window, floats, notes),
        Function::Deriv => regression::deriv(floats),
        Function::PredictLinear => {
            regression::predict_linear(floats, window.evaluated_at_ms, param(params, 0))
        }
        Function::DoubleExponentialSmoothing => {
            regression::double_exponential_smoothing(floats, param(params, 0), param(params, 1))?
        }
        Function::QuantileOverTime => {
            let quantile = param(params, 0);
            over_time::note_quantile(quantile, notes);
            Some(quantile_of(quantile, floats.values))
        }
        Function::Resets => Some(rate::resets(floats)),
        Function::Changes => Some(rate::changes(floats.values)),
        _ => over_time::call(function, floats),
    };
    Ok(value.map(Point::Float))
}

/// A window that holds floats and histograms.
fn call_mixed(
    function: Function,
    window: &Window<'_>,
    samples: (&Floats<'_>, &[HistogramAt<'_>]),
    params: &[f64],
    notes: &mut Notes,
) -> Result<Option<Point>, FunctionError> {
    let (floats, histograms) = samples;
    match function {
        Function::Rate
        | Function::Increase
        | Function::Delta
        | Function::SumOverTime
        | Function::AvgOverTime => {
            notes.add(NoteKind::MixedFloatsHistograms, 0, window.metric_name);
            Ok(None)
        }
        Function::Irate | Function::Idelta => {
            Ok(histogram_range::instant_mixed(function, window, floats, histograms, notes))
        }
        Function::Resets | Function::Changes => {
            Ok(Some(Point::Float(histogram_range::count_transitions(function, window))))
        }
        Function::FirstOverTime
        | Function::LastOverTime
        | Function::CountOverTime
        | Function::PresentOverTime
        | Function::AbsentOverTime
        | Function::TsOfFirstOverTime
        | Function::TsOfLastOverTime => Ok(histogram_range::either(function, window)),
        _ => {
            notes.add(NoteKind::HistogramIgnoredInMixedRange, 0, window.metric_name);
            call_floats(function, window, floats, params, notes)
        }
    }
}

fn param(params: &[f64], index: usize) -> f64 {
    params.get(index).copied().unwrap_or(f64::NAN)
}
