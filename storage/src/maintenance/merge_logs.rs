//! Writes log blocks of one day anew, as one: without what is deleted for good, and several small
//! ones in place of hundreds. Pages are taken as they are, small ones that follow each other joined.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_model::{Labels, LogColumns, TimestampMs};
use roaring::RoaringBitmap;

use super::compact::MergeError;
use crate::catalog::{BlockId, BlockRow, Carried, CatalogChange, LogTombstone};
use crate::error::{AtPlace, Error, ErrorKind, Result};
use crate::faults::Place;
use crate::logs::block::{GROUP_STREAMS, LogBlockWriter, PagePlace};
use crate::logs::deleted::{Cuts, LogDeleted, without};
use crate::logs::page::{self, PAGE_BYTES, PAGE_ROWS, Page, Room};
use crate::logs::rows::{Column, Rows};
use crate::metrics::block::Block;
use crate::series::{TenantId, series_order_of};
use crate::store::Inner;
use crate::version::Version;

/// Neighbours of one size that are merged.
const SAME_SIZE_COUNT: usize = 4;
/// Blocks below this size are of one size.
const SMALLEST_BYTES: u64 = 256 << 10;
/// Blocks from this size on stay as they are: they are as good as merged.
const LARGE_BYTES: u64 = 32 << 20;
/// Blocks merged at once, and their bytes, at most.
const MERGED_MAX: usize = 32;
const MERGED_BYTES_MAX: u64 = 256 << 20;
/// Small neighbours beyond which they are merged whatever their sizes.
const NEIGHBOURS_MAX: usize = 8;
/// How long after its end a day counts as over; then all small neighbours are merged.
const SETTLED_AFTER_MS: i64 = 6 * 60 * 60 * 1000;
/// Streams whose labels are read at once.
const LABELS_AT_ONCE: u32 = 256;
/// A page with fewer bytes, of lines as they are and of all it has as encoded, is joined with its
/// neighbour if one page has room for both.
const SMALL_PAGE_BYTES: usize = PAGE_BYTES / 2;
const ALL: LogColumns = LogColumns { lines: true, metadata: true };

/// Which blocks of a day to merge next; `rows` are in order of arrival, and `is_free` tells which
/// of them may be. Only neighbours are merged, so that entries of one time keep their order.
pub(super) fn plan(
    rows: &[BlockRow],
    now: TimestampMs,
    is_free: &dyn Fn(&BlockRow) -> bool,
) -> Option<Vec<BlockId>> {
    let small = |row: &BlockRow| row.bytes < LARGE_BYTES && is_free(row);
    let runs = rows.chunk_by(|a, b| small(a) && small(b)).filter(|run| run.iter().all(small));
    let ids = |run: &[BlockRow]| {
        let mut bytes = 0;
        let fits = |row: &&BlockRow| {
            bytes += row.bytes;
            bytes <= MERGED_BYTES_MAX
        };
        run.iter().take(MERGED_MAX).take_while(fits).map(|row| row.id).collect()
    };
    for run in runs.filter(|run| run.len() > 1) {
        let settled = run.iter().all(|row| now >= row.range.end + SETTLED_AFTER_MS);
        if settled || run.len() > NEIGHBOURS_MAX {
            return Some(ids(run));
        }
        let same = run.chunk_by(|a, b| size_class(a) == size_class(b));
        if let Some(same) = same.into_iter().find(|same| same.len() >= SAME_SIZE_COUNT) {
            return Some(ids(same));
        }
    }
    None
}

/// Sizes within a factor of four.
fn size_class(row: &BlockRow) -> u32 {
    (row.bytes / SMALLEST_BYTES).checked_ilog2().map_or(0, |log| log / 2 + 1)
}

impl Inner {
    /// What is to be done next with log blocks: a deletion that can no longer be taken back, else
    /// a merge. Answers the blocks and the deletions that are done in them.
    pub(super) fn next_log_merge(
        &self,
        version: &Version,
    ) -> Option<(Vec<BlockId>, Vec<Arc<LogTombstone>>)> {
        let now = self.clock.now();
        let due = self.due_log_tombstones(version, now);
        let damaged = self.catalog.damaged_blocks();
        let sound = |row: &BlockRow| damaged.iter().all(|(id, _)| *id != row.id);
        let mut days: BTreeMap<TimestampMs, Vec<BlockRow>> = BTreeMap::new();
        for block in &version.log_blocks {
            let row = block.row();
            if sound(row) && due.iter().any(|tombstone| tombstone.names(row.id)) {
                return Some((vec![row.id], due));
            }
            days.entry(row.range.start).or_default().push(row.clone());
        }
        let is_free = |row: &BlockRow| {
            sound(row) && !version.log_tombstones.iter().any(|tombstone| tombstone.names(row.id))
        };
        let next = days.into_values().find_map(|mut rows| {
            rows.sort_by_key(|row| row.arrival);
            plan(&rows, now, &is_free)
        });
        next.map(|ids| (ids, due))
    }

    /// Puts one block in place of neighbouring log blocks of a day, without what `done` deletes.
    /// Other deletions go on with a single block; several may have none. `merging` is held.
    pub(super) fn merge_logs(
        &self,
        version: &Version,
        ids: &[BlockId],
        done: &[Arc<LogTombstone>],
    ) -> Result<(), MergeError> {
        let mut blocks: Vec<Arc<Block>> =
            ids.iter().filter_map(|&id| version.block(id).cloned()).collect();
        blocks.sort_by_key(|block| block.row().arrival);
        let Some(first) = blocks.first() else { return Ok(()) };
        let level = blocks.iter().map(|block| block.row().level).max().unwrap_or(0);
        let (arrival, range) = (first.row().arrival, first.row().range);
        let sink = self.rocks.block_sink(self.catalog.next_block_id())?;
        let writer = LogBlockWriter::new(sink, range, level.saturating_add(1));
        let merged = merge(&blocks, done, writer, self.oldest())?;
        let added: Vec<BlockRow> =
            merged.into_iter().map(|row| BlockRow { arrival, ..row }).collect();
        self.faults.pass(Place::MergeWritten)?;
        for row in &added {
            self.rocks.ingest(row.id)?;
        }
        self.faults.pass(Place::MergeIngested)?;
        let bytes = added.iter().map(|row| row.bytes).sum();
        let done = done.iter().map(|tombstone| tombstone.id).collect();
        let carried = match (ids, added.as_slice()) {
            (&[from], [row]) => Some(Carried { from, to: row.id, done }),
            _ => None,
        };
        let (added_rows, removed) = (added.clone(), ids.to_vec());
        self.catalog.commit(CatalogChange {
            added: added_rows,
            removed,
            carried,
            ..CatalogChange::default()
        })?;
        self.counters.compaction_bytes.fetch_add(bytes, Relaxed);
        self.faults.pass(Place::MergeCommitted)?;
        self.replace_blocks(ids, self.open_new(added)?);
        Ok(())
    }
}

/// Writes all streams of `blocks`, which are in order of arrival; `None` if no entry is left.
fn merge(
    blocks: &[Arc<Block>],
    done: &[Arc<LogTombstone>],
    mut writer: LogBlockWriter,
    oldest: TimestampMs,
) -> Result<Option<BlockRow>, MergeError> {
    let oldest = oldest.0.saturating_mul(NANOS_PER_MILLI);
    let mut cursors = Vec::with_capacity(blocks.len());
    for block in blocks {
        cursors.push(Cursor::open(block, done).map_err(|error| of_block(block, error))?);
    }
    let mut is_empty = true;
    while let Some(least) = least(&cursors) {
        let mut places = VecDeque::new();
        let mut stream = None;
        for at in least {
            let cursor = &mut cursors[at];
            let block = cursor.block;
            let Some((tenant, labels, id)) = cursor.streams.pop_front() else { continue };
            let read = cursor.places(id).and_then(|found| cursor.fill().map(|()| found));
            places.extend(read.map_err(|error| of_block(block, error))?);
            stream.get_or_insert((tenant, labels));
        }
        let Some((tenant, labels)) = stream else { break };
        let source = Cell::new(None);
        let mut pages = Pages { places, open: Open::None, oldest, source: &source }.peekable();
        is_empty &= pages.peek().is_none();
        let labels: Vec<(&str, &str)> = labels.iter().collect();
        let written = writer.push(tenant, &labels, pages, &mut |_, error| Err(error));
        written.map_err(|error| {
            let damaged = source.get().filter(|_| error.kind() == ErrorKind::Corrupt);
            MergeError { damaged, error }
        })?;
    }
    if is_empty { Ok(None) } else { Ok(Some(writer.finish()?)) }
}

fn of_block(block: &Block, error: Error) -> MergeError {
    let damaged = (error.kind() == ErrorKind::Corrupt).then_some(block.row().id);
    MergeError { damaged, error }
}

/// The cursors that are at the least stream, in order of arrival.
fn least(cursors: &[Cursor<'_>]) -> Option<Vec<usize>> {
    let mut least: Vec<usize> = Vec::new();
    for (at, cursor) in cursors.iter().enumerate() {
        let Some((tenant, labels, _)) = cursor.streams.front() else { continue };
        let best = least.first().and_then(|&best| cursors[best].streams.front());
        let order = best.map_or(Ordering::Less, |(other, others, _)| {
            tenant.cmp(other).then_with(|| series_order_of(labels.iter(), others.iter()))
        });
        match order {
            Ordering::Less => least = vec![at],
            Ordering::Equal => least.push(at),
            Ordering::Greater => {}
        }
    }
    (!least.is_empty()).then_some(least)
}

/// Goes through the streams of a block.
struct Cursor<'a> {
    block: &'a Arc<Block>,
    deleted: LogDeleted,
    next_id: u32,
    streams: VecDeque<(TenantId, Labels, u32)>,
}

/// A page of a block, and what is deleted of it.
struct Wanted<'a> {
    block: &'a Arc<Block>,
    place: PagePlace,
    /// Where its counts are: number of the group, place in it.
    counts: (u32, usize),
    cuts: Cuts,
}

impl<'a> Cursor<'a> {
    fn open(block: &'a Arc<Block>, done: &[Arc<LogTombstone>]) -> Result<Self> {
        let deleted = LogDeleted::of(block, done, None)?;
        let mut cursor = Self { block, deleted, next_id: 0, streams: VecDeque::new() };
        cursor.fill()?;
        Ok(cursor)
    }

    /// Reads labels until there is a stream, or none is left.
    fn fill(&mut self) -> Result<()> {
        let count = u32::try_from(self.block.row().series_count).unwrap_or(u32::MAX);
        while self.streams.is_empty() && self.next_id < count {
            let end = count.min(self.next_id.saturating_add(LABELS_AT_ONCE));
            let mut ids = RoaringBitmap::new();
            ids.insert_range(self.next_id..end);
            let tenants: Vec<_> = self.block.tenants().collect();
            let streams = &mut self.streams;
            self.block.series_labels(&ids, &mut |id, pairs| {
                let tenant = tenants.iter().find(|(_, series)| series.contains(&id));
                if let Some((tenant, _)) = tenant {
                    streams.push_back((*tenant, Labels::from_sorted(pairs.iter().copied()), id));
                }
            })?;
            if self.streams.len() as u64 != ids.len() {
                let place = format!("block {}", self.block.row().id.0);
                return Err(Error::corrupt(place, "a stream has no labels"));
            }
            self.next_id = end;
        }
        Ok(())
    }

    /// The pages of a stream of which something may be left.
    fn places(&self, id: u32) -> Result<Vec<Wanted<'a>>> {
        let number = id / GROUP_STREAMS;
        let group = self.block.log_group(number)?;
        let pages = group.pages(id % GROUP_STREAMS).ok_or_else(|| {
            let place = format!("block {}", self.block.row().id.0);
            Error::corrupt(place, "a stream is missing in the directory")
        })?;
        let wanted =
            (group.first_page(id % GROUP_STREAMS)..).zip(pages).filter_map(|(at, page)| {
                let cuts = self.deleted.cuts(id, (page.min, page.max))?;
                Some(Wanted { block: self.block, place: *page, counts: (number, at), cuts })
            });
        Ok(wanted.collect())
    }
}

/// The pages of a stream as they are to be written.
struct Pages<'a> {
    places: VecDeque<Wanted<'a>>,
    open: Open,
    /// In nanoseconds; what is older is past the retention.
    oldest: i64,
    /// The block of the page that was read or handed out last: the damaged one, if there is damage.
    source: &'a Cell<Option<BlockId>>,
}

/// What waits to be joined with the next page, with the block it is of; of several, the last.
enum Open {
    None,
    /// One page, as it is.
    Page(Page, BlockId),
    Rows(Rows, BlockId),
}

impl Iterator for Pages<'_> {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        loop {
            let Some(wanted) = self.places.front() else { return self.end_open().transpose() };
            let small = is_small(&wanted.place);
            let has_open = !matches!(self.open, Open::None);
            if has_open && (!small || self.open_bytes() >= SMALL_PAGE_BYTES) {
                return self.end_open().transpose();
            }
            let wanted = self.places.pop_front()?;
            match self.take(&wanted) {
                Ok(Some(page)) => return Some(Ok(page)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Pages<'_> {
    fn open_bytes(&self) -> usize {
        match &self.open {
            Open::None => 0,
            Open::Page(page, _) => page.bytes.len().max(page.line_bytes as usize),
            Open::Rows(rows, _) => rows.content_bytes(),
        }
    }

    fn end_open(&mut self) -> Result<Option<Page>> {
        match std::mem::replace(&mut self.open, Open::None) {
            Open::None => Ok(None),
            Open::Page(page, block) => {
                self.source.set(Some(block));
                Ok(Some(page))
            }
            Open::Rows(mut rows, block) => {
                self.source.set(Some(block));
                encode(&mut rows)
            }
        }
    }

    /// The rows of the page that waits to be joined, if it is one as it is.
    fn decode_open(&self) -> Result<Option<Rows>> {
        let Open::Page(page, block) = &self.open else { return Ok(None) };
        self.source.set(Some(*block));
        page::decode(&page.bytes, ALL).at(|| format!("a page of block {}", block.0)).map(Some)
    }

    /// Reads the next page: it waits to be joined, and what waits already is answered if one page
    /// has no room for both.
    fn take(&mut self, wanted: &Wanted<'_>) -> Result<Option<Page>> {
        let (place, block) = (&wanted.place, wanted.block.row().id);
        if place.max < self.oldest {
            return Ok(None);
        }
        self.source.set(Some(block));
        let whole = wanted.cuts.is_empty() && place.min >= self.oldest;
        let small = is_small(place);
        if whole && (!small || matches!(self.open, Open::None)) {
            let page = read_page(wanted)?;
            if !small {
                return Ok(Some(page));
            }
            self.open = Open::Page(page, block);
            return Ok(None);
        }
        let rows = without(wanted.block.log_page(place, ALL)?, &wanted.cuts);
        let from = rows.times().partition_point(|&time| time < self.oldest);
        if from == rows.len() {
            return Ok(None);
        }
        let decoded = self.decode_open()?;
        let waiting = match &self.open {
            Open::Rows(rows, _) => Some(rows),
            Open::None | Open::Page(..) => decoded.as_ref(),
        };
        let added = Room { bytes: rows.content_bytes(), rows: rows.len() };
        let names = || rows.columns().iter().map(Column::name);
        if waiting.is_none_or(|waiting| added.is_in(waiting, PAGE_ROWS, names())) {
            let mut joined = match std::mem::replace(&mut self.open, Open::None) {
                Open::Rows(rows, _) => rows,
                Open::None | Open::Page(..) => decoded.unwrap_or_default(),
            };
            joined.extend_from(&rows, from);
            self.open = Open::Rows(joined, block);
            return Ok(None);
        }
        let next = if whole {
            self.source.set(Some(block));
            Open::Page(read_page(wanted)?, block)
        } else {
            let mut left = Rows::default();
            left.extend_from(&rows, from);
            Open::Rows(left, block)
        };
        let ended = self.end_open();
        self.open = next;
        ended
    }
}

/// Whether a page is to be joined with its neighbour.
fn is_small(place: &PagePlace) -> bool {
    (place.line_bytes as usize) < SMALL_PAGE_BYTES && (place.length as usize) < SMALL_PAGE_BYTES
}

/// Encodes rows, and decodes them again: they take the place of the pages they come from.
fn encode(rows: &mut Rows) -> Result<Option<Page>> {
    let Some(page) = Page::encode(rows)? else { return Ok(None) };
    let decoded = page::decode(&page.bytes, ALL).at(|| "a joined page".to_owned())?;
    if decoded.len() != rows.len() {
        return Err(Error::corrupt("a joined page".to_owned(), "it lacks rows"));
    }
    Ok(Some(page))
}

/// A page as it is.
fn read_page(wanted: &Wanted<'_>) -> Result<Page> {
    let place = &wanted.place;
    let counts = wanted.block.log_counts(wanted.counts)?;
    Ok(Page {
        min: place.min,
        max: place.max,
        entries: place.entries,
        line_bytes: place.line_bytes,
        bytes: wanted.block.log_page_bytes(place)?,
        counts: counts.map(|counts| counts.encode()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use ephemeris_model::TimeRange;

    use super::*;
    use crate::catalog::Payload;

    const NOW: TimestampMs = TimestampMs(20_000 * 86_400_000 + 1);

    fn rows(sizes: &[u64]) -> Vec<BlockRow> {
        let row = |(id, &bytes): (u32, &u64)| BlockRow {
            id: BlockId(id),
            payload: Payload::Entries,
            range: TimeRange::of_day(20_000),
            min_time: NOW,
            max_time: NOW,
            level: 0,
            bytes,
            series_count: 1,
            sample_count: 1,
            arrival: BlockId(id),
        };
        (0..).zip(sizes).map(row).collect()
    }

    fn planned(sizes: &[u64], now: TimestampMs) -> Vec<u32> {
        let found = plan(&rows(sizes), now, &|row| row.sample_count > 0);
        found.unwrap_or_default().into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn neighbours_of_one_size_are_merged_and_large_ones_stay() {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        assert_eq!(planned(&[9 * KIB; 3], NOW), Vec::<u32>::new());
        assert_eq!(planned(&[9 * KIB; 4], NOW), [0, 1, 2, 3]);
        assert_eq!(planned(&[8 * MIB, KIB, KIB, 2 * KIB, KIB], NOW), [1, 2, 3, 4]);
        assert_eq!(planned(&[64 * MIB; 9], NOW), Vec::<u32>::new());
        assert_eq!(planned(&[KIB, KIB, 64 * MIB, KIB, KIB], NOW), Vec::<u32>::new());
        assert_eq!(planned(&[KIB, MIB, KIB, MIB, KIB, MIB, KIB, MIB, KIB], NOW).len(), 9);
        assert_eq!(planned(&vec![KIB; 100], NOW).len(), MERGED_MAX);
        let later = NOW + 2 * 86_400_000;
        assert_eq!(planned(&[64 * MIB, KIB, 9 * MIB], later), [1, 2]);
        assert_eq!(planned(&[KIB], later), Vec::<u32>::new());
    }

    #[test]
    fn a_block_that_is_not_free_parts_its_neighbours() {
        let mut rows = rows(&[1; 9]);
        rows[4].sample_count = 0;
        let found = plan(&rows, NOW, &|row| row.sample_count > 0).expect("four are free");
        assert_eq!(found.len(), 4);
        rows[2].sample_count = 0;
        rows[6].sample_count = 0;
        assert_eq!(plan(&rows, NOW, &|row| row.sample_count > 0), None);
    }
}
