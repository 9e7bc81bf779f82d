//! Writes a log block, stream by stream, in one pass and in bounded memory: all but the current
//! value waits in a [`Spool`], as pages lie behind the index in the file.

use std::borrow::Borrow;
use std::cmp::Ordering;

use ephemeris_model::{TimeRange, TimestampMs};

use super::directory::{LogGroup, PagePlace};
use super::{COUNTS, GROUP_STREAMS};
use crate::catalog::{BlockRow, Payload};
use crate::encoding::put_bytes;
use crate::envelope::{self, Zip, section};
use crate::error::{AtPlace, Error, Result};
use crate::index::{IndexBuilder, IndexSections};
use crate::logs::grams::GramWriter;
use crate::logs::millis;
use crate::logs::page::{self, Page};
use crate::metrics::block::{Manifest, Spool, TenantPlace};
use crate::rocks::BlockSink;
use crate::series::{TenantId, series_order};

/// Small pages share a value up to this many bytes.
const VALUE_BYTES: usize = 32 << 10;

/// Writes one log block.
pub struct LogBlockWriter {
    sink: BlockSink,
    spool: Spool,
    manifest: Manifest,
    tenant: Option<Tenant>,
    index: IndexSections,
    group: LogGroup,
    grams: GramWriter,
    /// Counts of the group's pages.
    counts: Vec<u8>,
    value: Vec<u8>,
}

/// The tenant whose streams come.
struct Tenant {
    id: TenantId,
    first_series: u32,
    builder: IndexBuilder,
    /// The stream before, for the check of order.
    previous: Vec<(String, String)>,
}

impl LogBlockWriter {
    /// Writes into `sink` a block of the partition `range`.
    #[must_use]
    pub fn new(sink: BlockSink, range: TimeRange, level: u8) -> Self {
        let spool = Spool::new(sink.path().with_extension("spool"));
        let manifest = Manifest {
            payload: Payload::Entries,
            range,
            min_time: TimestampMs::MAX,
            max_time: TimestampMs::MIN,
            level,
            series_count: 0,
            sample_count: 0,
            histogram_count: 0,
            value_page_count: 0,
            time_vector_count: 0,
            tenants: Vec::new(),
        };
        Self {
            sink,
            spool,
            manifest,
            tenant: None,
            index: IndexSections::default(),
            group: LogGroup::default(),
            grams: GramWriter::default(),
            counts: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Appends a stream with its pages in order of arrival. Streams come strictly ascending by
    /// tenant and [`series_order`]; entries lie inside the range. A stream without pages is left
    /// out, and a page whose lines do not decode if `damaged` agrees.
    ///
    /// # Errors
    /// If they do not, the block cannot be written, or what `pages` and `damaged` bring.
    pub fn push<P: Borrow<Page>>(
        &mut self,
        tenant: TenantId,
        labels: &[(&str, &str)],
        pages: impl IntoIterator<Item = Result<P>>,
        damaged: &mut dyn FnMut(&Page, Error) -> Result<()>,
    ) -> Result<()> {
        let mut places = Vec::new();
        for page in pages {
            let page = page?;
            let page = page.borrow();
            match page::decode_text(&page.bytes).at(|| "a page to be written".to_owned()) {
                Ok(lines) => places.push(self.put_page(page, &lines)?),
                Err(error) => damaged(page, error)?,
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        self.enter_tenant(tenant, labels)?;
        self.group.push(&places);
        self.manifest.series_count += 1;
        if self.group.len() == GROUP_STREAMS as usize { self.end_group() } else { Ok(()) }
    }

    /// Whether no stream was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.manifest.series_count == 0
    }

    fn put_page(&mut self, page: &Page, lines: &[u8]) -> Result<PagePlace> {
        let (min, max) = (millis(page.min), millis(page.max));
        if !self.manifest.range.contains(min) || !self.manifest.range.contains(max) {
            return Err(Error::Internal("entries of a stream lie outside the block".to_owned()));
        }
        if !self.value.is_empty() && self.value.len() + page.bytes.len() > VALUE_BYTES {
            self.end_value()?;
        }
        let size = |n: usize| {
            u32::try_from(n).map_err(|_| Error::Limit(format!("a page of {n} bytes is too large")))
        };
        let place = PagePlace {
            number: self.manifest.value_page_count,
            offset: size(self.value.len())?,
            length: size(page.bytes.len())?,
            entries: page.entries,
            line_bytes: page.line_bytes,
            min: page.min,
            max: page.max,
        };
        self.value.extend_from_slice(&page.bytes);
        put_bytes(&mut self.counts, &page.counts);
        self.grams.push(lines, &mut self.spool)?;
        self.manifest.min_time = self.manifest.min_time.min(min);
        self.manifest.max_time = self.manifest.max_time.max(max);
        self.manifest.sample_count += u64::from(page.entries);
        Ok(place)
    }

    fn end_value(&mut self) -> Result<()> {
        if self.value.is_empty() {
            return Ok(());
        }
        let number = self.manifest.value_page_count;
        self.manifest.value_page_count += 1;
        // Pages are zipped column by column.
        let sealed = envelope::seal(section::LOG_PAGES, number, &self.value, Zip::No)?;
        self.value.clear();
        self.spool.put(section::LOG_PAGES, number, sealed)
    }

    fn enter_tenant(&mut self, id: TenantId, labels: &[(&str, &str)]) -> Result<()> {
        let order = self.tenant.as_ref().map_or(Ordering::Less, |tenant| tenant.id.cmp(&id));
        if order == Ordering::Less {
            self.end_tenant()?;
            let first_series = self.manifest.series_count;
            let builder = IndexBuilder::default();
            self.tenant = Some(Tenant { id, first_series, builder, previous: Vec::new() });
        }
        let out_of_order = || Error::Internal("streams of a block are out of order".to_owned());
        let tenant = self.tenant.as_mut().filter(|_| order != Ordering::Greater);
        let tenant = tenant.ok_or_else(out_of_order)?;
        let previous: Vec<(&str, &str)> =
            tenant.previous.iter().map(|(name, value)| (&**name, &**value)).collect();
        if order == Ordering::Equal && !series_order(&previous, labels).is_lt() {
            return Err(out_of_order());
        }
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        tenant.previous = labels.iter().map(owned).collect();
        tenant.builder.push(labels)
    }

    fn end_tenant(&mut self) -> Result<()> {
        if let Some(tenant) = self.tenant.take() {
            let index = tenant.builder.finish(&mut self.index)?;
            let place = TenantPlace { tenant: tenant.id, first_series: tenant.first_series, index };
            self.manifest.tenants.push(place);
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        let number = (self.manifest.series_count - 1) / GROUP_STREAMS;
        let body = std::mem::take(&mut self.group).encode();
        let sealed = envelope::seal(section::DIRECTORY, number, &body, Zip::IfSmaller)?;
        self.spool.put(section::DIRECTORY, number, sealed)?;
        let counts = std::mem::take(&mut self.counts);
        let sealed = envelope::seal(section::DIRECTORY, COUNTS + number, &counts, Zip::IfSmaller)?;
        self.grams.end_group();
        self.spool.put(section::DIRECTORY, COUNTS + number, sealed)
    }

    /// Completes and syncs the block. It exists once it is ingested and committed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<BlockRow> {
        self.end_value()?;
        self.end_group()?;
        self.end_tenant()?;
        self.grams.finish(&mut self.spool)?;
        let IndexSections { label_pages, postings, dictionaries } = self.index;
        let sections = [
            (section::LABELS, label_pages),
            (section::POSTINGS, postings.finish()?),
            (section::DICTIONARIES, dictionaries.finish()?),
        ];
        for (section, values) in sections {
            for (number, value) in (0..).zip(values) {
                self.spool.put(section, number, value)?;
            }
        }
        self.spool.drain(&mut self.sink)?;
        let manifest = self.manifest;
        let sealed = envelope::seal(section::MANIFEST, 0, &manifest.encode(), Zip::IfSmaller)?;
        self.sink.put(section::MANIFEST, 0, &sealed)?;
        let id = self.sink.block();
        let bytes = self.sink.finish()?;
        Ok(BlockRow {
            id,
            payload: Payload::Entries,
            range: manifest.range,
            min_time: manifest.min_time,
            max_time: manifest.max_time,
            level: manifest.level,
            bytes,
            series_count: u64::from(manifest.series_count),
            sample_count: manifest.sample_count,
            arrival: id,
        })
    }
}
