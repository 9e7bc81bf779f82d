//! Rejects: parts of a request that were refused while the rest was stored.

use std::fmt::Write as _;

/// Why a sample, series or exemplar was refused. The name is a label value in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RejectReason {
    /// The series has no `__name__`, or an empty one.
    NoMetricName,
    /// A label name or value is not UTF-8.
    InvalidUtf8,
    /// A label name is empty.
    EmptyLabelName,
    /// A label name comes twice.
    DuplicateLabel,
    /// More labels than `limits.labels_per_series_max`.
    TooManyLabels,
    /// A label name is longer than `limits.label_name_bytes_max`.
    LabelNameTooLong,
    /// A label value is longer than `limits.label_value_bytes_max`.
    LabelValueTooLong,
    /// The labels of a series refer to symbols that are not there (remote write 2.0).
    BadSymbolReference,
    /// Older than the retention.
    TooOld,
    /// Later than now and ten minutes, a fixed bound.
    TooFarInFuture,
    /// A histogram that breaks a rule of its own.
    InvalidHistogram,
    /// An exemplar that breaks a rule of its own.
    InvalidExemplar,
    /// A series with neither samples nor histograms (remote write 2.0).
    EmptySeries,
    /// The tenant has `limits.active_series_max` series.
    SeriesLimit,
    /// A metric family name or its texts break a limit.
    InvalidMetadata,
    /// A stream has no label.
    NoLabels,
    /// The labels of a stream cannot be read.
    InvalidLabels,
    /// A line is longer than `limits.line_bytes_max`.
    LineTooLong,
    /// The structured metadata of an entry has more than `limits.metadata_bytes_max` bytes.
    MetadataTooLarge,
    /// The structured metadata of an entry has more than `limits.metadata_pairs_max` pairs.
    TooMuchMetadata,
    /// The tenant has `ha.clusters_max` clusters of agents.
    TooManyClusters,
}

impl RejectReason {
    /// Every reason.
    pub const ALL: [Self; 21] = [
        Self::NoMetricName,
        Self::InvalidUtf8,
        Self::EmptyLabelName,
        Self::DuplicateLabel,
        Self::TooManyLabels,
        Self::LabelNameTooLong,
        Self::LabelValueTooLong,
        Self::BadSymbolReference,
        Self::TooOld,
        Self::TooFarInFuture,
        Self::InvalidHistogram,
        Self::InvalidExemplar,
        Self::EmptySeries,
        Self::SeriesLimit,
        Self::InvalidMetadata,
        Self::NoLabels,
        Self::InvalidLabels,
        Self::LineTooLong,
        Self::MetadataTooLarge,
        Self::TooMuchMetadata,
        Self::TooManyClusters,
    ];

    /// Name in metrics and in `/api/v1/status/ingest`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoMetricName => "no_metric_name",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::EmptyLabelName => "empty_label_name",
            Self::DuplicateLabel => "duplicate_label",
            Self::TooManyLabels => "too_many_labels",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::BadSymbolReference => "bad_symbol_reference",
            Self::TooOld => "too_old",
            Self::TooFarInFuture => "too_far_in_future",
            Self::InvalidHistogram => "invalid_histogram",
            Self::InvalidExemplar => "invalid_exemplar",
            Self::EmptySeries => "empty_series",
            Self::SeriesLimit => "series_limit",
            Self::InvalidMetadata => "invalid_metadata",
            Self::NoLabels => "no_labels",
            Self::InvalidLabels => "invalid_labels",
            Self::LineTooLong => "line_too_long",
            Self::MetadataTooLarge => "metadata_too_large",
            Self::TooMuchMetadata => "too_much_metadata",
            Self::TooManyClusters => "too_many_clusters",
        }
    }
}

/// Rejects of one request: a count per reason and the text of the first of each.
#[derive(Clone, Debug, Default)]
pub struct Rejects {
    entries: Vec<(RejectReason, u64, String)>,
}

impl Rejects {
    /// Counts `count` refused items; `text` is only built for the first item of a reason.
    pub fn add(&mut self, reason: RejectReason, count: u64, text: impl FnOnce() -> String) {
        match self.entries.iter_mut().find(|(r, ..)| *r == reason) {
            Some((_, n, _)) => *n += count,
            None => self.entries.push((reason, count, text())),
        }
    }

    /// Takes over the rejects of another part of the same request.
    pub fn merge(&mut self, other: Self) {
        for (reason, count, text) in other.entries {
            self.add(reason, count, || text);
        }
    }

    /// Whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of refused items over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.entries.iter().map(|(_, n, _)| n).sum()
    }

    /// Reason, count and example, in order of first sight.
    pub fn iter(&self) -> impl Iterator<Item = (RejectReason, u64, &str)> {
        self.entries.iter().map(|(reason, count, text)| (*reason, *count, text.as_str()))
    }

    /// One line for the sender: how many of what, with an example each.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut line = String::new();
        for (i, (reason, count, text)) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            let _ = write!(line, "{separator}{count} rejected ({}): {text}", reason.as_str());
        }
        line
    }
}
