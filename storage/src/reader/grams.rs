//! Which pages a search for texts may leave out.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use crate::catalog::BlockId;
use crate::error::Result;
use crate::logs::grams::GramIndex;
use crate::metrics::block::Block;

/// What is known of the pages of the blocks of one selection.
pub(super) struct PageFilter {
    needles: Vec<Vec<u8>>,
    blocks: Mutex<HashMap<BlockId, BlockGrams, FxBuildHasher>>,
}

/// What was read of a block.
struct BlockGrams {
    /// Nothing if the block has no rows.
    index: Option<GramIndex>,
    /// For each stripe that was asked for, a bit for each page.
    stripes: HashMap<u32, Vec<u8>, FxBuildHasher>,
}

impl PageFilter {
    /// A filter for pages that hold all needles; `None` if they are too short for one.
    pub(super) fn new(needles: &[Vec<u8>]) -> Option<Self> {
        let filter = || Self { needles: needles.to_vec(), blocks: Mutex::default() };
        GramIndex::knows(needles).then(filter)
    }

    /// Whether a page may hold all needles; it is told by the number of its group and its place
    /// there.
    ///
    /// # Errors
    /// If the rows are damaged. The next call tells that every page may.
    pub(super) fn may_hold(&self, block: &Arc<Block>, (group, at): (u32, usize)) -> Result<bool> {
        let mut blocks = self.blocks.lock();
        let grams = match blocks.entry(block.row().id) {
            hashbrown::hash_map::Entry::Occupied(known) => known.into_mut(),
            hashbrown::hash_map::Entry::Vacant(new) => {
                let index = block.gram_index();
                let grams = new.insert(BlockGrams { index: None, stripes: HashMap::default() });
                grams.index = index?;
                grams
            }
        };
        let Some(index) = &grams.index else { return Ok(true) };
        let Some(place) = index.place(group, at) else { return Ok(true) };
        let bits = match grams.stripes.get(&place.stripe) {
            Some(bits) => bits,
            None => match block.gram_candidates(index, place.stripe, &self.needles) {
                Ok(bits) => grams.stripes.entry(place.stripe).insert(bits).into_mut(),
                Err(error) => {
                    grams.index = None;
                    return Err(error);
                }
            },
        };
        let bits = bits.get(place.at as usize / 8).copied().unwrap_or(u8::MAX);
        Ok(bits >> (place.at % 8) & 1 == 1)
    }
}
