//! Posting lists of the head: ascending ids, kept as runs.
//!
//! Ids are given in order of arrival and a target's series arrive together, so lists are made of
//! few runs. A list of one run needs no memory of its own.

use roaring::RoaringBitmap;

use crate::encoding::{Input, put_varint};

/// Runs up to this length are added to a set id by id.
const SHORT_RUN: u32 = 16;

/// An ascending list of ids.
#[derive(Default)]
pub(super) enum Posting {
    /// No id.
    #[default]
    Empty,
    /// `length` ids from `start` on.
    Run { start: u32, length: u32 },
    /// Several runs.
    Runs(Box<Runs>),
}

/// Runs of ids; the last one is open.
pub(super) struct Runs {
    /// Closed runs: distance from the end of the run before, and length, as varints.
    closed: Vec<u8>,
    /// First id after the closed runs.
    closed_end: u32,
    start: u32,
    length: u32,
    count: u32,
}

impl Posting {
    /// Number of ids.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Run { length, .. } => *length as usize,
            Self::Runs(runs) => runs.count as usize,
        }
    }

    /// Bytes of memory of its own.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Runs(runs) => size_of::<Runs>() + runs.closed.capacity(),
            _ => 0,
        }
    }

    /// Appends an id above all that are there.
    pub(super) fn push(&mut self, id: u32) {
        match self {
            Self::Empty => *self = Self::Run { start: id, length: 1 },
            Self::Run { start, length } if *start + *length == id => *length += 1,
            Self::Run { start, length } => {
                let mut closed = Vec::with_capacity(8);
                put_run(&mut closed, *start, *length);
                let (closed_end, count) = (*start + *length, *length + 1);
                let runs = Runs { closed, closed_end, start: id, length: 1, count };
                *self = Self::Runs(Box::new(runs));
            }
            Self::Runs(runs) => runs.push(id),
        }
    }

    /// Adds all ids to `set`.
    pub(super) fn add_to(&self, set: &mut RoaringBitmap) {
        match self {
            Self::Runs(_) => *set |= self.to_bitmap(),
            _ => self.for_each_run(|start, length| {
                set.insert_range(start..start + length);
            }),
        }
    }

    /// All ids.
    pub(super) fn to_bitmap(&self) -> RoaringBitmap {
        let mut set = RoaringBitmap::new();
        self.for_each_run(|start, length| {
            if length > SHORT_RUN {
                set.insert_range(start..start + length);
            } else {
                // Ascending ids are appended, several times faster than they are inserted.
                (start..start + length).for_each(|id| {
                    let _ = set.try_push(id);
                });
            }
        });
        set
    }

    fn for_each_run(&self, mut visit: impl FnMut(u32, u32)) {
        match self {
            Self::Empty => {}
            Self::Run { start, length } => visit(*start, *length),
            Self::Runs(runs) => {
                let mut input = Input::new(&runs.closed);
                let mut end = 0u32;
                while let (Ok(gap), Ok(length)) = (input.varint_u32(), input.varint_u32()) {
                    visit(end + gap, length);
                    end += gap + length;
                }
                visit(runs.start, runs.length);
            }
        }
    }
}

impl Runs {
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
}

fn put_run(closed: &mut Vec<u8>, gap: u32, length: u32) {
    put_varint(closed, u64::from(gap));
    put_varint(closed, u64::from(length));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_come_back(ids in proptest::collection::btree_set(0u32..500, 0..200)) {
            let mut posting = Posting::default();
            ids.iter().for_each(|&id| posting.push(id));
            prop_assert_eq!(posting.len(), ids.len());
            let back: Vec<u32> = posting.to_bitmap().iter().collect();
            prop_assert_eq!(back, ids.into_iter().collect::<Vec<_>>());
        }
    }
}
