//! Posting lists of the head: ascending ids by number of what they hold, kept as runs.
//!
//! Ids are given in order of arrival and a target's series arrive together, so lists are made of
//! few runs. A list of one run takes 8 bytes: most values of a label with many are those of one
//! series.

use roaring::RoaringBitmap;

use crate::encoding::{Input, put_varint};
use crate::strings::segments::Segments;

/// Runs up to this length are added to a set id by id.
const SHORT_RUN: u32 = 16;
/// Set in [`Head::tail`]: the list is one of several runs.
const SEVERAL: u32 = 1 << 31;

/// An ascending list of ids.
#[derive(Clone, Copy, Default)]
struct Head {
    /// First id of the only run.
    start: u32,
    /// Length of the only run, or [`SEVERAL`] and the place of the runs.
    tail: u32,
}

/// Runs of ids; the last one is open.
struct Runs {
    /// Closed runs: distance from the end of the run before, and length, as varints.
    closed: Vec<u8>,
    /// First id after the closed runs.
    closed_end: u32,
    start: u32,
    length: u32,
    count: u32,
}

/// Ascending lists of ids, by number.
#[derive(Default)]
pub(super) struct Postings {
    heads: Segments<Head>,
    runs: Segments<Runs>,
    /// Bytes of closed runs.
    closed_bytes: usize,
}

impl Postings {
    /// Number of ids of a list; none if it is not there.
    pub(super) fn len(&self, list: u32) -> usize {
        match self.runs_of(list) {
            Ok(runs) => runs.count as usize,
            Err(head) => head.tail as usize,
        }
    }

    /// Bytes they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.heads.bytes() + self.runs.bytes() + self.closed_bytes
    }

    /// Appends an id above all that are in the list, which is made if it is not there.
    pub(super) fn push(&mut self, list: u32, id: u32) {
        while list as usize >= self.heads.len() {
            self.heads.push(Head::default());
        }
        // It was made above.
        let Some(head) = self.heads.get_mut(list as usize) else { return };
        if head.tail & SEVERAL != 0 {
            if let Some(runs) = self.runs.get_mut((head.tail & !SEVERAL) as usize) {
                let before = runs.closed.capacity();
                runs.push(id);
                self.closed_bytes += runs.closed.capacity() - before;
            }
        } else if head.tail == 0 {
            *head = Head { start: id, tail: 1 };
        } else if head.start + head.tail == id {
            // Fewer than 2^31 ids are ever given.
            head.tail += 1;
        } else {
            let runs = Runs::two(head.start, head.tail, id);
            self.closed_bytes += runs.closed.capacity();
            // There are fewer lists than ids.
            head.tail = SEVERAL | u32::try_from(self.runs.len()).unwrap_or(0);
            self.runs.push(runs);
        }
    }

    /// The runs of a list of several, or the list.
    fn runs_of(&self, list: u32) -> Result<&Runs, Head> {
        let head = self.heads.get(list as usize).copied().unwrap_or_default();
        if head.tail & SEVERAL == 0 {
            return Err(head);
        }
        self.runs.get((head.tail & !SEVERAL) as usize).ok_or(Head::default())
    }

    /// Adds all ids of a list to `set`.
    pub(super) fn add_to(&self, list: u32, set: &mut RoaringBitmap) {
        match self.runs_of(list) {
            Ok(_) => *set |= self.to_bitmap(list),
            Err(Head { start, tail }) => {
                set.insert_range(start..start + tail);
            }
        }
    }

    /// All ids of a list.
    pub(super) fn to_bitmap(&self, list: u32) -> RoaringBitmap {
        let mut set = RoaringBitmap::new();
        let mut add = |start: u32, length: u32| {
            if length > SHORT_RUN {
                set.insert_range(start..start + length);
            } else {
                // Ascending ids are appended, several times faster than they are inserted.
                (start..start + length).for_each(|id| {
                    let _ = set.try_push(id);
                });
            }
        };
        match self.runs_of(list) {
            Ok(runs) => runs.for_each(add),
            Err(head) => add(head.start, head.tail),
        }
        set
    }
}

impl Runs {
    /// A run that ended, and one that begins.
    fn two(start: u32, length: u32, id: u32) -> Self {
        let mut closed = Vec::with_capacity(8);
        put_run(&mut closed, start, length);
        Self { closed, closed_end: start + length, start: id, length: 1, count: length + 1 }
    }

    fn push(&mut self, id: u32) {
        self.count += 1;
        if self.start + self.length == id {
            self.length += 1;
            return;
        }
        put_run(&mut self.closed, self.start - self.closed_end, self.length);
        self.closed_end = self.start + self.length;
        (self.start, self.length) = (id, 1);
    }

    fn for_each(&self, mut visit: impl FnMut(u32, u32)) {
        let mut input = Input::new(&self.closed);
        let mut end = 0u32;
        while let (Ok(gap), Ok(length)) = (input.varint_u32(), input.varint_u32()) {
            visit(end + gap, length);
            end += gap + length;
        }
        visit(self.start, self.length);
    }
}

fn put_run(closed: &mut Vec<u8>, gap: u32, length: u32) {
    put_varint(closed, u64::from(gap));
    put_varint(closed, u64::from(length));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_come_back(
            lists in proptest::collection::vec(
                proptest::collection::btree_set(0u32..500, 0..200),
                1..4,
            ),
        ) {
            let mut postings = Postings::default();
            for id in 0..500 {
                for (list, _) in (0..).zip(&lists).filter(|(_, ids)| ids.contains(&id)) {
                    postings.push(list, id);
                }
            }
            for (list, ids) in (0..).zip(&lists) {
                prop_assert_eq!(postings.len(list), ids.len());
                let back: BTreeSet<u32> = postings.to_bitmap(list).iter().collect();
                prop_assert_eq!(&back, ids);
                let mut set = RoaringBitmap::from_iter([7, 1000]);
                postings.add_to(list, &mut set);
                let with: BTreeSet<u32> = ids.iter().copied().chain([7, 1000]).collect();
                prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), with);
            }
            let none = u32::try_from(lists.len()).expect("few");
            prop_assert_eq!((postings.len(none), postings.to_bitmap(none).len()), (0, 0));
        }
    }
}
