//! What is deleted of one log block, and how it is left out of what is read.

use std::sync::Arc;

use ephemeris_model::{LogColumns, NanoRange};
use roaring::RoaringBitmap;

use super::rows::Rows;
use crate::catalog::LogTombstone;
use crate::error::Result;
use crate::metrics::block::Block;
use crate::series::TenantId;

/// Deletions that touch a run of entries.
pub(crate) type Cuts = Vec<Arc<LogTombstone>>;

/// What is deleted of one log block. Ids are those of the block.
#[derive(Default)]
pub(crate) struct LogDeleted {
    parts: Vec<(RoaringBitmap, Arc<LogTombstone>)>,
}

impl LogDeleted {
    /// What `tombstones` delete of `block`; of one tenant, or of all.
    ///
    /// # Errors
    /// If the index is damaged: then it is not known what is deleted.
    pub(crate) fn of(
        block: &Block,
        tombstones: &[Arc<LogTombstone>],
        tenant: Option<TenantId>,
    ) -> Result<Self> {
        let mut parts = Vec::new();
        let id = block.row().id;
        let about =
            |t: &&Arc<LogTombstone>| t.names(id) && tenant.is_none_or(|own| own == t.tenant);
        for tombstone in tombstones.iter().filter(about) {
            let ids = block.select(tombstone.tenant, &tombstone.matchers)?;
            if !ids.is_empty() {
                parts.push((ids, Arc::clone(tombstone)));
            }
        }
        Ok(Self { parts })
    }

    /// The streams of which something may be deleted.
    pub(crate) fn touched(&self) -> RoaringBitmap {
        self.parts.iter().fold(RoaringBitmap::new(), |all, (ids, _)| all | ids)
    }

    /// The deletions that touch entries of stream `id` from `min` to `max`, both inclusive; `None`
    /// if none of these entries is left.
    pub(crate) fn cuts(&self, id: u32, (min, max): (i64, i64)) -> Option<Cuts> {
        let mut cuts = Cuts::new();
        for (_, tombstone) in self.parts.iter().filter(|(ids, _)| ids.contains(id)) {
            let NanoRange { start, end } = tombstone.range;
            if tombstone.filters.is_empty() && start <= min && max < end {
                return None;
            }
            if min < end && start <= max {
                cuts.push(Arc::clone(tombstone));
            }
        }
        Some(cuts)
    }
}

/// The columns needed to tell what is deleted, beside those that are `wanted`.
pub(crate) fn columns_for(cuts: &Cuts, wanted: LogColumns) -> LogColumns {
    let filtered = cuts.iter().any(|tombstone| !tombstone.filters.is_empty());
    LogColumns { lines: wanted.lines || filtered, ..wanted }
}

/// The rows that are left.
pub(crate) fn without(rows: Rows, cuts: &Cuts) -> Rows {
    let is_left = |row: &usize| {
        let (time, line) = (rows.times()[*row], rows.line(*row));
        !cuts.iter().any(|tombstone| tombstone.deletes(time, line))
    };
    let left: Vec<usize> = (0..rows.len()).filter(is_left).collect();
    if left.len() == rows.len() { rows } else { rows.pick(left.into_iter()) }
}
