//! Decoded parts of blocks that are asked for again and again, kept for all blocks together.

use std::sync::Arc;

use super::directory::Group;
use crate::cache::Cache;
use crate::catalog::BlockId;
use crate::index::{FrameCache, TenantIndex};
use crate::series::TenantId;

const FRAMES_BYTES: usize = 8 << 20;
const GROUPS_BYTES: usize = 8 << 20;
const TIMES_BYTES: usize = 8 << 20;
const INDEXES_BYTES: usize = 16 << 20;

/// The caches.
pub struct BlockCaches {
    /// Frames of dictionaries.
    pub frames: FrameCache,
    /// Groups of the directory.
    pub(super) groups: Cache<(BlockId, u32), Arc<Group>>,
    /// Bodies of time vectors.
    pub(super) times: Cache<(BlockId, u32), Arc<Vec<u8>>>,
    /// Tables of names of a tenant.
    pub(super) indexes: Cache<(BlockId, TenantId), Arc<TenantIndex>>,
}

impl Default for BlockCaches {
    fn default() -> Self {
        Self {
            frames: Cache::new(FRAMES_BYTES),
            groups: Cache::new(GROUPS_BYTES),
            times: Cache::new(TIMES_BYTES),
            indexes: Cache::new(INDEXES_BYTES),
        }
    }
}
