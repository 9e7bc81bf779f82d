//! Collects the grams of a stripe and writes its rows.

use super::{
    GRAM_BYTES, GramIndex, INDEX_NUMBER, Layout, PAGES_MIN, ROW_BITS, STRIPE_PAGES, row_of,
    value_number,
};
use crate::envelope::{self, Zip, section};
use crate::error::{Error, Result};
use crate::metrics::block::Spool;

/// A bit of eight pages in every row.
type Column = Box<[u8; 1 << ROW_BITS]>;

/// Grams of the pages of a block being written. Memory: a stripe, at most 16 MiB.
#[derive(Default)]
pub(crate) struct GramWriter {
    columns: Vec<Column>,
    /// Pages of the stripe that is open, and stripes that are done.
    pages: u32,
    stripes: u32,
    /// Pages of the group that is open, and of those that are done.
    group: u32,
    groups: Vec<u32>,
}

impl GramWriter {
    /// Adds the next page's lines, one after the other.
    ///
    /// # Errors
    /// If a full stripe cannot be written.
    pub(crate) fn push(&mut self, lines: &[u8], spool: &mut Spool) -> Result<()> {
        if self.pages == STRIPE_PAGES {
            self.end_stripe(spool)?;
        }
        if self.pages.is_multiple_of(8) {
            let column = vec![0; 1 << ROW_BITS].into_boxed_slice().try_into();
            self.columns.push(column.map_err(|_| Error::Internal("a column of rows".to_owned()))?);
        }
        let bit = 1 << (self.pages % 8);
        if let Some(column) = self.columns.last_mut() {
            for gram in lines.array_windows::<GRAM_BYTES>() {
                column[row_of(*gram, ROW_BITS)] |= bit;
            }
        }
        self.pages += 1;
        self.group += 1;
        Ok(())
    }

    /// The pages so far belong to a group of streams, those to come to the next.
    pub(crate) fn end_group(&mut self) {
        self.groups.push(std::mem::take(&mut self.group));
    }

    fn end_stripe(&mut self, spool: &mut Spool) -> Result<()> {
        let layout = Layout::of(self.pages, ROW_BITS);
        let mut body = Vec::with_capacity(layout.value_rows * layout.width);
        for (value, first) in (0..).zip((0..1 << ROW_BITS).step_by(layout.value_rows)) {
            body.clear();
            for row in first..first + layout.value_rows {
                body.extend(self.columns.iter().map(|column| column[row]));
            }
            let number = value_number(self.stripes, value);
            let sealed = envelope::seal(section::GRAMS, number, &body, Zip::IfSmaller)?;
            spool.put(section::GRAMS, number, sealed)?;
        }
        self.columns.clear();
        self.pages = 0;
        self.stripes += 1;
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn finish(mut self, spool: &mut Spool) -> Result<()> {
        if self.stripes == 0 && self.pages < PAGES_MIN {
            return Ok(());
        }
        if self.pages > 0 {
            self.end_stripe(spool)?;
        }
        let body = GramIndex::new(ROW_BITS, STRIPE_PAGES, &self.groups).encode();
        let sealed = envelope::seal(section::GRAMS, INDEX_NUMBER, &body, Zip::IfSmaller)?;
        spool.put(section::GRAMS, INDEX_NUMBER, sealed)
    }
}
