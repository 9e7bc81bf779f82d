//! Samples of 4,096 neighbouring series of one generation, under one lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use ephemeris_model::batch::HistogramSample;
use ephemeris_model::{Exemplar, Histogram, TimeRange};

use super::arena::Arena;
use super::chunk::{Chunk, Fit};
use crate::metrics::samples::{Newest, SeriesSamples};

/// Exemplars kept of one series in one generation; the oldest give way.
const EXEMPLARS_PER_SERIES_MAX: usize = 10;
/// What an exemplar takes beside its labels, about.
const EXEMPLAR_BYTES: usize = 96;

/// An out-of-order sample.
#[derive(Clone, Copy)]
struct LateRow {
    time: i64,
    bits: u64,
    /// Place of the series in the extent.
    index: u16,
}

impl LateRow {
    fn key(&self) -> (u16, i64, u64) {
        (self.index, self.time, self.bits)
    }
}

/// Samples of one extent.
#[derive(Default)]
pub(super) struct Extent {
    chunks: Vec<Chunk>,
    arena: Arena,
    late: Vec<LateRow>,
    /// So many of the late rows are sorted, without repeats.
    late_sorted: usize,
    /// Start timestamps of the samples in chunks: where they change, and to what.
    starts: BTreeMap<u16, Vec<(i64, i64)>>,
    /// Histograms, and late samples with a start timestamp; in any order.
    others: BTreeMap<u16, SeriesSamples>,
    exemplars: BTreeMap<u16, Vec<Exemplar>>,
    /// Bytes of `starts`, `others` and `exemplars`, about.
    other_bytes: usize,
    /// Samples in all.
    count: u64,
}

/// What an extent takes in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExtentBytes {
    pub(super) chunks: usize,
    pub(super) late: usize,
}

/// A float sample on its way into an extent.
#[derive(Clone, Copy)]
pub(super) struct Float {
    pub(super) time: i64,
    pub(super) value: f64,
    /// 0 if unknown.
    pub(super) start: i64,
}

impl Extent {
    pub(super) fn bytes(&self) -> ExtentBytes {
        ExtentBytes {
            chunks: self.arena.bytes()
                + self.chunks.capacity() * size_of::<Chunk>()
                + self.other_bytes,
            late: self.late.capacity() * size_of::<LateRow>(),
        }
    }

    /// Number of samples, with repeats that were not noticed.
    pub(super) const fn sample_count(&self) -> u64 {
        self.count
    }

    /// Adds a float sample; answers whether it was out of order.
    #[inline]
    pub(super) fn push(&mut self, index: u16, sample: Float) -> bool {
        let at = usize::from(index);
        if at >= self.chunks.len() {
            self.chunks.resize_with(at + 1, Chunk::default);
        }
        let bits = sample.value.to_bits();
        let chunk = &mut self.chunks[at];
        match chunk.fit(sample.time, bits) {
            Fit::Next => {
                chunk.push(&mut self.arena, sample.time, bits);
                self.count += 1;
                if sample.start != 0 || !self.starts.is_empty() {
                    self.set_start(index, sample);
                }
                false
            }
            Fit::Same if sample.start == 0 => false,
            Fit::Same | Fit::Late => {
                self.push_late(index, sample);
                true
            }
        }
    }

    fn set_start(&mut self, index: u16, sample: Float) {
        let changes = match self.starts.get_mut(&index) {
            Some(changes) => changes,
            None if sample.start == 0 => return,
            None => self.starts.entry(index).or_default(),
        };
        if changes.last().map_or(0, |(_, start)| *start) != sample.start {
            changes.push((sample.time, sample.start));
            self.other_bytes += size_of::<(i64, i64)>();
        }
    }

    #[cold]
    fn push_late(&mut self, index: u16, sample: Float) {
        self.count += 1;
        if sample.start == 0 {
            let row = LateRow { time: sample.time, bits: sample.value.to_bits(), index };
            return self.late.push(row);
        }
        let others = self.others.entry(index).or_default();
        others.push(sample.time, sample.value);
        others.set_last_start(sample.start);
        self.other_bytes += 24;
    }

    /// Adds a histogram.
    pub(super) fn push_histogram(&mut self, index: u16, sample: &HistogramSample) {
        let others = self.others.entry(index).or_default();
        let repeats = others.timestamps.last() == Some(&sample.timestamp_ms)
            && others.start_timestamps.last().copied().unwrap_or(0) == sample.start_timestamp_ms
            && others.histograms.last().is_some_and(|(at, last)| {
                *at as usize + 1 == others.len() && **last == sample.histogram
            });
        if !repeats {
            others.push_histogram(sample.timestamp_ms, Arc::new(sample.histogram.clone()));
            others.set_last_start(sample.start_timestamp_ms);
            self.other_bytes += histogram_bytes(&sample.histogram);
            self.count += 1;
        }
    }

    /// Adds an exemplar.
    pub(super) fn push_exemplar(&mut self, index: u16, exemplar: &Exemplar) {
        let kept = self.exemplars.entry(index).or_default();
        let same = |other: &Exemplar| {
            other.timestamp_ms == exemplar.timestamp_ms
                && other.value.to_bits() == exemplar.value.to_bits()
                && other.labels == exemplar.labels
        };
        if kept.iter().any(same) {
            return;
        }
        if kept.len() == EXEMPLARS_PER_SERIES_MAX {
            kept.remove(0);
        } else {
            self.other_bytes += EXEMPLAR_BYTES;
        }
        kept.push(exemplar.clone());
    }

    /// Whether the series has a sample or exemplar here that may be at or after `start`.
    pub(super) fn holds(&self, index: u16, start: i64) -> bool {
        let last = self.chunks.get(usize::from(index)).and_then(Chunk::last_time);
        last.is_some_and(|last| last >= start)
            || self.others.contains_key(&index)
            || self.exemplars.contains_key(&index)
    }

    /// The newest sample of a series inside `window`, as far as its chunk tells without being
    /// decoded.
    pub(super) fn newest(&self, index: u16, window: TimeRange) -> Newest {
        if !self.others.is_empty() && self.others.contains_key(&index) {
            return Newest::Unknown;
        }
        let Some(chunk) = self.chunks.get(usize::from(index)) else { return Newest::None };
        let Some(time) = chunk.last_time() else { return Newest::None };
        // Late rows are at or before the last sample of the chunk.
        if time < window.start.0 {
            return Newest::None;
        }
        // Late rows at the time of a staleness marker win over it.
        if time >= window.end.0 || (chunk.ends_stale() && !self.late.is_empty()) {
            return Newest::Unknown;
        }
        Newest::At { time, stale: chunk.ends_stale() }
    }

    /// Places of the series that have anything here.
    pub(super) fn filled(&self) -> Vec<u16> {
        (0u16..)
            .zip(&self.chunks)
            .map(|(index, _)| index)
            .filter(|&i| self.holds(i, i64::MIN))
            .chain(self.others.keys().chain(self.exemplars.keys()).copied())
            .collect()
    }

    /// The bytes of the chunk of a series, and how many samples they hold, if that is all there is of
    /// the series: whoever reads it decodes them ([`super::chunk::decode`]) without holding up the
    /// others that want something of the extent.
    pub(super) fn gather(&mut self, index: u16, bytes: &mut Vec<u8>) -> Option<u32> {
        self.sort_late();
        let late = self.late.partition_point(|row| row.index < index);
        let more = self.late.get(late).is_some_and(|row| row.index == index)
            || self.starts.contains_key(&index)
            || self.others.contains_key(&index);
        let chunk = self.chunks.get(usize::from(index));
        (!more).then(|| chunk.map_or(0, |chunk| chunk.gather(&self.arena, bytes)))
    }

    /// All samples of a series, in order. `scratch` is for bytes.
    pub(super) fn read(&mut self, index: u16, scratch: &mut Vec<u8>, out: &mut SeriesSamples) {
        out.clear();
        if let Some(chunk) = self.chunks.get(usize::from(index)) {
            chunk.read(&self.arena, scratch, out);
        }
        if let Some(changes) = self.starts.get(&index) {
            let start_at = |time: &i64| {
                let known = changes.partition_point(|(since, _)| since <= time);
                known.checked_sub(1).map_or(0, |at| changes[at].1)
            };
            out.start_timestamps = out.timestamps.iter().map(start_at).collect();
        }
        self.sort_late();
        let first = self.late.partition_point(|row| row.index < index);
        let mut rows = self.late[first..].iter().take_while(|row| row.index == index).peekable();
        if rows.peek().is_some() {
            let mut late = SeriesSamples::default();
            rows.for_each(|row| late.push(row.time, f64::from_bits(row.bits)));
            late.sort_and_dedup();
            out.merge(&late);
        }
        if let Some(others) = self.others.get(&index) {
            let mut others = others.clone();
            others.sort_and_dedup();
            out.merge(&others);
        }
    }

    /// The newest sample of a series inside `window`, and maybe others. `scratch` is for bytes.
    pub(super) fn read_newest(
        &mut self,
        index: u16,
        window: TimeRange,
        scratch: &mut Vec<u8>,
        out: &mut SeriesSamples,
    ) {
        match self.newest(index, window) {
            Newest::None => out.clear(),
            Newest::At { time, .. }
                if !self.starts.contains_key(&index) && !self.is_late(index, time) =>
            {
                out.clear();
                let value = self.chunks.get(usize::from(index)).map(Chunk::last_value);
                value.into_iter().for_each(|value| out.push(time, value));
            }
            _ => self.read(index, scratch, out),
        }
    }

    /// Whether there are out-of-order samples of this very time.
    fn is_late(&mut self, index: u16, time: i64) -> bool {
        self.sort_late();
        let first = self.late.partition_point(|row| (row.index, row.time) < (index, time));
        self.late.get(first).is_some_and(|row| (row.index, row.time) == (index, time))
    }

    fn sort_late(&mut self) {
        if self.late_sorted == self.late.len() {
            return;
        }
        // Sorts fast what is sorted but for its end.
        self.late.sort_by_key(LateRow::key);
        self.late.dedup_by_key(|row| row.key());
        self.late_sorted = self.late.len();
    }

    /// Exemplars of a series, by time.
    pub(super) fn exemplars(&self, index: u16) -> Vec<Exemplar> {
        let mut found = self.exemplars.get(&index).cloned().unwrap_or_default();
        found.sort_by_key(|exemplar| exemplar.timestamp_ms);
        found
    }
}

fn histogram_bytes(histogram: &Histogram) -> usize {
    use ephemeris_model::HistogramCounts::{Float, Integer};
    let buckets = match &histogram.counts {
        Integer { positive, negative, .. } => positive.len() + negative.len(),
        Float { positive, negative, .. } => positive.len() + negative.len(),
    };
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    size_of::<Histogram>() + 40 + 8 * (buckets + spans + histogram.custom_values.len())
}
