//! Merges blocks of a partition, one merge at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ephemeris_model::{TimeRange, TimestampMs};

use super::compact::{self, MergeError};
use crate::catalog::{BlockId, BlockRow, CatalogChange, LogTombstone, Payload};
use crate::error::Result;
use crate::faults::Place;
use crate::metrics::block::{Block, BlockWriter};
use crate::store::Inner;
use crate::version::Version;

/// Blocks of one partition to be merged.
pub(super) enum Merge {
    Samples(Vec<BlockId>),
    /// With the deletions that are done in them.
    Entries(Vec<BlockId>, Vec<Arc<LogTombstone>>),
}

impl Inner {
    /// Runs the next merge that is due; answers whether there was one.
    pub(super) fn merge_one(&self) -> Result<bool> {
        let _merging = self.work.merging.lock();
        let version = self.version();
        let next = match self.next_merge(&version) {
            Some(ids) => Merge::Samples(ids),
            None => match self.next_log_merge(&version) {
                Some((ids, done)) => Merge::Entries(ids, done),
                None => return Ok(false),
            },
        };
        self.merge_counted(version, &next)?;
        Ok(true)
    }

    /// Merges blocks of one partition, and counts it. `merging` is held.
    #[expect(clippy::needless_pass_by_value, reason = "blocks are freed once nobody has them")]
    pub(super) fn merge_counted(&self, version: Arc<Version>, next: &Merge) -> Result<()> {
        let started = Instant::now();
        let done = match next {
            Merge::Samples(ids) => self.merge(&version, ids),
            Merge::Entries(ids, done) => self.merge_logs(&version, ids, done),
        };
        let total = match done {
            Ok(()) => &self.counters.compactions,
            Err(_) => &self.counters.compactions_failed,
        };
        total.fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters.compaction_ns.fetch_add(ns, Ordering::Relaxed);
        match done {
            // Noted, it is left out of merges from now on, and the others go on.
            Err(MergeError { damaged: Some(id), error }) => {
                self.catalog.note_damage(id, &error.to_string())
            }
            done => done.map_err(|failed| failed.error),
        }
    }

    fn next_merge(&self, version: &Version) -> Option<Vec<BlockId>> {
        let damaged = self.catalog.damaged_blocks();
        let sound = |row: &&BlockRow| damaged.iter().all(|(id, _)| *id != row.id);
        let mut partitions: BTreeMap<TimestampMs, Vec<BlockRow>> = BTreeMap::new();
        for row in version.blocks.iter().map(|block| block.row()).filter(sound) {
            partitions.entry(row.range.start).or_default().push(row.clone());
        }
        let now = self.clock.now();
        partitions.into_values().find_map(|rows| compact::plan(&rows, now))
    }

    fn merge(&self, version: &Version, ids: &[BlockId]) -> Result<(), MergeError> {
        let blocks: Vec<Arc<Block>> =
            ids.iter().filter_map(|&id| version.block(id).cloned()).collect();
        let Some(first) = blocks.first() else { return Ok(()) };
        let level = blocks.iter().map(|block| block.row().level).max().unwrap_or(0);
        let id = self.catalog.next_block_id();
        let writer = BlockWriter::new(
            self.rocks.block_sink(id)?,
            first.row().range,
            level.saturating_add(1),
        );
        let keep = TimeRange::new(self.oldest(), TimestampMs::MAX);
        let merged = compact::merge(&blocks, &version.tombstones, writer, keep)?;
        let added: Vec<BlockRow> = merged.into_iter().collect();
        self.faults.pass(Place::MergeWritten)?;
        for row in &added {
            self.rocks.ingest(row.id)?;
        }
        self.faults.pass(Place::MergeIngested)?;
        let change = CatalogChange {
            added: added.clone(),
            removed: ids.to_vec(),
            ..CatalogChange::default()
        };
        self.catalog.commit(change)?;
        let bytes = added.iter().map(|row| row.bytes).sum();
        self.counters.compaction_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.faults.pass(Place::MergeCommitted)?;
        self.replace_blocks(ids, self.open_new(added)?);
        Ok(())
    }

    /// Opens blocks that were just committed.
    pub(super) fn open_new(&self, rows: Vec<BlockRow>) -> Result<Vec<Arc<Block>>> {
        rows.into_iter().map(|row| Block::open(&self.rocks, row)).collect()
    }

    /// Makes a version with `added` in place of `removed`.
    pub(super) fn replace_blocks(&self, removed: &[BlockId], added: Vec<Arc<Block>>) {
        let mut current = self.version.write();
        let mut next = Version::clone(&current);
        let came: Vec<Payload> = added.iter().map(|block| block.row().payload).collect();
        let out = next.replace(removed, added);
        next.tombstones = self.catalog.tombstones();
        next.log_tombstones = self.catalog.open_log_tombstones();
        *current = Arc::new(next);
        drop(current);
        // A merge changes no answer, unless something is wrong with it. Then at least it does not
        // show for some steps and not for others.
        let mut payloads = out.iter().map(|block| block.row().payload).chain(came);
        if payloads.any(|payload| payload == Payload::Samples) {
            self.catalog.changes().all();
        }
        self.work.retired.lock().extend(out);
    }
}
