//! Writes a block, series by series, in one pass and in bounded memory: pages go to the file as
//! they fill, everything else waits in a [`Spool`], as the file is in order of sections.

use std::cmp::Ordering;

use ephemeris_model::{Exemplar, Histogram, TimeRange, TimestampMs, is_stale};

use super::directory::{
    GROUP_SERIES, Group, HAS_EXEMPLARS, HAS_HISTOGRAMS, HAS_STARTS, NEVER_STALE, Starts,
};
use super::exemplars;
use super::manifest::{Manifest, TenantPlace};
use super::page::{self, PageBuilder};
use super::spool::Spool;
use super::time_vectors::TimeVectors;
use crate::catalog::{BlockRow, Payload};
use crate::encoding::Input;
use crate::envelope::{self, Zip, section};
use crate::error::{Error, Result};
use crate::index::{IndexBuilder, IndexSections};
use crate::metrics::codec::floats;
use crate::metrics::codec::histograms::{self, LayoutTable};
use crate::metrics::samples::SeriesSamples;
use crate::rocks::BlockSink;
use crate::series::{TenantId, series_order};

/// A page is closed when it is this long.
const PAGE_BYTES: usize = 32 << 10;
/// Series in a page, at most.
const PAGE_SERIES: u32 = 1024;
/// Samples in a page; one series may have more.
const PAGE_SAMPLES: usize = 64 << 10;

/// Writes one block.
pub struct BlockWriter {
    sink: BlockSink,
    spool: Spool,
    manifest: Manifest,
    tenant: Option<Tenant>,
    index: IndexSections,
    times: TimeVectors,
    group: Group,
    values: PageBuilder,
    page_samples: usize,
    histograms: SidePage,
    layouts: LayoutTable,
    exemplars: SidePage,
    floats: Vec<f64>,
}

/// The tenant whose series come.
struct Tenant {
    id: TenantId,
    first_series: u32,
    builder: IndexBuilder,
    /// The series before, for the check of order.
    previous: Vec<(String, String)>,
}

/// A page that only some series have a part in.
#[derive(Default)]
struct SidePage {
    /// From the group's start.
    series: Vec<u16>,
    payloads: PageBuilder,
    next_number: u32,
}

impl BlockWriter {
    /// Writes into `sink` a block of the partition `range`.
    #[must_use]
    pub fn new(sink: BlockSink, range: TimeRange, level: u8) -> Self {
        let spool = Spool::new(sink.path().with_extension("spool"));
        let manifest = Manifest {
            payload: Payload::Samples,
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
            times: TimeVectors::default(),
            group: Group::default(),
            values: PageBuilder::default(),
            page_samples: 0,
            histograms: SidePage::default(),
            layouts: LayoutTable::default(),
            exemplars: SidePage::default(),
            floats: Vec::new(),
        }
    }

    /// Number of series so far.
    #[must_use]
    pub const fn series_count(&self) -> u32 {
        self.manifest.series_count
    }

    /// Appends a series. Series come strictly ascending by tenant and [`series_order`]; samples
    /// ascend and lie inside the range. A series without samples and exemplars is left out.
    ///
    /// # Errors
    /// If they do not, or the block cannot be written.
    pub fn push(
        &mut self,
        tenant: TenantId,
        labels: &[(&str, &str)],
        samples: &SeriesSamples,
        exemplars: &[Exemplar],
    ) -> Result<()> {
        if samples.is_empty() && exemplars.is_empty() {
            return Ok(());
        }
        self.check_samples(samples)?;
        self.enter_tenant(tenant, labels)?;
        if self.group.flags.len() == GROUP_SERIES as usize {
            self.end_group()?;
        }
        let series = self.group.series_count();
        let flag = |present: bool, flag| if present { flag } else { 0 };
        let flags = flag(!samples.histograms.is_empty(), HAS_HISTOGRAMS)
            | flag(samples.start_timestamps.iter().any(|&start| start != 0), HAS_STARTS)
            | flag(!exemplars.is_empty(), HAS_EXEMPLARS)
            | flag(!samples.values.iter().any(|v| is_stale(*v)), NEVER_STALE);
        self.put_times(samples)?;
        self.put_values(series, samples, flags)?;
        if flags & HAS_HISTOGRAMS != 0 {
            self.put_histograms(series, samples)?;
        }
        if flags & HAS_EXEMPLARS != 0 {
            self.put_exemplars(series, exemplars)?;
        }
        self.group.flags.push(flags);
        self.manifest.series_count += 1;
        self.manifest.sample_count += samples.len() as u64;
        self.manifest.histogram_count += samples.histograms.len() as u64;
        Ok(())
    }

    fn check_samples(&self, samples: &SeriesSamples) -> Result<()> {
        let times = &samples.timestamps;
        let broken = |what: &str| Err(Error::Internal(format!("samples of a series {what}")));
        if !times.is_sorted_by(|a, b| a < b) {
            return broken("do not ascend");
        }
        let outside =
            |at: Option<&i64>| at.is_some_and(|t| !self.manifest.range.contains(TimestampMs(*t)));
        if outside(times.first()) || outside(times.last()) {
            return broken("lie outside the block");
        }
        let starts = samples.start_timestamps.len();
        if samples.values.len() != times.len() || (starts != 0 && starts != times.len()) {
            return broken("have columns of different length");
        }
        let histograms = &samples.histograms;
        let within = histograms.last().is_none_or(|(at, _)| (*at as usize) < times.len());
        if !within || !histograms.is_sorted_by(|a, b| a.0 < b.0) {
            return broken("have histograms out of order");
        }
        Ok(())
    }

    /// Adds the labels to the tenant's index; starts a new one if the tenant changes.
    fn enter_tenant(&mut self, id: TenantId, labels: &[(&str, &str)]) -> Result<()> {
        let order = self.tenant.as_ref().map_or(Ordering::Less, |tenant| tenant.id.cmp(&id));
        if order == Ordering::Less {
            self.end_tenant()?;
            let first_series = self.manifest.series_count;
            let builder = IndexBuilder::default();
            self.tenant = Some(Tenant { id, first_series, builder, previous: Vec::new() });
        }
        let Some(tenant) = self.tenant.as_mut().filter(|_| order != Ordering::Greater) else {
            return Err(Error::Internal("tenants of a block are out of order".to_owned()));
        };
        if !labels.is_sorted_by(|a, b| a.0 < b.0) || labels.iter().any(|(_, v)| v.is_empty()) {
            return Err(Error::Internal("labels of a series are out of order".to_owned()));
        }
        if order == Ordering::Equal && !tenant.follows(labels) {
            return Err(Error::Internal("series of a block are out of order".to_owned()));
        }
        tenant.remember(labels);
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

    fn put_times(&mut self, samples: &SeriesSamples) -> Result<()> {
        let (number, full) = self.times.number(&samples.timestamps);
        self.group.vectors.push(number);
        self.see_times(samples.timestamps.first().into_iter().chain(samples.timestamps.last()));
        self.hold_times(full)
    }

    fn see_times<'a>(&mut self, times: impl Iterator<Item = &'a i64>) {
        for &time in times {
            self.manifest.min_time = self.manifest.min_time.min(TimestampMs(time));
            self.manifest.max_time = self.manifest.max_time.max(TimestampMs(time));
        }
    }

    fn hold_times(&mut self, value: Option<(u32, Vec<u8>)>) -> Result<()> {
        let Some((number, body)) = value else { return Ok(()) };
        let sealed = envelope::seal(section::TIMES, number, &body, Zip::IfSmaller)?;
        self.spool.put(section::TIMES, number, sealed)
    }

    fn put_values(&mut self, series: u16, samples: &SeriesSamples, flags: u8) -> Result<()> {
        let full = self.values.bytes() >= PAGE_BYTES
            || self.values.series_count() >= PAGE_SERIES
            || self.page_samples + samples.len() > PAGE_SAMPLES;
        if full && self.values.series_count() > 0 {
            self.end_value_page()?;
        }
        if self.values.series_count() == 0 {
            self.group.value_pages.begin(self.manifest.value_page_count, series);
        }
        let values: &[f64] = if samples.histograms.is_empty() {
            &samples.values
        } else {
            self.floats.clear();
            let floats = samples.iter().filter(|s| s.histogram.is_none()).map(|s| s.value);
            self.floats.extend(floats);
            &self.floats
        };
        let payload = self.values.push(|out| page::put_payload(samples, values, flags, out));
        if self.manifest.level > 0 && flags & (HAS_HISTOGRAMS | HAS_STARTS) == 0 {
            verify(payload, values)?;
        }
        self.page_samples += samples.len();
        Ok(())
    }

    fn end_value_page(&mut self) -> Result<()> {
        if self.values.series_count() == 0 {
            return Ok(());
        }
        let mut body = Vec::with_capacity(self.values.bytes() + 1024);
        self.values.finish(&mut body);
        self.page_samples = 0;
        let number = self.manifest.value_page_count;
        self.manifest.value_page_count += 1;
        let sealed = envelope::seal(section::VALUES, number, &body, Zip::IfSmaller)?;
        self.sink.put(section::VALUES, number, &sealed)
    }

    fn put_histograms(&mut self, series: u16, samples: &SeriesSamples) -> Result<()> {
        if self.histograms.payloads.bytes() + self.layouts.bytes() >= PAGE_BYTES {
            self.end_histogram_page()?;
        }
        self.histograms.begin(series, &mut self.group.histogram_pages);
        let all: Vec<&Histogram> = samples.histograms.iter().map(|(_, h)| &**h).collect();
        let layouts = &mut self.layouts;
        self.histograms.payloads.push(|out| histograms::encode(layouts, &all, out));
        Ok(())
    }

    fn end_histogram_page(&mut self) -> Result<()> {
        let mut layouts = Vec::new();
        std::mem::take(&mut self.layouts).put(&mut layouts);
        self.histograms.end(section::HISTOGRAMS, &layouts, &mut self.spool)
    }

    fn put_exemplars(&mut self, series: u16, all: &[Exemplar]) -> Result<()> {
        if self.exemplars.payloads.bytes() >= PAGE_BYTES {
            self.exemplars.end(section::EXEMPLARS, &[], &mut self.spool)?;
        }
        self.exemplars.begin(series, &mut self.group.exemplars);
        self.exemplars.payloads.push(|out| exemplars::put(all, out));
        self.see_times(all.iter().map(|exemplar| &exemplar.timestamp_ms));
        Ok(())
    }

    /// Writes the directory of the group and starts the next. Pages do not cross groups.
    fn end_group(&mut self) -> Result<()> {
        if self.group.flags.is_empty() {
            return Ok(());
        }
        self.end_value_page()?;
        self.end_histogram_page()?;
        self.exemplars.end(section::EXEMPLARS, &[], &mut self.spool)?;
        let number = (self.manifest.series_count - 1) / GROUP_SERIES;
        let body = std::mem::take(&mut self.group).encode();
        let sealed = envelope::seal(section::DIRECTORY, number, &body, Zip::IfSmaller)?;
        self.spool.put(section::DIRECTORY, number, sealed)
    }

    /// Completes and syncs the block. It exists once it is ingested and committed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<BlockRow> {
        self.end_group()?;
        self.end_tenant()?;
        let last_times = self.times.close();
        self.hold_times(last_times)?;
        self.manifest.time_vector_count = self.times.count();
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
            payload: Payload::Samples,
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

impl Tenant {
    /// Whether `labels` come after the series before.
    fn follows(&self, labels: &[(&str, &str)]) -> bool {
        let previous: Vec<(&str, &str)> =
            self.previous.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        series_order(&previous, labels).is_lt()
    }

    /// Keeps a copy of the labels, in the memory of the ones before.
    fn remember(&mut self, labels: &[(&str, &str)]) {
        self.previous.resize_with(labels.len(), Default::default);
        for ((name, value), (new_name, new_value)) in self.previous.iter_mut().zip(labels) {
            name.clear();
            name.push_str(new_name);
            value.clear();
            value.push_str(new_value);
        }
    }
}

impl SidePage {
    /// Notes that `series` has a part in the page.
    fn begin(&mut self, series: u16, starts: &mut Starts) {
        if self.series.is_empty() {
            starts.begin(self.next_number, series);
        }
        self.series.push(series);
    }

    /// Writes the page, `head` first, and starts the next.
    fn end(&mut self, section: u8, head: &[u8], spool: &mut Spool) -> Result<()> {
        if self.series.is_empty() {
            return Ok(());
        }
        let mut body = head.to_vec();
        exemplars::put_series(&self.series, &mut body);
        self.payloads.finish(&mut body);
        self.series.clear();
        let number = self.next_number;
        self.next_number += 1;
        spool.put(section, number, envelope::seal(section, number, &body, Zip::IfSmaller)?)
    }
}

impl Starts {
    /// Value `number` begins with `series`.
    fn begin(&mut self, number: u32, series: u16) {
        if self.series.is_empty() {
            self.first_number = number;
        }
        self.series.push(series);
    }
}

/// Checks an encoding by decoding it: a merge must never be where bits get lost.
fn verify(payload: &[u8], values: &[f64]) -> Result<()> {
    let mut decoded = Vec::with_capacity(values.len());
    let read =
        floats::decode(&mut Input::new(payload), values.len(), 0..values.len(), &mut decoded);
    let same = decoded.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits()));
    if read.is_ok() && same {
        return Ok(());
    }
    Err(Error::Internal("values of a series do not come back from their encoding".to_owned()))
}
