//! The words of Ephemeris: labels, samples, histograms, matchers, time, write batches and the
//! [`Source`] trait. No I/O, no protocol and no storage format lives here.
//!
//! | module | holds |
//! |---|---|
//! | [`time`] | [`TimestampMs`], [`TimeRange`] |
//! | [`labels`] | [`Labels`], [`LabelsBuilder`]: sorted, unique label sets |
//! | [`sample`] | [`Sample`], the staleness marker, [`SampleBuffer`] |
//! | [`histogram`] | native histograms, as received and as PromQL computes with them |
//! | [`matcher`] | [`Matcher`]: `=`, `!=`, `=~`, `!~` |
//! | [`pattern`] | [`PatternBudget`]: what the patterns of a request may cost |
//! | [`re2`] | patterns in Prometheus' syntax for the `regex` crate |
//! | [`batch`] | [`WriteBatch`]: what a request decodes to |
//! | [`validate`] | the rules for a label set and their [`Limits`] |
//! | [`reject`] | samples refused one by one: reasons, counts, examples |
//! | [`line_filter`] | [`LineFilter`]: which lines a deletion is about |
//! | [`line_search`] | [`LineSearches`]: conditions on lines, told of many lines at once |
//! | [`masked`] | texts and patterns for lines without their digits |
//! | [`literals`] | texts a regular expression must find |
//! | [`log_batch`] | [`LogBatch`]: what a request with log entries decodes to |
//! | [`logs`] | log entries, [`LogSource`]: what a log query needs of a store |
//! | [`metadata`] | type, help and unit of a metric; exemplars |
//! | [`source`] | [`Source`]: what a query needs of a store |
//!
//! When you add a [`RejectReason`], also give it a text in `reject.rs`; the server's metrics
//! take their label values from there.

pub mod batch;
pub mod histogram;
pub mod labels;
pub mod line_filter;
pub mod line_search;
pub mod literals;
pub mod log_batch;
pub mod logs;
pub mod masked;
pub mod matcher;
pub mod metadata;
pub mod pattern;
pub mod re2;
pub mod reject;
pub mod sample;
pub mod source;
pub mod time;
pub mod validate;

pub use batch::{BatchSeries, BodyDecoder, BodyKind, LabelSource, WriteBatch, WriteOutcome};
pub use histogram::{CounterResetHint, FloatHistogram, Histogram, HistogramCounts, Span};
pub use labels::{Labels, LabelsBuilder, METRIC_NAME};
pub use line_filter::{LineFilter, LineMatch};
pub use line_search::{Digits, LineSearch, LineSearches, Lines};
pub use log_batch::{BatchEntry, BatchStream, LogBatch, LogOutcome};
pub use logs::{
    CountBy, Direction, EntryBuffer, EntryCount, LabelHint, LogColumns, LogSelect, LogSource,
    NanoRange, StreamList, StreamSet, Tally, TallyBy,
};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use metadata::{Exemplar, Metadata, MetricType};
pub use pattern::PatternBudget;
pub use reject::{RejectReason, Rejects};
pub use sample::{STALE_NAN_BITS, Sample, SampleBuffer, is_stale, stale_nan};
pub use source::{ReadStats, Select, SeriesCount, SeriesCounts, SeriesSet, Source, SourceError};
pub use time::{TimeRange, TimestampMs};
pub use validate::Limits;
