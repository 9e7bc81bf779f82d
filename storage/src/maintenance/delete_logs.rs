//! Deletes log entries: a tombstone now, the bytes once it can no longer be taken back.

use std::sync::Arc;

use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_model::{LineFilter, Matcher, NanoRange, TimestampMs};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::catalog::{BlockId, BlockRow, LogTombstone, Payload};
use crate::error::{Error, ErrorKind, Result};
use crate::faults::Place;
use crate::logs::millis;
use crate::series::TenantId;
use crate::store::Inner;
use crate::version::Version;

/// What is to be deleted of log entries.
#[derive(Clone, Debug)]
pub struct LogDeletion {
    /// The query as written; told in lists.
    pub query: String,
    /// All must hold of a stream.
    pub matchers: Vec<Matcher>,
    /// All must hold of a line; all lines if there are none.
    pub filters: Vec<LineFilter>,
    /// Which of their time.
    pub range: NanoRange,
}

/// A deletion of log entries that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDeletionStatus {
    /// What it is told by.
    pub id: u64,
    /// The query as written.
    pub query: String,
    /// Which of their time, in nanoseconds.
    pub range: NanoRange,
    /// When it was asked for.
    pub created: TimestampMs,
    /// Blocks it was about.
    pub blocks: usize,
    /// Of these, the blocks in which it is still to be done on disk.
    pub blocks_left: usize,
}

/// The id of a deletion that is about nothing and not kept.
const NOTHING_STORED: u64 = 0;

impl Inner {
    /// Deletes entries of a tenant. What is written afterwards lives. Gives what the deletion is
    /// told by, 0 if nothing was ever written for the tenant.
    pub(crate) fn delete_logs(&self, tenant: &str, deletion: LogDeletion) -> Result<u64> {
        self.check_open()?;
        let Some(tenant) = self.catalog.tenant(tenant) else { return Ok(NOTHING_STORED) };
        let _merging = self.work.merging.lock();
        let _sealing = self.work.sealing.lock();
        let LogDeletion { query, matchers, filters, range } = deletion;
        // A tombstone is about blocks, so what is in the head becomes one first.
        if self.head_holds_logs(tenant, &matchers, range) {
            self.seal_now()?;
        }
        self.faults.pass(Place::DeleteSealed)?;
        let created = self.clock.now();
        let mut tombstone = LogTombstone {
            id: 0,
            tenant,
            created,
            query,
            matchers,
            filters,
            range,
            blocks: Vec::new(),
        };
        tombstone.id = self.new_deletion_id(&tombstone);
        tombstone.blocks = blocks_of(&self.catalog.blocks(), &self.version(), &tombstone)?;
        let id = tombstone.id;
        self.catalog.add_log_tombstone(tombstone)?;
        self.faults.pass(Place::DeleteCommitted)?;
        self.show_tombstones();
        Ok(id)
    }

    /// An id no other deletion has.
    fn new_deletion_id(&self, tombstone: &LogTombstone) -> u64 {
        let known = self.catalog.log_tombstones();
        let created = tombstone.created.0.cast_unsigned();
        let mut id = xxh3_64_with_seed(tombstone.query.as_bytes(), created);
        while known.iter().any(|(one, _)| one.id == id) {
            id = id.wrapping_add(1);
        }
        id
    }

    fn head_holds_logs(&self, tenant: TenantId, matchers: &[Matcher], range: NanoRange) -> bool {
        let version = self.version();
        version.sealing.is_some()
            || version.generations().any(|generation| {
                let logs = generation.logs();
                let ids = logs.identity().with_tenant(tenant, |view| view.select(matchers));
                !logs.filled(&ids.unwrap_or_default(), range).is_empty()
            })
    }

    /// The deletions of a tenant, oldest first.
    pub(crate) fn log_deletions(&self, tenant: &str) -> Vec<LogDeletionStatus> {
        let Some(tenant) = self.catalog.tenant(tenant) else { return Vec::new() };
        let all = self.catalog.log_tombstones().into_iter();
        let own = all.filter(|(one, _)| one.tenant == tenant);
        let mut found: Vec<LogDeletionStatus> = own
            .map(|(one, blocks_left)| LogDeletionStatus {
                id: one.id,
                query: one.query.clone(),
                range: one.range,
                created: one.created,
                blocks: one.blocks.len(),
                blocks_left,
            })
            .collect();
        found.sort_by_key(|one| one.created);
        found
    }

    /// Takes a deletion back: what is still on disk shows again.
    pub(crate) fn cancel_log_deletion(&self, tenant: &str, id: u64) -> Result<()> {
        self.check_open()?;
        let _merging = self.work.merging.lock();
        let unknown = || Error::NotFound(format!("there is no deletion {id:016x}"));
        let tenant = self.catalog.tenant(tenant).ok_or_else(unknown)?;
        let all = self.catalog.log_tombstones();
        if !all.iter().any(|(one, _)| one.tenant == tenant && one.id == id) {
            return Err(unknown());
        }
        self.catalog.remove_log_tombstone(tenant, id)?;
        self.faults.pass(Place::DeleteCommitted)?;
        self.show_tombstones();
        Ok(())
    }

    /// The deletions that can no longer be taken back at `now`.
    pub(super) fn due_log_tombstones(
        &self,
        version: &Version,
        now: TimestampMs,
    ) -> Vec<Arc<LogTombstone>> {
        let due = now + -self.config.log_delete_cancel_ms;
        let all = version.log_tombstones.iter();
        all.filter(|tombstone| tombstone.created <= due).cloned().collect()
    }
}

/// The blocks of `rows` that have an entry to delete, ascending. One that cannot be read, or was not
/// opened, may have.
fn blocks_of(
    rows: &[BlockRow],
    version: &Version,
    tombstone: &LogTombstone,
) -> Result<Vec<BlockId>> {
    let range = tombstone.range;
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| row.payload == Payload::Entries) {
        let last = row.max_time.0.saturating_add(1).saturating_mul(NANOS_PER_MILLI);
        let touches = row.min_time.0.saturating_mul(NANOS_PER_MILLI) < range.end
            && range.start < last
            && millis(range.start) <= row.max_time;
        if !touches {
            continue;
        }
        let open = version.log_blocks.iter().find(|block| block.row().id == row.id);
        match open.map(|block| block.select(tombstone.tenant, &tombstone.matchers)) {
            Some(Ok(ids)) if ids.is_empty() => {}
            Some(Err(error)) if error.kind() != ErrorKind::Corrupt => return Err(error),
            _ => found.push(row.id),
        }
    }
    found.sort_unstable();
    Ok(found)
}
