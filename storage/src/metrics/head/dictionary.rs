//! Strings and their numbers, given in order of arrival.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes one dictionary holds at most, so that positions fit in 32 bits.
const BYTES_MAX: usize = u32::MAX as usize;

/// Distinct strings; each has a number below [`Dictionary::len`].
#[derive(Default)]
pub(super) struct Dictionary {
    /// All strings, one after the other.
    text: String,
    /// End of each string in `text`.
    ends: Vec<u32>,
    /// Numbers by hash of their string.
    table: HashTable<u32>,
    /// Makes collisions unpredictable from outside.
    seed: u64,
}

impl Dictionary {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring dictionaries must not share a seed; this spreads what the caller gives.
        Self { seed: FxBuildHasher.hash_one(seed), ..Self::default() }
    }

    /// Number of strings.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.text.capacity() + 4 * self.ends.capacity() + self.table.allocation_size()
    }

    /// The string with this number.
    pub(super) fn get(&self, number: u32) -> &str {
        text_of(&self.text, &self.ends, number)
    }

    /// The number of a string that is there.
    pub(super) fn number(&self, text: &str) -> Option<u32> {
        let hash = xxh3_64_with_seed(text.as_bytes(), self.seed);
        self.table.find(hash, |&number| self.get(number) == text).copied()
    }

    /// The number of a string, which is added if it is not there; `None` if there is no room.
    pub(super) fn intern(&mut self, text: &str) -> Option<u32> {
        if let Some(number) = self.number(text) {
            return Some(number);
        }
        if self.text.len() + text.len() > BYTES_MAX {
            return None;
        }
        let number = u32::try_from(self.ends.len()).ok()?;
        self.text.push_str(text);
        self.ends.push(u32::try_from(self.text.len()).ok()?);
        let Self { text: all, ends, table, seed } = self;
        table.insert_unique(xxh3_64_with_seed(text.as_bytes(), *seed), number, |&other| {
            xxh3_64_with_seed(text_of(all, ends, other).as_bytes(), *seed)
        });
        Some(number)
    }

    /// All strings in order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..).take(self.len()).map(|number| (number, self.get(number)))
    }
}

fn text_of<'a>(text: &'a str, ends: &[u32], number: u32) -> &'a str {
    let at = number as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    &text[start..ends[at] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_arrival_and_strings_come_once() {
        let mut dictionary = Dictionary::new(7);
        for n in 0..1000 {
            assert_eq!(dictionary.intern(&format!("v{n}")), Some(n));
            assert_eq!(dictionary.intern("v0"), Some(0));
        }
        assert_eq!(dictionary.get(999), "v999");
        assert_eq!(dictionary.number("v5"), Some(5));
        assert_eq!(dictionary.number("w"), None);
        assert_eq!(dictionary.iter().count(), 1000);
    }
}
