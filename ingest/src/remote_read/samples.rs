//! The answer to a remote read as one message, `ReadResponse`: every series with its samples.

use ephemeris_model::{FloatHistogram, Labels, SampleBuffer, Span};
use prost::Message as _;

use super::put_varint;
use crate::proto::write_v1::{BucketSpan, Count, Histogram, Label, Sample, TimeSeries, ZeroCount};

/// Tag of the one field of `ReadResponse` and of `QueryResult`: number 1, length-delimited.
const TAG: u8 = 0x0a;

/// Builds the answer, query by query.
#[derive(Debug, Default)]
pub struct ReadResponse {
    message: Vec<u8>,
    result: Vec<u8>,
}

impl ReadResponse {
    /// Adds a series to the result of the query at hand.
    pub fn series(&mut self, labels: &Labels, samples: &SampleBuffer) {
        let series = message_of(labels, samples);
        self.result.push(TAG);
        put_varint(&mut self.result, series.encoded_len() as u64);
        // A vector grows as needed, so this cannot fail.
        let _ = series.encode(&mut self.result);
    }

    /// Ends the result of the query at hand; every query of the request has one.
    pub fn end_query(&mut self) {
        self.message.push(TAG);
        put_varint(&mut self.message, self.result.len() as u64);
        self.message.append(&mut self.result);
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.message.len() + self.result.len()
    }

    /// Whether nothing was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole message.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.message
    }
}

/// The labels of a series as messages.
pub(super) fn labels_of(labels: &Labels) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(name, value)).collect()
}

fn message_of(labels: &Labels, buffer: &SampleBuffer) -> TimeSeries {
    let mut series = TimeSeries { labels: labels_of(labels), ..TimeSeries::default() };
    for (place, (at, value)) in buffer.timestamps.iter().zip(&buffer.values).enumerate() {
        match buffer.histogram_at(place) {
            Some(histogram) => series.histograms.push(histogram_of(*at, histogram)),
            None => series.samples.push(Sample::new(*at, *value)),
        }
    }
    series
}

fn histogram_of(at: i64, h: &FloatHistogram) -> Histogram {
    let spans = |spans: &[Span]| {
        let message = |s: &Span| BucketSpan { offset: s.offset, length: s.length };
        spans.iter().map(message).collect()
    };
    Histogram {
        count: Some(Count::Float(h.count)),
        sum: Some(h.sum),
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: Some(ZeroCount::Float(h.zero_count)),
        negative_spans: spans(&h.negative_spans),
        negative_counts: h.negative_buckets.clone(),
        positive_spans: spans(&h.positive_spans),
        positive_counts: h.positive_buckets.clone(),
        reset_hint: h.reset_hint as i32,
        timestamp: at,
        custom_values: h.custom_values.clone(),
        ..Histogram::default()
    }
}
