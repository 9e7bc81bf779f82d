//! What both versions share while a batch is being built: the memory budget, the columns of the
//! batch and where the current series began in them.

use std::mem::size_of;
use std::ops::Range;

use ephemeris_model::batch::HistogramSample;
use ephemeris_model::{
    BatchSeries, BodyKind, Exemplar, LabelSource, Metadata, RejectReason, Rejects, Sample,
    WriteBatch,
};

use crate::error::IngestError;

use super::sample::RawSample;

/// Bytes of a help text or unit above which metadata is refused.
const METADATA_TEXT_BYTES_MAX: usize = 16 << 10;
/// Bytes of the name of a metric family above which metadata is refused.
const METADATA_NAME_BYTES_MAX: usize = 1 << 10;

/// Memory that decoding may still take.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self { left: limit, limit }
    }

    /// Takes `bytes` of it.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), IngestError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(IngestError::BatchTooLarge { limit: self.limit }),
        }
    }

    /// Takes the size of one more `T`.
    #[inline]
    pub(super) fn take_one<T>(&mut self) -> Result<(), IngestError> {
        self.take(size_of::<T>())
    }
}

/// The columns of a batch so far.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) samples: Vec<Sample>,
    /// As long as `samples`, or empty as long as no sample has one.
    pub(super) start_timestamps: Vec<i64>,
    pub(super) histograms: Vec<HistogramSample>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) metadata: Vec<Metadata>,
    pub(super) rejects: Rejects,
}

/// Where a series begins in the columns, and what was refused of it.
pub(super) struct Open {
    samples: usize,
    histograms: usize,
    exemplars: usize,
    bad_histograms: Refused,
    bad_exemplars: Refused,
}

/// How many items of a series were refused, and why the first was.
#[derive(Default)]
struct Refused {
    count: u64,
    text: String,
}

impl Refused {
    fn add(&mut self, text: String) {
        if self.count == 0 {
            self.text = text;
        }
        self.count += 1;
    }
}

impl Open {
    pub(super) fn refuse_histogram(&mut self, text: String) {
        self.bad_histograms.add(text);
    }

    pub(super) fn refuse_exemplar(&mut self, text: String) {
        self.bad_exemplars.add(text);
    }

    /// Whether items of the series were refused, so that it is not empty for want of any.
    pub(super) const fn has_refused(&self) -> bool {
        self.bad_histograms.count + self.bad_exemplars.count > 0
    }
}

/// The items of one series.
#[derive(Clone, Debug)]
pub(super) struct Items {
    pub(super) samples: Range<u32>,
    pub(super) histograms: Range<u32>,
    pub(super) exemplars: Range<u32>,
}

impl Items {
    pub(super) const fn series(self, labels: std::borrow::Cow<'_, [u8]>) -> BatchSeries<'_> {
        BatchSeries {
            labels,
            samples: self.samples,
            histograms: self.histograms,
            exemplars: self.exemplars,
        }
    }
}

impl Columns {
    /// Begins a series.
    #[inline]
    pub(super) fn open(&self) -> Open {
        Open {
            samples: self.samples.len(),
            histograms: self.histograms.len(),
            exemplars: self.exemplars.len(),
            bad_histograms: Refused::default(),
            bad_exemplars: Refused::default(),
        }
    }

    /// Ends a series: reports what was refused of it and gives its items, or none if it has none.
    #[inline]
    pub(super) fn close(
        &mut self,
        open: &Open,
        name: impl FnOnce() -> String,
    ) -> Result<Option<Items>, IngestError> {
        if open.has_refused() {
            self.report(open, &name());
        }
        let items = Items {
            samples: range(open.samples, self.samples.len())?,
            histograms: range(open.histograms, self.histograms.len())?,
            exemplars: range(open.exemplars, self.exemplars.len())?,
        };
        let none =
            items.samples.is_empty() && items.histograms.is_empty() && items.exemplars.is_empty();
        Ok((!none).then_some(items))
    }

    /// The items of a series that has the newest sample and nothing else.
    #[inline]
    pub(super) fn last_sample(&self) -> Result<Items, IngestError> {
        let end = number(self.samples.len())?;
        let (histograms, exemplars) =
            (number(self.histograms.len())?, number(self.exemplars.len())?);
        Ok(Items {
            samples: end.saturating_sub(1)..end,
            histograms: histograms..histograms,
            exemplars: exemplars..exemplars,
        })
    }

    #[cold]
    fn report(&mut self, open: &Open, name: &str) {
        for (reason, refused) in [
            (RejectReason::InvalidHistogram, &open.bad_histograms),
            (RejectReason::InvalidExemplar, &open.bad_exemplars),
        ] {
            if refused.count > 0 {
                self.rejects
                    .add(reason, refused.count, || format!("series {name:?}: {}", refused.text));
            }
        }
    }

    /// Adds a sample without start timestamp.
    #[inline]
    pub(super) fn push_plain_sample(&mut self, sample: Sample) {
        self.samples.push(sample);
        if !self.start_timestamps.is_empty() {
            self.start_timestamps.push(0);
        }
    }

    /// Adds a sample; its start timestamp takes a column as soon as one sample has one.
    #[inline]
    pub(super) fn push_sample(
        &mut self,
        raw: RawSample,
        budget: &mut Budget,
    ) -> Result<(), IngestError> {
        budget.take_one::<Sample>()?;
        self.samples.push(Sample { timestamp_ms: raw.timestamp_ms, value: raw.value });
        if raw.start_timestamp_ms != 0 || !self.start_timestamps.is_empty() {
            budget.take_one::<i64>()?;
            self.start_timestamps.resize(self.samples.len(), 0);
            if let Some(last) = self.start_timestamps.last_mut() {
                *last = raw.start_timestamp_ms;
            }
        }
        Ok(())
    }

    /// Gives the items of the open series that have no start timestamp this one.
    pub(super) fn set_start_timestamps(&mut self, open: &Open, start_timestamp_ms: i64) {
        for sample in self.histograms.iter_mut().skip(open.histograms) {
            if sample.start_timestamp_ms == 0 {
                sample.start_timestamp_ms = start_timestamp_ms;
            }
        }
        if start_timestamp_ms == 0 || self.samples.len() == open.samples {
            return;
        }
        self.start_timestamps.resize(self.samples.len(), 0);
        for start in self.start_timestamps.iter_mut().skip(open.samples).filter(|s| **s == 0) {
            *start = start_timestamp_ms;
        }
    }

    /// Takes back what was added since the series was opened; gives the number of its items, and 1
    /// for a series without any.
    pub(super) fn take_back(&mut self, open: &Open) -> u64 {
        let items = (self.samples.len() - open.samples)
            + (self.histograms.len() - open.histograms)
            + (self.exemplars.len() - open.exemplars);
        self.samples.truncate(open.samples);
        self.start_timestamps.truncate(open.samples);
        self.histograms.truncate(open.histograms);
        self.exemplars.truncate(open.exemplars);
        (items as u64 + open.bad_histograms.count + open.bad_exemplars.count).max(1)
    }

    /// Counts a series without samples, histograms and exemplars.
    pub(super) fn refuse_empty(&mut self, name: &str) {
        self.rejects.add(RejectReason::EmptySeries, 1, || {
            format!("series {name:?} has neither samples nor histograms")
        });
    }

    /// Counts metadata that cannot be used.
    pub(super) fn refuse_metadata(&mut self, text: String) {
        self.rejects.add(RejectReason::InvalidMetadata, 1, || text);
    }

    /// Adds metadata if its texts are UTF-8 and of reasonable size; else it is a reject.
    pub(super) fn add_metadata(&mut self, metadata: RawMetadata<'_>) {
        match metadata.check() {
            Ok(checked) => self.metadata.push(checked),
            Err(text) => self.refuse_metadata(text),
        }
    }

    /// The batch, once all series are known.
    pub(super) fn into_batch<'a>(
        self,
        kind: BodyKind,
        body: &'a [u8],
        (label_source, symbols): (&'a dyn LabelSource, Vec<&'a [u8]>),
        series: Vec<BatchSeries<'a>>,
    ) -> WriteBatch<'a> {
        WriteBatch {
            kind,
            body,
            label_source,
            symbols,
            series,
            samples: self.samples,
            start_timestamps: self.start_timestamps,
            histograms: self.histograms,
            exemplars: self.exemplars,
            metadata: self.metadata,
            rejects: self.rejects,
        }
    }
}

#[inline]
fn number(n: usize) -> Result<u32, IngestError> {
    u32::try_from(n).map_err(|_| IngestError::BatchTooLarge { limit: u32::MAX as usize })
}

fn range(start: usize, end: usize) -> Result<Range<u32>, IngestError> {
    Ok(number(start)?..number(end)?)
}

/// Metadata as received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawMetadata<'a> {
    pub(super) metric: &'a [u8],
    pub(super) metric_type: u64,
    pub(super) help: &'a [u8],
    pub(super) unit: &'a [u8],
}

impl RawMetadata<'_> {
    fn check(&self) -> Result<Metadata, String> {
        let shown = String::from_utf8_lossy(&self.metric[..self.metric.len().min(100)]);
        if self.metric.is_empty() {
            return Err("metadata without name of a metric".to_owned());
        }
        let text = |what, bytes: &[u8], limit| {
            if bytes.len() > limit {
                let length = bytes.len();
                return Err(format!(
                    "{what} in metadata of {shown:?} is {length} bytes; limit is {limit}"
                ));
            }
            simdutf8::basic::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|_| format!("{what} in metadata of {shown:?} is not UTF-8"))
        };
        Ok(Metadata {
            metric: text("name", self.metric, METADATA_NAME_BYTES_MAX)?,
            metric_type: ephemeris_model::MetricType::from_number(self.metric_type),
            help: text("help", self.help, METADATA_TEXT_BYTES_MAX)?,
            unit: text("unit", self.unit, METADATA_TEXT_BYTES_MAX)?,
        })
    }
}
