//! Tombstones of log entries: which entries of which blocks are hidden, since when.

use ephemeris_model::{LineFilter, LineMatch, Matcher, NanoRange, PatternBudget, TimestampMs};

use super::parts::{put_blocks, put_matchers, read_blocks, read_matchers};
use super::row::BlockId;
use crate::encoding::{Damage, Input, put_bytes, put_varint, put_zigzag};
use crate::series::TenantId;

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
