//! Streams of a selection and their entries.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use ephemeris_model::logs::{EntryBuffer, LogSelect, NanoRange, StreamSet, Tally, TallyBy};
use ephemeris_model::{LogSource, SourceError};

use crate::budget::Budget;
use crate::logs::error::LogQueryError;
use crate::logs::result::{LogStats, MetricAnswer, MetricValue};

/// What one query has: its data, its budget, and what it counted.
pub(super) struct Context<'a> {
    source: &'a dyn LogSource,
    pub(super) budget: &'a Budget,
    streams: AtomicU64,
    lines: AtomicU64,
    bytes: AtomicU64,
    kept: AtomicU64,
    warnings: Mutex<Vec<String>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(source: &'a dyn LogSource, budget: &'a Budget) -> Self {
        Self {
            source,
            budget,
            streams: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            warnings: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn select(
        &self,
        select: &LogSelect,
    ) -> Result<Arc<dyn StreamSet + 'a>, LogQueryError> {
        let set = self.source.select_streams(select)?;
        self.streams.fetch_add(set.len() as u64, Ordering::Relaxed);
        self.budget.touch_series(set.len() as u64)?;
        Ok(set)
    }

    /// Reads the entries of a stream, run by run.
    pub(super) fn read(
        &self,
        set: &dyn StreamSet,
        index: usize,
        range: NanoRange,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(&EntryBuffer) -> Result<ControlFlow<()>, LogQueryError>,
    ) -> Result<(), LogQueryError> {
        let mut failed = None;
        let read = set.read(index, range, buffer, &mut |run| {
            self.lines.fetch_add(run.len() as u64, Ordering::Relaxed);
            self.bytes.fetch_add(run.all_lines().len() as u64, Ordering::Relaxed);
            self.budget.count_read(run.len() as u64);
            let visited =
                self.budget.check().map_err(LogQueryError::from).and_then(|()| visit(run));
            Ok::<_, SourceError>(visited.unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            }))
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(read?),
        }
    }

    /// Goes through the entries of a stream, counted where the source can.
    pub(super) fn tally(
        &self,
        set: &dyn StreamSet,
        (index, range): (usize, NanoRange),
        how: TallyBy<'_>,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(Tally<'_>) -> Result<(), LogQueryError>,
    ) -> Result<(), LogQueryError> {
        let mut failed = None;
        let tallied = set.tally(index, range, how, buffer, &mut |tally| {
            if let Tally::Entries(run) = tally {
                self.lines.fetch_add(run.len() as u64, Ordering::Relaxed);
                self.bytes.fetch_add(run.all_lines().len() as u64, Ordering::Relaxed);
                self.budget.count_read(run.len() as u64);
            }
            let visited =
                self.budget.check().map_err(LogQueryError::from).and_then(|()| visit(tally));
            Ok::<_, SourceError>(match visited {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(tallied?),
        }
    }

    /// Counts lines that passed all stages.
    pub(super) fn count_kept(&self, lines: u64) {
        self.kept.fetch_add(lines, Ordering::Relaxed);
    }

    /// Keeps what a set has to say, once it was read.
    pub(super) fn warn(&self, set: &dyn StreamSet) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in set.warnings() {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }

    pub(super) fn answer(self, value: MetricValue, started: Instant) -> MetricAnswer {
        let (warnings, stats) = self.finish(started);
        MetricAnswer { value, warnings, stats }
    }

    /// What was counted.
    pub(super) fn finish(self, started: Instant) -> (Vec<String>, LogStats) {
        let stats = LogStats {
            streams: self.streams.into_inner(),
            lines: self.lines.into_inner(),
            bytes: self.bytes.into_inner(),
            lines_kept: self.kept.into_inner(),
            total: started.elapsed(),
        };
        (self.warnings.into_inner().unwrap_or_else(PoisonError::into_inner), stats)
    }
}

/// Parts of the work for each core, so that one with much to do does not leave the others idle.
const PARTS_PER_CORE: usize = 8;

/// Runs `work` over parts of `count` streams on all cores; gives what each part made, in order.
pub(super) fn on_all_cores<T: Send>(
    count: usize,
    work: impl Fn(Range<usize>) -> Result<T, LogQueryError> + Sync,
) -> Result<Vec<T>, LogQueryError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores.min(count) <= 1 {
        return Ok(vec![work(0..count)?]);
    }
    let parts = (cores * PARTS_PER_CORE).min(count);
    let bounds = |part: usize| count * part / parts..count * (part + 1) / parts;
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                return Ok(done);
            }
            let made = work(bounds(part)).inspect_err(|_| next.store(parts, Ordering::Relaxed))?;
            done.push((part, made));
        }
    };
    let mut all: Vec<(usize, T)> = thread::scope(|scope| {
        let threads: Vec<_> = (1..cores.min(parts)).map(|_| scope.spawn(run)).collect();
        let mut all: Vec<(usize, T)> = run()?;
        for thread in threads {
            let done: Result<_, LogQueryError> =
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.extend(done?);
        }
        Ok::<_, LogQueryError>(all)
    })?;
    all.sort_by_key(|(part, _)| *part);
    Ok(all.into_iter().map(|(_, made)| made).collect())
}
