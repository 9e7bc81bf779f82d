//! Requests of the tests: an encoding of their own, with its decoder.

use std::borrow::Cow;

use ephemeris_model::batch::HistogramSample;
use ephemeris_model::{
    BatchSeries, BodyDecoder, BodyKind, CounterResetHint, Exemplar, Histogram, HistogramCounts,
    LabelSource, Labels, LogBatch, Metadata, MetricType, RejectReason, Rejects, Sample, Span,
    WriteBatch,
};
use serde::{Deserialize, Serialize};

use super::logs::Push;
use crate::encoding::Input;

/// A float sample: time, bits of the value, start timestamp.
pub(super) type FloatRow = (i64, u64, i64);

/// One series of a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RequestSeries {
    /// Pairs in the order sent.
    pub(super) labels: Vec<(String, String)>,
    pub(super) floats: Vec<FloatRow>,
    /// Time and count.
    pub(super) histograms: Vec<(i64, u64)>,
    /// Start timestamps of the histograms, as far as they have one.
    #[serde(default)]
    pub(super) histogram_starts: Vec<i64>,
    /// Time and trace id.
    pub(super) exemplars: Vec<(i64, String)>,
}

/// A request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) series: Vec<RequestSeries>,
    /// Metric families with help.
    pub(super) metadata: Vec<(String, String)>,
}

impl Request {
    /// A request of one float sample.
    pub(super) fn of(labels: &[(&str, &str)], time: i64, value: f64) -> Self {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let floats = vec![(time, value.to_bits(), 0)];
        let series = RequestSeries { labels, floats, ..RequestSeries::default() };
        Self { series: vec![series], metadata: Vec::new() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has a JSON form")
    }

    /// Hands the batch of this request, with `body`, to `visit`.
    pub(super) fn with_batch<T>(&self, body: &[u8], visit: impl FnOnce(&WriteBatch<'_>) -> T) -> T {
        let mut batch = WriteBatch {
            kind: BodyKind::RemoteWrite1Plain,
            body,
            label_source: &Pairs,
            symbols: Vec::new(),
            series: Vec::new(),
            samples: Vec::new(),
            start_timestamps: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
            rejects: Rejects::default(),
        };
        let with_starts = self.series.iter().any(|s| s.floats.iter().any(|(_, _, st)| *st != 0));
        for one in &self.series {
            let before = (batch.samples.len(), batch.histograms.len(), batch.exemplars.len());
            for &(timestamp_ms, bits, start) in &one.floats {
                batch.samples.push(Sample { timestamp_ms, value: f64::from_bits(bits) });
                if with_starts {
                    batch.start_timestamps.push(start);
                }
            }
            for (i, &(timestamp_ms, count)) in one.histograms.iter().enumerate() {
                let histogram = histogram(count);
                let start_timestamp_ms = one.histogram_starts.get(i).copied().unwrap_or(0);
                let sample = HistogramSample { timestamp_ms, start_timestamp_ms, histogram };
                batch.histograms.push(sample);
            }
            for (timestamp_ms, id) in &one.exemplars {
                let labels = Labels::from_pairs([("trace_id", id.as_str())]);
                batch.exemplars.push(Exemplar { labels, timestamp_ms: *timestamp_ms, value: 1.0 });
            }
            let range = |from: usize, to: usize| {
                u32::try_from(from).expect("small")..u32::try_from(to).expect("small")
            };
            let pairs: Vec<_> = one.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            batch.series.push(BatchSeries {
                labels: Cow::Owned(crate::series::encode_labels(&pairs)),
                samples: range(before.0, batch.samples.len()),
                histograms: range(before.1, batch.histograms.len()),
                exemplars: range(before.2, batch.exemplars.len()),
            });
        }
        for (metric, help) in &self.metadata {
            batch.metadata.push(Metadata {
                metric: metric.clone(),
                metric_type: MetricType::Gauge,
                help: help.clone(),
                unit: String::new(),
            });
        }
        visit(&batch)
    }
}

/// A histogram that is told apart by its count.
pub(super) fn histogram(count: u64) -> Histogram {
    Histogram {
        schema: 2,
        sum: 1.5,
        zero_threshold: 1e-128,
        reset_hint: CounterResetHint::Unknown,
        positive_spans: vec![Span { offset: -1, length: 2 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: HistogramCounts::Integer {
            count,
            zero_count: 0,
            positive: vec![1, i64::try_from(count).unwrap_or(0)],
            negative: Vec::new(),
        },
    }
}

struct Pairs;

impl LabelSource for Pairs {
    fn read<'a>(
        &'a self,
        raw: &'a [u8],
        _: &[&'a [u8]],
        pairs: &mut Vec<(&'a [u8], &'a [u8])>,
    ) -> Result<(), (RejectReason, String)> {
        let mut input = Input::new(raw);
        while !input.is_empty() {
            let mut text =
                || input.bytes().map_err(|d| (RejectReason::InvalidUtf8, d.0.to_owned()));
            pairs.push((text()?, text()?));
        }
        Ok(())
    }
}

/// Decodes requests of the tests.
pub(super) struct Decoder;

impl BodyDecoder for Decoder {
    fn decode(
        &self,
        _kind: BodyKind,
        body: &[u8],
        visit: &mut dyn FnMut(&WriteBatch<'_>),
    ) -> Result<(), String> {
        let request: Request = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        request.with_batch(body, visit);
        Ok(())
    }

    fn decode_logs(
        &self,
        _kind: BodyKind,
        body: &[u8],
        visit: &mut dyn FnMut(&LogBatch<'_>),
    ) -> Result<(), String> {
        Push::with_batch(body, visit);
        Ok(())
    }
}

/// Samples as rows that can be compared bit for bit.
pub(super) fn rows(samples: &ephemeris_model::SampleBuffer) -> Vec<(i64, String, i64)> {
    (0..samples.len())
        .map(|i| {
            let value = match samples.histogram_at(i) {
                Some(histogram) => format!("{histogram:?}"),
                None => format!("{:x}", samples.values[i].to_bits()),
            };
            let start = samples.start_timestamps.get(i).copied().unwrap_or(0);
            (samples.timestamps[i], value, start)
        })
        .collect()
}
