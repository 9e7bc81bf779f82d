//! The way of one request into the head: check everything, then apply what is good.
//!
//! Between the two lies the WAL. A request read back from it takes the same way, with the verdicts
//! of then in place of limits, so that replay can refuse nothing that was acknowledged.

use ephemeris_model::validate::canonicalize;
use ephemeris_model::{
    BatchSeries, Limits, RejectReason, Rejects, TimeRange, TimestampMs, WriteBatch, WriteOutcome,
};

use crate::metrics::head::generation::Generation;
use crate::metrics::head::identity::Identity;
use crate::metrics::head::maker::{Found, GROUP, Wanted};
use crate::series::TenantId;
use crate::wal::record::Verdicts;

/// In place of an id: the series was refused.
pub(crate) const REFUSED: u32 = u32::MAX;

/// What a request is checked against.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) limits: Limits,
    /// Times that are accepted.
    pub(crate) times: TimeRange,
    pub(crate) retention_ms: i64,
}

impl Bounds {
    /// The settings at time `now`.
    pub(crate) fn at(now: TimestampMs, limits: Limits, retention_ms: i64) -> Self {
        let oldest = now + -retention_ms;
        let times = TimeRange::inclusive(oldest, now + limits.future_ms_max);
        Self { limits, times, retention_ms }
    }

    /// No bounds at all: for what was checked before.
    pub(crate) fn none() -> Self {
        let limits = Limits {
            labels_per_series_max: usize::MAX,
            label_name_bytes_max: usize::MAX,
            label_value_bytes_max: usize::MAX,
            future_ms_max: i64::MAX,
            active_series_max: u64::MAX,
            line_bytes_max: usize::MAX,
            metadata_pairs_max: usize::MAX,
            metadata_bytes_max: usize::MAX,
        };
        Self { limits, times: TimeRange::ALL, retention_ms: i64::MAX }
    }
}

/// A request that was checked: where each series goes, and which items do not.
pub(crate) struct Checked {
    /// Ids of the series of the batch, in order.
    ids: Vec<u32>,
    /// A bit for each refused item, as the WAL keeps it; empty if none was refused.
    verdicts: Vec<u8>,
    /// How many items of each kind will be written, and what was refused.
    pub(crate) outcome: WriteOutcome,
    pub(crate) series_created: u64,
}

impl Checked {
    /// Which items were refused.
    pub(crate) fn verdicts(&self) -> Verdicts<'_> {
        Verdicts(&self.verdicts)
    }

    /// What became of the batch, for its sender.
    pub(crate) fn into_outcome(self) -> WriteOutcome {
        WriteOutcome { refused: self.verdicts, series_created: self.series_created, ..self.outcome }
    }

    /// Whether nothing is left to write.
    pub(crate) fn is_empty(&self) -> bool {
        let WriteOutcome { samples_written, histograms_written, exemplars_written, .. } =
            self.outcome;
        samples_written + histograms_written + exemplars_written == 0
    }
}

/// Resolves the series of a batch and checks the times of its items.
pub(crate) fn check(
    identity: &Identity,
    tenant: TenantId,
    batch: &WriteBatch<'_>,
    bounds: &Bounds,
    verdicts: Verdicts<'_>,
) -> Checked {
    let mut checked = Checked {
        ids: Vec::with_capacity(batch.series.len()),
        verdicts: verdicts.0.to_vec(),
        outcome: WriteOutcome { rejects: batch.rejects.clone(), ..WriteOutcome::default() },
        series_created: 0,
    };
    let domain = identity.domain(tenant, batch.kind);
    let mut symbols = Vec::new();
    identity.hash_symbols(&batch.symbols, &mut symbols);
    let hash = |series: &BatchSeries<'_>| match symbols.is_empty() {
        true => identity.hash(domain, &series.labels),
        false => identity.hash_numbers(domain, &series.labels, &symbols),
    };
    let hashes: Vec<u128> = batch.series.iter().map(hash).collect();
    let mut missing = Vec::new();
    let (mut finder, mut guess) = (identity.finder(), 0);
    for at in 0..hashes.len() {
        let id = finder.find(&hashes, at, guess).unwrap_or_else(|| {
            missing.push((at, hashes[at]));
            REFUSED
        });
        checked.ids.push(id);
        guess = id.wrapping_add(1);
    }
    // Nothing can be made as long as it looks.
    drop(finder);
    if !missing.is_empty() {
        create(&mut checked, identity, tenant, batch, bounds, &missing);
    }
    check_times(&mut checked, batch, bounds);
    count(&mut checked, batch);
    checked
}

/// Whether a series brings items, but none that will be written: it is not worth an id then.
#[cold]
fn all_refused(
    batch: &WriteBatch<'_>,
    series: &BatchSeries<'_>,
    bounds: &Bounds,
    verdicts: Verdicts<'_>,
) -> bool {
    let (samples, histograms) = (batch.samples.len(), batch.histograms.len());
    let time = |item: usize| {
        if item < samples {
            batch.samples[item].timestamp_ms
        } else if item < samples + histograms {
            batch.histograms[item - samples].timestamp_ms
        } else {
            batch.exemplars[item - samples - histograms].timestamp_ms
        }
    };
    let good =
        |item: usize| !verdicts.refused(item) && bounds.times.contains(TimestampMs(time(item)));
    let mut items = items(batch, series).peekable();
    items.peek().is_some() && !items.any(good)
}

/// Makes the series `missing`, each told by its place in the batch and the hash of its label
/// bytes, as far as their labels and items are good.
#[cold]
fn create(
    checked: &mut Checked,
    identity: &Identity,
    tenant: TenantId,
    batch: &WriteBatch<'_>,
    bounds: &Bounds,
    missing: &[(usize, u128)],
) {
    let mut maker = None;
    let (mut group, mut places) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
    for missing in missing.chunks(GROUP) {
        for &(at, hash) in missing {
            let series = &batch.series[at];
            if all_refused(batch, series, bounds, checked.verdicts()) {
                continue;
            }
            match read_labels(batch, series, bounds) {
                Ok(labels) => {
                    group.push(Wanted { hash, labels });
                    places.push(at);
                }
                Err((reason, text)) => refuse_series(checked, batch, series, reason, text),
            }
        }
        if group.is_empty() {
            continue;
        }
        let series_max = bounds.limits.active_series_max;
        let maker = maker.get_or_insert_with(|| identity.maker(tenant, series_max));
        for (at, made) in places.drain(..).zip(maker.find_or_create_group(&group)) {
            match made {
                Ok(Found { id, created }) => {
                    checked.ids[at] = id;
                    checked.series_created += u64::from(created);
                }
                Err((reason, text)) => {
                    refuse_series(checked, batch, &batch.series[at], reason, text);
                }
            }
        }
        group.clear();
    }
}

/// The labels of a series, sorted by name.
fn read_labels<'a>(
    batch: &'a WriteBatch<'_>,
    series: &'a BatchSeries<'_>,
    bounds: &Bounds,
) -> Result<Vec<(&'a str, &'a str)>, (RejectReason, String)> {
    let mut pairs = Vec::with_capacity(16);
    batch.read_labels(series, &mut pairs)?;
    canonicalize(&mut pairs, &bounds.limits)
}

#[cold]
fn refuse_series(
    checked: &mut Checked,
    batch: &WriteBatch<'_>,
    series: &BatchSeries<'_>,
    reason: RejectReason,
    text: String,
) {
    let mut refused = 0;
    for item in items(batch, series) {
        refused += u64::from(refuse(&mut checked.verdicts, item));
    }
    checked.outcome.rejects.add(reason, refused.max(1), || text);
}

/// Numbers of the items of a series: samples, then histograms, then exemplars of the whole batch.
fn items(batch: &WriteBatch<'_>, series: &BatchSeries<'_>) -> impl Iterator<Item = usize> {
    let (samples, histograms) = (batch.samples.len(), batch.histograms.len());
    let moved = |range: &std::ops::Range<u32>, by: usize| {
        range.start as usize + by..range.end as usize + by
    };
    moved(&series.samples, 0)
        .chain(moved(&series.histograms, samples))
        .chain(moved(&series.exemplars, samples + histograms))
}

/// Notes that an item is refused; answers whether it was not before.
#[cold]
pub(crate) fn refuse(verdicts: &mut Vec<u8>, item: usize) -> bool {
    if item / 8 >= verdicts.len() {
        verdicts.resize(item / 8 + 1, 0);
    }
    let (byte, bit) = (&mut verdicts[item / 8], 1 << (item % 8));
    let new = *byte & bit == 0;
    *byte |= bit;
    new
}

fn check_times(checked: &mut Checked, batch: &WriteBatch<'_>, bounds: &Bounds) {
    let samples = batch.samples.iter().map(|s| s.timestamp_ms);
    let (min, max) =
        samples.clone().fold((i64::MAX, i64::MIN), |(min, max), t| (min.min(t), max.max(t)));
    let inside = |t: i64| bounds.times.contains(TimestampMs(t));
    let Checked { verdicts, outcome, .. } = checked;
    let mut check = |item: usize, time: i64| {
        if !inside(time) && refuse(verdicts, item) {
            refuse_time(&mut outcome.rejects, time, bounds);
        }
    };
    let all_inside = batch.samples.is_empty() || (inside(min) && inside(max));
    if !all_inside {
        samples.enumerate().for_each(|(item, time)| check(item, time));
    }
    let before = batch.samples.len();
    let histograms = batch.histograms.iter().map(|h| h.timestamp_ms);
    histograms.enumerate().for_each(|(i, time)| check(before + i, time));
    let before = before + batch.histograms.len();
    let exemplars = batch.exemplars.iter().map(|e| e.timestamp_ms);
    exemplars.enumerate().for_each(|(i, time)| check(before + i, time));
}

#[cold]
fn refuse_time(rejects: &mut Rejects, time: i64, bounds: &Bounds) {
    let TimeRange { start, end } = bounds.times;
    if time < start.0 {
        rejects.add(RejectReason::TooOld, 1, || {
            format!(
                "timestamp {time} ms is older than {start} ms, the oldest the retention of {} ms \
                 allows (retention)",
                bounds.retention_ms
            )
        });
    } else {
        rejects.add(RejectReason::TooFarInFuture, 1, || {
            format!(
                "timestamp {time} ms is later than {} ms, which is {} ms after now; no sample may \
                 lie further ahead",
                end.0.saturating_sub(1),
                bounds.limits.future_ms_max
            )
        });
    }
}

fn count(checked: &mut Checked, batch: &WriteBatch<'_>) {
    let (samples, histograms) = (batch.samples.len(), batch.histograms.len());
    let verdicts = Verdicts(&checked.verdicts);
    let written = |items: std::ops::Range<usize>| match verdicts.is_empty() {
        true => items.len() as u64,
        false => items.filter(|&item| !verdicts.refused(item)).count() as u64,
    };
    checked.outcome.samples_written = written(0..samples);
    checked.outcome.histograms_written = written(samples..samples + histograms);
    let all = samples + histograms + batch.exemplars.len();
    checked.outcome.exemplars_written = written(samples + histograms..all);
}

/// Writes what was not refused to the head; answers how many samples were out of order.
pub(crate) fn apply(generation: &Generation, batch: &WriteBatch<'_>, checked: &Checked) -> u64 {
    let verdicts = checked.verdicts();
    let all_good = verdicts.is_empty();
    let (samples, histograms) = (batch.samples.len(), batch.histograms.len());
    let mut appender = generation.appender();
    for (series, &id) in batch.series.iter().zip(&checked.ids) {
        if id == REFUSED {
            continue;
        }
        for at in places(&series.samples) {
            if all_good || !verdicts.refused(at) {
                let sample = batch.samples[at];
                let start = batch.start_timestamps.get(at).copied().unwrap_or(0);
                appender.push(id, sample.timestamp_ms, sample.value, start);
            }
        }
        for at in places(&series.histograms) {
            if all_good || !verdicts.refused(samples + at) {
                appender.push_histogram(id, &batch.histograms[at]);
            }
        }
        for at in places(&series.exemplars) {
            if all_good || !verdicts.refused(samples + histograms + at) {
                appender.push_exemplar(id, &batch.exemplars[at]);
            }
        }
    }
    appender.finish()
}

fn places(range: &std::ops::Range<u32>) -> std::ops::Range<usize> {
    range.start as usize..range.end as usize
}
