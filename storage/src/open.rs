//! Opening a store: lock, catalog, blocks, and what the WAL still holds.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ephemeris_model::{BodyDecoder, LogBatch, WriteBatch};
use parking_lot::RwLock;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::StoreConfig;
use crate::damage;
use crate::disk::DiskState;
use crate::error::{Error, ErrorKind, Result};
use crate::faults::Faults;
use crate::logs;
use crate::maintenance::Work;
use crate::metrics::block::Block;
use crate::metrics::head::generation::Generation;
use crate::metrics::head::identity::Identity;
use crate::rocks::Rocks;
use crate::stats::Counters;
use crate::store::{Inner, MetadataSeen, Open};
use crate::version::Version;
use crate::wal::record::Record;
use crate::wal::replay::{WalDamage, replay};
use crate::wal::{Wal, WalContext, io_error, sync_dir};
use crate::write::{self, Bounds};

/// Names inside the data directory.
pub(crate) const DATABASE: &str = "db";
pub(crate) const WAL: &str = "wal";
pub(crate) const CATALOG: &str = "catalog";
const LOCK: &str = "lock";

/// Opens all parts and brings the head to where it was.
pub(crate) fn open(
    config: StoreConfig,
    decoder: &dyn BodyDecoder,
    clock: Arc<dyn Clock>,
    faults: Arc<Faults>,
) -> Result<Inner> {
    let dir = &config.data_dir;
    create_durably(dir)?;
    let lock = lock(&dir.join(LOCK))?;
    let rocks = Rocks::open(&dir.join(DATABASE))?;
    let catalog = Catalog::open_with(rocks, &dir.join(CATALOG), Arc::clone(&faults))?;
    let catalog = Arc::new(catalog);
    let rocks = Arc::clone(catalog.rocks());
    catalog.forget_missing(clock.now() + -config.retention_ms)?;
    let blocks = open_blocks(&rocks, &catalog)?;
    let wal = WalContext::new(dir.join(WAL), config.durability, Arc::clone(&faults))?;
    let wal = Arc::new(wal);
    sync_dir(dir)?;

    let finished = catalog.finished_generations();
    let last_finished = finished.last().copied();
    if let Some(last) = last_finished {
        wal.delete_up_to(last)?;
    }
    let unsealed = wal.generations()?;
    let number = unsealed.last().copied().max(last_finished).map_or(1, |last| last + 1);
    // The newest stays, so that numbers go on from it when no file is left.
    catalog.forget_generations(&finished[..finished.len().saturating_sub(1)])?;

    let generation = Generation::new(number, Arc::new(Identity::new()), clock.now());
    let generation = Arc::new(generation);
    let mut version = Version {
        open: Arc::clone(&generation),
        sealing: None,
        blocks: Vec::new(),
        log_blocks: Vec::new(),
        tombstones: catalog.tombstones(),
        log_tombstones: catalog.open_log_tombstones(),
    };
    version.replace(&[], blocks);
    let open = Open { generation, wal: Wal::create(&wal, number)? };
    let inner = Inner {
        config,
        clock,
        rocks,
        catalog,
        wal,
        open: RwLock::new(open),
        version: RwLock::new(Arc::new(version)),
        work: Work::default(),
        counters: Counters::default(),
        disk: DiskState::default(),
        faults,
        identity_bytes: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        metadata_seen: MetadataSeen::new(),
        _lock: lock,
    };
    inner.measure_disk();
    replay_all(&inner, &unsealed, decoder)?;
    Ok(inner)
}

/// Keeps other processes out of a data directory that is there.
pub(crate) fn lock_existing(dir: &Path) -> Result<File> {
    if !dir.join(DATABASE).is_dir() {
        return Err(Error::NotFound(format!("{} is no data directory", dir.display())));
    }
    lock(&dir.join(LOCK))
}

/// Creates the directory and those above it if they are not there, so that they are after a power
/// cut. The one above is synced at each start: an earlier start may have died before it was.
fn create_durably(dir: &Path) -> Result<()> {
    let whole = std::path::absolute(dir).map_err(|e| io_error("finding", dir, e))?;
    let new = whole.ancestors().take_while(|path| !path.exists()).count();
    fs::create_dir_all(dir).map_err(|e| io_error("creating", dir, e))?;
    let whole = dir.canonicalize().map_err(|e| io_error("finding", dir, e))?;
    let synced = whole.ancestors().skip(1).take(new.max(1)).try_for_each(sync_dir);
    if new == 0 {
        // It may belong to somebody else, who made it last.
        synced.unwrap_or_else(|error| tracing::warn!(%error, "the directory above is not synced"));
        return Ok(());
    }
    synced
}

/// Keeps other processes out of the directory.
fn lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|e| io_error("creating", path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Invalid(format!(
            "the data directory is in use by another process ({} is locked)",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(io_error("locking", path, error)),
    }
}

/// Opens the blocks of the catalog. A damaged one is left out, with a note for answers.
fn open_blocks(rocks: &Arc<Rocks>, catalog: &Catalog) -> Result<Vec<Arc<Block>>> {
    let mut blocks = Vec::new();
    for row in catalog.blocks() {
        let (id, range) = (row.id, row.range);
        match Block::open(rocks, row) {
            Ok(block) => blocks.push(block),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let text = format!("block {} cannot be opened: {error}", id.0);
                catalog.note_damage(id, &text)?;
                catalog.note_missing(range, &text)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(blocks)
}

/// Brings into the head what the files of `generations` hold.
fn replay_all(inner: &Inner, generations: &[u64], decoder: &dyn BodyDecoder) -> Result<()> {
    let started = Instant::now();
    for (i, &number) in generations.iter().enumerate() {
        let damages = replay(&inner.wal.path(number), &mut |record| {
            inner.counters.wal_replayed.fetch_add(1, Ordering::Relaxed);
            apply_record(inner, decoder, record)
        })?;
        // The end of the newest file may be what a crash cut. Older files were complete.
        let newest = i + 1 == generations.len();
        for damage in damages {
            report(inner, &damage, newest)?;
        }
        // Files that together are more than a head may hold are sealed one by one.
        let full = inner.fill(&inner.open.read()) >= 1.0;
        if full && !newest {
            inner.seal_replayed(number)?;
        }
    }
    inner.measure_identity();
    let records = inner.counters.wal_replayed.load(Ordering::Relaxed);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(records, files = generations.len(), duration_ms, "the WAL was replayed");
    Ok(())
}

fn report(inner: &Inner, damage: &WalDamage, newest: bool) -> Result<()> {
    let WalDamage { offset, bytes, cause, .. } = *damage;
    let path = damage.path.display();
    if damage.at_end && newest {
        tracing::info!(%path, offset, bytes, "the WAL ends in a record that was never acknowledged");
        return inner.wal.cut(damage);
    }
    tracing::error!(%path, offset, bytes, cause, "a part of the WAL cannot be read");
    inner.counters.wal_damages.fetch_add(1, Ordering::Relaxed);
    let (range, text) = damage::of_wal(damage);
    inner.catalog.note_missing(range, &text)
}

fn apply_record(
    inner: &Inner,
    decoder: &dyn BodyDecoder,
    record: &Record<'_>,
) -> Result<(), &'static str> {
    let tenant = inner.catalog.tenant_or_create(record.tenant);
    let tenant = tenant.map_err(|_| "its tenant cannot be stored")?;
    let open = inner.open.read();
    let mut apply = |batch: &WriteBatch<'_>| {
        let identity = open.generation.identity();
        let checked = write::check(identity, tenant, batch, &Bounds::none(), record.verdicts);
        write::apply(&open.generation, batch, &checked);
        inner.store_metadata(tenant, &batch.metadata);
    };
    let mut apply_logs = |batch: &LogBatch<'_>| {
        let (logs, tenant) = (open.generation.logs(), (tenant, record.tenant));
        let checked = logs::write::check(logs, tenant, batch, &Bounds::none(), record.verdicts);
        logs::write::apply(logs, batch, &checked);
    };
    let decoded = if record.kind.holds_logs() {
        decoder.decode_logs(record.kind, record.body, &mut apply_logs)
    } else {
        decoder.decode(record.kind, record.body, &mut apply)
    };
    decoded.map_err(|_| "its body cannot be decoded")
}
