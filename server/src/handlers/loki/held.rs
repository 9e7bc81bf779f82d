//! Entries that are at hand, as something a query can run on: those of a tail, or a run of an export.

use std::ops::ControlFlow;
use std::sync::Arc;

use ephemeris_model::{
    Direction, EntryBuffer, EntryCount, Labels, LineSearches, LogSelect, LogSource, Matcher,
    NanoRange, SourceError, StreamList, StreamSet,
};

use crate::tails::Run;

/// Runs of entries, each in order of time, all of streams that satisfy the matchers of the query.
pub(super) struct Held<'a>(pub(super) &'a [Run]);

impl LogSource for Held<'_> {
    fn select_streams(&self, select: &LogSelect) -> Result<Arc<dyn StreamSet + '_>, SourceError> {
        let filters = select.filters.clone();
        Ok(Arc::new(HeldRuns { runs: self.0, direction: select.direction, filters }))
    }

    fn streams(&self, _: &[Vec<Matcher>], _: NanoRange) -> Result<StreamList, SourceError> {
        let mut all: Vec<Labels> = self.0.iter().map(|(labels, _)| labels.clone()).collect();
        all.sort_unstable();
        all.dedup();
        Ok(StreamList::whole(all))
    }
}

struct HeldRuns<'a> {
    runs: &'a [Run],
    direction: Direction,
    filters: LineSearches,
}

fn inside(run: &EntryBuffer, range: NanoRange) -> std::ops::Range<usize> {
    let start = run.timestamps().partition_point(|at| *at < range.start);
    let end = run.timestamps().partition_point(|at| *at < range.end);
    start..end.max(start)
}

impl StreamSet for HeldRuns<'_> {
    fn len(&self) -> usize {
        self.runs.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.runs[index].0.clone()
    }

    fn read(
        &self,
        index: usize,
        range: NanoRange,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(&EntryBuffer) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError> {
        let run = &self.runs[index].1;
        let keeps = |at: &usize| self.filters.keep(run.line(*at));
        let mut order: Vec<usize> = inside(run, range).filter(keeps).collect();
        if self.direction == Direction::Backward {
            order.reverse();
        }
        buffer.clear();
        for at in order {
            buffer.push(run.timestamps()[at], run.line(at), run.metadata(at));
        }
        if !buffer.is_empty() {
            let _ = visit(buffer)?;
        }
        Ok(())
    }

    fn count(&self, index: usize, range: NanoRange) -> Result<EntryCount, SourceError> {
        let run = &self.runs[index].1;
        let inside = inside(run, range);
        let bytes = inside.clone().map(|at| run.line(at).len() as u64).sum();
        Ok(EntryCount { entries: inside.len() as u64, bytes })
    }
}
