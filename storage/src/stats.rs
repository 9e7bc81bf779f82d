//! What the store tells about itself: plain numbers. The doc comment of each is the help text of
//! the metric made of it.

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
    /// Seals completed.
    pub seals_total: u64,
    /// Seals that failed; each is tried again.
    pub seals_failed_total: u64,
    /// Nanoseconds spent sealing.
    pub seal_ns_total: u64,
    /// Merges of blocks completed.
    pub compactions_total: u64,
    /// Merges of blocks that failed; each is tried again.
    pub compactions_failed_total: u64,
    /// Nanoseconds spent merging blocks.
    pub compaction_ns_total: u64,
    /// Blocks deleted because all they hold is older than the retention.
    pub blocks_expired_total: u64,
}
