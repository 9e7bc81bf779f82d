//! Numbers by a tag, in one table without holes for what is gone: nothing is ever taken out.
//!
//! A slot is a tag and a number, side by side, and a search looks at slots one after the other: so
//! whether a number is there or not, it costs one line of memory, and to add it costs the same line
//! once more. Where a tag lies depends on its size alone, so that a table that grows is written in
//! order, and by half instead of twice its size.

/// In place of a number: the slot is free.
const FREE: u32 = u32::MAX;
/// Slots of the smallest table.
const SLOTS_MIN: usize = 8;

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    number: u32,
}

/// Numbers by tag; several may have the same tag.
#[derive(Default)]
pub(crate) struct SlotTable {
    /// None at all, or a quarter of them is free.
    slots: Vec<Slot>,
    len: usize,
}

impl SlotTable {
    /// A table with room for so many numbers.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self { slots: free(slots_for(count)), len: 0 }
    }

    /// Bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    /// Tags and numbers, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.slots.iter().filter(|slot| slot.number != FREE).map(|slot| (slot.tag, slot.number))
    }

    /// Has the memory of a tag's place fetched: several at once come faster than one by one. The
    /// answer means nothing, but has to be used.
    #[inline]
    pub(crate) fn touch(&self, tag: u32) -> u32 {
        self.slots.get(home(tag, self.slots.len())).map_or(0, |slot| slot.tag)
    }

    /// The number that has this tag and is the `same`.
    #[inline]
    pub(crate) fn find(&self, tag: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        // There is a free slot, so there is an end.
        let mut at = home(tag, self.slots.len());
        loop {
            let slot = self.slots[at];
            if slot.number == FREE {
                return None;
            }
            if slot.tag == tag && same(slot.number) {
                return Some(slot.number);
            }
            at = next(at, self.slots.len());
        }
    }

    /// Adds a number that is not there, below `u32::MAX`.
    pub(crate) fn insert(&mut self, tag: u32, number: u32) {
        debug_assert_ne!(number, FREE, "a number is not the mark of a free slot");
        if 4 * (self.len + 1) > 3 * self.slots.len() {
            self.grow();
        }
        self.len += 1;
        put(&mut self.slots, Slot { tag, number });
    }

    #[cold]
    fn grow(&mut self) {
        let larger = (self.slots.len() + self.slots.len() / 2).max(SLOTS_MIN);
        let before = std::mem::replace(&mut self.slots, free(larger));
        let taken = before.into_iter().filter(|slot| slot.number != FREE);
        taken.for_each(|slot| put(&mut self.slots, slot));
    }
}

/// Slots of a table with so many numbers.
fn slots_for(count: usize) -> usize {
    (count + count / 3 + 2).max(SLOTS_MIN)
}

fn free(count: usize) -> Vec<Slot> {
    vec![Slot { tag: 0, number: FREE }; count]
}

fn put(slots: &mut [Slot], slot: Slot) {
    let mut at = home(slot.tag, slots.len());
    while slots[at].number != FREE {
        at = next(at, slots.len());
    }
    slots[at] = slot;
}

/// Where the search for a tag begins. The tags of a table may all be alike at one end, so all of
/// their bits decide.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "below the number of slots")]
const fn home(tag: u32, slots: usize) -> usize {
    let spread = (tag as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((spread as u128 * slots as u128) >> 64) as usize
}

#[inline]
const fn next(at: usize, slots: usize) -> usize {
    if at + 1 == slots { 0 } else { at + 1 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_by_tag(
            tags in proptest::collection::vec(prop_oneof![0u32..9, any::<u32>()], 0..300),
            room in 0usize..40,
        ) {
            let mut table = SlotTable::with_capacity(room);
            for (number, &tag) in (0u32..).zip(&tags) {
                prop_assert_eq!(table.find(tag, |other| other == number), None);
                table.insert(tag, number);
            }
            for (number, &tag) in (0u32..).zip(&tags) {
                prop_assert_eq!(table.find(tag, |other| other == number), Some(number));
                prop_assert_eq!(table.find(tag ^ 1 << 31, |other| other == number), None);
            }
            let all: BTreeSet<_> = tags.iter().copied().zip(0u32..).collect();
            prop_assert_eq!(table.iter().collect::<BTreeSet<_>>(), all);
            prop_assert_eq!(table.len, tags.len());
        }
    }

    #[test]
    fn a_table_stays_a_quarter_free_and_no_more_than_half() {
        let mut table = SlotTable::default();
        assert_eq!((table.find(1, |_| true), table.touch(1), table.bytes()), (None, 0, 0));
        for number in 0..10_000u32 {
            table.insert(number.wrapping_mul(0x9e37_79b1), number);
            let free = table.slots.len() - table.len;
            assert!(4 * free >= table.slots.len(), "{free} of {} are free", table.slots.len());
            assert!(free <= SLOTS_MIN || 2 * free <= table.slots.len() + 2, "{free}");
        }
        let room = SlotTable::with_capacity(10_000);
        assert!(4 * 10_000 <= 3 * room.slots.len(), "no growth up to the capacity");
    }

    /// All of one part of a cut table have their highest bits in common.
    #[test]
    fn tags_alike_at_either_end_spread() {
        for tag in [|n: u32| 7 << 26 | n, |n: u32| n << 12 | 5] {
            let count = 20_000u32;
            let homes: BTreeSet<_> = (0..count).map(|n| home(tag(n), 40_000)).collect();
            assert!(homes.len() > 14_000, "{} homes", homes.len());
        }
    }
}
