//! Reads the pages of a log block.

use std::sync::Arc;

use ephemeris_model::{LogColumns, NanoRange};

use super::GROUP_STREAMS;
use super::directory::{LogGroup, PagePlace};
use crate::envelope::section;
use crate::error::{AtPlace, Error, Result};
use crate::index::ValueSource;
use crate::logs::merge::{Piece, PieceSource};
use crate::logs::page;
use crate::logs::rows::Rows;
use crate::metrics::block::Block;

impl Block {
    /// What stream `id` has inside `range`, in order of arrival.
    ///
    /// # Errors
    /// If the directory is damaged.
    pub(crate) fn log_pieces(self: &Arc<Self>, id: u32, range: NanoRange) -> Result<Vec<Piece>> {
        let group = self.log_group(id / GROUP_STREAMS)?;
        let pages = group.pages(id % GROUP_STREAMS).ok_or_else(|| {
            let place = self.place(section::DIRECTORY, id / GROUP_STREAMS);
            Error::corrupt(place, "a stream is missing")
        })?;
        let inside = pages.iter().filter(|page| page.min < range.end && page.max >= range.start);
        let piece = |page: &PagePlace| Piece {
            min: page.min,
            max: page.max,
            entries: u64::from(page.entries),
            line_bytes: page.line_bytes,
            source: PieceSource::Stored(Arc::clone(self), *page),
        };
        Ok(inside.map(piece).collect())
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

    /// Decodes a page.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn log_page(&self, place: &PagePlace, wanted: LogColumns) -> Result<Rows> {
        let at = || self.place(section::LOG_PAGES, place.number);
        let mut rows = Rows::default();
        self.with_body(section::LOG_PAGES, place.number, &mut |body| {
            let start = place.offset as usize;
            let bytes = body.get(start..).and_then(|rest| rest.get(..place.length as usize));
            let bytes = bytes.ok_or_else(|| Error::corrupt(at(), "a page lies outside"))?;
            rows = page::decode(bytes, wanted).at(at)?;
            Ok(())
        })?;
        if rows.len() == place.entries as usize {
            return Ok(rows);
        }
        Err(Error::corrupt(at(), "a page has another number of entries than the directory tells"))
    }
}
