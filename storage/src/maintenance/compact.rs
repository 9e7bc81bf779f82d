//! Merges blocks of a partition into one: which, and how.
//!
//! Small blocks join among themselves, four of one size at a time, so a sample is written a few
//! times only; the large block of the day takes them in when that pays. Data that comes late, hour
//! after hour, must not make a large block be written again each time.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ephemeris_model::{Exemplar, Labels, TimeRange, TimestampMs};
use roaring::RoaringBitmap;

use crate::catalog::{BlockId, BlockRow, Tombstone};
use crate::deleted::Deleted;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::block::{Block, BlockWriter};
use crate::metrics::samples::SeriesSamples;
use crate::series::{TenantId, series_order_of};

/// Blocks of one size that are merged.
const SAME_SIZE_COUNT: usize = 4;
/// Blocks below this size are of one size.
const SMALLEST_BYTES: u64 = 256 << 10;
/// The share of the largest block, in percent, at which it takes in the others.
const TAKE_IN_PERCENT: u64 = 15;
/// Fewer others are left alone until the day is over.
const TAKE_IN_COUNT: usize = 3;
/// How long after its end a partition counts as over.
const SETTLED_AFTER_MS: i64 = 6 * 60 * 60 * 1000;
/// A block up to this size takes in whatever there is once its day is over.
const CHEAP_BYTES: u64 = 4 << 20;
/// Blocks of a partition beyond which the small ones are merged whatever their sizes.
const BLOCKS_MAX: usize = 8;
/// Blocks merged at once, at most: each takes a page of memory, and label sets.
const MERGED_MAX: usize = 32;
/// Label sets of a block that are read at once. Where each series has a value of its own, they lie
/// all over the dictionary, which is unzipped once for all of them.
const LABELS_AT_ONCE: u32 = 1 << 15;

/// Which blocks to merge next, at time `now`; `None` if none are worth it. All blocks named are of
/// one partition.
#[must_use]
pub fn plan(blocks: &[BlockRow], now: TimestampMs) -> Option<Vec<BlockId>> {
    let mut partitions: BTreeMap<(i64, i64), Vec<&BlockRow>> = BTreeMap::new();
    for block in blocks {
        let range = (block.range.start.0, block.range.end.0);
        partitions.entry(range).or_default().push(block);
    }
    partitions.into_values().find_map(|mut partition| {
        partition.sort_by_key(|block| (block.bytes, block.id));
        plan_partition(&partition, now)
    })
}

/// The same for one partition, its blocks by size.
fn plan_partition(blocks: &[&BlockRow], now: TimestampMs) -> Option<Vec<BlockId>> {
    let (largest, others) = blocks.split_last()?;
    if others.is_empty() {
        return None;
    }
    let ids = |blocks: &[&BlockRow]| {
        Some(blocks.iter().take(MERGED_MAX).map(|block| block.id).collect::<Vec<_>>())
    };
    let other_bytes: u64 = others.iter().map(|block| block.bytes).sum();
    let reached = other_bytes.saturating_mul(100) >= largest.bytes.saturating_mul(TAKE_IN_PERCENT);
    let settled = now >= largest.range.end + SETTLED_AFTER_MS;
    if settled && (reached || largest.bytes <= CHEAP_BYTES) {
        return ids(blocks);
    }
    let same_size = blocks.chunk_by(|a, b| size_class(a) == size_class(b));
    if let Some(found) = same_size.into_iter().find(|same| same.len() >= SAME_SIZE_COUNT) {
        return ids(found);
    }
    if others.len() >= TAKE_IN_COUNT && reached {
        return ids(blocks);
    }
    if blocks.len() > BLOCKS_MAX { ids(others) } else { None }
}

/// Sizes within a factor of four.
fn size_class(block: &BlockRow) -> u32 {
    (block.bytes / SMALLEST_BYTES).checked_ilog2().map_or(0, |log| log / 2 + 1)
}

/// Why blocks could not be merged.
#[derive(Debug)]
pub struct MergeError {
    /// The block that is damaged, if that is why.
    pub damaged: Option<BlockId>,
    /// What went wrong.
    pub error: Error,
}

impl From<Error> for MergeError {
    fn from(error: Error) -> Self {
        Self { damaged: None, error }
    }
}

impl MergeError {
    fn of(block: &Block, error: Error) -> Self {
        let damaged = (error.kind() == ErrorKind::Corrupt).then_some(block.row().id);
        Self { damaged, error }
    }
}

/// Merges `blocks` into `writer`: by series order, samples by the conflict rule, and only those
/// inside `keep` that no tombstone deletes. `None` if no sample is left; then there is no new block. Memory: a page of each
/// block and one series.
///
/// # Errors
/// If a block is damaged, or writing fails. The blocks merged are untouched.
pub fn merge(
    blocks: &[Arc<Block>],
    tombstones: &[Arc<Tombstone>],
    mut writer: BlockWriter,
    keep: TimeRange,
) -> Result<Option<BlockRow>, MergeError> {
    let open = |block| Cursor::open(block, tombstones, keep);
    let mut cursors: Vec<Cursor<'_>> =
        blocks.iter().map(|block| open(block)).collect::<Result<_, _>>()?;
    while let Some(mut series) = take_least(&mut cursors)? {
        let first_time = |row: &Row| row.samples.timestamps.first().copied();
        // In order of time most samples are appended.
        series.sort_by_key(first_time);
        let mut rows = series.into_iter();
        let Some(mut merged) = rows.next() else { break };
        for row in rows {
            merged.samples.merge(&row.samples);
            merged.exemplars.extend(row.exemplars);
        }
        sort_exemplars(&mut merged.exemplars);
        let labels: Vec<(&str, &str)> = merged.labels.iter().collect();
        writer.push(merged.tenant, &labels, &merged.samples, &merged.exemplars)?;
    }
    if writer.series_count() == 0 { Ok(None) } else { Ok(Some(writer.finish()?)) }
}

/// Takes the least series off the cursors that are at it.
fn take_least(cursors: &mut [Cursor<'_>]) -> Result<Option<Vec<Row>>, MergeError> {
    let mut least: Vec<usize> = Vec::new();
    for (at, cursor) in cursors.iter().enumerate() {
        let Some(row) = cursor.rows.front() else { continue };
        let best = least.first().and_then(|&best| cursors[best].rows.front());
        match best.map_or(Ordering::Less, |best| row.order(best)) {
            Ordering::Less => least = vec![at],
            Ordering::Equal => least.push(at),
            Ordering::Greater => {}
        }
    }
    let mut series = Vec::with_capacity(least.len());
    for at in least {
        series.extend(cursors[at].next()?);
    }
    Ok(if series.is_empty() { None } else { Some(series) })
}

/// By time, each once.
fn sort_exemplars(exemplars: &mut Vec<Exemplar>) {
    let order = |a: &Exemplar, b: &Exemplar| {
        let key = |e: &Exemplar| (e.timestamp_ms, e.value.to_bits());
        key(a).cmp(&key(b)).then_with(|| a.labels.cmp(&b.labels))
    };
    exemplars.sort_by(order);
    exemplars.dedup_by(|a, b| order(a, b).is_eq());
}

/// A series of a block.
struct Row {
    tenant: TenantId,
    labels: Labels,
    samples: SeriesSamples,
    exemplars: Vec<Exemplar>,
}

impl Row {
    fn order(&self, other: &Self) -> Ordering {
        self.tenant
            .cmp(&other.tenant)
            .then_with(|| series_order_of(self.labels.iter(), other.labels.iter()))
    }
}

/// Goes through a block, page by page.
struct Cursor<'a> {
    block: &'a Block,
    deleted: Deleted,
    keep: TimeRange,
    /// The first series that was not read.
    next_id: u32,
    /// Label sets of series that are read next, up to `labels_end`.
    labels: BTreeMap<u32, Labels>,
    labels_end: u32,
    rows: VecDeque<Row>,
}

impl<'a> Cursor<'a> {
    fn open(
        block: &'a Block,
        tombstones: &[Arc<Tombstone>],
        keep: TimeRange,
    ) -> Result<Self, MergeError> {
        let deleted = Deleted::of(block, tombstones, None);
        let deleted = deleted.map_err(|error| MergeError::of(block, error))?;
        let (labels, rows) = (BTreeMap::new(), VecDeque::new());
        let mut cursor = Self { block, deleted, keep, next_id: 0, labels, labels_end: 0, rows };
        cursor.fill()?;
        Ok(cursor)
    }

    /// The next series.
    fn next(&mut self) -> Result<Option<Row>, MergeError> {
        let row = self.rows.pop_front();
        self.fill()?;
        Ok(row)
    }

    /// Reads pages until there is a series, or no page is left.
    fn fill(&mut self) -> Result<(), MergeError> {
        self.fill_rows().map_err(|error| MergeError::of(self.block, error))
    }

    fn fill_rows(&mut self) -> Result<()> {
        while self.rows.is_empty() && u64::from(self.next_id) < self.block.row().series_count {
            let page = self.block.page_of(self.next_id)?;
            self.next_id = page.end;
            self.read_page(page)?;
        }
        Ok(())
    }

    /// Reads label sets up to series `end` at least.
    fn read_labels(&mut self, end: u32) -> Result<()> {
        let count = u32::try_from(self.block.row().series_count).unwrap_or(u32::MAX);
        let end = end.max(self.labels_end.saturating_add(LABELS_AT_ONCE).min(count));
        let mut ids = RoaringBitmap::new();
        ids.insert_range(self.labels_end..end);
        let labels = &mut self.labels;
        self.block.labels_of_many(&ids, &mut |id, pairs| {
            labels.insert(id, Labels::from_sorted(pairs.iter().copied()));
        })?;
        self.labels_end = end;
        Ok(())
    }

    fn read_page(&mut self, page: std::ops::Range<u32>) -> Result<()> {
        let ids: Vec<u32> = page.clone().collect();
        if page.end > self.labels_end {
            self.read_labels(page.end)?;
        }
        let exemplars = self.block.exemplars(&ids, self.keep)?;
        let mut exemplars: BTreeMap<u32, Vec<Exemplar>> = exemplars.into_iter().collect();
        let mut damage = Vec::new();
        let block = self.block;
        let mut samples = BTreeMap::new();
        block.read(&ids, self.keep, &mut damage, &mut |id, found| {
            samples.insert(id, found.clone());
            Ok(())
        })?;
        for id in ids {
            let mut samples = samples.remove(&id).unwrap_or_default();
            let mut exemplars = exemplars.remove(&id).unwrap_or_default();
            self.deleted.remove_from(id, &mut samples);
            self.deleted.remove_exemplars(id, &mut exemplars);
            let labels = self.labels.remove(&id);
            if samples.is_empty() && exemplars.is_empty() {
                continue;
            }
            let tenant = block.tenants().find(|(_, series)| series.contains(&id));
            let Some(((tenant, _), labels)) = tenant.zip(labels) else {
                return Err(Error::corrupt(
                    format!("block {}", block.row().id.0),
                    "a series has no labels",
                ));
            };
            self.rows.push_back(Row { tenant, labels, samples, exemplars });
        }
        // A merge must not lose what may still be saved from the damaged block.
        match damage.into_iter().next() {
            Some(text) => Err(Error::corrupt(format!("block {}", self.block.row().id.0), text)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
