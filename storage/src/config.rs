//! Settings of the store. Plain data: the clock and the decoder are passed beside them.

use std::path::PathBuf;

use ephemeris_model::Limits;

use crate::disk::DiskReserve;

/// Milliseconds in an hour.
const HOUR_MS: i64 = 60 * 60 * 1000;
/// Bytes in a mebibyte.
const MIB: u64 = 1 << 20;
/// Bytes of chunks a series may fill before its generation ends, as far as memory allows.
const CHUNK_BYTES_PER_SERIES: u64 = 120;

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After its WAL record is on disk: nothing acknowledged is lost, not even by a power cut.
    #[default]
    Sync,
    /// After its WAL record is handed to the operating system. A crash of the process loses
    /// nothing; a power cut loses up to [`StoreConfig::buffered_sync_interval_ms`].
    Buffered,
}

/// Who runs seals, compactions and retention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// A thread of the store's own.
    #[default]
    Thread,
    /// The caller, by [`Store::maintain`](crate::Store::maintain): for tests.
    Caller,
}

/// Settings of a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreConfig {
    /// Where everything lies; created if missing.
    pub data_dir: PathBuf,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// In [`Durability::Buffered`], how often the WAL is synced.
    pub buffered_sync_interval_ms: u64,
    /// Samples older than this are refused when written, hidden when read, and in time deleted.
    pub retention_ms: i64,
    /// What the store may hold in memory, all in all.
    pub memory_budget_bytes: u64,
    /// Limits on what a request may bring.
    pub limits: Limits,
    /// A generation of the head ends at this many bytes of chunks. With many active series the
    /// bound rises with them, up to an eighth of the memory budget.
    pub head_chunk_bytes_max: u64,
    /// A generation of the head ends at this many bytes of WAL.
    pub head_wal_bytes_max: u64,
    /// A generation of the head ends at this many bytes of out-of-order samples.
    pub head_late_bytes_max: u64,
    /// A generation of the head ends at this many bytes of log entries.
    pub head_log_bytes_max: u64,
    /// A generation of the head ends at this age.
    pub head_age_ms_max: i64,
    /// Below so much room on the disk writes are refused.
    pub disk_reserve: DiskReserve,
    /// Bytes of blocks beyond which the oldest partitions are deleted; `None` for no bound.
    pub retention_bytes: Option<u64>,
    /// How long a deletion of log entries can be taken back; then it is done on disk.
    pub log_delete_cancel_ms: i64,
    /// Who runs seals, compactions and retention.
    pub background: Background,
}

impl StoreConfig {
    /// The defaults, in `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            durability: Durability::Sync,
            buffered_sync_interval_ms: 1000,
            retention_ms: 400 * 24 * HOUR_MS,
            memory_budget_bytes: 1024 * MIB,
            limits: Limits::default(),
            head_chunk_bytes_max: 48 * MIB,
            head_wal_bytes_max: 3072 * MIB,
            head_late_bytes_max: 64 * MIB,
            head_log_bytes_max: 64 * MIB,
            head_age_ms_max: 2 * HOUR_MS,
            disk_reserve: DiskReserve::Auto,
            retention_bytes: None,
            log_delete_cancel_ms: 24 * HOUR_MS,
            background: Background::Thread,
        }
    }

    /// Bytes of chunks a generation ends at, with this many series in the head: each needs room for
    /// a few dozen samples, or blocks get many and small.
    pub(crate) fn chunk_bytes_max(&self, series: u64) -> u64 {
        let for_series = series.saturating_mul(CHUNK_BYTES_PER_SERIES);
        self.head_chunk_bytes_max.max(for_series.min(self.memory_budget_bytes / 8))
    }
}
