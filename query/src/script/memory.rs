//! Data of a script: a [`Source`] that keeps series in memory.
//!
//! It reads back what a store of Prometheus' kind gives: counter-reset hints are those of the
//! chunks the histograms would lie in, not those that were written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ephemeris_model::{
    CounterResetHint, Exemplar, FloatHistogram, Labels, Matcher, Metadata, SampleBuffer, Select,
    SeriesSet, Source, SourceError, TimeRange, TimestampMs,
};

use super::compare::bucket_counts;

/// Series in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    series: BTreeMap<Labels, Vec<StoredSample>>,
}

/// A sample as it is kept.
#[derive(Clone, Debug)]
pub struct StoredSample {
    /// Milliseconds.
    pub timestamp_ms: i64,
    /// Start timestamp in milliseconds, 0 if unknown.
    pub start_ms: i64,
    /// Its value.
    pub value: StoredValue,
}

/// The value of a sample.
#[derive(Clone, Debug)]
pub enum StoredValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl MemorySource {
    /// The series in order of their labels, each with its samples in order of time.
    pub fn series(&self) -> impl Iterator<Item = (&Labels, &[StoredSample])> {
        self.series.iter().map(|(labels, samples)| (labels, samples.as_slice()))
    }

    /// Adds a float.
    ///
    /// # Errors
    /// If it is behind the newest sample of its series, or another value than the one there.
    pub fn push(
        &mut self,
        labels: &Labels,
        timestamp_ms: i64,
        start_ms: i64,
        value: f64,
    ) -> Result<(), String> {
        let value = StoredValue::Float(value);
        self.append(labels, StoredSample { timestamp_ms, start_ms, value })
    }

    /// Adds a histogram.
    ///
    /// # Errors
    /// As [`MemorySource::push`], and if the histogram breaks a rule.
    pub fn push_histogram(
        &mut self,
        labels: &Labels,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: &FloatHistogram,
    ) -> Result<(), String> {
        crate::promql::histogram::validate(histogram).map_err(|error| error.to_string())?;
        let previous = self.series.get(labels).and_then(|samples| samples.last());
        let mut stored = histogram.clone();
        stored.reset_hint = hint_when_read(previous.map(|s| &s.value), histogram);
        let value = StoredValue::Histogram(Arc::new(stored));
        self.append(labels, StoredSample { timestamp_ms, start_ms, value })
    }

    fn append(&mut self, labels: &Labels, sample: StoredSample) -> Result<(), String> {
        let samples = self.series.entry(labels.clone()).or_default();
        if let Some(last) = samples.last() {
            let at = sample.timestamp_ms;
            if at < last.timestamp_ms {
                return Err(format!("{labels}: out of order sample at {at} ms"));
            }
            if at == last.timestamp_ms {
                let same = match (&last.value, &sample.value) {
                    (StoredValue::Float(a), StoredValue::Float(b)) => a.to_bits() == b.to_bits(),
                    (StoredValue::Histogram(a), StoredValue::Histogram(b)) => {
                        bucket_counts(a) == bucket_counts(b) && a.count == b.count
                    }
                    _ => false,
                };
                let text = || format!("{labels}: another sample at {at} ms");
                return if same { Ok(()) } else { Err(text()) };
            }
        }
        samples.push(sample);
        Ok(())
    }

    fn matching<'a>(
        &'a self,
        selectors: &'a [Vec<Matcher>],
    ) -> impl Iterator<Item = (&'a Labels, &'a Vec<StoredSample>)> {
        let hit = |labels: &Labels| {
            selectors.is_empty() || selectors.iter().any(|matchers| fits(labels, matchers))
        };
        self.series.iter().filter(move |(labels, _)| hit(labels))
    }
}

fn fits(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
}

/// The hint of a histogram read back: a gauge stays one; a counter is known not to have been reset
/// if it continues the chunk of the sample before.
fn hint_when_read(previous: Option<&StoredValue>, next: &FloatHistogram) -> CounterResetHint {
    if next.reset_hint == CounterResetHint::Gauge {
        return CounterResetHint::Gauge;
    }
    match previous {
        Some(StoredValue::Histogram(previous)) if continues_chunk(previous, next) => {
            CounterResetHint::NotReset
        }
        _ => CounterResetHint::Unknown,
    }
}

fn continues_chunk(previous: &FloatHistogram, next: &FloatHistogram) -> bool {
    let same_layout = previous.reset_hint != CounterResetHint::Gauge
        && previous.schema == next.schema
        && previous.zero_threshold.to_bits() == next.zero_threshold.to_bits()
        && previous.custom_values == next.custom_values;
    if !same_layout || next.reset_hint == CounterResetHint::Reset {
        return false;
    }
    if next.count < previous.count || next.zero_count < previous.zero_count {
        return false;
    }
    let (before, after) = (bucket_counts(previous), bucket_counts(next));
    let grown = |before: &BTreeMap<i64, f64>, after: &BTreeMap<i64, f64>| {
        before.iter().all(|(index, count)| after.get(index).is_some_and(|now| now >= count))
    };
    grown(&before.positive, &after.positive) && grown(&before.negative, &after.negative)
}

impl Source for MemorySource {
    fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet + '_>, SourceError> {
        let hits = self.series.iter().filter(|(labels, _)| fits(labels, &select.matchers));
        let series = hits.map(|(labels, samples)| (labels, samples.as_slice())).collect();
        Ok(Arc::new(Selected { series, range: select.range }))
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        _range: TimeRange,
    ) -> Result<Vec<String>, SourceError> {
        let labels = self.matching(selectors).flat_map(|(labels, _)| labels.iter());
        let mut names: Vec<String> = labels.map(|(name, _)| name.to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        _range: TimeRange,
    ) -> Result<Vec<String>, SourceError> {
        let values = self.matching(selectors).filter_map(|(labels, _)| labels.get(name));
        let mut values: Vec<String> = values.map(str::to_owned).collect();
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn metadata(&self, _metric: Option<&str>) -> Result<Vec<Metadata>, SourceError> {
        Ok(Vec::new())
    }

    fn exemplars(
        &self,
        _selectors: &[Vec<Matcher>],
        _range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SourceError> {
        Ok(Vec::new())
    }
}

/// Series of a [`MemorySource`].
struct Selected<'a> {
    series: Vec<(&'a Labels, &'a [StoredSample])>,
    range: TimeRange,
}

impl SeriesSet for Selected<'_> {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series.get(index).map(|(labels, _)| (*labels).clone()).unwrap_or_default()
    }

    fn read(
        &self,
        indices: Range<usize>,
        buffer: &mut SampleBuffer,
        visit: &mut dyn FnMut(usize, &SampleBuffer) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        for index in indices {
            let Some((_, samples)) = self.series.get(index) else { break };
            buffer.clear();
            let inside = |s: &&StoredSample| self.range.contains(TimestampMs(s.timestamp_ms));
            for sample in samples.iter().filter(inside) {
                match &sample.value {
                    StoredValue::Float(value) => buffer.push(sample.timestamp_ms, *value),
                    StoredValue::Histogram(histogram) => {
                        buffer.push_histogram(sample.timestamp_ms, Arc::clone(histogram));
                    }
                }
                if sample.start_ms != 0 {
                    buffer.set_last_start(sample.start_ms);
                }
            }
            visit(index, buffer)?;
        }
        Ok(())
    }
}
