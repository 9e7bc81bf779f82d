//! Tombstones of log entries: requests to delete, which entries of which blocks are hidden, and
//! from when on they may be left out for good.

use std::sync::Arc;

use ephemeris_model::{LineFilter, LineMatch, Matcher, NanoRange, PatternBudget, TimestampMs};

use super::row::BlockId;
use super::tombstone::{put_blocks, put_matchers, read_blocks, read_matchers};
use super::{Catalog, State};
use crate::encoding::{Damage, Input, put_bytes, put_varint, put_zigzag};
use crate::error::{Error, Result};
use crate::rocks::{CatalogBatch, keys};
use crate::series::TenantId;

/// Requests kept at most, those that are done among them; the oldest of these make room.
pub(super) const LOG_TOMBSTONES_MAX: usize = 1000;
/// Version of the row's encoding; version 1 is a deletion of series.
pub(super) const VERSION: u8 = 2;

/// A deletion of log entries. It names the blocks it is about, so that what is written later lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTombstone {
    /// What a request is told by; unique among those kept.
    pub id: u64,
    /// Whose streams.
    pub tenant: TenantId,
    /// When it was asked for.
    pub created: TimestampMs,
    /// The query as written, for lists.
    pub query: String,
    /// All must hold of a stream.
    pub matchers: Vec<Matcher>,
    /// All must hold of a line; all lines if there are none.
    pub filters: Vec<LineFilter>,
    /// Which of their time, in nanoseconds.
    pub range: NanoRange,
    /// The blocks it is about, ascending. Those that are gone are left in: ids never come back.
    pub blocks: Vec<BlockId>,
}

impl LogTombstone {
    /// Whether entries in `block` are deleted.
    #[must_use]
    pub fn names(&self, block: BlockId) -> bool {
        self.blocks.binary_search(&block).is_ok()
    }

    /// Whether it is about an entry of one of its streams.
    #[must_use]
    pub fn deletes(&self, time: i64, line: &[u8]) -> bool {
        self.range.start <= time
            && time < self.range.end
            && self.filters.iter().all(|filter| filter.matches(line))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, u64::from(self.tenant.0));
        out.extend_from_slice(&self.id.to_le_bytes());
        put_zigzag(&mut out, self.created.0);
        put_zigzag(&mut out, self.range.start);
        put_zigzag(&mut out, self.range.end);
        put_bytes(&mut out, self.query.as_bytes());
        put_matchers(&mut out, &self.matchers);
        put_varint(&mut out, self.filters.len() as u64);
        for filter in &self.filters {
            out.push(number_of(filter.op()));
            put_varint(&mut out, filter.texts().len() as u64);
            filter.texts().iter().for_each(|text| put_bytes(&mut out, text.as_bytes()));
        }
        put_blocks(&mut out, &self.blocks);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut input = Input::new(bytes);
        if input.u8()? != VERSION {
            return Err(Damage("the version is not known"));
        }
        let tenant = TenantId(input.varint_u32()?);
        let id = input.u64()?;
        let created = TimestampMs(input.zigzag()?);
        let range = NanoRange { start: input.zigzag()?, end: input.zigzag()? };
        let query = input.text()?.to_owned();
        let matchers = read_matchers(&mut input)?;
        let mut budget = PatternBudget::default();
        let filters = (0..input.count()?).map(|_| read_filter(&mut input, &mut budget));
        let filters = filters.collect::<Result<_, _>>()?;
        let blocks = read_blocks(&mut input)?;
        input.end()?;
        Ok(Self { id, tenant, created, query, matchers, filters, range, blocks })
    }
}

fn read_filter(input: &mut Input<'_>, budget: &mut PatternBudget) -> Result<LineFilter, Damage> {
    let op = match input.u8()? {
        0 => LineMatch::Contains,
        1 => LineMatch::NotContains,
        2 => LineMatch::Regex,
        3 => LineMatch::NotRegex,
        _ => return Err(Damage("a line filter is not known")),
    };
    let texts = (0..input.count()?).map(|_| input.text().map(str::to_owned));
    let texts = texts.collect::<Result<_, _>>()?;
    LineFilter::within(budget, op, texts).map_err(|_| Damage("a pattern is not valid"))
}

/// Numbers are never reused.
const fn number_of(op: LineMatch) -> u8 {
    match op {
        LineMatch::Contains => 0,
        LineMatch::NotContains => 1,
        LineMatch::Regex => 2,
        LineMatch::NotRegex => 3,
    }
}

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
            let is_full = all.len() >= LOG_TOMBSTONES_MAX;
            let mut done = all.iter().filter(|(_, one)| state.is_done(one));
            (state.next_tombstone(), is_full.then(|| done.next().map(|(number, _)| *number)))
        };
        let oldest_done = match oldest_done {
            Some(None) => {
                return Err(Error::Limit(format!(
                    "there are {LOG_TOMBSTONES_MAX} deletions of entries that are not done, which \
                     is the limit"
                )));
            }
            Some(found) => found,
            None => None,
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

#[cfg(test)]
mod tests {
    use ephemeris_model::MatchOp;
    use proptest::prelude::*;

    use super::*;

    fn tombstones() -> impl Strategy<Value = LogTombstone> {
        let matcher = ("[a-z]{1,5}", "[a-z]{0,5}", any::<bool>()).prop_map(|(name, value, not)| {
            let op = if not { MatchOp::NotRegex } else { MatchOp::Equal };
            Matcher::new(op, name, value).expect("letters are a pattern")
        });
        let filter = (0_u8..4, proptest::collection::vec("[a-z ]{0,6}", 1..3));
        let filter = filter.prop_map(|(op, texts)| {
            let op = match op {
                0 => LineMatch::Contains,
                1 => LineMatch::NotContains,
                2 => LineMatch::Regex,
                _ => LineMatch::NotRegex,
            };
            LineFilter::within(&mut PatternBudget::default(), op, texts).expect("it is valid")
        });
        let numbers = (any::<u64>(), any::<u32>(), any::<i64>(), any::<i64>(), any::<i64>());
        let blocks = proptest::collection::btree_set(any::<u32>(), 0..5);
        let lists = (
            proptest::collection::vec(matcher, 0..3),
            proptest::collection::vec(filter, 0..3),
            blocks,
            ".{0,20}",
        );
        (numbers, lists).prop_map(|(numbers, (matchers, filters, blocks, query))| {
            let (id, tenant, created, start, end) = numbers;
            LogTombstone {
                id,
                tenant: TenantId(tenant),
                created: TimestampMs(created),
                query,
                matchers,
                filters,
                range: NanoRange { start, end },
                blocks: blocks.into_iter().map(BlockId).collect(),
            }
        })
    }

    proptest! {
        #[test]
        fn a_tombstone_comes_back_and_a_cut_one_is_damage(tombstone in tombstones()) {
            let bytes = tombstone.encode();
            prop_assert_eq!(LogTombstone::decode(&bytes), Ok(tombstone));
            for end in 0..bytes.len() {
                prop_assert!(LogTombstone::decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn no_bytes_make_it_fail(mut bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            bytes[0] = VERSION;
            let _ = LogTombstone::decode(&bytes);
        }
    }

    #[test]
    fn it_is_about_times_inside_and_lines_all_filters_keep() {
        let filter = |op, text: &str| {
            let texts = vec![text.to_owned()];
            LineFilter::within(&mut PatternBudget::default(), op, texts).expect("it is valid")
        };
        let tombstone = LogTombstone {
            id: 1,
            tenant: TenantId(0),
            created: TimestampMs(0),
            query: String::new(),
            matchers: Vec::new(),
            filters: vec![filter(LineMatch::Contains, "a"), filter(LineMatch::NotRegex, "b.c")],
            range: NanoRange { start: 10, end: 20 },
            blocks: Vec::new(),
        };
        let found = [(9, "a"), (10, "a"), (19, "xa"), (20, "a"), (15, "b"), (15, "abxc")];
        let found = found.map(|(time, line)| tombstone.deletes(time, line.as_bytes()));
        assert_eq!(found, [false, true, true, false, false, false]);
    }
}
