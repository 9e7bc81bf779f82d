//! Annotations as functions give them: what happened and to which metric. Where in the query that
//! was is known only to the caller, which turns a note into an annotation.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use crate::promql::annotations::Severity;
use crate::promql::text::quote;

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoteKind {
    /// A range holds floats and histograms, which the function cannot mix.
    MixedFloatsHistograms,
    /// A vector holds a classic and a native histogram of the same name and labels.
    MixedClassicNative,
    /// A vector or range holds exponential and custom buckets.
    MixedExponentialCustom,
    /// A function for counters got a gauge histogram.
    NotCounter,
    /// A function for gauges got a counter histogram.
    NotGauge,
    /// The name of a float metric does not look like that of a counter.
    PossibleNonCounter,
    /// Histograms of a mixed range were left out.
    HistogramIgnoredInMixedRange,
    /// A quantile outside [0, 1].
    InvalidQuantile(f64),
    /// Classic buckets were not monotonic.
    ForcedMonotonicity,
    /// A quantile of a histogram with NaN observations is NaN.
    QuantileNanResult,
    /// A quantile of a histogram with NaN observations is too high.
    QuantileNanSkew,
    /// NaN observations are in no fraction.
    FractionNan,
    /// Resets and non-resets were added up.
    ResetCollision(Combination),
    /// Custom bucket bounds differ; those that all have were kept.
    ReconciledBounds(Combination),
    /// A start timestamp lies before the previous sample.
    OverlappingStart,
    /// Sorting has no effect in a range query.
    SortInRange,
    /// The `le` label is missing or is no number.
    BadBucketLabel,
}

/// What was done to histograms when there is something to tell about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// `+`
    Addition,
    /// `-`
    Subtraction,
    /// `sum`, `avg` and their `_over_time` forms.
    Aggregation,
}

impl Combination {
    /// As annotations name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// A note: its kind, and what its text is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// What there is to tell.
    pub kind: NoteKind,
    /// Name of the metric; may be empty.
    pub metric_name: String,
    /// More of the text: the malformed value of a bucket label. Mostly empty.
    pub detail: String,
    /// Which argument of the call it is about, from 0; none for the call as a whole.
    pub argument: Option<usize>,
}

impl Note {
    /// How much it matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self.kind {
            NoteKind::PossibleNonCounter
            | NoteKind::HistogramIgnoredInMixedRange
            | NoteKind::ForcedMonotonicity
            | NoteKind::QuantileNanResult
            | NoteKind::QuantileNanSkew
            | NoteKind::FractionNan
            | NoteKind::ReconciledBounds(_) => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// The text of the annotation, without severity in front and position behind.
    #[must_use]
    pub fn text(&self) -> String {
        let name = &self.metric_name;
        let behind = if name.is_empty() {
            String::new()
        } else {
            format!(" for metric name {}", quote(name))
        };
        let name = quote(name);
        match self.kind {
            NoteKind::MixedFloatsHistograms => {
                format!("encountered a mix of histograms and floats for metric name {name}")
            }
            NoteKind::MixedClassicNative => {
                format!("vector contains a mix of classic and native histograms{behind}")
            }
            NoteKind::MixedExponentialCustom => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas \
                 for metric name {name}"
            ),
            NoteKind::NotCounter => {
                format!("this native histogram metric is not a counter: {name}")
            }
            NoteKind::NotGauge => format!("this native histogram metric is not a gauge: {name}"),
            NoteKind::PossibleNonCounter => format!(
                "metric might not be a counter, name does not end in \
                 _total/_sum/_count/_bucket: {name}"
            ),
            NoteKind::HistogramIgnoredInMixedRange => format!(
                "ignored histograms in a range containing both floats and histograms for metric \
                 name {name}"
            ),
            NoteKind::InvalidQuantile(value) => format!(
                "quantile value should be between 0 and 1, got {}",
                crate::promql::functions::format_g(value)
            ),
            NoteKind::ForcedMonotonicity => format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/\
                 #histogram_quantile){behind}"
            ),
            NoteKind::QuantileNanResult => {
                format!("input to histogram_quantile has NaN observations, result is NaN{behind}")
            }
            NoteKind::QuantileNanSkew => format!(
                "input to histogram_quantile has NaN observations, result is skewed higher{behind}"
            ),
            NoteKind::FractionNan => format!(
                "input to histogram_fraction has NaN observations, which are excluded from all \
                 fractions{behind}"
            ),
            NoteKind::ResetCollision(how) => {
                format!("conflicting counter resets during histogram {}", how.as_str())
            }
            NoteKind::ReconciledBounds(how) => {
                format!("mismatched custom buckets were reconciled during {}", how.as_str())
            }
            NoteKind::OverlappingStart => format!(
                "sample has start time that overlaps with previous sample timestamp for metric \
                 {name}"
            ),
            NoteKind::SortInRange => "sort is ineffective for range queries since results are \
                 always ordered by labels"
                .to_owned(),
            NoteKind::BadBucketLabel => format!(
                "bucket label \"le\" is missing or has a malformed value of {}{behind}",
                quote(&self.detail)
            ),
        }
    }
}

/// Notes of one call, each once.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    entries: Vec<Note>,
    /// Places of the notes by their hash: there may be one for each metric.
    places: FxHashMap<u64, Vec<u32>>,
}

impl Notes {
    /// Adds a note about `argument` unless it is there already.
    pub fn add(&mut self, kind: NoteKind, argument: usize, metric_name: &str) {
        self.insert(kind, Some(argument), metric_name, "");
    }

    /// Adds a note about the call as a whole.
    pub fn add_for_call(&mut self, kind: NoteKind, metric_name: &str) {
        self.insert(kind, None, metric_name, "");
    }

    /// Adds a note with a detail.
    pub fn add_detailed(&mut self, kind: NoteKind, argument: usize, name: &str, detail: &str) {
        self.insert(kind, Some(argument), name, detail);
    }

    fn insert(&mut self, kind: NoteKind, argument: Option<usize>, name: &str, detail: &str) {
        let same = |note: &Note| {
            same_kind(note.kind, kind)
                && note.argument == argument
                && note.metric_name == name
                && note.detail == detail
        };
        // A note mostly comes again at the next step.
        if self.entries.last().is_some_and(same) {
            return;
        }
        let mut hasher = FxHasher::default();
        (argument, name, detail, std::mem::discriminant(&kind)).hash(&mut hasher);
        if let NoteKind::InvalidQuantile(value) = kind {
            value.to_bits().hash(&mut hasher);
        }
        let places = self.places.entry(hasher.finish()).or_default();
        if !places.iter().any(|at| self.entries.get(*at as usize).is_some_and(same)) {
            places.push(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
            let (metric_name, detail) = (name.to_owned(), detail.to_owned());
            self.entries.push(Note { kind, metric_name, detail, argument });
        }
    }

    /// Takes over all of `other`.
    pub fn merge(&mut self, other: Self) {
        for note in other.entries {
            self.insert(note.kind, note.argument, &note.metric_name, &note.detail);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The notes in order of appearance.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.entries.iter()
    }
}

/// Equality that finds a NaN equal to itself, since `InvalidQuantile` may hold one.
fn same_kind(a: NoteKind, b: NoteKind) -> bool {
    match (a, b) {
        (NoteKind::InvalidQuantile(a), NoteKind::InvalidQuantile(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_once() {
        let mut notes = Notes::default();
        notes.add(NoteKind::InvalidQuantile(f64::NAN), 0, "");
        notes.add(NoteKind::InvalidQuantile(f64::NAN), 0, "");
        notes.add(NoteKind::NotGauge, 0, "a");
        notes.add(NoteKind::NotGauge, 0, "b");
        let texts: Vec<String> = notes.iter().map(Note::text).collect();
        assert_eq!(
            texts,
            [
                "quantile value should be between 0 and 1, got NaN",
                "this native histogram metric is not a gauge: \"a\"",
                "this native histogram metric is not a gauge: \"b\"",
            ]
        );
    }
}
