//! Decoded parts of blocks that are asked for again and again, kept for all blocks together.

use std::sync::Arc;

use super::directory::Group;
use crate::cache::Cache;
use crate::catalog::BlockId;
use crate::index::{IndexCaches, TenantIndex};
use crate::logs::block::LogGroup;
use crate::logs::counts::GroupCounts;
use crate::series::TenantId;

const INDEX_PARTS_BYTES: usize = 6 << 20;
const GROUPS_BYTES: usize = 4 << 20;
const LOG_GROUPS_BYTES: usize = 8 << 20;
/// Counts of one group of streams that are kept, at most: what fits the cache.
pub(crate) const LOG_COUNTS_GROUP_BYTES_MAX: usize = 8 << 20;
const LOG_COUNTS_BYTES: usize = 2 * LOG_COUNTS_GROUP_BYTES_MAX;
const TIMES_BYTES: usize = 4 << 20;
const PAGES_BYTES: usize = 8 << 20;
const INDEXES_BYTES: usize = 8 << 20;

/// The caches.
pub struct BlockCaches {
    /// Frames of dictionaries and label pages.
    pub(super) index_parts: IndexCaches,
    /// Directories of log blocks, by block and number.
    pub(crate) log_groups: Cache<(BlockId, u32), Arc<LogGroup>>,
    /// Counts of their pages, by block and number.
    pub(crate) log_counts: Cache<(BlockId, u32), Arc<GroupCounts>>,
    /// Groups of the directory.
    pub(super) groups: Cache<(BlockId, u32), Arc<Group>>,
    /// Bodies of time vectors.
    pub(super) times: Cache<(BlockId, u32), Arc<Vec<u8>>>,
    /// Bodies of pages of values that had to be unzipped.
    pub(super) pages: Cache<(BlockId, u32), Arc<Vec<u8>>>,
    /// Tables of names of a tenant.
    pub(super) indexes: Cache<(BlockId, TenantId), Arc<TenantIndex>>,
}

impl Default for BlockCaches {
    fn default() -> Self {
        Self {
            index_parts: IndexCaches::new(INDEX_PARTS_BYTES),
            log_groups: Cache::new(LOG_GROUPS_BYTES),
            log_counts: Cache::new(LOG_COUNTS_BYTES),
            groups: Cache::new(GROUPS_BYTES),
            times: Cache::new(TIMES_BYTES),
            pages: Cache::new(PAGES_BYTES),
            indexes: Cache::new(INDEXES_BYTES),
        }
    }
}
