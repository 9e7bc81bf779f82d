//! A log batch: what one request with log entries decodes to. It borrows the request's bytes.

use std::borrow::Cow;
use std::ops::Range;

use crate::batch::BodyKind;
use crate::reject::{RejectReason, Rejects};

/// The label that names the service a stream comes from; derived where it is not sent.
pub const SERVICE_NAME: &str = "service_name";

/// The structured metadata that holds an entry's level; derived where it is not sent.
pub const DETECTED_LEVEL: &str = "detected_level";

/// A name and its value. Borrowed from the request but where it had escapes or was no UTF-8.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// One stream of a batch: its label set and which entries are its own.
#[derive(Clone, Debug)]
pub struct BatchStream<'a> {
    /// Label bytes as received; equal bytes mean equal label sets within one body kind.
    pub raw: Cow<'a, [u8]>,
    /// The label set read from them, sorted by name, without empty values; derived labels are
    /// there. The reason if it breaks a rule.
    pub labels: Result<Vec<Pair<'a>>, (RejectReason, String)>,
    /// Its part of [`LogBatch::entries`].
    pub entries: Range<u32>,
}

/// One entry of a batch.
#[derive(Clone, Debug)]
pub struct BatchEntry<'a> {
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// The line, which need not be UTF-8.
    pub line: &'a [u8],
    /// Its part of [`LogBatch::metadata`].
    pub metadata: Range<u32>,
}

/// What one request with log entries decodes to.
pub struct LogBatch<'a> {
    /// How `body` is encoded.
    pub kind: BodyKind,
    /// The request's body, for the WAL.
    pub body: &'a [u8],
    /// The streams in order of the request. A stream may come several times.
    pub streams: Vec<BatchStream<'a>>,
    /// All entries, stream after stream.
    pub entries: Vec<BatchEntry<'a>>,
    /// Structured metadata of all entries, entry after entry: sorted by name, names unique, no
    /// value empty, derived pairs among them.
    pub metadata: Vec<Pair<'a>>,
}

/// What became of a log batch.
#[derive(Clone, Debug, Default)]
pub struct LogOutcome {
    /// Entries stored, or there already.
    pub entries_written: u64,
    /// Bytes of their lines.
    pub line_bytes_written: u64,
    /// Streams seen for the first time since the last rotation of the head.
    pub streams_created: u64,
    /// What was refused.
    pub rejects: Rejects,
    /// A bit for each refused entry, eight to a byte; empty if none was refused.
    pub refused: Vec<u8>,
}

impl LogOutcome {
    /// Whether this entry of the batch was refused.
    #[must_use]
    pub fn is_refused(&self, entry: usize) -> bool {
        self.refused.get(entry / 8).is_some_and(|byte| byte >> (entry % 8) & 1 == 1)
    }
}
