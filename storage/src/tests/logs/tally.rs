//! Counts by level and window, as the store tallies them and from entries that were read.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ephemeris_model::log_batch::DETECTED_LEVEL;
use ephemeris_model::{CountBy, EntryBuffer, EntryCount, NanoRange, StreamSet, Tally, TallyBy};

use super::Entry;

/// Counts by bucket of time and level.
pub(super) type Tallied = BTreeMap<(i64, String), EntryCount>;

/// Buckets of windows that exclude their start and include their end.
fn bucket(time: i64, width: i64) -> i64 {
    (time - 1).div_euclid(width)
}

fn add_to(found: &mut Tallied, key: (i64, String), count: EntryCount) {
    let total = found.entry(key).or_default();
    total.entries += count.entries;
    total.bytes += count.bytes;
}

/// What the store tallies.
pub(super) fn tallied(
    set: &dyn StreamSet,
    (index, range): (usize, NanoRange),
    by: CountBy,
    width: i64,
) -> Tallied {
    let mut found = Tallied::new();
    let is_whole = |range: NanoRange| bucket(range.start, width) == bucket(range.end - 1, width);
    let how = TallyBy { by, is_whole: &is_whole };
    let mut buffer = EntryBuffer::default();
    set.tally(index, range, how, &mut buffer, &mut |tally| {
        match tally {
            Tally::Counted { range, level, count } => {
                assert!(is_whole(range));
                add_to(&mut found, (bucket(range.start, width), level.to_owned()), count);
            }
            Tally::Entries(run) => {
                for i in 0..run.len() {
                    let level = run.metadata(i).find(|(name, _)| *name == DETECTED_LEVEL);
                    let level = level.filter(|_| by == CountBy::Level).map_or("", |(_, l)| l);
                    let count = EntryCount { entries: 1, bytes: run.line(i).len() as u64 };
                    let key = (bucket(run.timestamps()[i], width), level.to_owned());
                    add_to(&mut found, key, count);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })
    .expect("it is tallied");
    found
}

/// The same from entries that were read.
pub(super) fn tally_of(entries: &[Entry], by: CountBy, width: i64) -> Tallied {
    let mut found = Tallied::new();
    for (time, line, metadata) in entries {
        let level = metadata.iter().find(|(name, _)| name == DETECTED_LEVEL);
        let level = level.filter(|_| by == CountBy::Level).map_or("", |(_, level)| level);
        let count = EntryCount { entries: 1, bytes: line.len() as u64 };
        add_to(&mut found, (bucket(*time, width), level.to_owned()), count);
    }
    found
}
