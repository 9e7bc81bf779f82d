//! Merging against merging by hand, and the plan step by step.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;
use crate::metrics::block::tests::{Series, everything, expected, in_order, series_list, write};
use crate::rocks::Rocks;

/// What the merge should hold.
fn by_hand(lists: &[Vec<Series>], keep: TimeRange) -> Vec<Series> {
    let mut merged: BTreeMap<(TenantId, Vec<(String, String)>), Series> = BTreeMap::new();
    for series in lists.iter().flatten() {
        let key = (series.tenant, series.labels.clone());
        let mut kept = series.clone();
        kept.samples.retain_range(keep);
        kept.exemplars.retain(|e| keep.contains(TimestampMs(e.timestamp_ms)));
        if kept.samples.is_empty() && kept.exemplars.is_empty() {
            continue;
        }
        match merged.get_mut(&key) {
            Some(found) => {
                found.samples.merge(&kept.samples);
                found.exemplars.extend(kept.exemplars);
            }
            None => drop(merged.insert(key, kept)),
        }
    }
    let mut all: Vec<Series> = merged.into_values().collect();
    all.iter_mut().for_each(|series| sort_exemplars(&mut series.exemplars));
    in_order(all)
}

#[test]
fn a_merge_holds_what_all_blocks_held() {
    let dir = tempfile::tempdir().expect("a directory");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
    let next = std::cell::Cell::new(0);
    let new_id = || {
        next.set(next.get() + 1);
        next.get()
    };
    let lists = proptest::collection::vec(series_list(), 1..5);
    let cases = (lists, 0i64..20_000, prop_oneof![Just(86_400_000i64), 0i64..40_000]);
    proptest!(ProptestConfig::with_cases(100), |((lists, start, length) in cases)| {
        let blocks: Vec<Arc<Block>> =
            lists.iter().map(|list| write(&rocks, new_id(), 0, list)).collect();
        let keep = TimeRange::new(TimestampMs(start), TimestampMs(start + length));
        let id = BlockId(new_id());
        let sink = rocks.block_sink(id).expect("the file is created");
        let writer = BlockWriter::new(sink, TimeRange::of_day(0), 1);
        let row = merge(&blocks, &[], writer, keep).expect("all are whole");
        let wanted = by_hand(&lists, keep);
        let Some(row) = row else {
            prop_assert!(wanted.is_empty());
            return Ok(());
        };
        rocks.ingest(id).expect("it is taken in");
        let block = Block::open(&rocks, row).expect("it was written");
        let mut damage = Vec::new();
        for tenant in (0..3).map(TenantId) {
            prop_assert_eq!(everything(&block, tenant, &mut damage), expected(&wanted, tenant));
        }
        prop_assert!(damage.is_empty());
    });
}

#[test]
fn a_damaged_block_is_not_merged() {
    let dir = tempfile::tempdir().expect("a directory");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
    let mut samples = SeriesSamples::default();
    samples.push(1, 1.0);
    let labels = vec![("__name__".to_owned(), "m".to_owned())];
    let series = Series { tenant: TenantId(0), labels, samples, exemplars: Vec::new() };
    let block = write(&rocks, 1, 0, &[series]);
    let mut sink = rocks.block_sink(BlockId(2)).expect("the file is created");
    for section in 1..=11 {
        if let Some(value) = rocks.get(BlockId(1), section, 0).expect("whole") {
            let mut bytes = value.to_vec();
            if section == 1 {
                bytes[3] ^= 1;
            }
            sink.put(section, 0, &bytes).expect("in order");
        }
    }
    sink.finish().expect("it is written");
    rocks.ingest(BlockId(2)).expect("it is taken in");
    let mut row = block.row().clone();
    row.id = BlockId(2);
    let damaged = Block::open(&rocks, row).expect("its manifest is whole");
    let sink = rocks.block_sink(BlockId(3)).expect("the file is created");
    let writer = BlockWriter::new(sink, TimeRange::of_day(0), 1);
    let error = merge(&[block, damaged], &[], writer, TimeRange::ALL).expect_err("it is damaged");
    assert_eq!(error.damaged, Some(BlockId(2)));
    let error = error.error;
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("block 2"), "{error}");
}

fn row(id: u32, day: i64, bytes: u64) -> BlockRow {
    let dir = tempfile::tempdir().expect("a directory");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
    let mut row = write(&rocks, 0, 0, &[]).row().clone();
    (row.id, row.range, row.bytes) = (BlockId(id), TimeRange::of_day(day), bytes);
    row
}

fn planned(blocks: &[BlockRow], now: i64) -> Vec<u32> {
    let ids = plan(blocks, TimestampMs(now)).unwrap_or_default();
    ids.into_iter().map(|id| id.0).collect()
}

#[test]
fn four_of_one_size_are_merged_and_a_day_that_is_over_becomes_one() {
    const MB: u64 = 1 << 20;
    let noon = 86_400_000 / 2;
    let mut blocks = vec![row(1, 0, 500 * MB), row(2, 0, MB), row(3, 0, MB + 1)];
    assert!(planned(&blocks, noon).is_empty());
    blocks.push(row(4, 0, MB + 2));
    assert!(planned(&blocks, noon).is_empty());
    blocks.push(row(5, 0, MB - 100_000));
    assert!(planned(&blocks, noon).is_empty(), "it is of a smaller size");
    blocks.push(row(6, 0, MB + 3));
    assert_eq!(planned(&blocks, noon), [2, 3, 4, 6]);
    let over = 86_400_000 + SETTLED_AFTER_MS;
    assert_eq!(planned(&blocks[1..], over), [5, 2, 3, 4, 6]);
    assert_eq!(planned(&blocks[..2], over), [0; 0], "one percent came late");
    assert_eq!(planned(&[row(1, 0, 500 * MB), row(2, 0, 80 * MB)], over), [2, 1]);
    assert!(planned(&[row(1, 0, 500 * MB), row(2, 0, 80 * MB)], over - 1).is_empty());
    assert!(planned(&[row(1, 0, MB)], 1 << 60).is_empty());
    let next_day = [row(1, 0, MB), row(2, 1, MB), row(3, 2, MB), row(4, 3, MB)];
    assert!(planned(&next_day, noon).is_empty());
}

#[test]
fn the_largest_takes_in_the_others_when_they_are_many_enough() {
    const MB: u64 = 1 << 20;
    let mut blocks = vec![row(1, 0, 100 * MB), row(2, 0, 10 * MB), row(3, 0, 3 * MB)];
    assert!(planned(&blocks, 0).is_empty());
    blocks.push(row(4, 0, MB));
    assert!(planned(&blocks, 0).is_empty(), "14 percent");
    blocks[3] = row(4, 0, 2 * MB);
    assert_eq!(planned(&blocks, 0), [4, 3, 2, 1]);
}
