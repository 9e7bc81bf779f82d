//! A write batch: what one request decodes to. It borrows the request's bytes.

use std::borrow::Cow;
use std::ops::Range;

use crate::histogram::Histogram;
use crate::log_batch::LogBatch;
use crate::metadata::{Exemplar, Metadata};
use crate::reject::{RejectReason, Rejects};
use crate::sample::Sample;

/// How the body of a WAL record is encoded, so that replay finds its decoder.
/// Numbers are part of the WAL format: never reused, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BodyKind {
    /// A remote-write 1.0 message in snappy block format.
    RemoteWrite1 = 1,
    /// A remote-write 2.0 message in snappy block format.
    RemoteWrite2 = 2,
    /// A remote-write 1.0 message, not compressed: what the server writes itself, and what is left
    /// of one that an agent of a pair sent.
    RemoteWrite1Plain = 3,
    /// A Loki push message in snappy block format.
    LokiPush = 4,
    /// A Loki push message, not compressed: what pushes in JSON are brought to.
    LokiPushPlain = 5,
    /// A remote-write 2.0 message, not compressed: what other protocols are translated to, and what
    /// is left of one that an agent of a pair sent.
    RemoteWrite2Plain = 6,
    /// A message of the server's own, not compressed: as remote write 2.0, but what its series
    /// refer to are parts of label sets, not names and values.
    LabelParts = 7,
}

impl BodyKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::RemoteWrite1),
            2 => Some(Self::RemoteWrite2),
            3 => Some(Self::RemoteWrite1Plain),
            4 => Some(Self::LokiPush),
            5 => Some(Self::LokiPushPlain),
            6 => Some(Self::RemoteWrite2Plain),
            7 => Some(Self::LabelParts),
            _ => None,
        }
    }

    /// Whether such a body holds log entries, not samples.
    #[must_use]
    pub const fn holds_logs(self) -> bool {
        matches!(self, Self::LokiPush | Self::LokiPushPlain)
    }
}

/// Reads name/value pairs out of a series' raw label bytes; one implementation per protocol.
///
/// It is called only when the hash of the bytes is not known yet. The bytes were checked to be
/// well-formed when the batch was decoded; UTF-8 and all rules of a label set are checked by
/// [`crate::validate::canonicalize`] afterwards.
pub trait LabelSource: Sync {
    /// Appends the pairs in the order received. `symbols` are those of the batch.
    ///
    /// # Errors
    /// If the bytes do not hold pairs.
    fn read<'a>(
        &'a self,
        raw: &'a [u8],
        symbols: &[&'a [u8]],
        pairs: &mut Vec<(&'a [u8], &'a [u8])>,
    ) -> Result<(), (RejectReason, String)>;
}

/// One series of a batch: raw label bytes and which samples are its own.
#[derive(Clone, Debug)]
pub struct BatchSeries<'a> {
    /// Label bytes as received; equal bytes mean equal label sets within one body kind. In a batch
    /// with symbols they are numbers of those, of four bytes each, lowest first; then equal texts
    /// one after the other mean equal label sets.
    pub labels: Cow<'a, [u8]>,
    /// Its part of [`WriteBatch::samples`].
    pub samples: Range<u32>,
    /// Its part of [`WriteBatch::histograms`].
    pub histograms: Range<u32>,
    /// Its part of [`WriteBatch::exemplars`].
    pub exemplars: Range<u32>,
}

/// A histogram with its times.
#[derive(Clone, Debug)]
pub struct HistogramSample {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Since when the histogram counts, in milliseconds since the epoch; 0 is unknown.
    pub start_timestamp_ms: i64,
    /// The histogram.
    pub histogram: Histogram,
}

/// What one request decodes to.
pub struct WriteBatch<'a> {
    /// How `body` is encoded.
    pub kind: BodyKind,
    /// The request's body as received, for the WAL.
    pub body: &'a [u8],
    /// Reads the label bytes of `series`.
    pub label_source: &'a dyn LabelSource,
    /// What label bytes refer to by number; empty if they are whole.
    pub symbols: Vec<&'a [u8]>,
    /// The series in order of the request. A series may come several times.
    pub series: Vec<BatchSeries<'a>>,
    /// All float samples, series after series.
    pub samples: Vec<Sample>,
    /// Start timestamps (0 = unknown) of `samples`, one each, or empty if none was sent.
    pub start_timestamps: Vec<i64>,
    /// All histograms, series after series.
    pub histograms: Vec<HistogramSample>,
    /// All exemplars, series after series.
    pub exemplars: Vec<Exemplar>,
    /// Metadata of metric families.
    pub metadata: Vec<Metadata>,
    /// What the decoder had to refuse.
    pub rejects: Rejects,
}

impl<'a> WriteBatch<'a> {
    /// Appends names and values of a series, in the order received.
    ///
    /// # Errors
    /// If its label bytes do not hold pairs.
    pub fn read_labels<'s>(
        &'s self,
        series: &'s BatchSeries<'a>,
        pairs: &mut Vec<(&'s [u8], &'s [u8])>,
    ) -> Result<(), (RejectReason, String)>
    where
        'a: 's,
    {
        self.label_source.read(&series.labels, &self.symbols, pairs)
    }
}

/// Decodes bodies found in the WAL at start; the same decoders that serve requests.
pub trait BodyDecoder: Send + Sync {
    /// Decodes `body` and hands the batch to `visit`, once.
    ///
    /// # Errors
    /// If the body cannot be decoded, in words. A body that was logged could be decoded when it
    /// came, so this means damage.
    fn decode(
        &self,
        kind: BodyKind,
        body: &[u8],
        visit: &mut dyn FnMut(&WriteBatch<'_>),
    ) -> Result<(), String>;

    /// As [`BodyDecoder::decode`], for kinds that hold log entries.
    ///
    /// # Errors
    /// If the body cannot be decoded, in words.
    fn decode_logs(
        &self,
        kind: BodyKind,
        _body: &[u8],
        _visit: &mut dyn FnMut(&LogBatch<'_>),
    ) -> Result<(), String> {
        Err(format!("bodies of kind {kind:?} are not decoded here"))
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct WriteOutcome {
    /// Float samples stored, or there already with the same value.
    pub samples_written: u64,
    /// Histograms stored, or there already.
    pub histograms_written: u64,
    /// Exemplars stored, or there already.
    pub exemplars_written: u64,
    /// What was refused.
    pub rejects: Rejects,
    /// Series that were seen for the first time.
    pub series_created: u64,
    /// Which items of the batch were refused: a bit each, lowest first; samples in order, then
    /// histograms, then exemplars. Items beyond its end were not.
    pub refused: Vec<u8>,
}

impl WriteOutcome {
    /// Whether this item of the batch was refused.
    #[must_use]
    pub fn is_refused(&self, item: usize) -> bool {
        self.refused.get(item / 8).is_some_and(|byte| byte >> (item % 8) & 1 == 1)
    }
}
