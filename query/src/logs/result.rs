//! What a log query answers.

use std::collections::BTreeMap;

use super::labels::LabelSet;

/// The answer to a metric query.
#[derive(Clone, Debug)]
pub struct MetricAnswer {
    /// The value.
    pub value: MetricValue,
    /// What the answer lacks because stored data is damaged.
    pub warnings: Vec<String>,
    /// What the query took.
    pub stats: LogStats,
}

/// The value of a metric query.
#[derive(Clone, Debug)]
pub enum MetricValue {
    /// One number: the query is a literal, evaluated at one moment.
    Scalar {
        /// When it was evaluated, in nanoseconds since the epoch.
        at_ns: i64,
        /// The number.
        value: f64,
    },
    /// One sample a series. The order is that of `sort` and `sort_desc` where the query holds one,
    /// else that of the labels.
    Vector {
        /// When it was evaluated, in nanoseconds since the epoch.
        at_ns: i64,
        /// Labels and value of each series.
        samples: Vec<(LabelSet, f64)>,
    },
    /// Samples over time, sorted by labels; no series is empty.
    Matrix(Vec<MetricSeries>),
}

/// One series of a matrix.
#[derive(Clone, Debug)]
pub struct MetricSeries {
    /// Its labels.
    pub labels: LabelSet,
    /// Time in nanoseconds and value of its samples, by time.
    pub points: Vec<(i64, f64)>,
}

/// The answer to a log query.
#[derive(Clone, Debug)]
pub struct EntriesAnswer {
    /// The entries in the order asked for, over all streams; entries of equal time by the labels of
    /// their stream, then in the order they came in (the reverse when going backward).
    pub entries: Vec<LogEntry>,
    /// What the answer lacks because stored data is damaged.
    pub warnings: Vec<String>,
    /// What the query took.
    pub stats: LogStats,
}

/// One entry, its labels kept apart by where they come from.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// The line as the stages left it; need not be UTF-8.
    pub line: Box<[u8]>,
    /// Labels of the stream as the stages left them.
    pub stream: LabelSet,
    /// Structured metadata.
    pub metadata: LabelSet,
    /// Labels that stages made, `__error__` and `__error_details__` among them.
    pub parsed: LabelSet,
}

impl LogEntry {
    /// All labels in one set.
    #[must_use]
    pub fn merged(&self) -> LabelSet {
        if self.metadata.is_empty() && self.parsed.is_empty() {
            return self.stream.clone();
        }
        // Of a repeated name the first counts: what a stage made replaces what was there.
        let pairs = self.parsed.iter().chain(self.metadata.iter()).chain(self.stream.iter());
        LabelSet::from_pairs(pairs)
    }
}

/// How entries are gathered into streams for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Categories {
    /// All labels name the stream: Loki's answer without `categorize-labels`.
    Merged,
    /// Only labels of the stream name it; metadata and parsed labels stay with the entry.
    Apart,
}

impl EntriesAnswer {
    /// The streams of the answer, sorted by their labels as text, each with its entries in order.
    #[must_use]
    pub fn streams(&self, categories: Categories) -> Vec<(LabelSet, Vec<&LogEntry>)> {
        let mut streams: BTreeMap<String, (LabelSet, Vec<&LogEntry>)> = BTreeMap::new();
        for entry in &self.entries {
            let labels = match categories {
                Categories::Merged => entry.merged(),
                Categories::Apart => entry.stream.clone(),
            };
            let stream = streams.entry(labels.to_string()).or_insert_with(|| (labels, Vec::new()));
            stream.1.push(entry);
        }
        streams.into_values().collect()
    }
}

/// What a query took.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogStats {
    /// Streams its selectors found.
    pub streams: u64,
    /// Lines looked at.
    pub lines: u64,
    /// Bytes of these lines.
    pub bytes: u64,
    /// Lines that passed all stages.
    pub lines_kept: u64,
    /// Time taken.
    pub total: std::time::Duration,
}
