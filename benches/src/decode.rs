//! Decoding alone, in this process, on one thread: decompression, remote write 1.0, and the same
//! samples by remote write 2.0.

use std::hint::black_box;
use std::time::Instant;

use ephemeris_ingest::remote_write::{v1, v2};
use ephemeris_ingest::{Limits, body};
use ephemeris_model::BodyKind;

use crate::report::Report;
use crate::workload::{Shape, Workload};
use crate::{Result, translate};

/// Rounds over all bodies; the fastest counts.
const ROUNDS: usize = 5;

/// Decodes a message, given its body too; gives the number of samples.
type Decode<'a> = dyn FnMut(&[u8], &[u8]) -> Result<usize> + 'a;

/// Decodes the bodies of a workload and reports nanoseconds per sample.
///
/// # Errors
/// If a body cannot be decoded.
pub fn run(shape: &Shape) -> Result<Report> {
    let workload = Workload::generate(shape)?;
    let bodies: Vec<&[u8]> = workload.lanes.iter().flatten().map(|b| &b.bytes[..]).collect();
    let translated: Vec<Vec<u8>> =
        bodies.iter().map(|b| translate::remote_write_2(b)).collect::<Result<_>>()?;
    let translated: Vec<&[u8]> = translated.iter().map(Vec::as_slice).collect();
    let limits = Limits::default();

    let (snappy_s, v1_s) = fastest(&bodies, &mut |body, message| {
        let batch = v1::decode(BodyKind::RemoteWrite1, body, message, &limits)?;
        Ok(batch.samples.len())
    })?;
    let mut labels = Vec::new();
    let (v2_snappy_s, v2_s) = fastest(&translated, &mut |body, message| {
        Ok(v2::decode(BodyKind::RemoteWrite2, body, message, &limits, &mut labels)?.samples.len())
    })?;

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let per_sample = |s: f64| format!("{:.1} ns", s * 1e9 / workload.sample_count as f64);
    let mut report = Report::default();
    report
        .add("remote write 1.0 per sample: snappy", per_sample(snappy_s))
        .add("remote write 1.0 per sample: message", per_sample(v1_s))
        .add("remote write 2.0 per sample: snappy", per_sample(v2_snappy_s))
        .add("remote write 2.0 per sample: message", per_sample(v2_s));
    Ok(report)
}

/// Seconds for decompressing and for decoding all bodies, each in its fastest round. A message is
/// decoded right after it was decompressed, as the server does, while it is in the cache.
fn fastest(bodies: &[&[u8]], decode: &mut Decode<'_>) -> Result<(f64, f64)> {
    let (mut snappy_best, mut decode_best) = (f64::INFINITY, f64::INFINITY);
    let mut buffer = Vec::new();
    for _ in 0..ROUNDS {
        let (mut snappy_s, mut decode_s) = (0.0, 0.0);
        for body in bodies {
            let start = Instant::now();
            let message = body::decompress_snappy(body, &Limits::default(), &mut buffer)?;
            let decompressed = Instant::now();
            black_box(decode(body, message)?);
            decode_s += decompressed.elapsed().as_secs_f64();
            snappy_s += (decompressed - start).as_secs_f64();
        }
        snappy_best = snappy_best.min(snappy_s);
        decode_best = decode_best.min(decode_s);
    }
    Ok((snappy_best, decode_best))
}
