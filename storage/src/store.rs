//! The façade: open, write, reader, close.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ephemeris_model::{
    BodyDecoder, LogBatch, LogOutcome, Matcher, Metadata, TimeRange, WriteBatch, WriteOutcome,
};
use hashbrown::HashSet;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxBuildHasher;
use std::hash::{BuildHasher, RandomState};

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Background, StoreConfig};
use crate::disk::DiskState;
use crate::error::{Error, Result};
use crate::faults::Faults;
use crate::logs;
use crate::maintenance::{LogDeletion, LogDeletionStatus, Work};
use crate::metrics::head::generation::Generation;
use crate::reader::{ReadLimits, Reader};
use crate::rocks::Rocks;
use crate::series::TenantId;
use crate::stats::{Counters, StoreStats};
use crate::version::Version;
use crate::wal::record::{Record, Verdicts};
use crate::wal::{Wal, WalContext};
use crate::write::{self, Bounds};

/// Hashes of metadata kept to tell what was stored before.
const METADATA_SEEN_MAX: usize = 500_000;

/// An open store. All methods may be called from many threads at once.
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the façade, the readers and background work share.
pub(crate) struct Inner {
    pub(crate) config: StoreConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rocks: Arc<Rocks>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) wal: Arc<WalContext>,
    /// Where writes go. Held shared from the check of a request to its place in the head, so that
    /// a request lies in the WAL file of the generation that has its samples.
    pub(crate) open: RwLock<Open>,
    pub(crate) version: RwLock<Arc<Version>>,
    pub(crate) work: Work,
    pub(crate) counters: Counters,
    pub(crate) disk: DiskState,
    pub(crate) faults: Arc<Faults>,
    /// Bytes of the identities, measured now and then.
    pub(crate) identity_bytes: AtomicU64,
    pub(crate) closed: AtomicBool,
    pub(crate) metadata_seen: MetadataSeen,
    /// Keeps other processes out for as long as it is open.
    pub(crate) _lock: File,
}

/// The open generation and its WAL file.
pub(crate) struct Open {
    pub(crate) generation: Arc<Generation>,
    pub(crate) wal: Wal,
}

impl Store {
    /// Opens the store in `config.data_dir`, creating it if it is missing; locks the directory
    /// and replays the WAL.
    ///
    /// # Errors
    /// If the directory is in use, cannot be read or written, or is of a newer format.
    #[expect(clippy::needless_pass_by_value, reason = "what replays is handed over")]
    pub fn open(
        config: StoreConfig,
        decoder: Arc<dyn BodyDecoder>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        Self::open_with(config, &*decoder, clock, Arc::default())
    }

    /// As [`Store::open`], with places that can be made to fail.
    pub(crate) fn open_with(
        config: StoreConfig,
        decoder: &dyn BodyDecoder,
        clock: Arc<dyn Clock>,
        faults: Arc<Faults>,
    ) -> Result<Self> {
        let inner = Arc::new(crate::open::open(config, decoder, clock, faults)?);
        let threads = match inner.config.background {
            Background::Thread => crate::maintenance::spawn(&inner)?,
            Background::Caller => Vec::new(),
        };
        Ok(Self { inner, threads: Mutex::new(threads) })
    }

    /// Stores what is good in `batch` and says what was refused. When it returns, the good part is
    /// durable (see [`Durability`](crate::Durability)) and in the next reader's answers.
    ///
    /// # Errors
    /// `Busy` if the head or the disk is full, which passes; `Closed` after a failed sync or when
    /// the store is closed. Nothing of the batch is acknowledged then.
    pub fn write(&self, tenant: &str, batch: &WriteBatch<'_>) -> Result<WriteOutcome> {
        let inner = &*self.inner;
        inner.check_open()?;
        inner.check_disk()?;
        let tenant_id = inner.catalog.tenant_or_create(tenant)?;
        let received_at = inner.clock.now();
        let bounds = Bounds::at(received_at, inner.config.limits, inner.config.retention_ms);

        let open = inner.open.read();
        inner.check_room(&open)?;
        let identity = open.generation.identity();
        let checked = write::check(identity, tenant_id, batch, &bounds, Verdicts::default());
        if checked.is_empty() && batch.metadata.is_empty() {
            return Ok(checked.into_outcome());
        }
        let (kind, body, verdicts) = (batch.kind, batch.body, checked.verdicts());
        open.wal.append(&Record { kind, received_at, tenant, verdicts, body })?;
        // Durable from here; what follows cannot fail.
        let late = write::apply(&open.generation, batch, &checked);
        inner.catalog.changes().wrote(tenant, batch);
        let full = inner.is_full(&open);
        drop(open);

        inner.store_metadata(tenant_id, &batch.metadata);
        inner.counters.add_write(&checked.outcome, late, checked.series_created);
        if full {
            inner.work.wake_sealer();
        }
        Ok(checked.into_outcome())
    }

    /// As [`Store::write`], for log entries.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_logs(&self, tenant: &str, batch: &LogBatch<'_>) -> Result<LogOutcome> {
        let inner = &*self.inner;
        inner.check_open()?;
        inner.check_disk()?;
        let tenant_id = inner.catalog.tenant_or_create(tenant)?;
        let received_at = inner.clock.now();
        let bounds = Bounds::at(received_at, inner.config.limits, inner.config.retention_ms);

        let open = inner.open.read();
        inner.check_room(&open)?;
        let (logs, none) = (open.generation.logs(), Verdicts::default());
        let checked = logs::write::check(logs, (tenant_id, tenant), batch, &bounds, none);
        if checked.is_empty() {
            return Ok(checked.into_outcome());
        }
        let (kind, body, verdicts) = (batch.kind, batch.body, checked.verdicts());
        open.wal.append(&Record { kind, received_at, tenant, verdicts, body })?;
        // Durable from here; what follows cannot fail.
        logs::write::apply(logs, batch, &checked);
        let full = inner.is_full(&open);
        drop(open);

        inner.counters.add_logs(&checked.outcome, checked.streams_created);
        if full {
            inner.work.wake_sealer();
        }
        Ok(checked.into_outcome())
    }

    /// One tenant's data as it stands now.
    ///
    /// # Errors
    /// None today; a reader of a store that is closed reads on.
    pub fn reader(&self, tenant: &str) -> Result<Reader> {
        let inner = &*self.inner;
        Ok(Reader {
            version: inner.version(),
            catalog: Arc::clone(&inner.catalog),
            tenant: inner.catalog.tenant(tenant),
            oldest: inner.oldest(),
            warnings: Mutex::default(),
            stop: None,
            limits: ReadLimits::default(),
        })
    }

    /// The number of the newest change of samples, for [`Store::changed_since`].
    #[must_use]
    pub fn changes_seen(&self) -> u64 {
        self.inner.catalog.changes().seen()
    }

    /// The pieces of `range` in which samples of the tenant may have changed since
    /// [`Store::changes_seen`] answered `seen`, in order; `None` if all of it may have.
    ///
    /// An answer computed with a reader that was made after `seen` was taken is right for all times
    /// that are not named. It may be kept as of a younger number that was taken before this call.
    #[must_use]
    pub fn changed_since(
        &self,
        seen: u64,
        tenant: &str,
        range: TimeRange,
    ) -> Option<Vec<TimeRange>> {
        self.inner.catalog.changes().since(seen, tenant, range)
    }

    /// Writes all that is in the head to blocks.
    ///
    /// # Errors
    /// If the disk fails; the head then stays as it is.
    pub fn seal(&self) -> Result<()> {
        self.inner.seal()
    }

    /// One round of background work: seals and merges what is due, deletes what is too old.
    ///
    /// # Errors
    /// If the disk fails; the next round tries again.
    pub fn maintain(&self) -> Result<()> {
        self.inner.maintain()
    }

    /// Deletes what series that satisfy all matchers of any selector have in `range`. It is gone
    /// from answers at once and from disk after the next merge; what is written afterwards lives.
    ///
    /// # Errors
    /// If the head cannot be sealed or the catalog not be written; `Limit` if too many deletions
    /// wait for [`Store::clean_tombstones`].
    pub fn delete_series(
        &self,
        tenant: &str,
        selectors: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> Result<()> {
        self.inner.delete_series(tenant, selectors, range)
    }

    /// Deletes log entries: they are gone from answers at once, and from disk after
    /// [`StoreConfig::log_delete_cancel_ms`]. What is written afterwards lives. Answers what the
    /// deletion is told by.
    ///
    /// # Errors
    /// If the head cannot be sealed or the catalog not be written; `Limit` if too many deletions
    /// are not done on disk.
    pub fn delete_logs(&self, tenant: &str, deletion: LogDeletion) -> Result<u64> {
        self.inner.delete_logs(tenant, deletion)
    }

    /// The deletions of log entries of a tenant, oldest first; those that are done stay in the
    /// list until there are many.
    #[must_use]
    pub fn log_deletions(&self, tenant: &str) -> Vec<LogDeletionStatus> {
        self.inner.log_deletions(tenant)
    }

    /// Takes a deletion of log entries back: what is still on disk shows again.
    ///
    /// # Errors
    /// `NotFound` if there is no such deletion, or the catalog cannot be written.
    pub fn cancel_log_deletion(&self, tenant: &str, id: u64) -> Result<()> {
        self.inner.cancel_log_deletion(tenant, id)
    }

    /// Removes from disk what was deleted, log entries whose deletion could be taken back too. Damaged blocks keep theirs, hidden.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn clean_tombstones(&self) -> Result<()> {
        self.inner.clean_tombstones()
    }

    /// Makes a copy of the data directory in `dir`, which must not exist. A store opened there has
    /// all that was acknowledged before the call.
    ///
    /// # Errors
    /// If `dir` exists or the copy fails.
    pub fn snapshot(&self, dir: &Path) -> Result<()> {
        self.inner.snapshot(dir)
    }

    /// Has `then` called, on a thread of the store, each time much memory was freed: by a seal or
    /// by a merge. Only the first call of this counts.
    pub fn when_freed(&self, then: fn()) {
        // A second one is refused.
        let _ = self.inner.work.when_freed.set(then);
    }

    /// What the store tells about itself.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    /// Refuses writes from now on and seals the head, if that takes no longer than `grace`; what
    /// is not sealed stays in the WAL. Readers go on.
    ///
    /// # Errors
    /// If sealing fails; what was acknowledged is safe in the WAL.
    pub fn close(&self, grace: Duration) -> Result<()> {
        self.inner.closed.store(true, Ordering::Release);
        match self.inner.config.background {
            Background::Thread => self.inner.work.seal_within(grace),
            Background::Caller => self.inner.seal(),
        }
    }
}

impl Drop for Store {
    /// Ends background work. The head is not sealed: it is in the WAL.
    fn drop(&mut self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.work.stop();
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has told so.
            let _ = thread.join();
        }
    }
}

impl Inner {
    /// What a reader sees now.
    pub(crate) fn version(&self) -> Arc<Version> {
        Arc::clone(&self.version.read())
    }

    /// Samples before this are past the retention.
    pub(crate) fn oldest(&self) -> ephemeris_model::TimestampMs {
        self.clock.now() + -self.config.retention_ms
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed("the store is shutting down".to_owned()));
        }
        Ok(())
    }

    /// Refuses a write while the head is too full, which lasts until a generation is sealed.
    fn check_room(&self, open: &Open) -> Result<()> {
        let version = self.version();
        let generations = version.generations();
        let head = self.identity_bytes.load(Ordering::Relaxed)
            + generations.map(|g| g.bytes()).sum::<u64>();
        let budget = self.config.memory_budget_bytes;
        let text = if head > budget {
            format!("the head holds {head} bytes; limit is {budget} (memory_budget)")
        } else if self.fill(open) > 1.5 {
            "the open generation of the head is full and the one before is not sealed yet"
                .to_owned()
        } else {
            return Ok(());
        };
        self.counters.writes_busy.fetch_add(1, Ordering::Relaxed);
        self.work.wake_sealer();
        Err(Error::Busy(text))
    }

    /// How full the open generation is: at 1 it should be sealed.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub(crate) fn fill(&self, open: &Open) -> f64 {
        let generation = &open.generation;
        let series = u64::from(generation.identity().series_count());
        let part = |bytes: u64, max: u64| bytes as f64 / max.max(1) as f64;
        part(generation.chunk_bytes(), self.config.chunk_bytes_max(series))
            .max(part(generation.late_bytes(), self.config.head_late_bytes_max))
            .max(part(generation.logs().bytes(), self.config.head_log_bytes_max))
            .max(part(open.wal.bytes(), self.config.head_wal_bytes_max))
    }

    fn is_full(&self, open: &Open) -> bool {
        self.fill(open) >= 1.0
    }

    /// Stores metadata that was not seen before. It is in the WAL, so a failure loses nothing.
    pub(crate) fn store_metadata(&self, tenant: TenantId, metadata: &[Metadata]) {
        let new = self.metadata_seen.new_ones(tenant, metadata);
        if let Err(error) = self.catalog.put_metadata(tenant, &new) {
            tracing::warn!(%error, "metadata could not be stored");
        }
    }
}

/// What metadata was stored before, so that repeats cost a look only: remote write 2.0 brings it
/// with every series of every request.
pub(crate) struct MetadataSeen {
    hashes: RwLock<HashSet<u64, FxBuildHasher>>,
    random: RandomState,
}

impl MetadataSeen {
    pub(crate) fn new() -> Self {
        Self { hashes: RwLock::default(), random: RandomState::new() }
    }

    fn new_ones(&self, tenant: TenantId, metadata: &[Metadata]) -> Vec<Metadata> {
        if metadata.is_empty() {
            return Vec::new();
        }
        let hashed = metadata.iter().map(|one| (self.random.hash_one((tenant, one)), one));
        let unseen: Vec<(u64, &Metadata)> = {
            let seen = self.hashes.read();
            hashed.filter(|(hash, _)| !seen.contains(hash)).collect()
        };
        if unseen.is_empty() {
            return Vec::new();
        }
        let mut seen = self.hashes.write();
        if seen.len() + unseen.len() > METADATA_SEEN_MAX {
            seen.clear();
        }
        let mut new = Vec::new();
        for (hash, one) in unseen {
            if seen.insert(hash) {
                new.push(one.clone());
            }
        }
        new
    }
}
