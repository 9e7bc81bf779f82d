//! Log entries, and the seam between log queries and storage: [`LogSource`].
//!
//! A stream is a series whose payload is entries: its label set is a [`Labels`] and its matchers
//! are the same [`Matcher`]s. Only what lies under a label set differs.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use crate::labels::Labels;
use crate::line_search::{LineSearch, LineSearches};
use crate::matcher::Matcher;
use crate::source::SourceError;

/// Nanoseconds in a millisecond.
pub const NANOS_PER_MILLI: i64 = 1_000_000;

/// A half-open range of time in nanoseconds since the epoch: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NanoRange {
    /// First nanosecond inside.
    pub start: i64,
    /// First nanosecond after the range.
    pub end: i64,
}

/// In which order a stream's entries are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first, as Loki answers by default.
    #[default]
    Backward,
}

/// Which columns a query looks at; the others may be left empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogColumns {
    /// The lines. Without them each line has its length but may hold any bytes.
    pub lines: bool,
    /// The structured metadata.
    pub metadata: bool,
}

/// Which streams, which of their time, and what may be left out.
#[derive(Clone, Debug)]
pub struct LogSelect {
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Entries outside are not read.
    pub range: NanoRange,
    /// Order of the entries within each stream.
    pub direction: Direction,
    /// What is looked at.
    pub columns: LogColumns,
    /// What the lines of all entries handed out fulfil. Those of [`StreamSet::count`] need not.
    pub filters: LineSearches,
    /// What else may be left out; a source may as well hand it out.
    pub hints: Vec<LabelHint>,
}

/// What the lines of wanted entries fulfil, unless their stream or their structured metadata has a
/// label of that name.
#[derive(Clone, Debug)]
pub struct LabelHint {
    /// Name of the label, which is else read from the line.
    pub name: String,
    /// What their lines fulfil.
    pub line: LineSearch,
}

/// Entries of one stream as columns, in order of time.
///
/// Lines lie one after the other in `bytes`; metadata of all entries in `pairs`, with their text in
/// `text`. Everything is UTF-8 but for lines that came in as other bytes through a path that keeps
/// them.
#[derive(Clone, Debug, Default)]
pub struct EntryBuffer {
    timestamps: Vec<i64>,
    bytes: Vec<u8>,
    line_ends: Vec<usize>,
    text: String,
    pairs: Vec<(Range<usize>, Range<usize>)>,
    pair_ends: Vec<usize>,
}

impl EntryBuffer {
    /// Forgets all entries, keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.bytes.clear();
        self.line_ends.clear();
        self.text.clear();
        self.pairs.clear();
        self.pair_ends.clear();
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Appends an entry. The caller keeps the order of time.
    pub fn push<'a>(
        &mut self,
        timestamp_ns: i64,
        line: &[u8],
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        self.timestamps.push(timestamp_ns);
        self.bytes.extend_from_slice(line);
        self.line_ends.push(self.bytes.len());
        for (name, value) in metadata {
            let (name, value) = (self.append(name), self.append(value));
            self.pairs.push((name, value));
        }
        self.pair_ends.push(self.pairs.len());
    }

    fn append(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Nanoseconds since the epoch, one per entry.
    #[must_use]
    pub fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    /// The line of entry `index`, which must be below [`EntryBuffer::len`].
    #[must_use]
    pub fn line(&self, index: usize) -> &[u8] {
        &self.bytes[start_of(&self.line_ends, index)..self.line_ends[index]]
    }

    /// Structured metadata of entry `index`, in the order it was pushed.
    pub fn metadata(&self, index: usize) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let pairs = &self.pairs[start_of(&self.pair_ends, index)..self.pair_ends[index]];
        pairs.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }

    /// All lines, one after the other without anything between them: for searching in one go.
    #[must_use]
    pub fn all_lines(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each line ends in [`EntryBuffer::all_lines`].
    #[must_use]
    pub fn line_ends(&self) -> &[usize] {
        &self.line_ends
    }
}

fn start_of(ends: &[usize], index: usize) -> usize {
    index.checked_sub(1).map_or(0, |before| ends[before])
}

/// One tenant's streams: what was acknowledged before it was taken is in it.
pub trait LogSource: Send + Sync {
    /// The streams that satisfy the matchers, each once, in an order of the store's own.
    ///
    /// # Errors
    /// If the index cannot be read. Damage that leaves an answer possible is a warning of the set.
    fn select_streams(&self, select: &LogSelect) -> Result<Arc<dyn StreamSet + '_>, SourceError>;

    /// Label sets of the streams that satisfy any of `selectors` (all streams if there is none) and
    /// may have an entry inside `range`.
    ///
    /// # Errors
    /// As [`LogSource::select_streams`].
    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: NanoRange,
    ) -> Result<StreamList, SourceError>;
}

/// Label sets of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamList {
    /// Each once, sorted.
    pub streams: Vec<Labels>,
    /// What the answer lacks: damage that was met, in words.
    pub warnings: Vec<String>,
}

impl StreamList {
    /// A list that lacks nothing.
    #[must_use]
    pub const fn whole(streams: Vec<Labels>) -> Self {
        Self { streams, warnings: Vec::new() }
    }
}

/// Entries and bytes of lines, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryCount {
    /// Entries.
    pub entries: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

/// What entries of a stream are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountBy {
    /// Nothing else.
    Stream,
    /// The structured metadata `detected_level`.
    Level,
}

/// How [`StreamSet::tally`] counts.
#[derive(Clone, Copy)]
pub struct TallyBy<'a> {
    /// What is told apart.
    pub by: CountBy,
    /// Whether all moments of a range count for the same.
    pub is_whole: &'a dyn Fn(NanoRange) -> bool,
}

/// Entries of a stream, or how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Tally<'a> {
    /// Entries that were read. By stream they may come without their metadata.
    Entries(&'a EntryBuffer),
    /// Entries that were not.
    Counted {
        /// All lie inside, and it is whole.
        range: NanoRange,
        /// Their level, if it is told apart; empty if they have none.
        level: &'a str,
        /// How many they are.
        count: EntryCount,
    },
}

/// The streams of one selection. Threads may read different streams of it at the same time.
pub trait StreamSet: Send + Sync {
    /// Number of streams.
    fn len(&self) -> usize;

    /// Whether there is no stream.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label set of stream `index`, which must be below [`StreamSet::len`].
    fn labels(&self, index: usize) -> Labels;

    /// Reads the entries of stream `index` inside `range` (a part of the selection's range), in the
    /// selection's direction: fills `buffer` with a run of them, hands it to `visit`, and goes on
    /// with the next run until there is none or `visit` breaks off; a run may be empty. Entries of
    /// equal time keep the
    /// order they came in (the reverse of it when going backward); the same entry (time, line and
    /// metadata) sent twice is there once.
    ///
    /// # Errors
    /// If reading fails, or what `visit` returns.
    fn read(
        &self,
        index: usize,
        range: NanoRange,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(&EntryBuffer) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError>;

    /// Entries of stream `index` inside `range` and the bytes of their lines, counted without
    /// reading lines where the source can.
    ///
    /// # Errors
    /// If reading fails.
    fn count(&self, index: usize, range: NanoRange) -> Result<EntryCount, SourceError>;

    /// Goes through the entries of stream `index` inside `range`, in any order, each once: hands
    /// `visit` entries, or counts of entries where the source has them for ranges that are whole.
    ///
    /// # Errors
    /// If reading fails, or what `visit` returns.
    fn tally(
        &self,
        index: usize,
        range: NanoRange,
        _how: TallyBy<'_>,
        buffer: &mut EntryBuffer,
        visit: &mut dyn FnMut(Tally<'_>) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<(), SourceError> {
        self.read(index, range, buffer, &mut |run| visit(Tally::Entries(run)))
    }

    /// What the answer lacks: damage met so far, in words for the answer's `warnings`.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_gives_back_what_was_pushed() {
        let mut buffer = EntryBuffer::default();
        buffer.push(1, b"first", [("trace", "ab"), ("empty", "")]);
        buffer.push(2, b"", []);
        buffer.push(3, b"third \xff", [("a", "\u{e4}")]);
        let entry = |i: usize| {
            let pairs: Vec<(&str, &str)> = buffer.metadata(i).collect();
            (buffer.timestamps()[i], buffer.line(i), pairs)
        };
        assert_eq!(entry(0), (1, b"first".as_slice(), vec![("trace", "ab"), ("empty", "")]));
        assert_eq!(entry(1), (2, b"".as_slice(), vec![]));
        assert_eq!(entry(2), (3, b"third \xff".as_slice(), vec![("a", "\u{e4}")]));
        assert_eq!(buffer.all_lines(), b"firstthird \xff");
        buffer.clear();
        assert!(buffer.is_empty());
    }
}
