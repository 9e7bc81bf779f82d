//! Posting lists: sorted series ids that hold one label. Few runs are written as gaps and lengths,
//! many as a roaring bitmap; whichever is smaller.

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
    let mut as_runs = Vec::with_capacity(3 * runs.len() + 2);
    put_varint(&mut as_runs, (runs.len() as u64) << 1);
    let mut last = 0;
    for run in runs {
        put_varint(&mut as_runs, u64::from(run.start - last));
        put_varint(&mut as_runs, u64::from(run.end - run.start - 1));
        last = run.end;
    }
    if runs.len() >= RUNS_MIN_FOR_BITMAP {
        let mut bitmap = RoaringBitmap::new();
        for run in runs {
            bitmap.insert_range(run.start..run.end);
        }
        bitmap.optimize();
        if bitmap.serialized_size() < as_runs.len() {
            put_varint(out, BITMAP);
            // Writing to memory cannot fail.
            let written = bitmap.serialize_into(&mut *out);
            debug_assert!(written.is_ok());
            return;
        }
    }
    out.extend_from_slice(&as_runs);
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
        let start = last.checked_add(input.varint_u32()?).ok_or(OUTSIDE)?;
        let after = start.checked_add(input.varint_u32()?).and_then(|id| id.checked_add(1));
        let after = after.filter(|after| *after <= end).ok_or(OUTSIDE)?;
        ids.insert_range(start..after);
        last = after;
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
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes, 1 << 20, &mut RoaringBitmap::new());
        }
    }
}
