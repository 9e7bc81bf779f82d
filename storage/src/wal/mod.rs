//! The WAL: what was acknowledged and is not in blocks yet, as files of request bodies.
//!
//! One file holds the requests of one generation of the head. A record says all that replay needs:
//! tenant, encoding, time of arrival, which items were refused, and the body as received; replaying
//! it twice changes nothing.
//!
//! Commits are grouped: whoever comes first while no one writes takes all that waits, writes it at
//! once, syncs once, and wakes the others. After a failed sync nothing is known about what is on
//! disk, so the WAL is poisoned: it takes nothing more until the store is opened again.

pub(crate) mod record;
pub(crate) mod replay;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::config::Durability;
use crate::error::{Error, Result};
use crate::faults::{Faults, Place};
use record::{HEADER_BYTES, Header, PAYLOAD_BYTES_MAX, Record, TENANT_BYTES_MAX};
use replay::WalDamage;

/// A write buffer larger than this is given back after use.
const SPARE_BYTES_MAX: usize = 4 << 20;
const EXTENSION: &str = "wal";

/// What all WAL files of a store share: where they lie, counts, and whether writing may go on.
pub(crate) struct WalContext {
    dir: PathBuf,
    durability: Durability,
    faults: Arc<Faults>,
    poison: OnceLock<String>,
    pub(crate) records: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) sync_ns: AtomicU64,
}

impl WalContext {
    /// Files lie in `dir`, which is made if it is not there.
    pub(crate) fn new(dir: PathBuf, durability: Durability, faults: Arc<Faults>) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|e| io_error("creating", &dir, e))?;
        Ok(Self {
            dir,
            durability,
            faults,
            poison: OnceLock::new(),
            records: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            sync_ns: AtomicU64::new(0),
        })
    }

    /// Whether a failed sync ended writing.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    fn check(&self) -> Result<()> {
        match self.poison.get() {
            None => Ok(()),
            Some(cause) => Err(Error::Closed(format!(
                "the store takes no writes after a failed sync, until it is restarted: {cause}"
            ))),
        }
    }

    /// The generations that have a file, ascending.
    pub(crate) fn generations(&self) -> Result<Vec<u64>> {
        Ok(wal_files(&self.dir)?.into_iter().map(|(generation, _)| generation).collect())
    }

    /// The file of a generation.
    pub(crate) fn path(&self, generation: u64) -> PathBuf {
        self.dir.join(format!("{generation:020}.{EXTENSION}"))
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let generations = self.generations().unwrap_or_default();
        let sizes = generations.iter().filter_map(|&g| fs::metadata(self.path(g)).ok());
        sizes.map(|metadata| metadata.len()).sum()
    }

    /// Cuts off what a crash left behind the last record of a file that is not written any more,
    /// so that the next start does not take it for damage. A file without a header is deleted.
    pub(crate) fn cut(&self, damage: &WalDamage) -> Result<()> {
        let path = &damage.path;
        let failed = |e| io_error("cutting the end off", path, e);
        if damage.offset < HEADER_BYTES as u64 {
            fs::remove_file(path).map_err(failed)?;
            return sync_dir(&self.dir);
        }
        let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        file.set_len(damage.offset).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// Deletes the files of generations up to `last`.
    pub(crate) fn delete_up_to(&self, last: u64) -> Result<()> {
        for generation in self.generations()?.into_iter().filter(|&g| g <= last) {
            let path = self.path(generation);
            fs::remove_file(&path).map_err(|e| io_error("deleting", &path, e))?;
        }
        sync_dir(&self.dir)
    }
}

/// The WAL file of the open generation.
pub(crate) struct Wal {
    context: Arc<WalContext>,
    path: PathBuf,
    file: File,
    marker: u64,
    /// Bytes of the file that are written.
    length: AtomicU64,
    state: Mutex<State>,
    /// A batch was written, or failed.
    written: Condvar,
}

struct State {
    /// Records that wait to be written.
    buffer: Vec<u8>,
    /// Who waits for them.
    batch: Arc<Batch>,
    /// Another buffer, so that two take turns.
    spare: Vec<u8>,
    writing: bool,
}

/// Records that are written and synced together.
#[derive(Default)]
struct Batch {
    outcome: OnceLock<Result<(), Failure>>,
}

/// Why a batch is not in the WAL.
#[derive(Clone)]
enum Failure {
    /// No space; the file is as it was before.
    Full(Arc<str>),
    Poisoned,
}

impl Wal {
    /// Creates the file of a generation; it is there after a power cut when this returns.
    pub(crate) fn create(context: &Arc<WalContext>, generation: u64) -> Result<Self> {
        let path = context.path(generation);
        let marker = random();
        let created = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = created.map_err(|e| io_error("creating", &path, e))?;
        let header = Header { generation, marker }.encode();
        let written = context
            .faults
            .pass(Place::WalCreate)
            .and_then(|()| file.write_all_at(&header, 0).map_err(|e| io_error("writing", &path, e)))
            .and_then(|()| file.sync_all().map_err(|e| io_error("syncing", &path, e)))
            .and_then(|()| sync_dir(&context.dir));
        if let Err(error) = written {
            // Left behind, it would be in the way of the next try; if it cannot be removed, that
            // one says so.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let state =
            State { buffer: Vec::new(), batch: Arc::default(), spare: Vec::new(), writing: false };
        let context = Arc::clone(context);
        let (state, written) = (Mutex::new(state), Condvar::new());
        let length = AtomicU64::new(HEADER_BYTES as u64);
        Ok(Self { context, path, file, marker, length, state, written })
    }

    /// Bytes written.
    pub(crate) fn bytes(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    /// Appends a record; when it returns, the record is as durable as the settings ask.
    pub(crate) fn append(&self, record: &Record<'_>) -> Result<()> {
        if record.tenant.len() > TENANT_BYTES_MAX || record.len() > PAYLOAD_BYTES_MAX {
            return Err(Error::Limit(format!(
                "a record of {} bytes of tenant {:?} is too large for the WAL",
                record.len(),
                record.tenant
            )));
        }
        let frame = record.frame(self.marker);
        let mut state = self.state.lock();
        self.context.check()?;
        record.put(&frame, &mut state.buffer);
        let batch = Arc::clone(&state.batch);
        loop {
            match batch.outcome.get() {
                Some(Ok(())) => break,
                Some(Err(failure)) => return Err(self.error(failure)),
                None if state.writing => self.written.wait(&mut state),
                None => self.lead(&mut state),
            }
        }
        drop(state);
        self.context.records.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes and syncs all that waits.
    fn lead(&self, state: &mut MutexGuard<'_, State>) {
        state.writing = true;
        let spare = std::mem::take(&mut state.spare);
        let mut bytes = std::mem::replace(&mut state.buffer, spare);
        let batch = std::mem::take(&mut state.batch);
        let start = self.bytes();
        let outcome = MutexGuard::unlocked(state, || self.write(&bytes, start));
        if outcome.is_ok() {
            self.length.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.context.written_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        // Only the leader of a batch sets its outcome, and only once.
        let _ = batch.outcome.set(outcome);
        bytes.clear();
        if bytes.capacity() <= SPARE_BYTES_MAX {
            state.spare = bytes;
        }
        state.writing = false;
        self.written.notify_all();
    }

    fn write(&self, bytes: &[u8], start: u64) -> Result<(), Failure> {
        if self.context.is_poisoned() {
            return Err(Failure::Poisoned);
        }
        let written = self.context.faults.pass(Place::WalWrite).map_err(into_io);
        if let Err(error) = written.and_then(|()| self.file.write_all_at(bytes, start)) {
            let full = error.kind() == io::ErrorKind::StorageFull;
            // The next batch is written to the same place, so what was begun must not stay.
            if full && self.file.set_len(start).is_ok() {
                return Err(Failure::Full(error.to_string().into()));
            }
            return Err(self.poison("writing", &error));
        }
        if self.context.durability == Durability::Sync { self.sync() } else { Ok(()) }
    }

    fn sync(&self) -> Result<(), Failure> {
        let started = Instant::now();
        let passed = self.context.faults.pass(Place::WalSync).map_err(into_io);
        if let Err(error) = passed.and_then(|()| self.file.sync_data()) {
            return Err(self.poison("syncing", &error));
        }
        let ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.context.syncs.fetch_add(1, Ordering::Relaxed);
        self.context.sync_ns.fetch_add(ns, Ordering::Relaxed);
        Ok(())
    }

    fn poison(&self, action: &str, error: &io::Error) -> Failure {
        let cause = format!("{action} {}: {error}", self.path.display());
        tracing::error!(cause, "the store takes no more writes");
        // A second failure changes nothing.
        let _ = self.context.poison.set(cause);
        Failure::Poisoned
    }

    fn error(&self, failure: &Failure) -> Error {
        match failure {
            Failure::Full(text) => Error::Busy(format!("no space for the WAL: {text}")),
            Failure::Poisoned => match self.context.check() {
                Err(error) => error,
                Ok(()) => Error::Closed("the store takes no writes".to_owned()),
            },
        }
    }

    /// Syncs what was written, where writes are acknowledged before.
    pub(crate) fn sync_written(&self) -> Result<()> {
        self.context.check()?;
        self.sync().map_err(|failure| self.error(&failure))
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one("wal")
}

/// The WAL files in `dir` by generation, ascending.
pub(crate) fn wal_files(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let failed = |e| io_error("listing", dir, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let generation = stem.and_then(|stem| stem.parse::<u64>().ok());
        if let Some(generation) = generation
            && path.extension().is_some_and(|extension| extension == EXTENSION)
        {
            found.push((generation, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| io_error("syncing", dir, e))
}

pub(crate) fn io_error(action: &str, path: &Path, source: io::Error) -> Error {
    Error::io(format!("{action} {}", path.display()), source)
}

#[cfg(test)]
mod tests;
