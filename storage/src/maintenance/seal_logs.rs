//! Seals the log entries of a generation: its pages go to log blocks, one for each day they touch.
//! A page inside one day is taken as it is.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_model::{LogColumns, TimeRange, TimestampMs};
use roaring::RoaringBitmap;

use super::order::SeriesOrder;
use crate::catalog::BlockRow;
use crate::error::{AtPlace, Error, Result};
use crate::logs::block::LogBlockWriter;
use crate::logs::head::LogHead;
use crate::logs::millis;
use crate::logs::page::{self, Page};
use crate::logs::rows::Rows;
use crate::series::TenantId;
use crate::store::Inner;

/// Blocks written at once; entries of more days take more passes over the head.
const WRITERS_MAX: usize = 8;
const ALL: LogColumns = LogColumns { lines: true, metadata: true };

impl Inner {
    /// Writes the entries of a generation to log blocks; answers their rows.
    pub(super) fn write_log_blocks(&self, head: &LogHead) -> Result<Vec<BlockRow>> {
        let oldest = self.oldest();
        let days: Vec<i64> = days(head)?.into_iter().collect();
        let mut rows = Vec::new();
        for days in days.chunks(WRITERS_MAX) {
            let mut run = Run { store: self, head, days, oldest, open: BTreeMap::new() };
            for tenant in head.identity().tenants() {
                run.tenant(tenant)?;
            }
            for writer in run.open.into_values().filter(|writer| !writer.is_empty()) {
                rows.push(writer.finish()?);
            }
        }
        Ok(rows)
    }
}

/// The days there are entries of. They are looked for only where the times span many.
fn days(head: &LogHead) -> Result<BTreeSet<i64>> {
    let Some((min, max)) = head.times() else { return Ok(BTreeSet::new()) };
    let (first, last) = (millis(min).day(), millis(max).day());
    if last - first < WRITERS_MAX as i64 {
        return Ok((first..=last).collect());
    }
    let mut days = BTreeSet::new();
    for id in 0..head.identity().series_count() {
        let (pages, open) = head.pages(id);
        let mut see = |times: &[i64]| days.extend(times.iter().map(|&t| millis(t).day()));
        see(open.times());
        for page in pages {
            if millis(page.min).day() == millis(page.max).day() {
                see(&[page.min]);
            } else {
                let none = LogColumns { lines: false, metadata: false };
                // One that does not decode is told of where it is to be written.
                match decode(&page, none) {
                    Ok(rows) => see(rows.times()),
                    Err(_) => see(&[page.min]),
                }
            }
        }
    }
    Ok(days)
}

fn decode(page: &Page, wanted: LogColumns) -> Result<Rows> {
    page::decode(&page.bytes, wanted).at(|| "a page of the head".to_owned())
}

/// One pass of a generation into the blocks of some days.
struct Run<'a> {
    store: &'a Inner,
    head: &'a LogHead,
    days: &'a [i64],
    oldest: TimestampMs,
    open: BTreeMap<i64, LogBlockWriter>,
}

impl Run<'_> {
    fn tenant(&mut self, tenant: TenantId) -> Result<()> {
        let identity = self.head.identity();
        let all: Option<RoaringBitmap> = identity.with_tenant(tenant, |view| view.select(&[]));
        for id in (SeriesOrder { identity, tenant }).sort(&all.unwrap_or_default()) {
            let labels = identity.with_tenant(tenant, |view| view.labels(id));
            let Some(labels) = labels else { continue };
            let pairs: Vec<(&str, &str)> = labels.iter().collect();
            self.stream(tenant, id, &pairs)?;
        }
        Ok(())
    }

    fn stream(&mut self, tenant: TenantId, id: u32, labels: &[(&str, &str)]) -> Result<()> {
        let (pages, mut open) = self.head.pages(id);
        let last = match Page::encode(&mut open) {
            Ok(last) => last.map(Arc::new),
            Err(error) => {
                let times = (open.times().first(), open.times().last());
                let (min, max) = (times.0.map_or(0, |&t| t), times.1.map_or(0, |&t| t));
                set_aside(self.store, (min, max), &error)?;
                None
            }
        };
        let pages: Vec<Arc<Page>> = pages.into_iter().chain(last).collect();
        for &day in self.days {
            let range = TimeRange::of_day(day);
            let kept = TimeRange::new(range.start.max(self.oldest), range.end);
            let parts = self.parts(&pages, kept)?;
            if parts.is_empty() {
                continue;
            }
            let writer = match self.open.entry(day) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(none) => {
                    let id = self.store.catalog.next_block_id();
                    let sink = self.store.rocks.block_sink(id)?;
                    none.insert(LogBlockWriter::new(sink, range, 0))
                }
            };
            let store = self.store;
            let mut aside = |page: &Page, error| set_aside(store, (page.min, page.max), &error);
            writer.push(tenant, labels, parts.into_iter().map(Ok), &mut aside)?;
        }
        Ok(())
    }

    /// The entries inside `range`: pages that lie in it as they are, the others cut. One that does
    /// not decode is set aside, so that all others are sealed.
    fn parts(&self, pages: &[Arc<Page>], range: TimeRange) -> Result<Vec<Arc<Page>>> {
        let mut parts = Vec::new();
        for page in pages {
            match part(page, range) {
                Ok(part) => parts.extend(part),
                Err(error) => set_aside(self.store, (page.min, page.max), &error)?,
            }
        }
        Ok(parts)
    }
}

/// Notes that entries of these times, both inclusive, could not be written to a block.
fn set_aside(store: &Inner, (min, max): (i64, i64), error: &Error) -> Result<()> {
    tracing::error!(%error, "a page of log entries is set aside");
    let text = format!("log entries from {min} to {max} (ns) could not be sealed: {error}");
    store.catalog.note_missing(TimeRange::inclusive(millis(min), millis(max)), &text)
}

/// What a page has inside `range`: itself, or a part of it.
fn part(page: &Arc<Page>, range: TimeRange) -> Result<Option<Arc<Page>>> {
    let (min, max) = (millis(page.min), millis(page.max));
    if max < range.start || min >= range.end {
        return Ok(None);
    }
    if range.contains(min) && range.contains(max) {
        // The writer of the block reads the lines, and tells if they do not decode.
        return Ok(Some(Arc::clone(page)));
    }
    let rows = decode(page, ALL)?;
    let ns = |time: TimestampMs| time.0.saturating_mul(NANOS_PER_MILLI);
    let from = rows.times().partition_point(|&t| t < ns(range.start));
    let to = rows.times().partition_point(|&t| t < ns(range.end));
    Ok(Page::encode(&mut rows.pick(from..to))?.map(Arc::new))
}
