//! The model: a store of plain maps. The promises without the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ephemeris_model::validate::canonicalize;
use ephemeris_model::{
    Exemplar, FloatHistogram, Histogram, Labels, Limits, Matcher, Metadata, RejectReason, Rejects,
    SampleBuffer, Select, SeriesSet, Source, SourceError, TimeRange, TimestampMs, WriteBatch,
    WriteOutcome, is_stale,
};
use parking_lot::RwLock;

use crate::clock::Clock;

/// A sample as it was written.
#[derive(Clone)]
enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// Which of two samples at one time stays: the one with the greater key.
fn precedence(value: &Value, start: i64) -> (u8, i64, String, i64) {
    match value {
        Value::Float(v) if is_stale(*v) => (0, 0, String::new(), start),
        Value::Float(v) => {
            // Ascends as `total_cmp` does.
            let bits = v.to_bits().cast_signed();
            (1, bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed(), String::new(), start)
        }
        // The tests write histograms that differ in their count alone.
        Value::Histogram(h) => (2, 0, format!("{:?}", h.counts), start),
    }
}

#[derive(Clone, Default)]
struct Series {
    samples: BTreeMap<i64, (Value, i64)>,
    exemplars: Vec<Exemplar>,
}

type Tenant = BTreeMap<Labels, Series>;

#[derive(Default)]
struct State {
    tenants: BTreeMap<String, Arc<Tenant>>,
    metadata: BTreeMap<String, BTreeMap<String, Vec<Metadata>>>,
}

/// All series of all tenants.
pub(crate) struct PlainHead {
    state: RwLock<State>,
    retention_ms: i64,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl PlainHead {
    pub(crate) fn new(retention_ms: i64, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self { state: RwLock::default(), retention_ms, limits, clock }
    }

    pub(crate) fn reader(&self, tenant: &str) -> PlainReader {
        let state = self.state.read();
        PlainReader {
            tenant: state.tenants.get(tenant).cloned().unwrap_or_default(),
            metadata: state.metadata.get(tenant).cloned().unwrap_or_default(),
            oldest: self.clock.now() + -self.retention_ms,
        }
    }

    /// Forgets what is past the retention, which no answer shows any more.
    pub(crate) fn forget_old(&self) {
        let oldest = self.clock.now() + -self.retention_ms;
        let mut state = self.state.write();
        for series in state.tenants.values_mut().flat_map(|all| Arc::make_mut(all).values_mut()) {
            series.samples = series.samples.split_off(&oldest.0);
        }
    }

    pub(crate) fn delete(&self, tenant: &str, matchers: &[Matcher], range: TimeRange) {
        let mut state = self.state.write();
        let Some(series) = state.tenants.get_mut(tenant) else { return };
        for (labels, one) in Arc::make_mut(series) {
            if matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or(""))) {
                one.samples.retain(|time, _| !range.contains(TimestampMs(*time)));
                one.exemplars.retain(|e| !range.contains(TimestampMs(e.timestamp_ms)));
            }
        }
    }

    pub(crate) fn write(&self, tenant: &str, batch: &WriteBatch<'_>) -> WriteOutcome {
        let now = self.clock.now();
        let mut state = self.state.write();
        let state = &mut *state;
        let series = Arc::make_mut(state.tenants.entry(tenant.to_owned()).or_default());
        let mut outcome = WriteOutcome { rejects: batch.rejects.clone(), ..Default::default() };
        for one in &batch.series {
            let items = (one.samples.len() + one.histograms.len() + one.exemplars.len()) as u64;
            let mut pairs = Vec::new();
            let labels = batch
                .read_labels(one, &mut pairs)
                .and_then(|()| canonicalize(&mut pairs, &self.limits));
            let labels = match labels {
                Ok(pairs) => Labels::from_sorted(pairs),
                Err((reason, text)) => {
                    outcome.rejects.add(reason, items, || text);
                    continue;
                }
            };
            let entry = series.entry(labels).or_default();
            for at in one.samples.clone() {
                let sample = batch.samples[at as usize];
                if !self.in_bounds(sample.timestamp_ms, now, &mut outcome.rejects) {
                    continue;
                }
                let start = batch.start_timestamps.get(at as usize).copied().unwrap_or(0);
                put(entry, sample.timestamp_ms, Value::Float(sample.value), start);
                outcome.samples_written += 1;
            }
            for at in one.histograms.clone() {
                let sample = &batch.histograms[at as usize];
                if !self.in_bounds(sample.timestamp_ms, now, &mut outcome.rejects) {
                    continue;
                }
                let value = Value::Histogram(Arc::new(sample.histogram.clone()));
                put(entry, sample.timestamp_ms, value, sample.start_timestamp_ms);
                outcome.histograms_written += 1;
            }
            for at in one.exemplars.clone() {
                let new = &batch.exemplars[at as usize];
                let same = |e: &Exemplar| {
                    (e.timestamp_ms, e.value.to_bits(), &e.labels)
                        == (new.timestamp_ms, new.value.to_bits(), &new.labels)
                };
                if !self.in_bounds(new.timestamp_ms, now, &mut outcome.rejects) {
                    continue;
                }
                if !entry.exemplars.iter().any(same) {
                    entry.exemplars.push(new.clone());
                }
                outcome.exemplars_written += 1;
            }
        }
        let metadata = state.metadata.entry(tenant.to_owned()).or_default();
        for one in &batch.metadata {
            let known = metadata.entry(one.metric.clone()).or_default();
            if !known.contains(one) && known.len() < 4 {
                known.push(one.clone());
            }
        }
        outcome
    }

    fn in_bounds(&self, timestamp_ms: i64, now: TimestampMs, rejects: &mut Rejects) -> bool {
        let oldest = now + -self.retention_ms;
        let newest = now + self.limits.future_ms_max;
        if timestamp_ms < oldest.0 {
            rejects.add(RejectReason::TooOld, 1, || {
                format!("timestamp {timestamp_ms} ms is before {oldest} ms, the oldest allowed")
            });
        } else if timestamp_ms > newest.0 {
            rejects.add(RejectReason::TooFarInFuture, 1, || {
                format!("timestamp {timestamp_ms} ms is after {newest} ms, the latest allowed")
            });
        }
        (oldest.0..=newest.0).contains(&timestamp_ms)
    }
}

fn put(series: &mut Series, timestamp_ms: i64, value: Value, start: i64) {
    match series.samples.get(&timestamp_ms) {
        Some((old, since)) if precedence(&value, start) <= precedence(old, *since) => {}
        _ => drop(series.samples.insert(timestamp_ms, (value, start))),
    }
}

/// One tenant's data at one moment.
pub(crate) struct PlainReader {
    tenant: Arc<Tenant>,
    metadata: BTreeMap<String, Vec<Metadata>>,
    oldest: TimestampMs,
}

impl PlainReader {
    fn matching(&self, selectors: &[Vec<Matcher>]) -> Vec<(&Labels, &Series)> {
        let one = |labels: &Labels, matchers: &[Matcher]| {
            matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or("")))
        };
        let matches = |(labels, _): &(&Labels, &Series)| {
            selectors.is_empty() || selectors.iter().any(|matchers| one(labels, matchers))
        };
        self.tenant.iter().filter(matches).collect()
    }
}

impl Source for PlainReader {
    fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet + '_>, SourceError> {
        let start = select.range.start.max(self.oldest);
        let range = TimeRange::new(start, select.range.end);
        let series = self.matching(std::slice::from_ref(&select.matchers));
        Ok(Arc::new(PlainSet { series, range }))
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        _range: TimeRange,
    ) -> Result<Vec<String>, SourceError> {
        let names: BTreeSet<String> = self
            .matching(selectors)
            .into_iter()
            .flat_map(|(labels, _)| labels.iter().map(|(name, _)| name.to_owned()))
            .collect();
        Ok(names.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        _range: TimeRange,
    ) -> Result<Vec<String>, SourceError> {
        let values: BTreeSet<String> = self
            .matching(selectors)
            .into_iter()
            .filter_map(|(labels, _)| labels.get(name).map(str::to_owned))
            .collect();
        Ok(values.into_iter().collect())
    }

    fn metadata(&self, metric: Option<&str>) -> Result<Vec<Metadata>, SourceError> {
        let wanted = |family: &Metadata| metric.is_none_or(|name| name == family.metric);
        Ok(self.metadata.values().flatten().filter(|m| wanted(m)).cloned().collect())
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SourceError> {
        let range = TimeRange::new(range.start.max(self.oldest), range.end);
        let inside = |e: &&Exemplar| range.contains(TimestampMs(e.timestamp_ms));
        let mut found = Vec::new();
        for (labels, series) in self.matching(selectors) {
            let exemplars: Vec<_> = series.exemplars.iter().filter(inside).cloned().collect();
            if !exemplars.is_empty() {
                found.push((labels.clone(), exemplars));
            }
        }
        Ok(found)
    }
}

struct PlainSet<'a> {
    series: Vec<(&'a Labels, &'a Series)>,
    range: TimeRange,
}

impl SeriesSet for PlainSet<'_> {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].0.clone()
    }

    fn read(
        &self,
        indices: Range<usize>,
        buffer: &mut SampleBuffer,
        visit: &mut dyn FnMut(usize, &SampleBuffer) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        for index in indices {
            buffer.clear();
            if !self.range.is_empty() {
                let range = self.range.start.0..self.range.end.0;
                for (&timestamp_ms, (value, start)) in self.series[index].1.samples.range(range) {
                    match value {
                        Value::Float(v) => buffer.push(timestamp_ms, *v),
                        Value::Histogram(h) => {
                            buffer
                                .push_histogram(timestamp_ms, Arc::new(FloatHistogram::from(&**h)));
                        }
                    }
                    if *start != 0 {
                        buffer.set_last_start(*start);
                    }
                }
            }
            visit(index, buffer)?;
        }
        Ok(())
    }
}
