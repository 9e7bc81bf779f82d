//! The catalog: which blocks exist, which WAL generations are done, tenants, metadata, damage.
//!
//! A row in the catalog is what makes a block exist: [`Catalog::commit`] is the one commit point
//! of sealing and merging. All rows are held in memory; reading never waits for the disk.

mod damage;
mod journal;
mod log_deletions;
mod log_tombstone;
mod metadata;
mod parts;
mod recover;
mod row;
mod tombstone;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ephemeris_model::Metadata;
use parking_lot::{Mutex, RwLock};

use self::damage::{Note, Told};
use self::journal::{Journal, Rows};
pub use self::log_deletions::Carried;
pub use self::log_tombstone::LogTombstone;
use self::metadata::MetadataTable;
pub use self::row::{BlockId, BlockRow, Payload};
pub use self::tombstone::Tombstone;
use crate::changes::Changes;
use crate::encoding::{Damage, Input};
use crate::error::{AtPlace, Error, Result};
use crate::faults::{Faults, Place};
use crate::rocks::{CatalogBatch, Rocks, Sync, keys};
use crate::series::TenantId;

/// Version of the data directory's format.
pub const FORMAT_VERSION: u32 = 1;
/// Tenants at most; the name of a tenant comes from a request header.
const TENANTS_MAX: usize = 100_000;

/// What a seal or a merge changes, all at once.
#[derive(Clone, Debug, Default)]
pub struct CatalogChange {
    /// Blocks that were ingested and exist from now on.
    pub added: Vec<BlockRow>,
    /// Blocks that exist no more. Their files are deleted by the caller, once nobody reads them.
    pub removed: Vec<BlockId>,
    /// The WAL generation whose samples are all in blocks now.
    pub finished_generation: Option<u64>,
    /// A block of entries that goes on as another, with the deletions that are not done.
    pub carried: Option<Carried>,
}

/// The catalog. Threads share it.
pub struct Catalog {
    rocks: Arc<Rocks>,
    state: RwLock<State>,
    metadata: RwLock<MetadataTable>,
    /// Held while a change is written, so that disk and memory change in the same order.
    journal: Mutex<Journal>,
    told: Mutex<Told>,
    faults: Arc<Faults>,
    changes: Changes,
}

#[derive(Clone, Default)]
struct State {
    blocks: BTreeMap<BlockId, BlockRow>,
    generations: BTreeSet<u64>,
    tenants: BTreeMap<String, TenantId>,
    damage: BTreeMap<BlockId, String>,
    tombstones: BTreeMap<u32, Arc<Tombstone>>,
    log_tombstones: BTreeMap<u32, Arc<LogTombstone>>,
    notes: BTreeMap<u32, Note>,
    next_block: u32,
}

impl Catalog {
    /// Reads the catalog, from its copy in the file `copy` where RocksDB is damaged, and deletes the
    /// files of blocks it does not know: seals and merges that were cut before their commit.
    ///
    /// # Errors
    /// If it cannot be read, or was written by a newer version.
    pub fn open(rocks: Rocks, copy: &Path) -> Result<Self> {
        Self::open_with(rocks, copy, Arc::default())
    }

    /// As [`Catalog::open`], with places that can be made to fail.
    pub(crate) fn open_with(mut rocks: Rocks, copy: &Path, faults: Arc<Faults>) -> Result<Self> {
        let journal = recover::recover(&mut rocks, copy)?;
        let catalog = Self {
            rocks: Arc::new(rocks),
            state: RwLock::default(),
            metadata: RwLock::default(),
            journal: Mutex::new(journal),
            told: Mutex::default(),
            faults,
            changes: Changes::default(),
        };
        catalog.check_format()?;
        *catalog.state.write() = state_of(&recover::rows_of(&catalog.rocks)?)?;
        *catalog.metadata.write() = load_metadata(&catalog.rocks)?;
        catalog.delete_unknown_blocks()?;
        Ok(catalog)
    }

    /// Reads the catalog without changing anything; what is wrong with it goes to `problems`.
    ///
    /// # Errors
    /// If neither RocksDB nor the copy has the rows, or reading fails for another reason.
    pub(crate) fn inspect(rocks: Rocks, copy: &Path, problems: &mut Vec<String>) -> Result<Self> {
        let rows = recover::inspect(&rocks, copy, problems)?;
        Ok(Self {
            rocks: Arc::new(rocks),
            state: RwLock::new(state_of(&rows)?),
            metadata: RwLock::default(),
            journal: Mutex::new(Journal::new(copy)),
            told: Mutex::default(),
            faults: Arc::default(),
            changes: Changes::default(),
        })
    }

    /// The database the catalog lies in.
    #[must_use]
    pub const fn rocks(&self) -> &Arc<Rocks> {
        &self.rocks
    }

    /// Which times changed since when.
    pub(crate) const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Refuses the directory of a newer version; marks a new one with this version.
    fn check_format(&self) -> Result<()> {
        let key = keys::single_key(keys::row::FORMAT);
        let Some(row) = self.rocks.catalog_get(&key)? else {
            let mut batch = CatalogBatch::default();
            batch.put(key, FORMAT_VERSION.to_le_bytes());
            return self.write(&mut self.journal.lock(), batch);
        };
        match number(&row).at(|| "the format row of the catalog".to_owned())? {
            FORMAT_VERSION => Ok(()),
            other => Err(Error::Invalid(format!(
                "the data directory has format version {other}; this program reads {FORMAT_VERSION}"
            ))),
        }
    }

    /// Writes and syncs rows, in RocksDB first. A copy that cannot be written is only told: it is
    /// written anew the next time.
    fn write(&self, journal: &mut Journal, mut batch: CatalogBatch) -> Result<()> {
        let sequence = journal.sequence + 1;
        batch.put(keys::single_key(keys::row::SEQUENCE), sequence.to_le_bytes());
        let changes = batch.changes().clone();
        self.rocks.catalog_write(batch, Sync::Now)?;
        self.faults.pass(Place::CatalogWritten)?;
        let copied = if journal.is_overdue() {
            recover::rows_of(&self.rocks).and_then(|rows| journal.rewrite(sequence, rows))
        } else {
            journal.append(sequence, &changes)
        };
        if let Err(error) = copied {
            tracing::warn!(%error, "the copy of the catalog could not be written");
        }
        journal.sequence = sequence;
        Ok(())
    }

    fn delete_unknown_blocks(&self) -> Result<()> {
        let mut state = self.state.write();
        for id in self.rocks.block_ids()? {
            state.next_block = state.next_block.max(id.0.saturating_add(1));
            if !state.blocks.contains_key(&id) {
                tracing::info!(block = id.0, "deleting a block that was never committed");
                self.rocks.delete_block(id)?;
            }
        }
        Ok(())
    }

    /// All blocks, by id.
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockRow> {
        self.state.read().blocks.values().cloned().collect()
    }

    /// A block id that was never used.
    #[must_use]
    pub fn next_block_id(&self) -> BlockId {
        let mut state = self.state.write();
        let id = BlockId(state.next_block);
        state.next_block = state.next_block.saturating_add(1);
        id
    }

    /// Makes a change durable and visible: the commit point of seals and merges.
    ///
    /// # Errors
    /// If it cannot be written and synced; then nothing has changed.
    pub fn commit(&self, change: CatalogChange) -> Result<()> {
        let mut journal = self.journal.lock();
        let mut batch = CatalogBatch::default();
        for row in &change.added {
            batch.put(keys::numbered_key(keys::row::BLOCK, row.id), row.encode());
        }
        for &id in &change.removed {
            batch.delete(keys::numbered_key(keys::row::BLOCK, id));
            batch.delete(keys::numbered_key(keys::row::DAMAGE, id));
        }
        if let Some(generation) = change.finished_generation {
            batch.put(keys::generation_key(generation), []);
        }
        let (next_block, spent, carried) = {
            let state = self.state.read();
            let carried = change.carried.as_ref().map(|one| state.carried_tombstones(one));
            (state.next_block, state.spent_tombstones(&change.removed), carried.unwrap_or_default())
        };
        for (number, one) in &carried {
            batch.put(keys::tombstone_key(*number), one.encode());
        }
        spent.iter().for_each(|&number| batch.delete(keys::tombstone_key(number)));
        let next_key = keys::single_key(keys::row::NEXT_BLOCK);
        batch.put(next_key, next_block.to_le_bytes());
        self.write(&mut journal, batch)?;
        let mut state = self.state.write();
        for id in &change.removed {
            state.blocks.remove(id);
            state.damage.remove(id);
        }
        state.tombstones.retain(|number, _| !spent.contains(number));
        let carried = carried.into_iter().map(|(number, one)| (number, Arc::new(one)));
        state.log_tombstones.extend(carried);
        state.generations.extend(change.finished_generation);
        state.blocks.extend(change.added.into_iter().map(|row| (row.id, row)));
        Ok(())
    }

    /// WAL generations that are done, ascending: their files may go.
    #[must_use]
    pub fn finished_generations(&self) -> Vec<u64> {
        self.state.read().generations.iter().copied().collect()
    }

    /// Forgets finished generations, once their files are gone and their numbers never come back.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget_generations(&self, generations: &[u64]) -> Result<()> {
        let mut journal = self.journal.lock();
        let mut batch = CatalogBatch::default();
        generations.iter().for_each(|&g| batch.delete(keys::generation_key(g)));
        self.write(&mut journal, batch)?;
        let mut state = self.state.write();
        state.generations.retain(|g| !generations.contains(g));
        Ok(())
    }

    /// The tenant with this name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<TenantId> {
        self.state.read().tenants.get(name).copied()
    }

    /// The tenant with this name, which gets a number if it has none.
    ///
    /// # Errors
    /// If it cannot be written, or there are too many tenants.
    pub fn tenant_or_create(&self, name: &str) -> Result<TenantId> {
        if let Some(id) = self.tenant(name) {
            return Ok(id);
        }
        let mut journal = self.journal.lock();
        let count = {
            let state = self.state.read();
            match state.tenants.get(name) {
                Some(&id) => return Ok(id),
                None => state.tenants.len(),
            }
        };
        if count >= TENANTS_MAX {
            return Err(Error::Limit(format!("there are {count} tenants; limit is {TENANTS_MAX}")));
        }
        // Tenants are never removed, so their number is the first that is free.
        let id = TenantId(u32::try_from(count).unwrap_or(u32::MAX));
        let mut batch = CatalogBatch::default();
        batch.put(keys::tenant_key(name), id.0.to_le_bytes());
        self.write(&mut journal, batch)?;
        self.state.write().tenants.insert(name.to_owned(), id);
        Ok(id)
    }

    /// All tenants by name.
    #[must_use]
    pub fn tenants(&self) -> Vec<(String, TenantId)> {
        self.state.read().tenants.iter().map(|(name, &id)| (name.clone(), id)).collect()
    }

    /// Stores metadata that is not there yet. It is durable after the next [`Catalog::commit`],
    /// which comes before the WAL forgets the request it came with.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_metadata(&self, tenant: TenantId, metadata: &[Metadata]) -> Result<()> {
        if metadata.is_empty() {
            return Ok(());
        }
        let _journal = self.journal.lock();
        let mut batch = CatalogBatch::default();
        let mut changed = false;
        {
            let mut table = self.metadata.write();
            for new in metadata {
                if let Some(row) = table.put(tenant, new) {
                    changed = true;
                    batch.put(keys::metadata_key(tenant, &new.metric), row);
                }
            }
        }
        if changed { self.rocks.catalog_write(batch, Sync::Later) } else { Ok(()) }
    }

    /// Metadata of all metric families of a tenant, or of the one named `metric`.
    #[must_use]
    pub fn metadata(&self, tenant: TenantId, metric: Option<&str>) -> Vec<Metadata> {
        self.metadata.read().get(tenant, metric)
    }
}

fn number(row: &[u8]) -> Result<u32, Damage> {
    let mut input = Input::new(row);
    let number = input.u32()?;
    input.end()?;
    Ok(number)
}

/// The state the rows tell.
fn state_of(rows: &Rows) -> Result<State> {
    let mut state = State::default();
    let bad_key = || Error::corrupt("the catalog", "a key has the wrong form");
    for (key, value) in of_kind(rows, keys::row::BLOCK) {
        let id = keys::parse_numbered_key(keys::row::BLOCK, key).ok_or_else(bad_key)?;
        let row = BlockRow::decode(id, value).at(|| format!("the row of block {}", id.0))?;
        state.next_block = state.next_block.max(id.0.saturating_add(1));
        state.blocks.insert(id, row);
    }
    for (key, _) in of_kind(rows, keys::row::GENERATION) {
        state.generations.insert(keys::parse_generation_key(key).ok_or_else(bad_key)?);
    }
    for (key, value) in of_kind(rows, keys::row::TENANT) {
        let name = keys::parse_tenant_key(key).ok_or_else(bad_key)?;
        let id = number(value).at(|| format!("the row of tenant {name:?}"))?;
        state.tenants.insert(name.to_owned(), TenantId(id));
    }
    for (key, value) in of_kind(rows, keys::row::DAMAGE) {
        let id = keys::parse_numbered_key(keys::row::DAMAGE, key).ok_or_else(bad_key)?;
        state.damage.insert(id, String::from_utf8_lossy(value).into_owned());
    }
    for (key, value) in of_kind(rows, keys::row::TOMBSTONE) {
        let number = keys::parse_tombstone_key(key).ok_or_else(bad_key)?;
        let place = || format!("the row of tombstone {number}");
        if value.first() == Some(&log_tombstone::VERSION) {
            let one = LogTombstone::decode(value).at(place)?;
            state.log_tombstones.insert(number, Arc::new(one));
        } else {
            let one = Tombstone::decode(value).at(place)?;
            state.tombstones.insert(number, Arc::new(one));
        }
    }
    for (key, value) in of_kind(rows, keys::row::NOTE) {
        let id = keys::parse_numbered_key(keys::row::NOTE, key).ok_or_else(bad_key)?;
        let note = Note::decode(value).at(|| format!("the row of note {}", id.0))?;
        state.notes.insert(id.0, note);
    }
    if let Some(row) = rows.get(&keys::single_key(keys::row::NEXT_BLOCK)[..]) {
        let next = number(row).at(|| "the row of the next block id".to_owned())?;
        state.next_block = state.next_block.max(next);
    }
    Ok(state)
}

/// The rows of one kind.
fn of_kind(rows: &Rows, kind: u8) -> impl Iterator<Item = (&[u8], &[u8])> {
    let from = rows.range(vec![kind]..).map(|(key, value)| (key.as_slice(), value.as_slice()));
    from.take_while(move |(key, _)| key.first() == Some(&kind))
}

fn load_metadata(rocks: &Rocks) -> Result<MetadataTable> {
    let mut table = MetadataTable::default();
    for (key, value) in rocks.catalog_rows(keys::row::METADATA)? {
        // Metadata is told again by its senders, so a damaged row is no reason not to start.
        let loaded = keys::parse_metadata_key(&key)
            .ok_or(Damage("a key has the wrong form"))
            .and_then(|(tenant, metric)| table.load(tenant, metric, &value));
        if let Err(damage) = loaded {
            tracing::warn!(reason = damage.0, "skipping a row of metadata");
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests;
