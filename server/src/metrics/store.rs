//! Numbers of the store as metrics.

use ephemeris_storage::StoreStats;

use super::count;
use super::family::{Family, Kind};

/// Reads them out.
pub(super) fn families(out: &mut Vec<Family>, stats: &StoreStats) {
    let gauges = gauges(stats).into_iter();
    out.extend(gauges.map(|(name, help, value)| Family::gauge(name, help, count(value))));
    let counters = counters(stats).into_iter();
    out.extend(counters.map(|(n, h, v)| Family::single((n, h, Kind::Counter), count(v))));
    let seconds = [
        ("ephemeris_wal_sync_seconds_total", "Time in syncs of the WAL.", stats.wal_sync_ns_total),
        ("ephemeris_seal_seconds_total", "Time spent sealing.", stats.seal_ns_total),
        (
            "ephemeris_compaction_seconds_total",
            "Time spent merging blocks.",
            stats.compaction_ns_total,
        ),
    ];
    out.extend(seconds.map(|(n, h, ns)| Family::single((n, h, Kind::Counter), count(ns) / 1e9)));
    let classes = [
        ("identity", count(stats.head_identity_bytes)),
        ("chunks", count(stats.head_chunk_bytes)),
        ("late", count(stats.head_late_bytes)),
        ("logs", count(stats.head_log_bytes)),
    ];
    let described = (
        "ephemeris_head_bytes",
        "Memory of the head: label sets and their index, chunks, out-of-order samples, log entries.",
        Kind::Gauge,
    );
    out.push(Family::labeled(described, "class", classes));
}

fn gauges(stats: &StoreStats) -> Vec<(&'static str, &'static str, u64)> {
    vec![
        ("ephemeris_head_series", "Active series: those in the head.", stats.head_series),
        ("ephemeris_head_samples", "Samples in the head.", stats.head_samples),
        (
            "ephemeris_head_generations",
            "Generations of the head: one, or two while one is sealed.",
            stats.head_generations,
        ),
        ("ephemeris_wal_bytes", "Bytes of WAL files on disk.", stats.wal_bytes),
        (
            "ephemeris_wal_replayed_records",
            "Records read back from the WAL at start.",
            stats.wal_records_replayed,
        ),
        ("ephemeris_wal_damages", "Damaged places met in the WAL at start.", stats.wal_damages),
        (
            "ephemeris_wal_poisoned",
            "1 after a failed sync: writes are refused until a restart.",
            stats.wal_poisoned,
        ),
        ("ephemeris_blocks", "Sealed blocks.", stats.blocks),
        ("ephemeris_block_bytes", "Bytes of sealed blocks.", stats.block_bytes),
        ("ephemeris_block_samples", "Samples in sealed blocks.", stats.block_samples),
        (
            "ephemeris_blocks_damaged",
            "Blocks in which damage was found; what of them is whole is served.",
            stats.blocks_damaged,
        ),
        ("ephemeris_disk_free_bytes", "Bytes free on the disk.", stats.disk_free_bytes),
        (
            "ephemeris_disk_reserve_bytes",
            "Bytes of the disk kept in reserve: with less free, writes are refused.",
            stats.disk_reserve_bytes,
        ),
        ("ephemeris_tombstones", "Deletions that are not done on disk yet.", stats.tombstones),
        ("ephemeris_head_streams", "Active streams: those in the head.", stats.head_streams),
        ("ephemeris_head_entries", "Log entries in the head.", stats.head_entries),
        ("ephemeris_log_blocks", "Sealed blocks of log entries.", stats.log_blocks),
        (
            "ephemeris_log_block_bytes",
            "Bytes of sealed blocks of log entries.",
            stats.log_block_bytes,
        ),
        ("ephemeris_log_block_entries", "Log entries in sealed blocks.", stats.log_block_entries),
    ]
}

fn counters(stats: &StoreStats) -> Vec<(&'static str, &'static str, u64)> {
    vec![
        (
            "ephemeris_head_series_created_total",
            "Series created in the head.",
            stats.series_created_total,
        ),
        (
            "ephemeris_ingest_late_samples_total",
            "Out-of-order samples written.",
            stats.samples_late_total,
        ),
        (
            "ephemeris_head_streams_created_total",
            "Streams created in the head.",
            stats.streams_created_total,
        ),
        ("ephemeris_ingest_entries_total", "Log entries written.", stats.entries_written_total),
        (
            "ephemeris_ingest_line_bytes_total",
            "Bytes of lines of log entries written.",
            stats.line_bytes_written_total,
        ),
        (
            "ephemeris_head_busy_total",
            "Writes refused because the head was full.",
            stats.writes_busy_total,
        ),
        ("ephemeris_wal_records_total", "Records appended to the WAL.", stats.wal_records_total),
        (
            "ephemeris_wal_written_bytes_total",
            "Bytes written to the WAL.",
            stats.wal_written_bytes_total,
        ),
        ("ephemeris_wal_syncs_total", "Syncs of the WAL.", stats.wal_syncs_total),
        ("ephemeris_seals_total", "Seals completed.", stats.seals_total),
        (
            "ephemeris_seal_written_bytes_total",
            "Bytes of the blocks that seals wrote.",
            stats.seal_written_bytes_total,
        ),
        (
            "ephemeris_seal_failures_total",
            "Seals that failed; each is tried again.",
            stats.seals_failed_total,
        ),
        ("ephemeris_compactions_total", "Merges of blocks completed.", stats.compactions_total),
        (
            "ephemeris_compaction_written_bytes_total",
            "Bytes of the blocks that merges wrote.",
            stats.compaction_written_bytes_total,
        ),
        (
            "ephemeris_compaction_failures_total",
            "Merges of blocks that failed; each is tried again.",
            stats.compactions_failed_total,
        ),
        (
            "ephemeris_disk_refused_total",
            "Writes refused because the disk was nearly full.",
            stats.writes_disk_full_total,
        ),
        (
            "ephemeris_block_damages_total",
            "Damaged places met in blocks; each is named in the log.",
            stats.block_damages_total,
        ),
        (
            "ephemeris_blocks_expired_total",
            "Blocks deleted because they were past the retention, by age or by bytes.",
            stats.blocks_expired_total,
        ),
    ]
}
