//! Samples of one series with exact histograms, and the rule for conflicts between them.
//!
//! The rule makes merging commutative, associative and idempotent, so heads, blocks, merges,
//! replay and replicas agree without sequence numbers: at one timestamp a sample beats a staleness
//! marker, a histogram beats a float, and else the greater in a total order of bits stays.

use std::cmp::Ordering;
use std::sync::Arc;

use ephemeris_model::{
    FloatHistogram, Histogram, HistogramCounts, SampleBuffer, Span, TimeRange, TimestampMs,
    is_stale,
};

/// Samples of one series as columns, ascending in time, one per timestamp.
///
/// As [`SampleBuffer`], but histograms are kept as they were received. Where a sample is a
/// histogram its place in `values` holds NaN. A staleness marker is a float, whatever came before.
#[derive(Clone, Debug, Default)]
pub struct SeriesSamples {
    /// Milliseconds since the epoch, strictly ascending.
    pub timestamps: Vec<i64>,
    /// One value per timestamp.
    pub values: Vec<f64>,
    /// The samples that are histograms, by position, ascending.
    pub histograms: Vec<(u32, Arc<Histogram>)>,
    /// Start timestamps (0 = unknown), one per sample, or empty if no sample has one.
    pub start_timestamps: Vec<i64>,
}

/// Which samples of a range are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// The newest; older ones may come as well.
    Newest,
}

/// What is known of the newest sample of a series in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newest {
    /// There is no sample.
    None,
    /// Samples have to be read to tell.
    Unknown,
    /// There is one.
    At {
        /// Its time, in milliseconds since the epoch.
        time: i64,
        /// Whether it is a staleness marker.
        stale: bool,
    },
}

/// One sample, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct SampleRef<'a> {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The value, if it is no histogram.
    pub value: f64,
    /// The histogram, if it is one.
    pub histogram: Option<&'a Arc<Histogram>>,
    /// The start timestamp, 0 if unknown.
    pub start: i64,
}

impl SampleRef<'_> {
    /// Which of two samples at one timestamp stays: the greater. Equal only if they are the same.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Ordering {
        self.class()
            .cmp(&other.class())
            .then_with(|| match (self.histogram, other.histogram) {
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) => Ordering::Equal,
                (Some(a), Some(b)) => compare_histograms(a, b),
                _ => self.value.total_cmp(&other.value),
            })
            .then_with(|| self.start.cmp(&other.start))
    }

    fn class(&self) -> u8 {
        match self.histogram {
            Some(_) => 2,
            None => u8::from(!is_stale(self.value)),
        }
    }
}

impl SeriesSamples {
    /// Forgets all samples, keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.histograms.clear();
        self.start_timestamps.clear();
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Appends a float. The caller keeps timestamps ascending, or calls
    /// [`SeriesSamples::sort_and_dedup`] afterwards.
    #[inline]
    pub fn push(&mut self, timestamp_ms: i64, value: f64) {
        self.timestamps.push(timestamp_ms);
        self.values.push(value);
        if !self.start_timestamps.is_empty() {
            self.start_timestamps.push(0);
        }
    }

    /// Appends a histogram; one whose sum is the staleness marker is that marker.
    pub fn push_histogram(&mut self, timestamp_ms: i64, histogram: Arc<Histogram>) {
        if is_stale(histogram.sum) {
            return self.push(timestamp_ms, histogram.sum);
        }
        let position = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.histograms.push((position, histogram));
        self.push(timestamp_ms, f64::NAN);
    }

    /// Gives the newest sample a start timestamp; earlier samples without one get 0, unknown.
    pub fn set_last_start(&mut self, start_ms: i64) {
        if start_ms == 0 && self.start_timestamps.is_empty() {
            return;
        }
        self.start_timestamps.resize(self.timestamps.len(), 0);
        if let Some(last) = self.start_timestamps.last_mut() {
            *last = start_ms;
        }
    }

    /// Appends a sample of another series or set.
    pub fn push_ref(&mut self, sample: SampleRef<'_>) {
        match sample.histogram {
            Some(histogram) => self.push_histogram(sample.timestamp, Arc::clone(histogram)),
            None => self.push(sample.timestamp, sample.value),
        }
        if sample.start != 0 {
            self.set_last_start(sample.start);
        }
    }

    /// All samples in order.
    pub fn iter(&self) -> impl Iterator<Item = SampleRef<'_>> {
        let mut histograms = self.histograms.iter().peekable();
        self.timestamps.iter().zip(&self.values).enumerate().map(
            move |(i, (&timestamp, &value))| {
                let here = histograms.next_if(|(position, _)| *position as usize == i);
                SampleRef {
                    timestamp,
                    value,
                    histogram: here.map(|(_, histogram)| histogram),
                    start: self.start_timestamps.get(i).copied().unwrap_or(0),
                }
            },
        )
    }

    /// Takes in the samples of `other`, by the conflict rule. Both are sorted.
    pub fn merge(&mut self, other: &Self) {
        let (Some(&first), Some(&last)) = (other.timestamps.first(), self.timestamps.last()) else {
            if self.is_empty() {
                self.clone_from(other);
            }
            return;
        };
        if last < first {
            return self.append(other);
        }
        if self.is_same(other) {
            return;
        }
        let mut merged = Self::default();
        merged.timestamps.reserve(self.len() + other.len());
        merged.values.reserve(self.len() + other.len());
        {
            let mut mine = self.iter().peekable();
            let mut theirs = other.iter().peekable();
            while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
                let taken = match a.timestamp.cmp(&b.timestamp) {
                    Ordering::Less => mine.next(),
                    Ordering::Greater => theirs.next(),
                    Ordering::Equal => match (mine.next(), theirs.next()) {
                        (Some(a), Some(b)) if a.precedence(&b).is_lt() => Some(b),
                        (a, _) => a,
                    },
                };
                if let Some(sample) = taken {
                    merged.push_ref(sample);
                }
            }
            mine.chain(theirs).for_each(|sample| merged.push_ref(sample));
        }
        *self = merged;
    }

    /// Whether both are floats of the same times and bits: a repeat.
    fn is_same(&self, other: &Self) -> bool {
        let plain =
            |samples: &Self| samples.histograms.is_empty() && samples.start_timestamps.is_empty();
        let same_bits = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
        plain(self)
            && plain(other)
            && self.timestamps == other.timestamps
            && self.values.iter().zip(&other.values).all(same_bits)
    }

    /// Appends samples that are all later than the last one here.
    fn append(&mut self, other: &Self) {
        let before = self.len();
        let shift = u32::try_from(before).unwrap_or(u32::MAX);
        self.timestamps.extend_from_slice(&other.timestamps);
        self.values.extend_from_slice(&other.values);
        let moved =
            other.histograms.iter().map(|(at, h)| (at.saturating_add(shift), Arc::clone(h)));
        self.histograms.extend(moved);
        if !other.start_timestamps.is_empty() {
            self.start_timestamps.resize(before, 0);
            self.start_timestamps.extend_from_slice(&other.start_timestamps);
        } else if !self.start_timestamps.is_empty() {
            self.start_timestamps.resize(self.timestamps.len(), 0);
        }
    }

    /// Brings samples in any order, with repeats, into order by the conflict rule.
    pub fn sort_and_dedup(&mut self) {
        if self.timestamps.is_sorted_by(|a, b| a < b) {
            return;
        }
        let mut sorted = Self::default();
        {
            let mut samples: Vec<SampleRef<'_>> = self.iter().collect();
            samples.sort_by(|a, b| a.timestamp.cmp(&b.timestamp).then_with(|| b.precedence(a)));
            samples.dedup_by_key(|sample| sample.timestamp);
            samples.into_iter().for_each(|sample| sorted.push_ref(sample));
        }
        *self = sorted;
    }

    /// Positions of the samples inside `range`.
    #[must_use]
    pub fn positions(&self, range: TimeRange) -> std::ops::Range<usize> {
        let before = |at: TimestampMs| self.timestamps.partition_point(|&t| t < at.0);
        let start = before(range.start);
        start..before(range.end).max(start)
    }

    /// Appends the samples inside `range`, which are later than those in `out`, for a query.
    pub fn append_range_to(&self, range: TimeRange, out: &mut SampleBuffer) {
        let positions = self.positions(range);
        let before = out.timestamps.len();
        out.timestamps.extend_from_slice(&self.timestamps[positions.clone()]);
        out.values.extend_from_slice(&self.values[positions.clone()]);
        let first = self.histograms.partition_point(|(at, _)| (*at as usize) < positions.start);
        for (at, histogram) in &self.histograms[first..] {
            let at = *at as usize;
            if at >= positions.end {
                break;
            }
            let position = u32::try_from(before + at - positions.start).unwrap_or(u32::MAX);
            out.histograms.push((position, Arc::new(FloatHistogram::from(&**histogram))));
        }
        if !self.start_timestamps.is_empty() {
            out.start_timestamps.resize(before, 0);
            out.start_timestamps.extend_from_slice(&self.start_timestamps[positions]);
        } else if !out.start_timestamps.is_empty() {
            out.start_timestamps.resize(out.timestamps.len(), 0);
        }
    }

    /// Hands the samples inside `range` to `out`, which is empty; the columns change owners where
    /// that is possible.
    pub fn move_range_to(&mut self, range: TimeRange, out: &mut SampleBuffer) {
        if !self.histograms.is_empty() || self.positions(range) != (0..self.len()) {
            return self.append_range_to(range, out);
        }
        std::mem::swap(&mut self.timestamps, &mut out.timestamps);
        std::mem::swap(&mut self.values, &mut out.values);
        std::mem::swap(&mut self.start_timestamps, &mut out.start_timestamps);
    }

    /// The newest sample inside `window`.
    #[must_use]
    pub fn newest(&self, window: TimeRange) -> Newest {
        match self.positions(window).last() {
            Some(at) => Newest::At { time: self.timestamps[at], stale: is_stale(self.values[at]) },
            None => Newest::None,
        }
    }

    /// Removes the samples inside `range`.
    pub fn remove_range(&mut self, range: TimeRange) {
        let positions = self.positions(range);
        if positions.is_empty() {
            return;
        }
        let mut kept = Self::default();
        let outside = self.iter().enumerate().filter(|(at, _)| !positions.contains(at));
        outside.for_each(|(_, sample)| kept.push_ref(sample));
        *self = kept;
    }

    /// Keeps only the samples inside `range`.
    pub fn retain_range(&mut self, range: TimeRange) {
        let positions = self.positions(range);
        if positions == (0..self.len()) {
            return;
        }
        let mut kept = Self::default();
        let wanted = self.iter().skip(positions.start).take(positions.len());
        wanted.for_each(|sample| kept.push_ref(sample));
        *self = kept;
    }
}

/// A total order of histograms, equal only if they are the same bit for bit.
fn compare_histograms(a: &Histogram, b: &Histogram) -> Ordering {
    compare_counts(&a.counts, &b.counts)
        .then_with(|| a.sum.total_cmp(&b.sum))
        .then_with(|| a.schema.cmp(&b.schema))
        .then_with(|| a.zero_threshold.total_cmp(&b.zero_threshold))
        .then_with(|| (a.reset_hint as u8).cmp(&(b.reset_hint as u8)))
        .then_with(|| compare_spans(&a.positive_spans, &b.positive_spans))
        .then_with(|| compare_spans(&a.negative_spans, &b.negative_spans))
        .then_with(|| compare_floats(&a.custom_values, &b.custom_values))
}

fn compare_counts(a: &HistogramCounts, b: &HistogramCounts) -> Ordering {
    use HistogramCounts::{Float, Integer};
    match (a, b) {
        (Integer { .. }, Float { .. }) => Ordering::Less,
        (Float { .. }, Integer { .. }) => Ordering::Greater,
        (
            Integer { count, zero_count, positive, negative },
            Integer { count: count_b, zero_count: zero_b, positive: pos_b, negative: neg_b },
        ) => (count, zero_count, positive, negative).cmp(&(count_b, zero_b, pos_b, neg_b)),
        (
            Float { count, zero_count, positive, negative },
            Float { count: count_b, zero_count: zero_b, positive: pos_b, negative: neg_b },
        ) => count
            .total_cmp(count_b)
            .then_with(|| zero_count.total_cmp(zero_b))
            .then_with(|| compare_floats(positive, pos_b))
            .then_with(|| compare_floats(negative, neg_b)),
    }
}

fn compare_floats(a: &[f64], b: &[f64]) -> Ordering {
    let differing = a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn compare_spans(a: &[Span], b: &[Span]) -> Ordering {
    a.iter().map(|s| (s.offset, s.length)).cmp(b.iter().map(|s| (s.offset, s.length)))
}

#[cfg(test)]
mod tests;
