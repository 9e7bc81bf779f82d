//! Messages as `prost` structs: for encoding (the server's own metrics, benches, tests), and as
//! the reference for the decoders in [`crate::remote_write`] and [`crate::otlp`]. Requests are never
//! decoded with it.
//!
//! Strings of remote write are bytes here: whether they are UTF-8 is a question for one label of one
//! series, not for the request as a whole.

pub mod otlp;
pub mod push;
pub mod write_v1;
pub mod write_v2;

use ephemeris_model::{Labels, Metadata, Sample};
use prost::Message as _;

/// Encodes series and metadata as a remote-write 1.0 message, not compressed
/// ([`ephemeris_model::BodyKind::RemoteWrite1Plain`]).
#[must_use]
pub fn encode_remote_write(series: &[(&Labels, &[Sample])], metadata: &[Metadata]) -> Vec<u8> {
    use write_v1::{Label, MetricMetadata, TimeSeries, WriteRequest};
    let timeseries = series
        .iter()
        .map(|(labels, samples)| TimeSeries {
            labels: labels.iter().map(|(name, value)| Label::new(name, value)).collect(),
            samples: samples
                .iter()
                .map(|s| write_v1::Sample::new(s.timestamp_ms, s.value))
                .collect(),
            ..TimeSeries::default()
        })
        .collect();
    let metadata = metadata
        .iter()
        .map(|m| MetricMetadata {
            r#type: m.metric_type as i32,
            metric_family_name: m.metric.clone().into_bytes(),
            help: m.help.clone().into_bytes(),
            unit: m.unit.clone().into_bytes(),
        })
        .collect();
    WriteRequest { timeseries, metadata }.encode_to_vec()
}
