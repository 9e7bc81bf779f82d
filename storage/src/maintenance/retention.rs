//! Retention on disk: blocks all of whose samples are too old are deleted whole. What is too old
//! in other blocks is hidden by readers and left out by merges.

use std::sync::atomic::Ordering;

use crate::catalog::CatalogChange;
use crate::error::Result;
use crate::store::Inner;

impl Inner {
    /// Removes the blocks that are past the retention. `merging` is held.
    pub(super) fn expire(&self) -> Result<()> {
        let removed = self.version().expired(self.oldest());
        if removed.is_empty() {
            return Ok(());
        }
        let change = CatalogChange { removed: removed.clone(), ..CatalogChange::default() };
        self.catalog.commit(change)?;
        self.counters.blocks_expired.fetch_add(removed.len() as u64, Ordering::Relaxed);
        tracing::info!(blocks = removed.len(), "deleted blocks past the retention");
        self.replace_blocks(&removed, Vec::new());
        Ok(())
    }
}
