//! The directory of a log block: for each stream its pages, with what is known of them without
//! reading them. One value covers a group of neighbouring streams.

use crate::encoding::{Damage, Input, put_varint};
use crate::metrics::codec::integers;

use super::GROUP_STREAMS;

/// Pages of a group at most.
const PAGES_MAX: u64 = 1 << 26;

/// Where a page lies, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePlace {
    /// The value it is in.
    pub number: u32,
    /// Its first byte there.
    pub offset: u32,
    /// Its bytes.
    pub length: u32,
    /// Number of entries.
    pub entries: u32,
    /// Bytes of their lines.
    pub line_bytes: u64,
    /// Time of its first entry.
    pub min: i64,
    /// Time of its last entry, inclusive.
    pub max: i64,
}

/// The pages of a group of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogGroup {
    /// Where the pages of each stream end in `places`.
    ends: Vec<u32>,
    places: Vec<PagePlace>,
}

impl LogGroup {
    /// Number of streams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds the next stream.
    pub fn push(&mut self, pages: &[PagePlace]) {
        self.places.extend_from_slice(pages);
        self.ends.push(u32::try_from(self.places.len()).unwrap_or(u32::MAX));
    }

    /// Pages of a stream, in order of arrival; `None` if the group has no such stream.
    #[must_use]
    pub fn pages(&self, stream: u32) -> Option<&[PagePlace]> {
        let at = stream as usize;
        let end = *self.ends.get(at)? as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.places.get(start..end)
    }

    /// The place of a stream's first page among all.
    #[must_use]
    pub fn first_page(&self, stream: u32) -> usize {
        let before = (stream as usize).checked_sub(1).and_then(|before| self.ends.get(before));
        before.map_or(0, |&end| end as usize)
    }

    /// All pages.
    #[must_use]
    pub fn all_pages(&self) -> &[PagePlace] {
        &self.places
    }

    /// Bytes of memory, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.ends.len() * 4 + self.places.len() * size_of::<PagePlace>() + 64
    }

    /// The body of its value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.ends.len() as u64);
        put_varint(&mut out, self.places.len() as u64);
        let ends: Vec<i64> = self.ends.iter().map(|&end| i64::from(end)).collect();
        integers::encode(&ends, &mut out);
        let mut column = |value: fn(&PagePlace) -> i64| {
            let values: Vec<i64> = self.places.iter().map(value).collect();
            integers::encode(&values, &mut out);
        };
        column(|p| i64::from(p.number));
        column(|p| i64::from(p.offset));
        column(|p| i64::from(p.length));
        column(|p| i64::from(p.entries));
        column(|p| p.line_bytes.cast_signed());
        column(|p| p.min);
        column(|p| p.max.wrapping_sub(p.min));
        out
    }

    /// Reads the body of a value.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn decode(body: &[u8]) -> Result<Self, Damage> {
        const BAD: Damage = Damage("a number of the directory is out of range");
        let mut input = Input::new(body);
        let count = |n: u64, max: u64| usize::try_from(n).ok().filter(|_| n <= max).ok_or(BAD);
        let streams = count(input.varint()?, u64::from(GROUP_STREAMS))?;
        let pages = count(input.varint()?, PAGES_MAX)?;
        let u32_of = |n: i64| u32::try_from(n).map_err(|_| BAD);
        let mut column = |len: usize| {
            let mut values = Vec::new();
            integers::decode(&mut input, len, 0..len, &mut values).map(|()| values)
        };
        let ends: Vec<u32> = column(streams)?.into_iter().map(u32_of).collect::<Result<_, _>>()?;
        let (numbers, offsets, lengths) = (column(pages)?, column(pages)?, column(pages)?);
        let (entries, line_bytes) = (column(pages)?, column(pages)?);
        let (mins, spans) = (column(pages)?, column(pages)?);
        input.end()?;
        let last = ends.last().map_or(0, |&end| end as usize);
        if !ends.is_sorted() || last != pages {
            return Err(BAD);
        }
        let place = |at: usize| {
            Ok(PagePlace {
                number: u32_of(numbers[at])?,
                offset: u32_of(offsets[at])?,
                length: u32_of(lengths[at])?,
                entries: u32_of(entries[at])?,
                line_bytes: u64::try_from(line_bytes[at]).map_err(|_| BAD)?,
                min: mins[at],
                max: Some(mins[at].wrapping_add(spans[at]))
                    .filter(|max| *max >= mins[at])
                    .ok_or(BAD)?,
            })
        };
        Ok(Self { ends, places: (0..pages).map(place).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_comes_back_and_a_cut_one_is_damage() {
        let page = |n: u32| PagePlace {
            number: n / 3,
            offset: n * 7,
            length: 100,
            entries: 5,
            line_bytes: u64::from(n) << 20,
            min: i64::from(n) - 1_780_000_000_000_000_000,
            max: i64::from(n),
        };
        let pages: Vec<PagePlace> = (0..900).map(page).collect();
        let mut group = LogGroup::default();
        group.push(&pages[..3]);
        group.push(&[]);
        group.push(&pages[3..]);
        let body = group.encode();
        let read = LogGroup::decode(&body).expect("it is whole");
        assert_eq!(read, group);
        assert_eq!(read.pages(0), Some(&pages[..3]));
        assert_eq!(read.pages(1), Some(&[][..]));
        assert_eq!(read.pages(3), None);
        for end in 0..body.len() {
            assert!(LogGroup::decode(&body[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(LogGroup::decode(&LogGroup::default().encode()), Ok(LogGroup::default()));
    }
}
