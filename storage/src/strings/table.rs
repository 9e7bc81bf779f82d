//! Numbers by a tag, which is 32 bits of a hash of what they stand for.
//!
//! A table that grows moves all it holds, and whoever adds to it waits. So a large one is cut in
//! parts that grow one by one, a few milliseconds each; and tags are kept, so that growing does not
//! look at what they were made of.

use super::slots::SlotTable;

/// A table of more numbers is cut.
const WHOLE_MAX: usize = 1 << 15;
/// Into two to the power of this many parts.
const PART_BITS: u32 = 6;

/// Numbers by tag; several may have the same tag.
pub(crate) struct TagTable {
    /// One part, or all of them.
    parts: Vec<SlotTable>,
    len: usize,
}

impl Default for TagTable {
    fn default() -> Self {
        Self { parts: vec![SlotTable::default()], len: 0 }
    }
}

impl TagTable {
    /// Bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let parts = self.parts.iter().map(SlotTable::bytes);
        self.parts.capacity() * size_of::<SlotTable>() + parts.sum::<usize>()
    }

    /// The number that has this tag and is the `same`.
    pub(crate) fn find(&self, tag: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.parts[part_of(tag, self.parts.len())].find(tag, same)
    }

    /// As [`SlotTable::touch`].
    #[inline]
    pub(crate) fn touch(&self, tag: u32) -> u32 {
        self.parts[part_of(tag, self.parts.len())].touch(tag)
    }

    /// Adds a number that is not there.
    pub(crate) fn insert(&mut self, tag: u32, number: u32) {
        if self.len == WHOLE_MAX && self.parts.len() == 1 {
            self.cut();
        }
        self.len += 1;
        let part = part_of(tag, self.parts.len());
        self.parts[part].insert(tag, number);
    }

    #[cold]
    fn cut(&mut self) {
        let count = 1 << PART_BITS;
        let mut parts = Vec::new();
        parts.resize_with(count, || SlotTable::with_capacity(2 * WHOLE_MAX / count));
        for (tag, number) in self.parts.iter().flat_map(SlotTable::iter) {
            parts[part_of(tag, count)].insert(tag, number);
        }
        self.parts = parts;
    }
}

/// The part of a tag: by its highest bits.
const fn part_of(tag: u32, parts: usize) -> usize {
    ((tag as u64 * parts as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_by_tag(tags in proptest::collection::vec(0u32..50, 0..200)) {
            let mut table = TagTable::default();
            (0u32..).zip(&tags).for_each(|(number, &tag)| table.insert(tag, number));
            for (number, &tag) in (0u32..).zip(&tags) {
                prop_assert_eq!(table.find(tag, |other| other == number), Some(number));
            }
            prop_assert_eq!(table.find(50, |_| true), None);
        }
    }

    #[test]
    fn a_table_that_was_cut_has_all_it_had() {
        let tag = |number: u32| number.wrapping_mul(0x9e37_79b1);
        let count = 3 * u32::try_from(WHOLE_MAX).expect("small");
        let mut table = TagTable::default();
        (0..count).for_each(|number| table.insert(tag(number), number));
        assert_eq!(table.parts.len(), 1 << PART_BITS);
        let largest = table.parts.iter().map(|part| part.iter().count()).max().expect("parts");
        assert!(largest < 2 * table.len / table.parts.len(), "parts are alike: {largest}");
        for number in 0..count {
            assert_eq!(table.find(tag(number), |other| other == number), Some(number));
        }
        assert_eq!(table.find(tag(count), |_| true), None);
        assert!(table.bytes() >= 8 * count as usize);
    }
}
