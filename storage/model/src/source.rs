//! The seam between queries and storage: [`Source`] is one tenant's data as it stands.

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::metadata::{Exemplar, Metadata};
use crate::sample::SampleBuffer;
use crate::time::{TimeRange, TimestampMs};

/// Which series, and which of their time.
#[derive(Clone, Debug)]
pub struct Select {
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Samples outside are not read. A series without a sample inside may still be listed.
    pub range: TimeRange,
}

/// Which series are counted, and when.
#[derive(Clone, Debug)]
pub struct SeriesCount {
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// A series counts if its newest sample inside is no staleness marker.
    pub window: TimeRange,
    /// Names of the labels that make the groups; none for one group of all.
    pub by: Vec<String>,
}

/// Series counted by group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesCounts {
    /// Each group's labels and its number of series, which is above 0, in no particular order.
    pub groups: Vec<(Labels, u64)>,
    /// Series that were looked at; some may have no sample in the window.
    pub looked_at: u64,
}

impl SeriesCount {
    /// The window that ends at `at`, included, and is `length_ms` long, its start left out.
    #[must_use]
    pub const fn window_before(at: TimestampMs, length_ms: i64) -> TimeRange {
        let first = at.saturating_add(length_ms.saturating_neg()).saturating_add(1);
        TimeRange::inclusive(first, at)
    }
}

/// Why a source could not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// The caller asked to stop.
    #[error("the query was canceled")]
    Canceled,
    /// A limit of the store was passed.
    #[error("{0}")]
    Limit(String),
    /// Reading failed.
    #[error("{0}")]
    Io(String),
}

/// One tenant's data: what was acknowledged before it was taken is in it. What is written while it
/// is held may or may not show.
pub trait Source: Send + Sync {
    /// The series that satisfy the matchers, each once, in an order of the store's own.
    ///
    /// # Errors
    /// If the index cannot be read. Damage that leaves an answer possible is a warning of the set.
    fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet + '_>, SourceError>;

    /// Counts series without reading their samples. `None` if that cannot be told exactly, or not
    /// for less than reading them: then [`Source::select`] has to tell.
    ///
    /// # Errors
    /// As [`Source::select`]; damage is `None`.
    fn count_series(&self, _count: &SeriesCount) -> Result<Option<SeriesCounts>, SourceError> {
        Ok(None)
    }

    /// Sorted names of labels on series that satisfy any of `selectors` (all series if there is
    /// none). The range is approximate: names of series without a sample inside may be listed.
    ///
    /// # Errors
    /// As [`Source::select`].
    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<String>, SourceError>;

    /// Sorted values of label `name` on series that satisfy any of `selectors`.
    ///
    /// # Errors
    /// As [`Source::select`].
    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<String>, SourceError>;

    /// Metadata of metric families, or of the one named `metric`; at most 4 entries a family.
    ///
    /// # Errors
    /// If it cannot be read.
    fn metadata(&self, metric: Option<&str>) -> Result<Vec<Metadata>, SourceError>;

    /// Exemplars inside the range of series that satisfy any of `selectors`, by series and time.
    ///
    /// # Errors
    /// As [`Source::select`].
    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SourceError>;

    /// What the lists of labels and exemplars answered so far lack: damage met, in words for the
    /// answer's `warnings`. Those of a selection are with its set.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What was read of stored pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadStats {
    /// Pages opened, each time.
    pub pages: u64,
    /// Their bytes, uncompressed.
    pub bytes: u64,
}

impl std::ops::AddAssign for ReadStats {
    fn add_assign(&mut self, other: Self) {
        self.pages += other.pages;
        self.bytes += other.bytes;
    }
}

/// The series of one selection. Threads may read different series of it at the same time.
pub trait SeriesSet: Send + Sync {
    /// Number of series.
    fn len(&self) -> usize;

    /// Whether there is no series.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label set of series `index`, which must be below [`SeriesSet::len`].
    fn labels(&self, index: usize) -> Labels;

    /// Reads the samples of the series `indices` inside the selection's range, in order: clears
    /// `buffer`, fills it, hands it to `visit` with the index, and goes on to the next series.
    /// Neighbouring series share pages, so a run of indices is cheaper than its series one by one.
    ///
    /// # Errors
    /// If reading fails, or what `visit` returns.
    fn read(
        &self,
        indices: Range<usize>,
        buffer: &mut SampleBuffer,
        visit: &mut dyn FnMut(usize, &SampleBuffer) -> Result<(), SourceError>,
    ) -> Result<(), SourceError>;

    /// As [`SeriesSet::read`] for who looks at nothing but the newest sample of each series inside
    /// the range: older ones may be left out.
    ///
    /// # Errors
    /// As [`SeriesSet::read`].
    fn read_newest(
        &self,
        indices: Range<usize>,
        buffer: &mut SampleBuffer,
        visit: &mut dyn FnMut(usize, &SampleBuffer) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        self.read(indices, buffer, visit)
    }

    /// What the answer lacks: damage met so far, in words for the answer's `warnings`.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What was read of stored pages so far; nothing for samples that are in memory anyway.
    fn read_stats(&self) -> ReadStats {
        ReadStats::default()
    }
}
