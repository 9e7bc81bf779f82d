//! Requests captured from a real sender, if they lie beside the repository: they decode to what
//! `prost` makes of them.

use std::fs;
use std::path::Path;

use ephemeris_ingest::Limits;
use ephemeris_ingest::proto::write_v1::{Label, WriteRequest};
use ephemeris_ingest::remote_write::v1;
use ephemeris_model::BodyKind;
use prost::Message as _;

/// Each request is a length (u32, big-endian) and a zstd frame of a remote-write 1.0 message.
const CAPTURED: &str = "../../shared/data/metrics/oteldb/reqs-1k-zstd.rwq";

#[test]
fn captured_requests_decode_as_prost_decodes_them() {
    let Ok(file) = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(CAPTURED)) else { return };
    let (mut rest, mut series_count) = (&file[..], 0);
    while let Some((length, after)) = rest.split_first_chunk() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        rest = after;
        let message = zstd::decode_all(frame).expect("a zstd frame");
        let request = WriteRequest::decode(&message[..]).expect("a request");
        let kind = BodyKind::RemoteWrite1Plain;
        let batch = v1::decode(kind, &message, &message, &Limits::default()).expect("a request");
        assert!(batch.rejects.is_empty(), "{}", batch.rejects.summary());
        assert_eq!(batch.series.len(), request.timeseries.len());
        for (got, sent) in batch.series.iter().zip(&request.timeseries) {
            let mut pairs = Vec::new();
            batch.read_labels(got, &mut pairs).expect("well-formed");
            assert!(pairs.iter().map(|(n, v)| Label::new(*n, *v)).eq(sent.labels.clone()));
            let range = got.samples.start as usize..got.samples.end as usize;
            let samples = batch.samples[range].iter().map(|s| (s.timestamp_ms, s.value.to_bits()));
            let bits = |value: Option<f64>| value.unwrap_or(0.0).to_bits();
            assert!(samples.eq(sent.samples.iter().map(|s| (s.timestamp, bits(s.value)))));
        }
        series_count += batch.series.len();
    }
    assert!(series_count > 0, "the file holds no series");
}
