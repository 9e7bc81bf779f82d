//! What the store tells about itself: plain numbers. The doc comment of each is the help text of
//! the metric made of it.

use std::sync::atomic::{AtomicU64, Ordering};

use ephemeris_model::{LogOutcome, WriteOutcome};

use crate::store::Inner;

/// Numbers of a store at one moment. Totals count from the opening of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Series in the head: those written to since the identities were last swept.
    pub head_series: u64,
    /// Bytes of the head for label sets, their index and the table that finds them.
    pub head_identity_bytes: u64,
    /// Bytes of the head for chunks.
    pub head_chunk_bytes: u64,
    /// Bytes of the head for out-of-order samples.
    pub head_late_bytes: u64,
    /// Streams in the head.
    pub head_streams: u64,
    /// Bytes of the head for log entries.
    pub head_log_bytes: u64,
    /// Log entries in the head.
    pub head_entries: u64,
    /// Samples in the head.
    pub head_samples: u64,
    /// Generations of the head: one, or two while one is being sealed.
    pub head_generations: u64,
    /// Float samples written.
    pub samples_written_total: u64,
    /// Histograms written.
    pub histograms_written_total: u64,
    /// Exemplars written.
    pub exemplars_written_total: u64,
    /// Log entries written.
    pub entries_written_total: u64,
    /// Bytes of lines of log entries written.
    pub line_bytes_written_total: u64,
    /// Streams created in the head.
    pub streams_created_total: u64,
    /// Out-of-order samples written.
    pub samples_late_total: u64,
    /// Series created in the head.
    pub series_created_total: u64,
    /// Writes refused because the head was full.
    pub writes_busy_total: u64,
    /// Bytes of WAL files on disk.
    pub wal_bytes: u64,
    /// Records appended to the WAL.
    pub wal_records_total: u64,
    /// Bytes written to the WAL.
    pub wal_written_bytes_total: u64,
    /// Syncs of the WAL.
    pub wal_syncs_total: u64,
    /// Nanoseconds spent in syncs of the WAL.
    pub wal_sync_ns_total: u64,
    /// Records read back from the WAL at start.
    pub wal_records_replayed: u64,
    /// Damaged places met in the WAL at start.
    pub wal_damages: u64,
    /// 1 after a failed sync: writes are refused until a restart.
    pub wal_poisoned: u64,
    /// Sealed blocks.
    pub blocks: u64,
    /// Bytes of sealed blocks.
    pub block_bytes: u64,
    /// Samples in sealed blocks.
    pub block_samples: u64,
    /// Sealed blocks of log entries.
    pub log_blocks: u64,
    /// Bytes of sealed blocks of log entries.
    pub log_block_bytes: u64,
    /// Log entries in sealed blocks.
    pub log_block_entries: u64,
    /// Seals completed.
    pub seals_total: u64,
    /// Seals that failed; each is tried again.
    pub seals_failed_total: u64,
    /// Bytes of the blocks that seals wrote.
    pub seal_written_bytes_total: u64,
    /// Nanoseconds spent sealing.
    pub seal_ns_total: u64,
    /// Merges of blocks completed.
    pub compactions_total: u64,
    /// Merges of blocks that failed; each is tried again.
    pub compactions_failed_total: u64,
    /// Bytes of the blocks that merges wrote.
    pub compaction_written_bytes_total: u64,
    /// Nanoseconds spent merging blocks.
    pub compaction_ns_total: u64,
    /// Blocks deleted because they were past the retention, by age or by bytes.
    pub blocks_expired_total: u64,
    /// Blocks in which damage was found. They are not merged; what of them is whole is served.
    pub blocks_damaged: u64,
    /// Damaged places met in blocks.
    pub block_damages_total: u64,
    /// Bytes free on the disk.
    pub disk_free_bytes: u64,
    /// Bytes of the disk that are kept in reserve.
    pub disk_reserve_bytes: u64,
    /// Writes refused because less than the reserve was free.
    pub writes_disk_full_total: u64,
    /// Deletions that are not done on disk yet.
    pub tombstones: u64,
}

/// Totals that grow while the store runs.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) samples: AtomicU64,
    pub(crate) histograms: AtomicU64,
    pub(crate) exemplars: AtomicU64,
    pub(crate) entries: AtomicU64,
    pub(crate) line_bytes: AtomicU64,
    pub(crate) streams_created: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) series_created: AtomicU64,
    pub(crate) writes_busy: AtomicU64,
    pub(crate) wal_replayed: AtomicU64,
    pub(crate) wal_damages: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) seals_failed: AtomicU64,
    pub(crate) seal_bytes: AtomicU64,
    pub(crate) seal_ns: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compactions_failed: AtomicU64,
    pub(crate) compaction_bytes: AtomicU64,
    pub(crate) compaction_ns: AtomicU64,
    pub(crate) blocks_expired: AtomicU64,
}

impl Counters {
    /// Counts a request.
    pub(crate) fn add_write(&self, outcome: &WriteOutcome, late: u64, series_created: u64) {
        let add = |total: &AtomicU64, n: u64| {
            if n > 0 {
                total.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.samples, outcome.samples_written);
        add(&self.histograms, outcome.histograms_written);
        add(&self.exemplars, outcome.exemplars_written);
        add(&self.late, late);
        add(&self.series_created, series_created);
    }
}

impl Counters {
    /// Counts a request with log entries.
    pub(crate) fn add_logs(&self, outcome: &LogOutcome, streams_created: u64) {
        self.entries.fetch_add(outcome.entries_written, Ordering::Relaxed);
        self.line_bytes.fetch_add(outcome.line_bytes_written, Ordering::Relaxed);
        self.streams_created.fetch_add(streams_created, Ordering::Relaxed);
    }
}

impl Inner {
    /// All numbers now.
    pub(crate) fn stats(&self) -> StoreStats {
        let version = self.version();
        let get = |total: &AtomicU64| total.load(Ordering::Relaxed);
        let blocks = || version.blocks.iter().map(|block| block.row());
        let log_blocks = || version.log_blocks.iter().map(|block| block.row());
        let counters = &self.counters;
        StoreStats {
            head_series: u64::from(version.open.identity().series_count()),
            head_identity_bytes: get(&self.identity_bytes),
            head_chunk_bytes: version.generations().map(|g| g.chunk_bytes()).sum(),
            head_late_bytes: version.generations().map(|g| g.late_bytes()).sum(),
            head_streams: u64::from(version.open.logs().identity().series_count()),
            head_log_bytes: version.generations().map(|g| g.logs().bytes()).sum(),
            head_entries: version.generations().map(|g| g.logs().entries()).sum(),
            head_samples: version.generations().map(|g| g.count_samples()).sum(),
            head_generations: version.generations().count() as u64,
            samples_written_total: get(&counters.samples),
            histograms_written_total: get(&counters.histograms),
            exemplars_written_total: get(&counters.exemplars),
            entries_written_total: get(&counters.entries),
            line_bytes_written_total: get(&counters.line_bytes),
            streams_created_total: get(&counters.streams_created),
            samples_late_total: get(&counters.late),
            series_created_total: get(&counters.series_created),
            writes_busy_total: get(&counters.writes_busy),
            wal_bytes: self.wal.bytes(),
            wal_records_total: get(&self.wal.records),
            wal_written_bytes_total: get(&self.wal.written_bytes),
            wal_syncs_total: get(&self.wal.syncs),
            wal_sync_ns_total: get(&self.wal.sync_ns),
            wal_records_replayed: get(&counters.wal_replayed),
            wal_damages: get(&counters.wal_damages),
            wal_poisoned: u64::from(self.wal.is_poisoned()),
            blocks: version.blocks.len() as u64,
            block_bytes: blocks().map(|row| row.bytes).sum(),
            block_samples: blocks().map(|row| row.sample_count).sum(),
            log_blocks: version.log_blocks.len() as u64,
            log_block_bytes: log_blocks().map(|row| row.bytes).sum(),
            log_block_entries: log_blocks().map(|row| row.sample_count).sum(),
            seals_total: get(&counters.seals),
            seals_failed_total: get(&counters.seals_failed),
            seal_written_bytes_total: get(&counters.seal_bytes),
            seal_ns_total: get(&counters.seal_ns),
            compactions_total: get(&counters.compactions),
            compactions_failed_total: get(&counters.compactions_failed),
            compaction_written_bytes_total: get(&counters.compaction_bytes),
            compaction_ns_total: get(&counters.compaction_ns),
            blocks_expired_total: get(&counters.blocks_expired),
            blocks_damaged: self.catalog.damaged_blocks().len() as u64,
            block_damages_total: self.catalog.damages_told(),
            disk_free_bytes: get(&self.disk.free_bytes),
            disk_reserve_bytes: get(&self.disk.reserve_bytes),
            writes_disk_full_total: get(&self.disk.refused),
            tombstones: (version.tombstones.len() + version.log_tombstones.len()) as u64,
        }
    }
}
