//! Posting lists: sorted series ids that hold one label, as runs, or as a roaring bitmap where that
//! is smaller.
//!
//! ```text
//! list := step count × 2 varint, step ×                  or: 1 varint, roaring bitmap
//! step := gap varint, ( length − 1 ) × 2 + repeats? varint, repeats varint if there are any
//! ```
//! A target's series come once per metric, at the same distance where all targets have the same
//! metrics; such steps are written once, with how often they repeat.

use roaring::RoaringBitmap;

use crate::encoding::{Damage, Input, put_varint};

/// From this many runs on, a bitmap is tried.
const RUNS_MIN_FOR_BITMAP: usize = 64;
const BITMAP: u64 = 1;

/// Consecutive series ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first id.
    pub start: u32,
    /// The first id after it.
    pub end: u32,
}

/// Appends the posting list of ascending runs that do not touch.
pub(super) fn put(runs: &[Run], out: &mut Vec<u8>) {
    let (mut steps, mut count, mut at) = (Vec::with_capacity(3 * runs.len().min(64)), 0u64, 0);
    let step = |i: usize| {
        let before = i.checked_sub(1).map_or(0, |before: usize| runs[before].end);
        runs.get(i).map(|run| (run.start - before, run.end - run.start))
    };
    while let Some((gap, length)) = step(at) {
        let same = (at + 1..).take_while(|&i| step(i) == Some((gap, length))).count();
        put_varint(&mut steps, u64::from(gap));
        put_varint(&mut steps, u64::from(length - 1) << 1 | u64::from(same > 0));
        if same > 0 {
            put_varint(&mut steps, same as u64);
        }
        count += 1;
        at += same + 1;
    }
    if runs.len() >= RUNS_MIN_FOR_BITMAP {
        let mut bitmap = RoaringBitmap::new();
        for run in runs {
            bitmap.insert_range(run.start..run.end);
        }
        bitmap.optimize();
        if bitmap.serialized_size() < steps.len() {
            put_varint(out, BITMAP);
            // Writing to memory cannot fail.
            let written = bitmap.serialize_into(&mut *out);
            debug_assert!(written.is_ok());
            return;
        }
    }
    put_varint(out, count << 1);
    out.extend_from_slice(&steps);
}

/// Adds the ids of a posting list to `ids`. All must be below `end`.
pub(super) fn read(bytes: &[u8], end: u32, ids: &mut RoaringBitmap) -> Result<(), Damage> {
    const OUTSIDE: Damage = Damage("a posting list names a series that does not exist");
    let mut input = Input::new(bytes);
    let head = input.varint()?;
    if head == BITMAP {
        let bitmap = RoaringBitmap::deserialize_from(input.rest())
            .map_err(|_| Damage("a posting list is no bitmap"))?;
        if bitmap.max().is_some_and(|max| max >= end) {
            return Err(OUTSIDE);
        }
        *ids |= bitmap;
        return Ok(());
    }
    let mut last = 0u32;
    for _ in 0..head >> 1 {
        let gap = input.varint_u32()?;
        let length = input.varint()?;
        let repeats = if length & 1 == 1 { input.varint()? } else { 0 };
        let length =
            u32::try_from(length >> 1).ok().and_then(|n| n.checked_add(1)).ok_or(OUTSIDE)?;
        // Each repeat moves on by one or more, so the bound ends it.
        for _ in 0..=repeats {
            let start = last.checked_add(gap).ok_or(OUTSIDE)?;
            last = start.checked_add(length).filter(|after| *after <= end).ok_or(OUTSIDE)?;
            ids.insert_range(start..last);
        }
    }
    input.end()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn runs_of(ids: &BTreeSet<u32>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for &id in ids {
            match runs.last_mut() {
                Some(run) if run.end == id => run.end += 1,
                _ => runs.push(Run { start: id, end: id + 1 }),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn ids_come_back(ids in proptest::collection::btree_set(0u32..3000, 0..900)) {
            let mut bytes = Vec::new();
            put(&runs_of(&ids), &mut bytes);
            let mut read_back = RoaringBitmap::new();
            read(&bytes, 3000, &mut read_back).expect("it was written");
            prop_assert!(read_back.iter().eq(ids.iter().copied()));
            if let Some(max) = ids.last() {
                prop_assert!(read(&bytes, *max, &mut RoaringBitmap::new()).is_err());
            }
        }

        #[test]
        fn regular_ids_come_back_and_are_small(
            first in 0u32..100, gap in 1u32..100, length in 1u32..5, count in 2u32..40
        ) {
            let starts = (0..count).map(|i| first + i * (gap + length));
            let ids: BTreeSet<u32> = starts.flat_map(|start| start..start + length).collect();
            let mut bytes = Vec::new();
            put(&runs_of(&ids), &mut bytes);
            prop_assert!(bytes.len() <= 7, "{}", bytes.len());
            let mut read_back = RoaringBitmap::new();
            read(&bytes, 10_000, &mut read_back).expect("it was written");
            prop_assert!(read_back.iter().eq(ids.iter().copied()));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes, 1 << 20, &mut RoaringBitmap::new());
        }
    }
}
