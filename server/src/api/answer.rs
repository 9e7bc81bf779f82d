//! Answers to PromQL queries as JSON.

use std::vec::IntoIter;

use ephemeris_query::promql::exec::batch::Point;
use ephemeris_query::promql::result::{AnswerValue, MatrixSeries, VectorSample};

use super::histogram::write_histogram;
use super::json::{AnnotationKind, Html, write_escaped};
use super::json::{tail, write_annotations, write_labels};
use super::number::{write_fixed, write_plain_seconds, write_timestamp, write_value};
use super::stats::{AnswerStats, write_stats};
use super::stream::{More, Pieces};

/// Text of the warning when a limit cut an answer.
pub const TRUNCATED: &str = "results truncated due to limit";

/// Cuts an answer to `limit` series.
///
/// # Returns
/// Whether something was cut.
pub fn truncate(value: &mut AnswerValue, limit: Option<usize>) -> bool {
    let Some(limit) = limit else { return false };
    let before = match value {
        AnswerValue::Vector { samples, .. } => {
            let before = samples.len();
            samples.truncate(limit);
            before
        }
        AnswerValue::Matrix(series) => {
            let before = series.len();
            series.truncate(limit);
            before
        }
        AnswerValue::Scalar { .. } | AnswerValue::String { .. } => 0,
    };
    before > limit
}

/// Writes an answer piece by piece.
pub struct AnswerPieces {
    begun: bool,
    rest: Rest,
    tail: Vec<u8>,
}

enum Rest {
    Whole(AnswerValue),
    Vector { at_ms: i64, samples: IntoIter<VectorSample>, first: bool },
    Matrix { series: IntoIter<MatrixSeries>, open: Option<OpenSeries>, first: bool },
    Done,
}

/// A series of which a part is written.
struct OpenSeries {
    series: MatrixSeries,
    floats_written: usize,
    histograms_written: usize,
}

impl AnswerPieces {
    /// Prepares an answer; `stats` is written if `detail` asks for it.
    #[must_use]
    pub fn new(
        value: AnswerValue,
        stats: &AnswerStats,
        warnings: &[String],
        infos: &[String],
    ) -> Self {
        let mut end = Vec::new();
        write_stats(&mut end, stats);
        end.push(b'}');
        write_annotations(&mut end, AnnotationKind::Warnings, warnings);
        end.append(&mut tail(&[], infos));
        Self { begun: false, rest: Rest::Whole(value), tail: end }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"status":"success","data":{"resultType":""#);
        self.rest = match std::mem::replace(&mut self.rest, Rest::Done) {
            Rest::Whole(AnswerValue::Scalar { at_ms, value }) => {
                out.extend_from_slice(br#"scalar","result":["#);
                write_plain_seconds(out, at_ms);
                out.extend_from_slice(b",\"");
                write_fixed(out, value);
                out.extend_from_slice(b"\"]");
                Rest::Done
            }
            Rest::Whole(AnswerValue::String { at_ms, text }) => {
                out.extend_from_slice(br#"string","result":["#);
                write_plain_seconds(out, at_ms);
                out.push(b',');
                write_escaped(out, &text, Html::Escape);
                out.push(b']');
                Rest::Done
            }
            Rest::Whole(AnswerValue::Vector { at_ms, samples }) => {
                out.extend_from_slice(br#"vector","result":["#);
                Rest::Vector { at_ms, samples: samples.into_iter(), first: true }
            }
            Rest::Whole(AnswerValue::Matrix(series)) => {
                out.extend_from_slice(br#"matrix","result":["#);
                Rest::Matrix { series: series.into_iter(), open: None, first: true }
            }
            other => other,
        };
    }
}

impl Pieces for AnswerPieces {
    fn fill(&mut self, out: &mut Vec<u8>, bytes_wanted: usize) -> More {
        if !self.begun {
            self.begun = true;
            self.begin(out);
        }
        while out.len() < bytes_wanted {
            let more = match &mut self.rest {
                Rest::Vector { at_ms, samples, first } => next_sample(out, *at_ms, samples, first),
                Rest::Matrix { series, open, first } => {
                    next_of_matrix(out, (series, open, first), bytes_wanted)
                }
                Rest::Whole(_) | Rest::Done => More::No,
            };
            if more == More::No {
                if matches!(self.rest, Rest::Vector { .. } | Rest::Matrix { .. }) {
                    out.push(b']');
                }
                self.rest = Rest::Done;
                out.append(&mut self.tail);
                return More::No;
            }
        }
        More::Yes
    }
}

fn separate(out: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
}

fn next_sample(
    out: &mut Vec<u8>,
    at_ms: i64,
    samples: &mut IntoIter<VectorSample>,
    first: &mut bool,
) -> More {
    let Some(sample) = samples.next() else { return More::No };
    separate(out, first);
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, &sample.labels);
    match &sample.point {
        Point::Float(value) => {
            out.extend_from_slice(br#","value":"#);
            write_float_pair(out, at_ms, *value);
        }
        Point::Histogram(histogram) => {
            out.extend_from_slice(br#","histogram":["#);
            write_timestamp(out, at_ms);
            out.push(b',');
            write_histogram(out, histogram);
            out.push(b']');
        }
    }
    out.push(b'}');
    More::Yes
}

type MatrixState<'a> = (&'a mut IntoIter<MatrixSeries>, &'a mut Option<OpenSeries>, &'a mut bool);

fn next_of_matrix(out: &mut Vec<u8>, state: MatrixState<'_>, bytes_wanted: usize) -> More {
    let (series, open, first) = state;
    if open.is_none() {
        let Some(next) = series.next() else { return More::No };
        separate(out, first);
        out.extend_from_slice(br#"{"metric":"#);
        write_labels(out, &next.labels);
        *open = Some(OpenSeries { series: next, floats_written: 0, histograms_written: 0 });
    }
    if let Some(current) = open
        && current.write(out, bytes_wanted) == More::No
    {
        out.push(b'}');
        *open = None;
    }
    More::Yes
}

impl OpenSeries {
    fn write(&mut self, out: &mut Vec<u8>, bytes_wanted: usize) -> More {
        while let Some((at_ms, value)) = self.series.floats.get(self.floats_written) {
            if out.len() >= bytes_wanted {
                return More::Yes;
            }
            let lead: &[u8] = if self.floats_written == 0 { br#","values":["# } else { b"," };
            out.extend_from_slice(lead);
            write_float_pair(out, *at_ms, *value);
            self.floats_written += 1;
            if self.floats_written == self.series.floats.len() {
                out.push(b']');
            }
        }
        while let Some((at_ms, histogram)) = self.series.histograms.get(self.histograms_written) {
            if out.len() >= bytes_wanted {
                return More::Yes;
            }
            let first = self.histograms_written == 0;
            out.extend_from_slice(if first { br#","histograms":[["# } else { b",[" });
            write_timestamp(out, *at_ms);
            out.push(b',');
            write_histogram(out, histogram);
            out.push(b']');
            self.histograms_written += 1;
            if self.histograms_written == self.series.histograms.len() {
                out.push(b']');
            }
        }
        More::No
    }
}

fn write_float_pair(out: &mut Vec<u8>, at_ms: i64, value: f64) {
    out.push(b'[');
    write_timestamp(out, at_ms);
    out.extend_from_slice(b",\"");
    write_value(out, value);
    out.extend_from_slice(b"\"]");
}

#[cfg(test)]
mod tests;
