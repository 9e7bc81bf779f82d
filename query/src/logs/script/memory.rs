//! Data of a script: a [`LogSource`] that keeps entries in memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use ephemeris_model::logs::{
    Direction, EntryBuffer, EntryCount, LogSelect, NanoRange, StreamList, StreamSet,
};
use ephemeris_model::{Labels, LineSearches, LogSource, Matcher, SourceError};

/// Entries handed out at once: few, so that scripts see more than one run.
const RUN_LENGTH: usize = 3;

/// Entries in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryLogs {
    streams: BTreeMap<Labels, Vec<Stored>>,
}

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    timestamp_ns: i64,
    line: Vec<u8>,
    metadata: Vec<(String, String)>,
}

impl MemoryLogs {
    /// Adds an entry; one that is there already is not added again.
    pub fn push(
        &mut self,
        labels: &Labels,
        timestamp_ns: i64,
        line: &[u8],
        metadata: Vec<(String, String)>,
    ) {
        let entries = self.streams.entry(labels.clone()).or_default();
        let stored = Stored { timestamp_ns, line: line.to_vec(), metadata };
        let end = entries.partition_point(|entry| entry.timestamp_ns <= timestamp_ns);
        let same_time = entries[..end].iter().rev().take_while(|e| e.timestamp_ns == timestamp_ns);
        if !same_time.into_iter().any(|entry| *entry == stored) {
            entries.insert(end, stored);
        }
    }
}

fn inside(entries: &[Stored], range: NanoRange) -> &[Stored] {
    let start = entries.partition_point(|entry| entry.timestamp_ns < range.start);
    let end = entries.partition_point(|entry| entry.timestamp_ns < range.end);
    &entries[start..end.max(start)]
}

fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
}

impl LogSource for MemoryLogs {
    fn select_streams(&self, select: &LogSelect) -> Result<Arc<dyn StreamSet + '_>, SourceError> {
        let found = self.streams.iter().filter(|(labels, _)| all_match(&select.matchers, labels));
        let streams = found.map(|(labels, entries)| (labels.clone(), entries.as_slice())).collect();
        let filters = select.filters.clone();
        Ok(Arc::new(MemoryStreams { streams, direction: select.direction, filters }))
    }

    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: NanoRange,
    ) -> Result<StreamList, SourceError> {
        let wanted = |labels: &Labels| {
            selectors.is_empty() || selectors.iter().any(|matchers| all_match(matchers, labels))
        };
        let found = self
            .streams
            .iter()
            .filter(|(labels, entries)| wanted(labels) && !inside(entries, range).is_empty());
        Ok(StreamList::whole(found.map(|(labels, _)| labels.clone()).collect()))
    }
}

/// Streams of a selection.
struct MemoryStreams<'a> {
    streams: Vec<(Labels, &'a [Stored])>,
    direction: Direction,
    filters: LineSearches,
}

impl StreamSet for MemoryStreams<'_> {
    fn len(&self) -> usize {
        self.streams.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.streams[index].0.clone()
    }

    fn read(
        &self,
        index: usize,
        range: NanoRange,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(&EntryBuffer) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError> {
        let inside = inside(self.streams[index].1, range).iter();
        let mut entries: Vec<&Stored> = inside.filter(|e| self.filters.keep(&e.line)).collect();
        if self.direction == Direction::Backward {
            entries.reverse();
        }
        for run in entries.chunks(RUN_LENGTH) {
            buffer.clear();
            for entry in run {
                let metadata = entry.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str()));
                buffer.push(entry.timestamp_ns, &entry.line, metadata);
            }
            if visit(buffer)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn count(&self, index: usize, range: NanoRange) -> Result<EntryCount, SourceError> {
        let entries = inside(self.streams[index].1, range);
        let bytes = entries.iter().map(|entry| entry.line.len() as u64).sum();
        Ok(EntryCount { entries: entries.len() as u64, bytes })
    }
}
