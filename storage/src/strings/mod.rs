//! Strings and their numbers, given in order of arrival: the values of a label, in the head and in a block
//! that is built. Neither is moved as they grow.

use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use segments::Segments;
use table::TagTable;

pub(crate) mod segments;
mod slots;
pub(crate) mod table;

/// Bytes of a slab of strings; a longer string has one of its own.
const SLAB_BYTES: usize = 16 << 10;

/// 32 bits of the hash of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u32);

/// Distinct strings; each has a number below [`Dictionary::len`].
#[derive(Default)]
pub(crate) struct Dictionary {
    /// All strings, one after the other.
    slabs: Vec<String>,
    /// Where each string begins: number of the slab times its bytes, and place there. It ends where
    /// the next one begins, or with the slab.
    starts: Segments<u32>,
    /// Numbers by hash of their string.
    table: TagTable,
    /// Makes collisions unpredictable from outside.
    seed: u64,
}

impl Dictionary {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring dictionaries must not share a seed; this spreads what the caller gives.
        Self { seed: FxBuildHasher.hash_one(seed), ..Self::default() }
    }

    /// Number of strings.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let slabs = self.slabs.iter().map(String::capacity).sum::<usize>();
        slabs + self.starts.bytes() + self.table.bytes()
    }

    /// The string with this number; empty if there is none.
    pub(crate) fn get(&self, number: u32) -> &str {
        let Some(&start) = self.starts.get(number as usize) else { return "" };
        let (slab, start) = place(start);
        let text = &self.slabs[slab];
        let end = match self.starts.get(number as usize + 1).map(|&next| place(next)) {
            Some((same, end)) if same == slab => end,
            _ => text.len(),
        };
        &text[start..end]
    }

    /// What [`Dictionary::find`] wants to know of a string.
    pub(crate) fn tag(&self, text: &str) -> Tag {
        #[expect(clippy::cast_possible_truncation, reason = "a part of the hash is meant")]
        return Tag(xxh3_64_with_seed(text.as_bytes(), self.seed) as u32);
    }

    /// Has the memory fetched that tells whether a string is there; the answer means nothing.
    #[inline]
    pub(crate) fn touch(&self, tag: Tag) -> u32 {
        self.table.touch(tag.0)
    }

    /// The number of a string that is there; `tag` is its own.
    pub(crate) fn find(&self, tag: Tag, text: &str) -> Option<u32> {
        self.table.find(tag.0, |number| self.get(number) == text)
    }

    /// The number of a string that is there.
    pub(crate) fn number(&self, text: &str) -> Option<u32> {
        self.find(self.tag(text), text)
    }

    /// Adds a string that is not there; `tag` is its own. `None` if there is no room.
    pub(crate) fn insert(&mut self, tag: Tag, text: &str) -> Option<u32> {
        let number = u32::try_from(self.len()).ok()?;
        // An empty string takes a byte, so that none begins where a slab ends.
        let full = |slab: &String| slab.len() + text.len().max(1) > SLAB_BYTES;
        let (slabs, start) = match self.slabs.last() {
            Some(last) if !full(last) => (self.slabs.len(), last.len()),
            _ => (self.slabs.len() + 1, 0),
        };
        let start = u32::try_from((slabs - 1) * SLAB_BYTES + start).ok()?;
        if slabs > self.slabs.len() {
            // The first one grows, so that few strings take little.
            let bytes = if slabs == 1 { 0 } else { SLAB_BYTES };
            self.slabs.push(String::with_capacity(bytes.max(text.len())));
        }
        self.slabs[slabs - 1].push_str(text);
        self.starts.push(start);
        self.table.insert(tag.0, number);
        Some(number)
    }

    /// All strings in order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..).take(self.len()).map(|number| (number, self.get(number)))
    }
}

/// Number of the slab and place there.
const fn place(start: u32) -> (usize, usize) {
    (start as usize / SLAB_BYTES, start as usize % SLAB_BYTES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intern(dictionary: &mut Dictionary, text: &str) -> u32 {
        let tag = dictionary.tag(text);
        let found = dictionary.find(tag, text);
        found.or_else(|| dictionary.insert(tag, text)).expect("there is room")
    }

    #[test]
    fn numbers_follow_arrival_and_strings_come_once() {
        let mut dictionary = Dictionary::new(7);
        for n in 0..1000 {
            assert_eq!(intern(&mut dictionary, &format!("v{n}")), n);
            assert_eq!(intern(&mut dictionary, "v0"), 0);
        }
        assert_eq!(dictionary.get(999), "v999");
        assert_eq!(dictionary.get(1000), "");
        assert_eq!(dictionary.number("v5"), Some(5));
        assert_eq!(dictionary.number("w"), None);
        assert_eq!(dictionary.iter().count(), 1000);
        assert!(dictionary.bytes() < 40_000, "{}", dictionary.bytes());
    }

    proptest! {
        #[test]
        fn strings_of_any_length_come_back(
            lengths in proptest::collection::vec(
                prop_oneof![0..40usize, 7_000..9_000usize, Just(SLAB_BYTES), Just(SLAB_BYTES + 9)],
                1..60,
            ),
        ) {
            let mut dictionary = Dictionary::new(1);
            let texts: Vec<String> = (0..)
                .zip(&lengths)
                .map(|(n, &length)| format!("{n:0>width$}", width = length.max(2)))
                .chain([String::new()])
                .collect();
            for text in &texts {
                intern(&mut dictionary, text);
            }
            for (number, text) in (0..).zip(&texts) {
                prop_assert_eq!(dictionary.get(number), text);
                prop_assert_eq!(dictionary.number(text), Some(number));
            }
            prop_assert_eq!(dictionary.len(), texts.len());
        }

        #[test]
        fn an_empty_string_at_the_end_of_a_slab_stays_apart(before in 0..3usize) {
            let mut dictionary = Dictionary::new(1);
            let full = "x".repeat(SLAB_BYTES - before);
            intern(&mut dictionary, &full);
            intern(&mut dictionary, "");
            intern(&mut dictionary, "next");
            prop_assert_eq!(dictionary.get(0), full);
            prop_assert_eq!(dictionary.get(1), "");
            prop_assert_eq!(dictionary.get(2), "next");
        }
    }
}
