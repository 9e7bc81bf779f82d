//! Retention on disk: blocks all of whose samples are too old are deleted whole; and where there is
//! a bound on bytes, the oldest partitions. What is too old in other blocks is hidden by readers and
//! left out by merges.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ephemeris_model::TimestampMs;

use crate::catalog::{BlockId, BlockRow, CatalogChange};
use crate::error::Result;
use crate::faults::Place;
use crate::store::Inner;

impl Inner {
    /// Removes the blocks that are past the retention. `merging` is held.
    pub(super) fn expire(&self) -> Result<()> {
        let rows = self.catalog.blocks();
        let (old, kept) = rows.into_iter().partition(|row| row.max_time < self.oldest());
        let (old, kept): (Vec<BlockRow>, Vec<BlockRow>) = (old, kept);
        let mut removed: Vec<BlockId> = old.iter().map(|row| row.id).collect();
        if let Some(bytes_max) = self.config.retention_bytes {
            removed.extend(beyond(&kept, bytes_max));
        }
        if removed.is_empty() {
            return Ok(());
        }
        let change = CatalogChange { removed: removed.clone(), ..CatalogChange::default() };
        self.catalog.commit(change)?;
        self.faults.pass(Place::DropCommitted)?;
        self.counters.blocks_expired.fetch_add(removed.len() as u64, Ordering::Relaxed);
        tracing::info!(blocks = removed.len(), "deleted blocks past the retention");
        // A block that could not be opened is in no version.
        let version = self.version();
        for &id in removed.iter().filter(|id| version.block(**id).is_none()) {
            self.rocks.delete_block(id)?;
        }
        drop(version);
        self.replace_blocks(&removed, Vec::new());
        // One that could not be opened is told of no more.
        self.catalog.changes().all();
        Ok(())
    }
}

/// The blocks of the oldest partitions, as many as take the sum below `bytes_max`. The newest
/// partition stays whatever its size.
fn beyond(rows: &[BlockRow], bytes_max: u64) -> Vec<BlockId> {
    let mut partitions: BTreeMap<TimestampMs, Vec<&BlockRow>> = BTreeMap::new();
    for row in rows {
        partitions.entry(row.range.start).or_default().push(row);
    }
    partitions.pop_last();
    let mut bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    let mut removed = Vec::new();
    for partition in partitions.into_values() {
        if bytes <= bytes_max {
            break;
        }
        bytes -= partition.iter().map(|row| row.bytes).sum::<u64>();
        removed.extend(partition.iter().map(|row| row.id));
    }
    removed
}
