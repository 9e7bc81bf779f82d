//! Entries of a page counted by minute and level, so that counting them reads no page.
//!
//! A minute excludes its first nanosecond and includes the one it ends with, as windows of queries
//! do: then windows that begin and end with a minute cut none.

use ephemeris_model::log_batch::DETECTED_LEVEL;
use ephemeris_model::{EntryCount, NanoRange};

use super::rows::{Column, Rows};
use crate::encoding::{Damage, Input, put_bytes, put_varint};
use crate::metrics::codec::integers;

const MINUTE_NS: i64 = 60_000_000_000;
/// Levels of a page at most; a page with more is not counted.
const LEVELS_MAX: usize = 32;
/// Cells of a page at most when it is read.
const CELLS_MAX: usize = 1 << 20;
/// Entries a cell must hold on average; below it, reading the page is as good.
const ENTRIES_PER_CELL: usize = if cfg!(test) { 1 } else { 2 };
/// Metadata with such names changes what an entry counts for.
const ERROR_PREFIX: &str = "__error";

/// Entries of one minute and level.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    minute: i64,
    /// Place of its level.
    level: u8,
    count: EntryCount,
}

/// What a page holds, by minute and level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    levels: Vec<Box<str>>,
    /// In order of time.
    cells: Vec<Cell>,
}

/// The minute a time belongs to.
const fn minute_of(time: i64) -> i64 {
    time.saturating_sub(1).div_euclid(MINUTE_NS)
}

impl Counts {
    /// Counts rows that are in order of time and of which none repeats; `None` if that would not
    /// pay.
    #[must_use]
    pub fn of(rows: &Rows) -> Option<Self> {
        if rows.columns().iter().any(|column| column.name().starts_with(ERROR_PREFIX)) {
            return None;
        }
        let levels = rows.columns().iter().find(|column| column.name() == DETECTED_LEVEL);
        let mut counts = Self::default();
        let (mut start, mut minute_start) = (0, 0);
        for (row, (&time, &end)) in rows.times().iter().zip(rows.ends()).enumerate() {
            let minute = minute_of(time);
            if counts.cells.last().is_none_or(|cell| cell.minute != minute) {
                minute_start = counts.cells.len();
            }
            let level = counts.level(levels.map_or("", |column: &Column| column.value(row)))?;
            let found = counts.cells[minute_start..].iter_mut().find(|cell| cell.level == level);
            let bytes = u64::from(end - start);
            start = end;
            match found {
                Some(cell) => {
                    cell.count.entries += 1;
                    cell.count.bytes += bytes;
                }
                None => {
                    let count = EntryCount { entries: 1, bytes };
                    counts.cells.push(Cell { minute, level, count });
                }
            }
        }
        (counts.cells.len() * ENTRIES_PER_CELL <= rows.len()).then_some(counts)
    }

    /// The place of a level; `None` if there are too many.
    fn level(&mut self, level: &str) -> Option<u8> {
        let found = self.levels.iter().position(|known| **known == *level);
        let at = found.unwrap_or_else(|| {
            self.levels.push(level.into());
            self.levels.len() - 1
        });
        u8::try_from(at).ok().filter(|_| at < LEVELS_MAX)
    }

    /// The cells, each with the range of time it covers and its level.
    pub fn cells(&self) -> impl Iterator<Item = (NanoRange, &str, EntryCount)> {
        self.cells.iter().map(|cell| {
            let start = cell.minute.saturating_mul(MINUTE_NS).saturating_add(1);
            let range = NanoRange { start, end: start.saturating_add(MINUTE_NS) };
            (range, self.levels.get(usize::from(cell.level)).map_or("", |l| &**l), cell.count)
        })
    }

    /// The encoded form, which is never empty.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.levels.len() as u64);
        self.levels.iter().for_each(|level| put_bytes(&mut out, level.as_bytes()));
        put_varint(&mut out, self.cells.len() as u64);
        let mut column = |value: fn(&Cell) -> i64| {
            let values: Vec<i64> = self.cells.iter().map(value).collect();
            integers::encode(&values, &mut out);
        };
        column(|cell| cell.minute);
        column(|cell| i64::from(cell.level));
        column(|cell| cell.count.entries.cast_signed());
        column(|cell| cell.count.bytes.cast_signed());
        out
    }

    /// Reads what [`Counts::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        const BAD: Damage = Damage("a count of entries is out of range");
        let mut input = Input::new(bytes);
        let mut levels: Vec<Box<str>> = Vec::new();
        for _ in 0..input.count_up_to(LEVELS_MAX)? {
            levels.push(input.text()?.into());
        }
        let len = input.count_up_to(CELLS_MAX)?;
        let mut column = || {
            let mut values = Vec::new();
            integers::decode(&mut input, len, 0..len, &mut values).map(|()| values)
        };
        let (minutes, places) = (column()?, column()?);
        let (entries, bytes) = (column()?, column()?);
        input.end()?;
        let number = |n: i64| u64::try_from(n).map_err(|_| BAD);
        let cell = |at: usize| {
            let level = u8::try_from(places[at]).map_err(|_| BAD)?;
            if usize::from(level) >= levels.len() {
                return Err(BAD);
            }
            let count = EntryCount { entries: number(entries[at])?, bytes: number(bytes[at])? };
            Ok(Cell { minute: minutes[at], level, count })
        };
        let cells = (0..len).map(cell).collect::<Result<_, _>>()?;
        Ok(Self { levels, cells })
    }

    /// All entries.
    #[must_use]
    pub fn total(&self) -> EntryCount {
        let mut total = EntryCount::default();
        for cell in &self.cells {
            total.entries = total.entries.saturating_add(cell.count.entries);
            total.bytes = total.bytes.saturating_add(cell.count.bytes);
        }
        total
    }
}

/// Counts of the pages of a group of streams, as they are stored.
#[derive(Clone, Debug, Default)]
pub struct GroupCounts {
    body: Vec<u8>,
    /// Where the counts of each page lie in the body; nowhere if it has none.
    places: Vec<std::ops::Range<usize>>,
}

impl GroupCounts {
    /// Reads the body of a value: for each page of the group a byte string, empty if the page is
    /// not counted.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn decode(body: &[u8], pages: usize) -> Result<Self, Damage> {
        let mut input = Input::new(body);
        let mut places = Vec::new();
        while !input.is_empty() {
            let length = input.bytes()?.len();
            let end = body.len() - input.len();
            places.push(end - length..end);
        }
        if places.len() != pages {
            return Err(Damage("counts are not of as many pages as there are"));
        }
        Ok(Self { body: body.to_vec(), places })
    }

    /// Counts of a page; `None` if it is not counted.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn page(&self, at: usize) -> Result<Option<Counts>, Damage> {
        let place = self.places.get(at).cloned().unwrap_or_default();
        let bytes = self.body.get(place).unwrap_or_default();
        if bytes.is_empty() { Ok(None) } else { Counts::decode(bytes).map(Some) }
    }

    /// Bytes of memory, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.body.len() + self.places.len() * 16 + 64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_are_those_of_the_rows_and_come_back(
            all in proptest::collection::vec((-3i64..3, -1i64..2, "[a-c]{0,2}", "x{0,9}"), 1..40),
        ) {
            let mut rows = Rows::default();
            let mut all: Vec<_> = all
                .into_iter()
                .map(|(minute, ns, level, line)| (minute * MINUTE_NS + ns, level, line))
                .collect();
            all.sort();
            for (time, level, line) in &all {
                let level = (!level.is_empty()).then_some((DETECTED_LEVEL, level.as_str()));
                rows.push(*time, line.as_bytes(), level);
            }
            let counts = Counts::of(&rows).expect("every cell has an entry");
            prop_assert_eq!(Counts::decode(&counts.encode()), Ok(counts.clone()));
            let mut found = 0;
            for (range, level, count) in counts.cells() {
                let inside = all.iter().filter(|(time, l, _)| {
                    range.start <= *time && *time < range.end && l == level
                });
                let bytes = inside.clone().map(|(.., line)| line.len() as u64).sum();
                let entries = inside.count() as u64;
                prop_assert_eq!(count, EntryCount { entries, bytes });
                found += entries;
            }
            prop_assert_eq!(found, all.len() as u64);
            prop_assert_eq!(counts.total().entries, found);
        }

        #[test]
        fn any_bytes_decode_or_are_damage(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            pages in 0usize..4,
        ) {
            let _ = Counts::decode(&bytes);
            if let Ok(group) = GroupCounts::decode(&bytes, pages) {
                for page in 0..=pages {
                    let _ = group.page(page);
                }
            }
        }
    }

    #[test]
    fn a_page_of_many_levels_or_of_errors_is_not_counted() {
        let mut rows = Rows::default();
        for n in 0..40 {
            rows.push(n, b"", [(DETECTED_LEVEL, format!("level-{n}").as_str())]);
        }
        assert_eq!(Counts::of(&rows), None);
        let mut rows = Rows::default();
        rows.push(1, b"", [("__error__", "x")]);
        assert_eq!(Counts::of(&rows), None);
    }
}
