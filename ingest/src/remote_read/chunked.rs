//! The streamed answer to a remote read: frames, each with a part of one series as XOR chunks.
//!
//! Frame: length of the message (varint), CRC-32C of the message (big-endian), the message
//! `ChunkedReadResponse`.

use ephemeris_model::{Labels, SampleBuffer};
use prost::Message;

use super::samples::labels_of;
use super::{put_varint, xor};
use crate::proto::write_v1::Label;

/// Media type of the stream.
pub const CONTENT_TYPE: &str =
    "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// Samples of a chunk, as Prometheus cuts them.
const CHUNK_SAMPLES: usize = 120;
/// A frame ends with the chunk that reaches this.
const FRAME_BYTES: usize = 900 << 10;
/// Number of the XOR encoding.
const XOR: i32 = 1;

/// A frame's message.
#[derive(Clone, PartialEq, Message)]
pub struct ChunkedReadResponse {
    /// Parts of series.
    #[prost(message, repeated, tag = "1")]
    pub chunked_series: Vec<ChunkedSeries>,
    /// Number of the query in the request.
    #[prost(int64, tag = "2")]
    pub query_index: i64,
}

/// A part of a series.
#[derive(Clone, PartialEq, Message)]
pub struct ChunkedSeries {
    /// Its labels.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Its chunks, in order of time.
    #[prost(message, repeated, tag = "2")]
    pub chunks: Vec<Chunk>,
}

/// An encoded run of samples.
#[derive(Clone, PartialEq, Message)]
pub struct Chunk {
    /// Time of the first sample, milliseconds.
    #[prost(int64, tag = "1")]
    pub min_time_ms: i64,
    /// Time of the last sample, milliseconds.
    #[prost(int64, tag = "2")]
    pub max_time_ms: i64,
    /// Number of the encoding.
    #[prost(int32, tag = "3")]
    pub r#type: i32,
    /// The encoded samples.
    #[prost(bytes = "vec", tag = "4")]
    pub data: Vec<u8>,
}

/// Hands the frames of one series to `send`, in order. The series must hold floats only.
///
/// # Errors
/// What `send` returns.
pub fn frames<E>(
    query_index: usize,
    labels: &Labels,
    samples: &SampleBuffer,
    send: &mut dyn FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let empty = || ChunkedSeries { labels: labels_of(labels), chunks: Vec::new() };
    let frame = |series: ChunkedSeries| {
        frame(&ChunkedReadResponse {
            chunked_series: vec![series],
            query_index: query_index as i64,
        })
    };
    let (mut part, mut bytes) = (empty(), 0);
    let runs = samples.timestamps.chunks(CHUNK_SAMPLES).zip(samples.values.chunks(CHUNK_SAMPLES));
    for (times, values) in runs {
        let (Some(first), Some(last)) = (times.first(), times.last()) else { continue };
        let data = xor::encode(times, values);
        bytes += data.len() + 32;
        part.chunks.push(Chunk { min_time_ms: *first, max_time_ms: *last, r#type: XOR, data });
        if bytes >= FRAME_BYTES {
            send(frame(std::mem::replace(&mut part, empty())))?;
            bytes = 0;
        }
    }
    if part.chunks.is_empty() { Ok(()) } else { send(frame(part)) }
}

fn frame(message: &ChunkedReadResponse) -> Vec<u8> {
    let body = message.encode_to_vec();
    let mut out = Vec::with_capacity(body.len() + 14);
    put_varint(&mut out, body.len() as u64);
    out.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}
