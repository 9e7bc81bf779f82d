//! Background work: seals, merges, retention; and deletion, which needs all three to stand still.
//!
//! Two threads, so that a long merge never keeps a full head waiting; a third one syncs the WAL
//! where writes are acknowledged before. Each round can also be run by a caller.

pub mod compact;
mod delete;
mod delete_logs;
mod merge;
mod merge_logs;
mod order;
mod retention;
mod seal;
mod seal_logs;

pub use delete_logs::{LogDeletion, LogDeletionStatus};

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::config::Durability;
use crate::error::{Error, Result};
use crate::faults::Place;
use crate::metrics::block::Block;
use crate::metrics::head::generation::Generation;
use crate::store::Inner;

/// How often the threads look for work without being woken.
const ROUND: Duration = Duration::from_secs(1);

/// State of background work.
#[derive(Default)]
pub(crate) struct Work {
    /// Held while a generation is sealed.
    sealing: Mutex<()>,
    /// Held while blocks are merged or expired.
    merging: Mutex<()>,
    /// Held while WAL files are deleted, and while a snapshot needs them.
    pub(crate) wal_files: Mutex<()>,
    signals: Mutex<Signals>,
    changed: Condvar,
    /// Blocks that are in no version any more, until the last reader is gone.
    retired: Mutex<Vec<Arc<Block>>>,
    /// Sealed generations, until the last reader is gone: freeing one takes a while, which should
    /// keep no reader and no writer.
    sealed: Mutex<Vec<Arc<Generation>>>,
    /// Told when much memory was freed.
    pub(crate) when_freed: OnceLock<fn()>,
}

#[derive(Default)]
struct Signals {
    stop: bool,
    /// The sealer should look at the head now.
    seal_due: bool,
    /// Everything is to be sealed, for a shutdown.
    seal_all: bool,
    /// What came of that.
    sealed_all: Option<Result<()>>,
}

impl Work {
    /// Makes the sealer look at the head.
    pub(crate) fn wake_sealer(&self) {
        let mut signals = self.signals.lock();
        if !signals.seal_due {
            signals.seal_due = true;
            self.changed.notify_all();
        }
    }

    /// Ends the threads, once they have finished what they do.
    pub(crate) fn stop(&self) {
        self.signals.lock().stop = true;
        self.changed.notify_all();
    }

    /// Has all sealed, and waits for it no longer than `grace`.
    pub(crate) fn seal_within(&self, grace: Duration) -> Result<()> {
        let deadline = Instant::now() + grace;
        let mut signals = self.signals.lock();
        signals.seal_all = true;
        signals.sealed_all = None;
        self.changed.notify_all();
        loop {
            if let Some(outcome) = signals.sealed_all.take() {
                return outcome;
            }
            if signals.stop || self.changed.wait_until(&mut signals, deadline).timed_out() {
                return match signals.sealed_all.take() {
                    Some(outcome) => outcome,
                    None => Err(Error::Timeout(format!(
                        "sealing took longer than {} ms; the rest is in the WAL (shutdown_grace)",
                        grace.as_millis()
                    ))),
                };
            }
        }
    }

    /// Keeps a generation that was sealed until nobody reads it any more.
    fn retire(&self, generation: Arc<Generation>) {
        self.sealed.lock().push(generation);
    }

    /// Frees the generations nobody reads any more.
    fn free_sealed(&self) {
        let unread = |generation: &mut Arc<Generation>| Arc::strong_count(generation) == 1;
        let unread: Vec<_> = self.sealed.lock().extract_if(.., unread).collect();
        if !unread.is_empty() {
            drop(unread);
            self.tell_freed();
        }
    }

    fn tell_freed(&self) {
        if let Some(told) = self.when_freed.get() {
            told();
        }
    }

    /// Waits for something to do; answers what.
    fn next(&self, wait: Duration) -> Next {
        let deadline = Instant::now() + wait;
        let mut signals = self.signals.lock();
        loop {
            if signals.stop {
                return Next::Stop;
            }
            if std::mem::take(&mut signals.seal_all) {
                return Next::SealAll;
            }
            if std::mem::take(&mut signals.seal_due) {
                return Next::Look;
            }
            if self.changed.wait_until(&mut signals, deadline).timed_out() {
                return Next::Look;
            }
        }
    }

    /// Waits for the end; answers whether it has come.
    fn stops_within(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut signals = self.signals.lock();
        while !signals.stop {
            if self.changed.wait_until(&mut signals, deadline).timed_out() {
                break;
            }
        }
        signals.stop
    }
}

enum Next {
    Look,
    SealAll,
    Stop,
}

/// Starts the threads of a store.
pub(crate) fn spawn(inner: &Arc<Inner>) -> Result<Vec<JoinHandle<()>>> {
    let start = |name: &str, run: fn(&Inner)| {
        let inner = Arc::clone(inner);
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || run(&inner));
        spawned.map_err(|error| Error::io(format!("starting thread {name}"), error))
    };
    let mut threads = vec![start("sealer", run_sealer)?, start("merger", run_merger)?];
    if inner.config.durability == Durability::Buffered {
        threads.push(start("wal-sync", run_syncer)?);
    }
    Ok(threads)
}

fn run_sealer(inner: &Inner) {
    // After a failure the next try waits, so that a full disk is not hammered.
    let mut wait = ROUND;
    loop {
        let sealed = match inner.work.next(wait) {
            Next::Stop => return,
            Next::Look => inner.seal_if_due(),
            Next::SealAll => {
                let sealed = inner.seal();
                inner.work.signals.lock().sealed_all = Some(sealed);
                inner.work.changed.notify_all();
                Ok(())
            }
        };
        wait = match sealed {
            Ok(()) => ROUND,
            Err(error) => {
                tracing::error!(%error, "sealing failed; it will be tried again");
                if inner.work.stops_within(ROUND) {
                    return;
                }
                ROUND
            }
        };
    }
}

fn run_merger(inner: &Inner) {
    while !inner.work.stops_within(ROUND) {
        if let Err(error) = inner.merge_and_expire() {
            tracing::error!(%error, "merging failed; it will be tried again");
            if inner.work.stops_within(60 * ROUND) {
                return;
            }
        }
    }
}

fn run_syncer(inner: &Inner) {
    let interval = Duration::from_millis(inner.config.buffered_sync_interval_ms.max(1));
    while !inner.work.stops_within(interval) {
        // A failure poisons the WAL, which tells it where it happens.
        let _ = inner.open.read().wal.sync_written();
    }
}

impl Inner {
    /// One round of all background work.
    pub(crate) fn maintain(&self) -> Result<()> {
        self.seal_if_due()?;
        self.merge_and_expire()
    }

    fn merge_and_expire(&self) -> Result<()> {
        {
            let _merging = self.work.merging.lock();
            self.expire()?;
        }
        // A merge needs room before it makes some.
        while !self.is_disk_short() && self.merge_one()? {
            self.work.tell_freed();
            if self.closed.load(Ordering::Acquire) {
                break;
            }
        }
        self.delete_retired()
    }

    /// Deletes the files of blocks nobody reads any more.
    fn delete_retired(&self) -> Result<()> {
        let unread: Vec<Arc<Block>> = self
            .work
            .retired
            .lock()
            .extract_if(.., |block| Arc::strong_count(block) == 1)
            .collect();
        for block in unread {
            // Should this fail, the next start deletes it.
            self.faults.pass(Place::DropFile)?;
            self.rocks.delete_block(block.row().id)?;
            self.faults.pass(Place::DropFileDone)?;
        }
        Ok(())
    }

    /// Measures what the identities take in memory.
    pub(crate) fn measure_identity(&self) {
        let version = self.version();
        let mut bytes = version.open.identity().bytes();
        bytes += version.generations().map(|g| g.logs().identity().bytes()).sum::<u64>();
        let sealing = version.sealing.as_ref().map(|generation| generation.identity());
        if let Some(other) = sealing.filter(|&own| !Arc::ptr_eq(own, version.open.identity())) {
            bytes += other.bytes();
        }
        self.identity_bytes.store(bytes, Ordering::Relaxed);
    }
}
