//! Seals a generation: its samples go to blocks, one for each day they touch.
//!
//! Rotation ends the open generation at once; writing goes on in a new one. The blocks are then
//! written and ingested, and one write to the catalog makes them exist and the WAL file obsolete.
//! Cut anywhere, the next start finds either the WAL file, or blocks with a row in the catalog;
//! blocks without one are deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ephemeris_model::{Exemplar, Labels, METRIC_NAME, Matcher, TimeRange, TimestampMs};
use roaring::RoaringBitmap;

use crate::catalog::{BlockRow, CatalogChange};
use crate::error::Result;
use crate::faults::Place;
use crate::metrics::block::BlockWriter;
use crate::metrics::head::generation::Generation;
use crate::metrics::head::identity::Identity;
use crate::metrics::samples::SeriesSamples;
use crate::series::TenantId;
use crate::store::{Inner, Open};
use crate::version::Version;
use crate::wal::Wal;
use crate::wal::record::HEADER_BYTES;

use super::order::SeriesOrder;

/// Blocks written at once; samples of more days take more passes over the head.
const WRITERS_MAX: usize = 8;
/// Series whose labels are read from the head at once.
const LABELS_AT_ONCE: usize = 256;
/// Identities are swept when most series fell silent, but not for fewer than this.
const SWEEP_SERIES_MIN: u64 = 10_000;

/// Whether nothing was written for the whole life of a generation that knows many series. Without
/// a rotation their identities would stay for as long as nothing else is written.
fn only_remembers(generation: &Generation) -> bool {
    let count = u64::from(generation.identity().series_count());
    generation.is_empty() && count >= SWEEP_SERIES_MIN
}

impl Inner {
    /// Seals if the open generation is full or old, or an earlier seal failed.
    pub(super) fn seal_if_due(&self) -> Result<()> {
        self.measure_identity();
        self.measure_disk();
        let due = {
            let open = self.open.read();
            let age = self.clock.now() - open.generation.created();
            let old = age >= self.config.head_age_ms_max
                && (!open.generation.is_empty() || only_remembers(&open.generation));
            old || self.fill(&open) >= 1.0 || self.is_short_of_memory()
        };
        if due || self.version().sealing.is_some() {
            return self.seal();
        }
        // Those that were still read after their seal.
        self.work.free_sealed();
        Ok(())
    }

    fn is_short_of_memory(&self) -> bool {
        let version = self.version();
        let generations = version.generations();
        let payload = generations.map(|g| g.bytes()).sum::<u64>();
        let head = self.identity_bytes.load(Ordering::Relaxed) + payload;
        head > self.config.memory_budget_bytes
            && (!version.open.is_empty() || self.is_crowded(version.open.identity()))
    }

    /// Whether so many series were seen that they leave little room for samples.
    fn is_crowded(&self, identity: &Identity) -> bool {
        identity.bytes() > self.config.memory_budget_bytes / 4 * 3
    }

    /// Ends the open generation and writes it to blocks.
    pub(crate) fn seal(&self) -> Result<()> {
        let _sealing = self.work.sealing.lock();
        self.seal_now()?;
        self.work.free_sealed();
        Ok(())
    }

    /// The same; `sealing` is held.
    pub(super) fn seal_now(&self) -> Result<()> {
        // One whose seal failed comes first, so that generations finish in order.
        if let Some(generation) = self.version().sealing.clone() {
            self.seal_generation(&generation, generation.number())?;
            self.work.retire(generation);
        }
        if let Some(generation) = self.rotate()? {
            self.seal_generation(&generation, generation.number())?;
            self.work.retire(generation);
        }
        Ok(())
    }

    /// Seals what was replayed so far, up to the WAL file of generation `last`. Nothing is written
    /// meanwhile: the store is being opened.
    pub(crate) fn seal_replayed(&self, last: u64) -> Result<()> {
        let _sealing = self.work.sealing.lock();
        let full = {
            let mut open = self.open.write();
            let old = Arc::clone(&open.generation);
            let identity = Arc::clone(old.identity());
            let new = Generation::new(old.number(), identity, self.clock.now());
            open.generation = Arc::new(new);
            self.show(&open.generation, &old);
            old
        };
        self.seal_generation(&full, last)
    }

    /// Puts a new generation in place of the open one; `None` if that one is empty, and its series
    /// neither fill the memory nor are many that all fell silent.
    fn rotate(&self) -> Result<Option<Arc<Generation>>> {
        let (number, identity) = {
            let open = self.open.read();
            let empty = open.generation.is_empty()
                && open.wal.bytes() == HEADER_BYTES as u64
                && !self.is_crowded(open.generation.identity())
                && !only_remembers(&open.generation);
            if empty {
                return Ok(None);
            }
            (open.generation.number() + 1, self.next_identity(&open.generation))
        };
        let wal = Wal::create(&self.wal, number)?;
        if let Err(error) = self.faults.pass(Place::SealRotating) {
            // In the way of the next try.
            let _ = std::fs::remove_file(self.wal.path(number));
            return Err(error);
        }
        let generation = Arc::new(Generation::new(number, identity, self.clock.now()));
        // Waits for the requests between WAL and head, and holds up those after them.
        let mut open = self.open.write();
        let old = std::mem::replace(&mut *open, Open { generation, wal });
        self.show(&open.generation, &old.generation);
        drop(open);
        if self.config.durability == crate::Durability::Buffered {
            old.wal.sync_written()?;
        }
        Ok(Some(old.generation))
    }

    /// The identities of the next generation: those of this one, or empty ones if most of these
    /// fell silent or keep others out. Without the latter a store whose memory is full of series
    /// would refuse all writes, and so never seal and never forget them.
    fn next_identity(&self, generation: &Generation) -> Arc<Identity> {
        let identity = generation.identity();
        let all = u64::from(identity.series_count());
        let silent = all.saturating_sub(generation.all_filled().len());
        let mostly_silent = all >= SWEEP_SERIES_MIN && silent > all / 2;
        let full = identity.series_of_largest_tenant() >= self.config.limits.active_series_max;
        if mostly_silent || (full && silent > 0) || self.is_crowded(identity) {
            return Arc::new(Identity::new());
        }
        Arc::clone(identity)
    }

    /// Makes a version with `open` open and `sealing` being sealed.
    fn show(&self, open: &Arc<Generation>, sealing: &Arc<Generation>) {
        let mut current = self.version.write();
        *current = Arc::new(Version {
            open: Arc::clone(open),
            sealing: Some(Arc::clone(sealing)),
            ..Version::clone(&current)
        });
    }

    /// Writes a generation to blocks; `last` is the newest WAL file that is obsolete then.
    fn seal_generation(&self, generation: &Generation, last: u64) -> Result<()> {
        let started = Instant::now();
        let done = self.seal_blocks(generation, last);
        let total = match done {
            Ok(()) => &self.counters.seals,
            Err(_) => &self.counters.seals_failed,
        };
        total.fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters.seal_ns.fetch_add(ns, Ordering::Relaxed);
        done
    }

    fn seal_blocks(&self, generation: &Generation, last: u64) -> Result<()> {
        self.faults.pass(Place::SealBegun)?;
        let mut rows = SealRun::new(self, generation).run()?;
        rows.extend(self.write_log_blocks(generation.logs())?);
        self.faults.pass(Place::SealWritten)?;
        for row in &rows {
            self.rocks.ingest(row.id)?;
            self.faults.pass(Place::SealBlockIngested)?;
        }
        self.faults.pass(Place::SealIngested)?;
        self.catalog.commit(CatalogChange {
            added: rows.clone(),
            finished_generation: Some(last),
            ..CatalogChange::default()
        })?;
        let bytes = rows.iter().map(|row| row.bytes).sum();
        self.counters.seal_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.faults.pass(Place::SealCommitted)?;
        let blocks = self.open_new(rows)?;
        {
            let mut current = self.version.write();
            let mut next = Version::clone(&current);
            next.sealing = None;
            next.replace(&[], blocks);
            *current = Arc::new(next);
        }
        self.faults.pass(Place::SealShown)?;
        let _files = self.work.wal_files.lock();
        self.wal.delete_up_to(last)
    }
}

/// One pass of a generation into blocks.
struct SealRun<'a> {
    store: &'a Inner,
    generation: &'a Generation,
    filled: RoaringBitmap,
    keep: TimeRange,
    scratch: Vec<u8>,
    samples: SeriesSamples,
}

impl<'a> SealRun<'a> {
    fn new(store: &'a Inner, generation: &'a Generation) -> Self {
        Self {
            store,
            generation,
            filled: generation.all_filled(),
            keep: TimeRange::new(store.oldest(), TimestampMs::MAX),
            scratch: Vec::new(),
            samples: SeriesSamples::default(),
        }
    }

    fn run(mut self) -> Result<Vec<BlockRow>> {
        let days: Vec<i64> = self.days().into_iter().collect();
        let mut rows = Vec::new();
        for days in days.chunks(WRITERS_MAX) {
            let mut writers = Writers::new(self.store, days);
            for tenant in self.generation.identity().tenants() {
                self.seal_tenant(tenant, &mut writers)?;
            }
            rows.extend(writers.finish()?);
        }
        Ok(rows)
    }

    /// The days there are samples or exemplars of. They are looked for only where the times span
    /// more days than can be written at once.
    fn days(&mut self) -> BTreeSet<i64> {
        let Some((min, max)) = self.generation.times() else { return BTreeSet::new() };
        let (first, last) = (min.max(self.keep.start).day(), max.day());
        if last.saturating_sub(first) < 8 {
            return (first..=last).collect();
        }
        let mut days = BTreeSet::new();
        for id in &self.filled {
            self.generation.read(id, &mut self.scratch, &mut self.samples);
            let mut from = 0;
            while let Some(&time) = self.samples.timestamps.get(from) {
                let day = TimestampMs(time).day();
                days.insert(day);
                from = self.samples.positions(TimeRange::of_day(day)).end.max(from + 1);
            }
            let exemplars = self.generation.exemplars(id);
            days.extend(exemplars.iter().map(|e| TimestampMs(e.timestamp_ms).day()));
        }
        days.into_iter().filter(|&day| day >= first).collect()
    }

    fn seal_tenant(&mut self, tenant: TenantId, writers: &mut Writers<'_>) -> Result<()> {
        let identity = Arc::clone(self.generation.identity());
        let names = identity.with_tenant(tenant, |view| view.label_values(METRIC_NAME, None));
        let order = SeriesOrder { identity: &identity, tenant };
        for name in names.unwrap_or_default() {
            let metric = [Matcher::equal(METRIC_NAME, name)];
            // One metric at a time: meanwhile nobody can make a series.
            let ids = identity.with_tenant(tenant, |view| view.select(&metric));
            for group in order.groups(ids.unwrap_or_default() & &self.filled) {
                self.seal_sorted(&identity, tenant, &order.sort(&group), writers)?;
            }
        }
        Ok(())
    }

    fn seal_sorted(
        &mut self,
        identity: &Identity,
        tenant: TenantId,
        sorted: &[u32],
        writers: &mut Writers<'_>,
    ) -> Result<()> {
        for ids in sorted.chunks(LABELS_AT_ONCE) {
            let labels: Option<Vec<Labels>> = identity
                .with_tenant(tenant, |view| ids.iter().map(|&id| view.labels(id)).collect());
            for (&id, labels) in ids.iter().zip(labels.unwrap_or_default()) {
                self.seal_series(tenant, id, &labels, writers)?;
            }
        }
        Ok(())
    }

    fn seal_series(
        &mut self,
        tenant: TenantId,
        id: u32,
        labels: &Labels,
        writers: &mut Writers<'_>,
    ) -> Result<()> {
        self.generation.read(id, &mut self.scratch, &mut self.samples);
        let exemplars = self.generation.exemplars(id);
        let pairs: Vec<(&str, &str)> = labels.iter().collect();
        writers.push(tenant, &pairs, &self.samples, &exemplars, self.keep)
    }
}

/// The blocks being written, by day.
struct Writers<'a> {
    store: &'a Inner,
    days: &'a [i64],
    open: BTreeMap<i64, BlockWriter>,
    part: SeriesSamples,
}

impl<'a> Writers<'a> {
    fn new(store: &'a Inner, days: &'a [i64]) -> Self {
        Self { store, days, open: BTreeMap::new(), part: SeriesSamples::default() }
    }

    /// Writes a series to the blocks of the days it has something of.
    fn push(
        &mut self,
        tenant: TenantId,
        labels: &[(&str, &str)],
        samples: &SeriesSamples,
        exemplars: &[Exemplar],
        keep: TimeRange,
    ) -> Result<()> {
        for &day in self.days {
            let range = TimeRange::of_day(day).intersection(&keep);
            let positions = samples.positions(range);
            let inside = |e: &&Exemplar| range.contains(TimestampMs(e.timestamp_ms));
            let exemplars: Vec<Exemplar> = exemplars.iter().filter(inside).cloned().collect();
            if positions.is_empty() && exemplars.is_empty() {
                continue;
            }
            let writer = match self.open.entry(day) {
                std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
                std::collections::btree_map::Entry::Vacant(none) => {
                    let sink = self.store.rocks.block_sink(self.store.catalog.next_block_id())?;
                    none.insert(BlockWriter::new(sink, TimeRange::of_day(day), 0))
                }
            };
            if positions.len() == samples.len() {
                writer.push(tenant, labels, samples, &exemplars)?;
            } else {
                self.part.clone_from(samples);
                self.part.retain_range(range);
                writer.push(tenant, labels, &self.part, &exemplars)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<BlockRow>> {
        let faults = &self.store.faults;
        let finish = |writer: BlockWriter| {
            let row = writer.finish()?;
            faults.pass(Place::SealBlockWritten).map(|()| row)
        };
        self.open.into_values().map(finish).collect()
    }
}
