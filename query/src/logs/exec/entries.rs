//! The answer to a log query: entries of all streams in order of time.
//!
//! Each core keeps the entries that may be part of the answer. Once it holds as many as are asked
//! for, its worst bounds what all cores still read.

use std::cmp::Ordering as Order;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use ephemeris_model::LogSource;
use ephemeris_model::logs::{Direction, EntryBuffer, LogColumns, LogSelect, NanoRange, StreamSet};

use super::read::{Context, on_all_cores};
use crate::budget::{Budget, Load};
use crate::logs::ast::LogExpr;
use crate::logs::engine::EntryQuery;
use crate::logs::error::LogQueryError;
use crate::logs::labels::LabelSet;
use crate::logs::pipeline::{Category, EntryState, Hints, Pipeline};
use crate::logs::result::{EntriesAnswer, LogEntry};

/// About what an entry takes beside its line.
const ENTRY_BYTES: u64 = 256;

pub(in crate::logs) fn entries(
    source: &dyn LogSource,
    expr: &LogExpr,
    query: EntryQuery,
    budget: &Budget,
) -> Result<EntriesAnswer, LogQueryError> {
    let started = Instant::now();
    let context = Context::new(source, budget);
    let mut pipeline = Pipeline::new(&expr.stages).map_err(LogQueryError::execution)?;
    let filters = pipeline.take_filters();
    let range = NanoRange { start: query.start_ns, end: query.end_ns };
    let mut found = Vec::new();
    if query.limit > 0 && range.start < range.end {
        let select = LogSelect {
            matchers: expr.matchers.clone(),
            range,
            direction: query.direction,
            columns: LogColumns { lines: true, metadata: true },
            filters,
            hints: pipeline.label_hints(),
        };
        let set = context.select(&select)?;
        let search = Search::new(&context, &pipeline, query, &*set);
        for part in on_all_cores(set.len(), |streams| search.run(range, streams))? {
            found.extend(part);
        }
        context.warn(&*set);
    }
    found.sort_by(|a, b| a.order(b, query.direction));
    let entries = sample(found, query);
    let (warnings, stats) = context.finish(started);
    Ok(EntriesAnswer { entries, warnings, stats })
}

/// The first entries, each as far from the one before as asked for.
fn sample(found: Vec<Candidate>, query: EntryQuery) -> Vec<LogEntry> {
    let mut last: Option<i64> = None;
    let mut is_far = |entry: &LogEntry| {
        let at = entry.timestamp_ns;
        let is_far = last.is_none_or(|last| {
            i64::try_from(at.abs_diff(last)).unwrap_or(i64::MAX) >= query.interval_ns
        });
        if is_far {
            last = Some(at);
        }
        is_far
    };
    let entries = found.into_iter().map(|candidate| candidate.entry);
    entries.filter(|entry| query.interval_ns <= 0 || is_far(entry)).take(query.limit).collect()
}

/// An entry that may be part of the answer, and its place among those of equal time.
struct Candidate {
    /// Rank of the stream by its labels.
    rank: usize,
    /// Place in the stream as it is read.
    place: usize,
    entry: LogEntry,
}

impl Candidate {
    fn order(&self, other: &Self, direction: Direction) -> Order {
        let time = self.entry.timestamp_ns.cmp(&other.entry.timestamp_ns);
        let time = match direction {
            Direction::Forward => time,
            Direction::Backward => time.reverse(),
        };
        time.then(self.rank.cmp(&other.rank)).then(self.place.cmp(&other.place))
    }

    fn load(&self) -> Load {
        Load { samples: 1, bytes: ENTRY_BYTES + self.entry.line.len() as u64 }
    }
}

/// A search over the streams of a set.
struct Search<'a> {
    context: &'a Context<'a>,
    pipeline: &'a Pipeline,
    query: EntryQuery,
    set: &'a dyn StreamSet,
    /// Streams in order of their labels.
    streams: Vec<(LabelSet, usize)>,
    /// Entries behind this time are no part of the answer.
    bound: AtomicI64,
}

impl<'a> Search<'a> {
    fn new(
        context: &'a Context<'a>,
        pipeline: &'a Pipeline,
        query: EntryQuery,
        set: &'a dyn StreamSet,
    ) -> Self {
        let mut streams: Vec<(LabelSet, usize)> =
            (0..set.len()).map(|i| (LabelSet::from(&set.labels(i)), i)).collect();
        streams.sort();
        let bound = match query.direction {
            Direction::Forward => i64::MAX,
            Direction::Backward => i64::MIN,
        };
        Self { context, pipeline, query, set, streams, bound: AtomicI64::new(bound) }
    }

    fn run(&self, range: NanoRange, ranks: Range<usize>) -> Result<Vec<Candidate>, LogQueryError> {
        let mut best = Vec::new();
        let mut state = EntryState::default();
        let mut buffer = EntryBuffer::default();
        for rank in ranks {
            let (labels, index) = &self.streams[rank];
            state.set_stream(labels.clone());
            let range = self.bounded(range);
            if range.start >= range.end {
                continue;
            }
            let mut place = 0;
            self.context.read(self.set, *index, range, &mut buffer, &mut |run| {
                self.visit(run, rank, &mut place, &mut state, &mut best)
            })?;
        }
        self.cut(&mut best);
        Ok(best)
    }

    /// The part of a range that may still hold a part of the answer.
    fn bounded(&self, range: NanoRange) -> NanoRange {
        let bound = self.bound.load(Ordering::Relaxed);
        match self.query.direction {
            Direction::Forward => {
                NanoRange { end: range.end.min(bound.saturating_add(1)), ..range }
            }
            Direction::Backward => NanoRange { start: range.start.max(bound), ..range },
        }
    }

    fn is_behind(&self, at: i64) -> bool {
        let bound = self.bound.load(Ordering::Relaxed);
        match self.query.direction {
            Direction::Forward => at > bound,
            Direction::Backward => at < bound,
        }
    }

    fn visit(
        &self,
        run: &EntryBuffer,
        rank: usize,
        place: &mut usize,
        state: &mut EntryState,
        best: &mut Vec<Candidate>,
    ) -> Result<ControlFlow<()>, LogQueryError> {
        let mut kept = 0;
        let first = *place;
        *place += run.len();
        for (i, at) in run.timestamps().iter().enumerate() {
            if self.is_behind(*at) {
                break;
            }
            state.reset();
            for (name, value) in run.metadata(i) {
                state.add_metadata(name, value);
            }
            let hints = Hints::default();
            let Some(line) = self.pipeline.process(*at, run.line(i), state, &hints) else {
                continue;
            };
            kept += 1;
            let entry = entry(*at, line.into_owned(), state);
            let candidate = Candidate { rank, place: first + i, entry };
            self.context.budget.hold(candidate.load())?;
            best.push(candidate);
            if best.len() >= self.query.limit.saturating_mul(2).max(64) {
                self.cut(best);
            }
        }
        self.context.count_kept(kept);
        let ends = run.timestamps().last().is_some_and(|at| self.is_behind(*at));
        Ok(if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Leaves only what may be part of the answer, and tells the others where it ends. With an
    /// interval any entry may be.
    fn cut(&self, best: &mut Vec<Candidate>) {
        if best.len() < self.query.limit || self.query.interval_ns > 0 {
            return;
        }
        best.sort_by(|a, b| a.order(b, self.query.direction));
        for candidate in best.drain(self.query.limit..) {
            self.context.budget.release(candidate.load());
        }
        let Some(worst) = best.last() else { return };
        let worst = worst.entry.timestamp_ns;
        match self.query.direction {
            Direction::Forward => self.bound.fetch_min(worst, Ordering::Relaxed),
            Direction::Backward => self.bound.fetch_max(worst, Ordering::Relaxed),
        };
    }
}

fn entry(timestamp_ns: i64, line: Vec<u8>, state: &EntryState) -> LogEntry {
    let stream = if state.is_untouched() {
        state.base().clone()
    } else {
        LabelSet::from_pairs(state.category(Category::Stream))
    };
    LogEntry {
        timestamp_ns,
        line: line.into(),
        stream,
        metadata: LabelSet::from_pairs(state.category(Category::Metadata)),
        parsed: LabelSet::from_pairs(state.category(Category::Parsed)),
    }
}
