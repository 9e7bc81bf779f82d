//! A sample, the staleness marker, and the columns a reader fills with samples.

use std::sync::Arc;

use crate::histogram::FloatHistogram;

/// Bits of the staleness marker: the NaN that ends a series
/// (Prometheus remote-write specification, "Stale Markers").
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a value. Compare with [`is_stale`], never with `==`.
#[must_use]
pub const fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the staleness marker; other NaNs are ordinary values.
#[inline]
#[must_use]
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// A float sample: milliseconds since the epoch and a value, kept bit for bit.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The value; NaN payloads and the sign of zero are significant.
    pub value: f64,
}

/// Samples of one series as columns, in ascending order of time, one per timestamp.
///
/// Floats are the normal case and lie in `values`. Where a sample is a native histogram its place
/// in `values` holds NaN and `histograms` holds `(position, histogram)`, ascending by position.
/// A staleness marker is a float, whatever kind of sample came before it.
#[derive(Clone, Debug, Default)]
pub struct SampleBuffer {
    /// Milliseconds since the epoch, strictly ascending.
    pub timestamps: Vec<i64>,
    /// One value per timestamp.
    pub values: Vec<f64>,
    /// The samples that are histograms, by position; empty for a series of floats.
    pub histograms: Vec<(u32, Arc<FloatHistogram>)>,
    /// Start timestamps (0 = unknown), one per sample, or empty if no sample has one.
    pub start_timestamps: Vec<i64>,
}

impl SampleBuffer {
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

    /// Appends a float. The caller keeps timestamps ascending.
    pub fn push(&mut self, timestamp_ms: i64, value: f64) {
        self.timestamps.push(timestamp_ms);
        self.values.push(value);
        if !self.start_timestamps.is_empty() {
            self.start_timestamps.push(0);
        }
    }

    /// Appends a histogram. The caller keeps timestamps ascending.
    pub fn push_histogram(&mut self, timestamp_ms: i64, histogram: Arc<FloatHistogram>) {
        let position = u32::try_from(self.timestamps.len()).unwrap_or(u32::MAX);
        self.histograms.push((position, histogram));
        self.push(timestamp_ms, f64::NAN);
    }

    /// Gives the newest sample a start timestamp; earlier samples without one get 0, unknown.
    pub fn set_last_start(&mut self, start_ms: i64) {
        self.start_timestamps.resize(self.timestamps.len(), 0);
        if let Some(last) = self.start_timestamps.last_mut() {
            *last = start_ms;
        }
    }

    /// The histogram at `position`, if that sample is one.
    #[must_use]
    pub fn histogram_at(&self, position: usize) -> Option<&Arc<FloatHistogram>> {
        if self.histograms.is_empty() {
            return None;
        }
        let wanted = u32::try_from(position).ok()?;
        let found = self.histograms.binary_search_by_key(&wanted, |(at, _)| *at).ok()?;
        Some(&self.histograms[found].1)
    }
}
