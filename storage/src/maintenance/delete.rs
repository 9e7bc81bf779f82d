//! Deletes series in a range of time: a tombstone now, and the bytes at the next merge.

use std::sync::Arc;

use ephemeris_model::{Matcher, TimeRange, TimestampMs};

use super::merge::Merge;
use crate::catalog::{BlockId, BlockRow, Payload, Tombstone};
use crate::error::{ErrorKind, Result};
use crate::faults::Place;
use crate::series::TenantId;
use crate::store::Inner;
use crate::version::Version;

impl Inner {
    /// Deletes what the tenant's series that satisfy all matchers of any selector have in `range`.
    /// What is written afterwards lives.
    pub(crate) fn delete_series(
        &self,
        tenant: &str,
        selectors: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> Result<()> {
        self.check_open()?;
        let Some(tenant) = self.catalog.tenant(tenant) else { return Ok(()) };
        // Blocks must neither be merged nor come between the list and the tombstone.
        let _merging = self.work.merging.lock();
        let _sealing = self.work.sealing.lock();
        // A tombstone is about blocks, so what is in the head becomes one first.
        if self.head_holds(tenant, &selectors, range) {
            self.seal_now()?;
        }
        self.faults.pass(Place::DeleteSealed)?;
        let rows = self.catalog.blocks();
        let version = self.version();
        let mut tombstones = Vec::new();
        for matchers in selectors {
            // Selectors of metrics say nothing about streams.
            let touched = |row: &&BlockRow| {
                let samples = row.payload == Payload::Samples;
                samples && row.min_time < range.end && range.start <= row.max_time
            };
            let mut blocks = Vec::new();
            for row in rows.iter().filter(touched) {
                if holds(&version, row.id, tenant, &matchers)? {
                    blocks.push(row.id);
                }
            }
            if !blocks.is_empty() {
                tombstones.push(Tombstone { tenant, matchers, range, blocks });
            }
        }
        self.catalog.add_tombstones(tombstones)?;
        self.faults.pass(Place::DeleteCommitted)?;
        self.show_tombstones();
        Ok(())
    }

    /// Whether the head may hold something to delete. A generation whose seal failed counts.
    fn head_holds(&self, tenant: TenantId, selectors: &[Vec<Matcher>], range: TimeRange) -> bool {
        let version = self.version();
        let touches =
            |(min, max): (TimestampMs, TimestampMs)| min < range.end && range.start <= max;
        version.sealing.is_some()
            || version.generations().any(|generation| {
                let found = |matchers: &Vec<Matcher>| {
                    let identity = generation.identity();
                    let ids = identity.with_tenant(tenant, |view| view.select(matchers));
                    !generation.filled(&ids.unwrap_or_default(), range.start).is_empty()
                };
                generation.times().is_some_and(touches) && selectors.iter().any(found)
            })
    }

    /// Makes a version with the tombstones of the catalog. `merging` is held.
    pub(super) fn show_tombstones(&self) {
        let mut current = self.version.write();
        let mut next = Version::clone(&current);
        next.tombstones = self.catalog.tombstones();
        next.log_tombstones = self.catalog.open_log_tombstones();
        *current = Arc::new(next);
        drop(current);
        self.catalog.changes().all();
    }

    /// Rewrites the blocks that hold something deleted.
    pub(crate) fn clean_tombstones(&self) -> Result<()> {
        let version = self.version();
        let ids: Vec<BlockId> = version.blocks.iter().map(|block| block.row().id).collect();
        drop(version);
        for id in ids {
            let _merging = self.work.merging.lock();
            let version = self.version();
            let named = version.tombstones.iter().any(|tombstone| tombstone.names(id));
            let sound = self.catalog.damaged_blocks().iter().all(|(damaged, _)| *damaged != id);
            if named && sound && version.block(id).is_some() {
                self.merge_counted(version, &Merge::Samples(vec![id]))?;
            }
        }
        self.clean_log_tombstones()?;
        self.delete_retired()
    }
}

impl Inner {
    /// Rewrites the log blocks that hold something deleted, taken back or not.
    fn clean_log_tombstones(&self) -> Result<()> {
        let version = self.version();
        let ids: Vec<BlockId> = version.log_blocks.iter().map(|block| block.row().id).collect();
        drop(version);
        for id in ids {
            let _merging = self.work.merging.lock();
            let version = self.version();
            let all = Vec::clone(&version.log_tombstones);
            let sound = self.catalog.damaged_blocks().iter().all(|(damaged, _)| *damaged != id);
            if all.iter().any(|one| one.names(id)) && sound && version.block(id).is_some() {
                self.merge_counted(version, &Merge::Entries(vec![id], all))?;
            }
        }
        Ok(())
    }
}

/// Whether a block has series to delete. One that cannot be read may have.
fn holds(version: &Version, id: BlockId, tenant: TenantId, matchers: &[Matcher]) -> Result<bool> {
    let Some(block) = version.block(id) else { return Ok(true) };
    match block.select(tenant, matchers) {
        Ok(ids) => Ok(!ids.is_empty()),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(true),
        Err(error) => Err(error),
    }
}
