//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, over native histograms and
//! over classic ones, whose buckets are series that differ in `le`.

use ephemeris_model::{Labels, METRIC_NAME, is_stale};
use rustc_hash::FxHashMap;

use super::classic::{self, ClassicBucket};
use super::labels::with_label;
use super::notes::{NoteKind, Notes};
use super::vector::VectorCall;
use super::{FunctionError, format_open_metrics};
use crate::promql::exec::batch::StepSeries;
use crate::promql::histogram::{self, NanEffect};
use crate::promql::text::has_stray_bytes;

/// The label with the upper bound of a classic bucket.
const BOUND: &str = "le";

/// The histograms of a vector.
struct Histograms<'a> {
    /// Series with a native histogram at some step.
    native: Vec<Native<'a>>,
    classic: Vec<Classic<'a>>,
}

struct Native<'a> {
    series: &'a StepSeries,
    /// The classic histogram of the same name and labels, if there is one.
    classic: Option<usize>,
}

struct Classic<'a> {
    /// Labels of its buckets without `le`.
    labels: Labels,
    /// Bound and series of each bucket.
    buckets: Vec<(f64, &'a StepSeries)>,
}

/// Sorts out the series of a vector. `argument` is the number of the vector among the arguments.
fn sort_out<'a>(series: &'a [StepSeries], argument: usize, notes: &mut Notes) -> Histograms<'a> {
    let mut classic: Vec<Classic<'a>> = Vec::new();
    let mut by_labels: FxHashMap<Labels, usize> = FxHashMap::default();
    for one in series.iter().filter(|one| one.values.iter().any(|value| !is_stale(*value))) {
        let text = one.labels.get(BOUND).unwrap_or_default();
        let Ok(bound) = text.parse::<f64>() else {
            let name = one.labels.metric_name().unwrap_or_default();
            notes.add_detailed(NoteKind::BadBucketLabel, argument, name, text);
            continue;
        };
        let labels = one.labels.drop(&[BOUND]);
        let at = *by_labels.entry(labels.clone()).or_insert_with(|| {
            classic.push(Classic { labels, buckets: Vec::new() });
            classic.len() - 1
        });
        classic[at].buckets.push((bound, one));
    }
    let native = series.iter().filter(|one| one.histograms.iter().any(Option::is_some));
    let native = native
        .map(|series| Native { series, classic: by_labels.get(&series.labels).copied() })
        .collect();
    Histograms { native, classic }
}

impl Classic<'_> {
    /// Collects the buckets at `step`; false if there is none.
    fn at(&self, step: usize, buckets: &mut Vec<ClassicBucket>) -> bool {
        buckets.clear();
        for (bound, series) in &self.buckets {
            let count = series.values[step];
            if !is_stale(count) {
                buckets.push(ClassicBucket { bound: *bound, count });
            }
        }
        !buckets.is_empty()
    }

    fn is_present(&self, step: usize) -> bool {
        self.buckets.iter().any(|(_, series)| !is_stale(series.values[step]))
    }
}

/// What is computed of each histogram.
trait Estimate {
    fn native(&self, step: usize, histogram: &ephemeris_model::FloatHistogram) -> (f64, Effect);
    fn classic(&self, step: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Effect);
}

/// What there is to tell of an estimate.
type Effect = Option<NoteKind>;

struct Quantile<'a>(&'a [f64]);

impl Estimate for Quantile<'_> {
    fn native(&self, step: usize, histogram: &ephemeris_model::FloatHistogram) -> (f64, Effect) {
        let (value, effect) = histogram::quantile(self.0[step], histogram);
        let effect = match effect {
            NanEffect::None => None,
            NanEffect::Result => Some(NoteKind::QuantileNanResult),
            NanEffect::Skew => Some(NoteKind::QuantileNanSkew),
        };
        (value, effect)
    }

    fn classic(&self, step: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Effect) {
        let (value, forced) = classic::quantile(self.0[step], buckets);
        (value, forced.then_some(NoteKind::ForcedMonotonicity))
    }
}

struct Fraction<'a>(&'a [f64], &'a [f64]);

impl Estimate for Fraction<'_> {
    fn native(&self, step: usize, histogram: &ephemeris_model::FloatHistogram) -> (f64, Effect) {
        let (share, nan) = histogram::fraction(self.0[step], self.1[step], histogram);
        (share, nan.then_some(NoteKind::FractionNan))
    }

    fn classic(&self, step: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Effect) {
        (classic::fraction(self.0[step], self.1[step], buckets), None)
    }
}

/// Estimates each histogram at each step. Where a native and a classic histogram meet under the
/// same labels neither counts.
fn estimate(
    histograms: &Histograms<'_>,
    step_count: usize,
    estimate: &dyn Estimate,
    argument: usize,
    notes: &mut Notes,
) -> Vec<StepSeries> {
    let mut results = Vec::new();
    let mut taken = vec![Vec::new(); histograms.classic.len()];
    for native in &histograms.native {
        let labels = &native.series.labels;
        let name = labels.metric_name().unwrap_or_default();
        let mut result = StepSeries::absent(labels.clone(), step_count);
        result.drop_name = true;
        for step in 0..step_count {
            let Some(Some(histogram)) = native.series.histograms.get(step) else { continue };
            let rival = native.classic.filter(|at| histograms.classic[*at].is_present(step));
            if let Some(at) = rival {
                notes.add(NoteKind::MixedClassicNative, argument, name);
                taken[at].push(step);
                continue;
            }
            let (value, effect) = estimate.native(step, histogram);
            result.values[step] = visible(value);
            if let Some(kind) = effect {
                notes.add(kind, argument, name);
            }
        }
        results.push(result);
    }
    let mut buckets = Vec::new();
    for (classic, taken) in histograms.classic.iter().zip(taken) {
        let name = classic.labels.metric_name().unwrap_or_default();
        let mut result = StepSeries::absent(classic.labels.clone(), step_count);
        result.drop_name = true;
        for step in 0..step_count {
            if taken.binary_search(&step).is_ok() || !classic.at(step, &mut buckets) {
                continue;
            }
            let (value, effect) = estimate.classic(step, &mut buckets);
            result.values[step] = visible(value);
            if let Some(kind) = effect {
                notes.add(kind, argument, name);
            }
        }
        results.push(result);
    }
    results.retain(|result| !result.is_empty());
    results
}

/// Whatever NaN came out must not pass for an absent sample.
fn visible(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// Notes quantiles out of bounds, at steps where they were asked for.
fn note_quantiles(quantiles: &[f64], argument: usize, notes: &mut Notes) {
    let mut previous = None;
    for &quantile in quantiles {
        if previous != Some(quantile) && !(0.0..=1.0).contains(&quantile) {
            notes.add(NoteKind::InvalidQuantile(quantile), argument, "");
        }
        previous = Some(quantile);
    }
}

/// `histogram_quantile(quantile, v)`
pub(super) fn quantile(
    call: &VectorCall<'_>,
    series: &[StepSeries],
    notes: &mut Notes,
) -> Result<Vec<StepSeries>, FunctionError> {
    let quantiles = call.numbers(0)?;
    note_quantiles(quantiles, 0, notes);
    let histograms = sort_out(series, 1, notes);
    Ok(estimate(&histograms, call.step_count, &Quantile(quantiles), 1, notes))
}

/// `histogram_fraction(lower, upper, v)`
pub(super) fn fraction(
    call: &VectorCall<'_>,
    series: &[StepSeries],
    notes: &mut Notes,
) -> Result<Vec<StepSeries>, FunctionError> {
    let histograms = sort_out(series, 2, notes);
    let bounds = Fraction(call.numbers(0)?, call.numbers(1)?);
    Ok(estimate(&histograms, call.step_count, &bounds, 2, notes))
}

/// `histogram_quantiles(v, label, quantile…)`: each quantile in a series of its own, told apart by
/// `label`.
pub(super) fn quantiles(
    call: &VectorCall<'_>,
    series: &[StepSeries],
    notes: &mut Notes,
) -> Result<Vec<StepSeries>, FunctionError> {
    let label = call.text(0)?;
    if label.is_empty() || has_stray_bytes(label) {
        return Err(FunctionError(format!("invalid label name in histogram_quantiles(): {label}")));
    }
    let histograms = sort_out(series, 0, notes);
    let mut results = Vec::new();
    for index in 1..call.args.len() {
        let quantiles = call.numbers(index)?;
        note_quantiles(quantiles, index + 1, notes);
        for one in estimate(&histograms, call.step_count, &Quantile(quantiles), 0, notes) {
            split_by_quantile(&one, label, quantiles, &mut results);
        }
    }
    Ok(results)
}

/// Gives `series` the quantile as a label: one series for each value the quantile takes.
fn split_by_quantile(
    series: &StepSeries,
    label: &str,
    quantiles: &[f64],
    results: &mut Vec<StepSeries>,
) {
    let first = results.len();
    let mut seen: Vec<u64> = Vec::new();
    for (step, value) in series.values.iter().enumerate().filter(|(_, v)| !is_stale(**v)) {
        let bits = quantiles[step].to_bits();
        let at = seen.iter().position(|known| *known == bits).unwrap_or_else(|| {
            seen.push(bits);
            let text = format_open_metrics(quantiles[step]);
            let labels = with_label(&series.labels, label, text);
            let mut split = StepSeries::absent(labels, series.values.len());
            split.drop_name = label != METRIC_NAME;
            results.push(split);
            seen.len() - 1
        });
        results[first + at].values[step] = *value;
    }
}

#[cfg(test)]
mod tests;
