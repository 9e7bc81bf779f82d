//! Which deletions of log entries there are: added, taken back, done, and handed on to the blocks
//! that are written anew.

use std::sync::Arc;

use super::log_tombstone::LogTombstone;
use super::row::BlockId;
use super::{Catalog, State};
use crate::error::{Error, Result};
use crate::rocks::{CatalogBatch, keys};
use crate::series::TenantId;

/// Deletions of a tenant kept at most, those that are done among them; the oldest of these make
/// room.
const OF_TENANT_MAX: usize = 250;
/// Deletions kept of all tenants.
const LOG_TOMBSTONES_MAX: usize = 5_000;

/// A block of entries that was written anew, though deletions of it may still be taken back: they
/// are about its successor from then on.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The block that is removed.
    pub from: BlockId,
    /// The block in its place.
    pub to: BlockId,
    /// Deletions that were done in it, by their ids; the others are carried.
    pub done: Vec<u64>,
}

impl Catalog {
    /// Adds a deletion of entries.
    ///
    /// # Errors
    /// If it cannot be written, or there are too many that are not done.
    pub fn add_log_tombstone(&self, tombstone: LogTombstone) -> Result<()> {
        let mut journal = self.journal.lock();
        let (number, oldest_done) = {
            let state = self.state.read();
            let all = &state.log_tombstones;
            let own = || all.iter().filter(|(_, one)| one.tenant == tombstone.tenant);
            let done =
                |(number, one): (&u32, &Arc<LogTombstone>)| state.is_done(one).then_some(*number);
            let makes_room = if own().count() >= OF_TENANT_MAX {
                let found = own().find_map(done);
                Some(found.ok_or_else(|| too_many(OF_TENANT_MAX, "of this tenant"))?)
            } else if all.len() >= LOG_TOMBSTONES_MAX {
                let found = all.iter().find_map(done);
                Some(found.ok_or_else(|| too_many(LOG_TOMBSTONES_MAX, "of all tenants"))?)
            } else {
                None
            };
            (state.next_tombstone(), makes_room)
        };
        let mut batch = CatalogBatch::default();
        batch.put(keys::tombstone_key(number), tombstone.encode());
        oldest_done.iter().for_each(|&old| batch.delete(keys::tombstone_key(old)));
        self.write(&mut journal, batch)?;
        let mut state = self.state.write();
        oldest_done.iter().for_each(|old| {
            state.log_tombstones.remove(old);
        });
        state.log_tombstones.insert(number, Arc::new(tombstone));
        Ok(())
    }

    /// Takes a deletion of entries back.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn remove_log_tombstone(&self, tenant: TenantId, id: u64) -> Result<()> {
        let mut journal = self.journal.lock();
        let numbers: Vec<u32> = {
            let state = self.state.read();
            let about = |one: &LogTombstone| one.tenant == tenant && one.id == id;
            let found = state.log_tombstones.iter().filter(|(_, one)| about(one));
            found.map(|(number, _)| *number).collect()
        };
        let mut batch = CatalogBatch::default();
        numbers.iter().for_each(|&number| batch.delete(keys::tombstone_key(number)));
        self.write(&mut journal, batch)?;
        self.state.write().log_tombstones.retain(|number, _| !numbers.contains(number));
        Ok(())
    }

    /// All deletions of entries that are kept, each with the number of its blocks that are left.
    #[must_use]
    pub fn log_tombstones(&self) -> Vec<(Arc<LogTombstone>, usize)> {
        let state = self.state.read();
        let all = state.log_tombstones.values();
        all.map(|one| (Arc::clone(one), state.blocks_left(one))).collect()
    }

    /// Those that hide something.
    #[must_use]
    pub(crate) fn open_log_tombstones(&self) -> Arc<Vec<Arc<LogTombstone>>> {
        let state = self.state.read();
        let open = state.log_tombstones.values().filter(|one| !state.is_done(one));
        Arc::new(open.cloned().collect())
    }
}

fn too_many(limit: usize, whose: &str) -> Error {
    Error::Limit(format!(
        "there are {limit} deletions of entries {whose} that are not done, which is the limit; \
         they are done after log_delete_cancel, unless taken back"
    ))
}

impl State {
    fn blocks_left(&self, tombstone: &LogTombstone) -> usize {
        tombstone.blocks.iter().filter(|id| self.blocks.contains_key(id)).count()
    }

    fn is_done(&self, tombstone: &LogTombstone) -> bool {
        self.blocks_left(tombstone) == 0
    }

    /// The deletions that go on to another block, changed.
    pub(super) fn carried_tombstones(&self, carried: &Carried) -> Vec<(u32, LogTombstone)> {
        let goes_on =
            |one: &LogTombstone| one.names(carried.from) && !carried.done.contains(&one.id);
        let all = self.log_tombstones.iter().filter(|(_, one)| goes_on(one));
        let changed = all.map(|(number, one)| {
            let mut one = LogTombstone::clone(one);
            one.blocks.push(carried.to);
            one.blocks.sort_unstable();
            (*number, one)
        });
        changed.collect()
    }
}
