//! The entries of a generation: for each stream full pages, encoded, and an open run.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ephemeris_model::NanoRange;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::deleted::Cuts;
use super::merge::{Piece, PieceSource};
use super::page::{COLUMNS_MAX, PAGE_ROWS, Page, Room};
use super::rows::Rows;
use crate::metrics::head::identity::{EXTENT_SERIES, EXTENTS_MAX, Identity};

/// Slots of neighbouring streams.
type Extent = Box<[Mutex<Option<Box<Stream>>>]>;

/// Entries written between two rotations.
pub(crate) struct LogHead {
    /// Who the streams are. They are few compared to series, so each generation knows its own.
    identity: Identity,
    extents: Vec<OnceLock<Extent>>,
    bytes: AtomicU64,
    entries: AtomicU64,
    min: AtomicI64,
    max: AtomicI64,
}

/// Entries of one stream.
#[derive(Default)]
pub(crate) struct Stream {
    /// In order of arrival.
    pages: Vec<Arc<Page>>,
    open: Rows,
    min: Option<i64>,
    max: i64,
}

impl LogHead {
    pub(crate) fn new() -> Self {
        Self {
            identity: Identity::new(),
            extents: std::iter::repeat_with(OnceLock::new).take(EXTENTS_MAX).collect(),
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            min: AtomicI64::new(i64::MAX),
            max: AtomicI64::new(i64::MIN),
        }
    }

    /// Who its streams are.
    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Bytes of pages and open runs.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Number of entries, repeats included.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Times of the earliest and of the latest entry, if there is one.
    pub(crate) fn times(&self) -> Option<(i64, i64)> {
        let (min, max) = (self.min.load(Ordering::Relaxed), self.max.load(Ordering::Relaxed));
        (min <= max).then_some((min, max))
    }

    /// Lets `append` add to stream `id`.
    pub(crate) fn append(&self, id: u32, append: impl FnOnce(&mut Stream)) {
        let Some(extent) = self.extents.get((id / EXTENT_SERIES) as usize) else { return };
        let new = || std::iter::repeat_with(Mutex::default).take(EXTENT_SERIES as usize).collect();
        let mut slot = extent.get_or_init(new)[(id % EXTENT_SERIES) as usize].lock();
        let stream = slot.get_or_insert_default();
        let before = (stream.bytes(), stream.entries());
        append(stream);
        let add = |total: &AtomicU64, before: u64, after: u64| {
            total.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        };
        add(&self.bytes, before.0, stream.bytes());
        add(&self.entries, before.1, stream.entries());
        if let Some(min) = stream.min {
            self.min.fetch_min(min, Ordering::Relaxed);
            self.max.fetch_max(stream.max, Ordering::Relaxed);
        }
    }

    fn with_stream<T>(&self, id: u32, look: impl FnOnce(&Stream) -> T) -> Option<T> {
        let extent = self.extents.get((id / EXTENT_SERIES) as usize)?.get()?;
        let slot = extent[(id % EXTENT_SERIES) as usize].lock();
        slot.as_deref().map(look)
    }

    /// Those of `ids` that have an entry inside `range`, or around it.
    pub(crate) fn filled(&self, ids: &RoaringBitmap, range: NanoRange) -> RoaringBitmap {
        let touches = |stream: &Stream| {
            stream.min.is_some_and(|min| min < range.end && stream.max >= range.start)
        };
        ids.iter().filter(|&id| self.with_stream(id, touches) == Some(true)).collect()
    }

    /// What stream `id` has inside `range`, in order of arrival.
    pub(crate) fn pieces(&self, id: u32, range: NanoRange) -> Vec<Piece> {
        let inside = |min: i64, max: i64| min < range.end && max >= range.start;
        let (mut pieces, open) = self
            .with_stream(id, |stream| {
                let pages = stream.pages.iter().filter(|page| inside(page.min, page.max));
                let pieces: Vec<Piece> = pages.map(Piece::of_page).collect();
                (pieces, stream.open.clone())
            })
            .unwrap_or_default();
        pieces.extend(of_open(open).filter(|piece| inside(piece.min, piece.max)));
        pieces
    }

    /// The pages of stream `id` with its open run, for sealing.
    pub(crate) fn pages(&self, id: u32) -> (Vec<Arc<Page>>, Rows) {
        self.with_stream(id, |stream| (stream.pages.clone(), stream.open.clone()))
            .unwrap_or_default()
    }
}

fn of_open(mut rows: Rows) -> Option<Piece> {
    rows.sort();
    let (min, max) = (*rows.times().first()?, *rows.times().last()?);
    let (entries, line_bytes) = (rows.len() as u64, rows.text().len() as u64);
    let source = PieceSource::Rows(Arc::new(rows));
    Some(Piece { min, max, entries, line_bytes, source, cuts: Cuts::new() })
}

impl Stream {
    /// Adds an entry; `metadata` is sorted by name. Of more names than a page can have, which limits
    /// of requests refuse, the first are kept.
    pub(crate) fn push<'a>(
        &mut self,
        time: i64,
        line: &[u8],
        metadata: impl ExactSizeIterator<Item = (&'a str, &'a str)> + Clone,
    ) {
        let metadata = metadata.take(COLUMNS_MAX);
        let added = Room { bytes: line.len(), rows: 1 };
        let names = metadata.clone().map(|(name, _)| name);
        if !self.open.is_empty() && !added.is_in(&self.open, PAGE_ROWS, names) {
            self.end_page();
        }
        self.max = self.min.map_or(time, |_| self.max.max(time));
        self.min = Some(self.min.map_or(time, |min| min.min(time)));
        self.open.push(time, line, metadata);
    }

    fn end_page(&mut self) {
        // Encoding fails only beyond the limit of a value, 1 GiB, or of rows and columns, which no
        // run comes near.
        if let Ok(Some(page)) = Page::encode(&mut self.open) {
            self.pages.push(Arc::new(page));
            self.open.clear();
        }
    }

    /// Cuts a full page short, so that it does not decode.
    #[cfg(test)]
    pub(crate) fn damage_page(&mut self, at: usize) {
        let mut page = Page::clone(&self.pages[at]);
        page.bytes.truncate(3);
        self.pages[at] = Arc::new(page);
    }

    fn bytes(&self) -> u64 {
        let pages: usize =
            self.pages.iter().map(|page| page.bytes.len() + page.counts.len() + 64).sum();
        (pages + self.open.bytes() + 128) as u64
    }

    fn entries(&self) -> u64 {
        let pages: u64 = self.pages.iter().map(|page| u64::from(page.entries)).sum();
        pages + self.open.len() as u64
    }
}
