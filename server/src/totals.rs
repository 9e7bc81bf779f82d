//! What the store has of a series, for those who add up delta points.

use std::sync::Arc;

use ephemeris_ingest::otlp::{Stored, StoredSample};
use ephemeris_model::{
    Labels, Matcher, SampleBuffer, Select, Source, SourceError, TimeRange, TimestampMs, is_stale,
};
use ephemeris_storage::Store;

/// How far back a total is looked for; one that old begins anew.
const LOOKBACK_MS: i64 = 24 * 3_600_000;

/// The series of one tenant.
pub struct StoredSeries {
    /// The store.
    pub store: Arc<Store>,
    /// Name of the tenant.
    pub tenant: String,
    /// The time.
    pub now: TimestampMs,
}

impl StoredSeries {
    fn read(
        &self,
        labels: &[(&str, &str)],
        range: TimeRange,
        mut visit: impl FnMut(&SampleBuffer),
    ) -> Result<(), String> {
        let text = |error: SourceError| error.to_string();
        let reader = self.store.reader(&self.tenant).map_err(|error| error.to_string())?;
        let matchers = labels.iter().map(|(name, value)| Matcher::equal(*name, *value)).collect();
        let set = reader.select(&Select { matchers, range }).map_err(text)?;
        let wanted = Labels::from_pairs(labels.iter().copied());
        let mut buffer = SampleBuffer::default();
        for index in 0..set.len() {
            // Series with more labels match too.
            if set.labels(index) == wanted {
                set.read(index..index + 1, &mut buffer, &mut |_, samples| {
                    visit(samples);
                    Ok(())
                })
                .map_err(text)?;
            }
        }
        Ok(())
    }
}

impl Stored for StoredSeries {
    fn newest(&self, labels: &[(&str, &str)]) -> Result<Option<StoredSample>, String> {
        let range = TimeRange::inclusive(self.now + -LOOKBACK_MS, self.now + LOOKBACK_MS);
        let mut newest = None;
        self.read(labels, range, |samples| {
            let is_value = |at: &usize| !is_stale(samples.values[*at]);
            let Some(at) = (0..samples.len()).rev().find(is_value) else { return };
            newest = Some(StoredSample {
                timestamp_ms: samples.timestamps[at],
                start_ms: samples.start_timestamps.get(at).copied().unwrap_or(0),
                value: samples.values[at],
                histogram: samples.histogram_at(at).cloned(),
            });
        })?;
        Ok(newest)
    }

    fn holds(&self, labels: &[(&str, &str)], timestamp_ms: i64) -> Result<bool, String> {
        let time = TimestampMs(timestamp_ms);
        let mut holds = false;
        let range = TimeRange::inclusive(time, time);
        self.read(labels, range, |samples| holds |= !samples.is_empty())?;
        Ok(holds)
    }
}
