//! Reads the pages of a log block.

use std::sync::Arc;

use ephemeris_model::{EntryCount, LogColumns, NanoRange};

use super::directory::{LogGroup, PagePlace};
use super::{COUNTS, GROUP_STREAMS};
use crate::encoding::Damage;
use crate::envelope::section;
use crate::error::{AtPlace, Error, Result};
use crate::index::ValueSource;
use crate::logs::counts::{Counts, GroupCounts};
use crate::logs::deleted::LogDeleted;
use crate::logs::grams::{GramIndex, INDEX_NUMBER};
use crate::logs::merge::{Piece, PieceSource};
use crate::logs::page;
use crate::logs::rows::Rows;
use crate::logs::search::{self, Found, Search};
use crate::metrics::block::{Block, LOG_COUNTS_GROUP_BYTES_MAX};

impl Block {
    /// What stream `id` has inside `range` and is not deleted, in order of arrival.
    ///
    /// # Errors
    /// If the directory is damaged.
    pub(crate) fn log_pieces(
        self: &Arc<Self>,
        id: u32,
        range: NanoRange,
        deleted: &LogDeleted,
    ) -> Result<Vec<Piece>> {
        let group = self.log_group(id / GROUP_STREAMS)?;
        let pages = group.pages(id % GROUP_STREAMS).ok_or_else(|| {
            let place = self.place(section::DIRECTORY, id / GROUP_STREAMS);
            Error::corrupt(place, "a stream is missing")
        })?;
        let first = group.first_page(id % GROUP_STREAMS);
        let inside = (first..)
            .zip(pages)
            .filter(|(_, page)| page.min < range.end && page.max >= range.start);
        let piece = |(at, page): (usize, &PagePlace)| {
            let cuts = deleted.cuts(id, (page.min, page.max))?;
            Some(Piece {
                min: page.min,
                max: page.max,
                entries: u64::from(page.entries),
                line_bytes: page.line_bytes,
                source: PieceSource::Stored {
                    block: Arc::clone(self),
                    page: *page,
                    counts: (id / GROUP_STREAMS, at),
                },
                cuts,
            })
        };
        Ok(inside.filter_map(piece).collect())
    }

    /// A group of the directory of a log block.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn log_group(&self, number: u32) -> Result<Arc<LogGroup>> {
        let cache = &self.caches().log_groups;
        let key = (self.row().id, number);
        if let Some(found) = cache.get(&key) {
            return Ok(found);
        }
        let mut read = LogGroup::default();
        self.with_body(section::DIRECTORY, number, &mut |body| {
            read = LogGroup::decode(body).at(|| self.place(section::DIRECTORY, number))?;
            Ok(())
        })?;
        let group = Arc::new(read);
        cache.insert(key, Arc::clone(&group), group.bytes());
        Ok(group)
    }

    /// The counts of a page, by the number of its group and its place there; `None` if the block
    /// was written without, the page is not counted, or the counts of its group are too many to keep.
    ///
    /// # Errors
    /// If they are damaged.
    pub(crate) fn log_counts(&self, (number, at): (u32, usize)) -> Result<Option<Counts>> {
        let place = || self.place(section::DIRECTORY, COUNTS + number);
        let cache = &self.caches().log_counts;
        let key = (self.row().id, number);
        if let Some(found) = cache.get(&key) {
            return found.page(at).at(place);
        }
        let pages = self.log_group(number)?.all_pages().len();
        let mut read = GroupCounts::default();
        let is_there =
            self.with_body_if_there(section::DIRECTORY, COUNTS + number, &mut |body| {
                read = GroupCounts::decode(body, pages).at(place)?;
                Ok(())
            })?;
        if !is_there {
            return Ok(None);
        }
        // Counts that do not fit the cache would be read again for every page, so the pages are.
        let is_large = read.bytes() > LOG_COUNTS_GROUP_BYTES_MAX;
        let counts = Arc::new(if is_large { GroupCounts::default() } else { read });
        cache.insert(key, Arc::clone(&counts), counts.bytes());
        counts.page(at).at(place)
    }

    /// How the rows of grams lie; `None` if the block has none.
    ///
    /// # Errors
    /// If that is damaged.
    pub(crate) fn gram_index(&self) -> Result<Option<GramIndex>> {
        let place = || self.place(section::GRAMS, INDEX_NUMBER);
        let mut index = None;
        self.with_body_if_there(section::GRAMS, INDEX_NUMBER, &mut |body| {
            index = Some(GramIndex::decode(body).at(place)?);
            Ok(())
        })?;
        Ok(index)
    }

    /// For the pages of a stripe a bit: whether a page may hold all needles.
    ///
    /// # Errors
    /// If a row is damaged.
    pub(crate) fn gram_candidates(
        &self,
        index: &GramIndex,
        stripe: u32,
        needles: &[Vec<u8>],
    ) -> Result<Vec<u8>> {
        index.candidates(stripe, needles, |number, read| {
            self.with_body(section::GRAMS, number, &mut |body| {
                read(body).at(|| self.place(section::GRAMS, number))
            })
        })
    }

    /// The bytes of a page.
    ///
    /// # Errors
    /// If its value is damaged.
    pub(crate) fn log_page_bytes(&self, place: &PagePlace) -> Result<Vec<u8>> {
        let mut read = Vec::new();
        self.with_log_page(place, &mut |bytes| {
            read.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(read)
    }

    fn with_log_page(
        &self,
        place: &PagePlace,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.with_body(section::LOG_PAGES, place.number, &mut |body| {
            let start = place.offset as usize;
            let bytes = body.get(start..).and_then(|rest| rest.get(..place.length as usize));
            read(bytes.ok_or_else(|| {
                let place = self.place(section::LOG_PAGES, place.number);
                Error::corrupt(place, "a page lies outside")
            })?)
        })
    }

    /// Decodes a page.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn log_page(&self, place: &PagePlace, wanted: LogColumns) -> Result<Rows> {
        self.read_log_page(place, |bytes| {
            let rows = page::decode(bytes, wanted)?;
            let of = rows.len();
            Ok((rows, of))
        })
    }

    /// The entries of a page that fulfil a search.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn search_log_page(&self, place: &PagePlace, wanted: &Search<'_>) -> Result<Rows> {
        self.read_log_page(place, |bytes| {
            let Found { rows, of } = search::search(bytes, wanted)?;
            Ok((rows, of))
        })
    }

    /// How many entries of a page fulfil a search.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn count_log_page(
        &self,
        place: &PagePlace,
        wanted: &Search<'_>,
    ) -> Result<EntryCount> {
        self.read_log_page(place, |bytes| search::count(bytes, wanted))
    }

    /// Reads a page by `read`, which tells the number of its entries too.
    fn read_log_page<T>(
        &self,
        place: &PagePlace,
        read: impl Fn(&[u8]) -> Result<(T, usize), Damage>,
    ) -> Result<T> {
        let at = || self.place(section::LOG_PAGES, place.number);
        let mut found = None;
        self.with_log_page(place, &mut |bytes| {
            found = Some(read(bytes).at(at)?);
            Ok(())
        })?;
        match found {
            Some((value, of)) if of == place.entries as usize => Ok(value),
            _ => Err(Error::corrupt(
                at(),
                "a page has another number of entries than the directory tells",
            )),
        }
    }
}
