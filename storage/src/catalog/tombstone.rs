//! Tombstones: which samples of which blocks were deleted, until a merge leaves them out.

use std::sync::Arc;

use ephemeris_model::{Matcher, TimeRange, TimestampMs};

use super::parts::{put_blocks, put_matchers, read_blocks, read_matchers};
use super::row::BlockId;
use super::{Catalog, State};
use crate::encoding::{Damage, Input, put_varint, put_zigzag};
use crate::error::{Error, Result};
use crate::rocks::{CatalogBatch, keys};
use crate::series::TenantId;

/// Tombstones at most: a query looks at each of those about its blocks.
const TOMBSTONES_MAX: usize = 1000;
/// Version of the row's encoding.
const VERSION: u8 = 1;

/// A deletion. It names the blocks it is about, so that what is written later lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Whose series.
    pub tenant: TenantId,
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Which of their time.
    pub range: TimeRange,
    /// The blocks it is about, ascending. Those that are gone are left in: ids never come back.
    pub blocks: Vec<BlockId>,
}

impl Tombstone {
    /// Whether something of `tenant` in `block` is deleted.
    #[must_use]
    pub fn is_about(&self, tenant: TenantId, block: BlockId) -> bool {
        self.tenant == tenant && self.names(block)
    }

    /// Whether something in `block` is deleted.
    #[must_use]
    pub fn names(&self, block: BlockId) -> bool {
        self.blocks.binary_search(&block).is_ok()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, u64::from(self.tenant.0));
        put_zigzag(&mut out, self.range.start.0);
        put_zigzag(&mut out, self.range.end.0);
        put_matchers(&mut out, &self.matchers);
        put_blocks(&mut out, &self.blocks);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut input = Input::new(bytes);
        if input.u8()? != VERSION {
            return Err(Damage("the version is not known"));
        }
        let tenant = TenantId(input.varint_u32()?);
        let range = TimeRange::new(TimestampMs(input.zigzag()?), TimestampMs(input.zigzag()?));
        let matchers = read_matchers(&mut input)?;
        let blocks = read_blocks(&mut input)?;
        input.end()?;
        Ok(Self { tenant, matchers, range, blocks })
    }
}

impl Catalog {
    /// Adds deletions, all of them or none.
    ///
    /// # Errors
    /// If they cannot be written, or there are too many.
    pub fn add_tombstones(&self, tombstones: Vec<Tombstone>) -> Result<()> {
        let mut journal = self.journal.lock();
        let (count, next) = {
            let state = self.state.read();
            (state.tombstones.len(), state.next_tombstone())
        };
        if count + tombstones.len() > TOMBSTONES_MAX {
            return Err(Error::Limit(format!(
                "there would be {} tombstones; limit is {TOMBSTONES_MAX}; clean_tombstones makes \
                 room",
                count + tombstones.len()
            )));
        }
        let numbered: Vec<(u32, Tombstone)> = (next..).zip(tombstones).collect();
        let mut batch = CatalogBatch::default();
        for (number, tombstone) in &numbered {
            batch.put(keys::tombstone_key(*number), tombstone.encode());
        }
        self.write(&mut journal, batch)?;
        let numbered = numbered.into_iter().map(|(number, one)| (number, Arc::new(one)));
        self.state.write().tombstones.extend(numbered);
        Ok(())
    }

    /// All deletions that are not done on disk yet.
    #[must_use]
    pub fn tombstones(&self) -> Arc<Vec<Arc<Tombstone>>> {
        Arc::new(self.state.read().tombstones.values().cloned().collect())
    }
}

impl State {
    /// A number no tombstone has, of series or of entries: their rows share the numbers.
    pub(super) fn next_tombstone(&self) -> u32 {
        let last = self.tombstones.last_key_value().map(|(number, _)| *number);
        let last = last.max(self.log_tombstones.last_key_value().map(|(number, _)| *number));
        last.map_or(0, |last| last.saturating_add(1))
    }

    /// Tombstones that are about no block any more once `removed` are gone.
    pub(super) fn spent_tombstones(&self, removed: &[BlockId]) -> Vec<u32> {
        let there = |id: &BlockId| self.blocks.contains_key(id) && !removed.contains(id);
        let spent = self.tombstones.iter().filter(|(_, one)| !one.blocks.iter().any(there));
        spent.map(|(number, _)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use ephemeris_model::MatchOp;

    use super::*;

    #[test]
    fn a_tombstone_comes_back_and_a_cut_one_is_damage() {
        let tombstone = Tombstone {
            tenant: TenantId(7),
            matchers: vec![
                Matcher::equal("__name__", "up"),
                Matcher::new(MatchOp::NotRegex, "job", "a|b.*").expect("it is valid"),
            ],
            range: TimeRange::new(TimestampMs(-5), TimestampMs(i64::MAX)),
            blocks: vec![BlockId(3), BlockId(900), BlockId(u32::MAX)],
        };
        let bytes = tombstone.encode();
        assert_eq!(Tombstone::decode(&bytes), Ok(tombstone.clone()));
        for end in 0..bytes.len() {
            assert!(Tombstone::decode(&bytes[..end]).is_err());
        }
        assert!(tombstone.is_about(TenantId(7), BlockId(900)));
        assert!(!tombstone.is_about(TenantId(7), BlockId(4)));
        assert!(!tombstone.is_about(TenantId(8), BlockId(900)));
    }
}
