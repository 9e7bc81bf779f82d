//! What a reader sees: each sample written is in exactly one part of a version.

use std::sync::Arc;

use crate::catalog::{BlockId, LogTombstone, Payload, Tombstone};
use crate::metrics::block::Block;
use crate::metrics::head::generation::Generation;

/// All data of the store at one moment. Changes make a new version; readers keep theirs.
#[derive(Clone)]
pub(crate) struct Version {
    /// The generation that is written to.
    pub(crate) open: Arc<Generation>,
    /// The generation that is being sealed, if one is.
    pub(crate) sealing: Option<Arc<Generation>>,
    /// Sealed blocks of samples.
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Sealed blocks of log entries.
    pub(crate) log_blocks: Vec<Arc<Block>>,
    /// What is deleted of the blocks. It belongs to them: a merge leaves it out and drops it.
    pub(crate) tombstones: Arc<Vec<Arc<Tombstone>>>,
    /// The same of entries.
    pub(crate) log_tombstones: Arc<Vec<Arc<LogTombstone>>>,
}

impl Version {
    /// The generations, the one that is sealed first.
    pub(crate) fn generations(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.sealing.iter().chain(std::iter::once(&self.open))
    }

    /// The block with this number.
    pub(crate) fn block(&self, id: BlockId) -> Option<&Arc<Block>> {
        self.blocks.iter().chain(&self.log_blocks).find(|block| block.row().id == id)
    }

    /// Puts `added` in place of `removed`; answers what was removed.
    pub(crate) fn replace(
        &mut self,
        removed: &[BlockId],
        added: Vec<Arc<Block>>,
    ) -> Vec<Arc<Block>> {
        let gone = |block: &Arc<Block>| removed.contains(&block.row().id);
        let is_log = |block: &Arc<Block>| block.row().payload == Payload::Entries;
        let (log_added, added): (Vec<_>, Vec<_>) = added.into_iter().partition(is_log);
        let mut out = Vec::new();
        for (blocks, added) in [(&mut self.blocks, added), (&mut self.log_blocks, log_added)] {
            out.extend(blocks.extract_if(.., |block| gone(block)));
            blocks.extend(added);
            blocks.sort_by_key(|block| (block.row().range.start, block.row().id));
        }
        out
    }
}
