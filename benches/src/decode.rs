//! Decoding alone: decompression and remote write 1.0, in this process, on one thread.

use std::time::Instant;

use ephemeris_ingest::{Limits, body, remote_write::v1};
use ephemeris_model::BodyKind;

use crate::report::Report;
use crate::workload::{Shape, Workload};
use crate::{BenchError, Result};

/// Rounds over all bodies; the fastest counts.
const ROUNDS: usize = 5;

/// Decodes the bodies of a workload and reports nanoseconds per sample.
///
/// # Errors
/// If a body cannot be decoded.
pub fn run(shape: &Shape) -> Result<Report> {
    let workload = Workload::generate(shape)?;
    let error = |e: ephemeris_ingest::IngestError| BenchError(e.to_string());
    let (mut snappy_s, mut decode_s) = (f64::INFINITY, f64::INFINITY);
    let mut buffer = Vec::new();
    for _ in 0..ROUNDS {
        let (mut snappy, mut decode) = (0.0, 0.0);
        for sent in workload.lanes.iter().flatten() {
            let start = Instant::now();
            let limits = Limits::default();
            let message = body::decompress_snappy(&sent.bytes, &limits, &mut buffer);
            let message = message.map_err(error)?;
            let decompressed = Instant::now();
            let kind = BodyKind::RemoteWrite1;
            let batch = v1::decode(kind, &sent.bytes, message, &limits).map_err(error)?;
            decode += decompressed.elapsed().as_secs_f64();
            snappy += (decompressed - start).as_secs_f64();
            std::hint::black_box(batch.samples.len());
        }
        (snappy_s, decode_s) = (snappy_s.min(snappy), decode_s.min(decode));
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let per_sample =
        |seconds: f64| format!("{:.1} ns", seconds * 1e9 / workload.sample_count as f64);
    let mut report = Report::default();
    report.add("snappy per sample", per_sample(snappy_s));
    report.add("remote write 1.0 per sample", per_sample(decode_s));
    Ok(report)
}
