//! Loki push: bodies of `POST /loki/api/v1/push` to [`LogBatch`]es.
//!
//! | module | holds |
//! |---|---|
//! | [`push`] | the message `logproto.PushRequest`, decoded in place |
//! | [`labels`] | label sets as text, `{job="x"}` |
//! | [`level`] | the level of an entry, where the sender told none |
//! | [`json`] | pushes in JSON, brought to the message |
//!
//! `service_name` and `detected_level` are derived here, from the body alone, so that a replay
//! derives the same.

pub mod json;
pub mod labels;
pub mod level;
pub mod push;

use std::borrow::Cow;
use std::io::Read;

use ephemeris_model::{BodyKind, LogBatch};

use crate::body::{self, Limits};
use crate::error::IngestError;

/// Memory a worker keeps from one request to the next. A batch borrows from it.
#[derive(Debug, Default)]
pub struct Buffers {
    /// The decompressed message.
    message: Vec<u8>,
}

/// What a body is packed in, beside the snappy of the message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Nothing.
    None,
    /// gzip.
    Gzip,
    /// deflate, without a header.
    Deflate,
}

/// The body without its packing.
///
/// # Errors
/// If the body is empty, passes a limit, or is not packed so.
pub fn unpack<'a>(
    packing: Packing,
    body: &'a [u8],
    limits: &Limits,
) -> Result<Cow<'a, [u8]>, IngestError> {
    body::check_size(body, limits)?;
    match packing {
        Packing::None => Ok(Cow::Borrowed(body)),
        Packing::Gzip => inflate(flate2::read::MultiGzDecoder::new(body), "gzip", limits),
        Packing::Deflate => inflate(flate2::read::DeflateDecoder::new(body), "deflate", limits),
    }
}

fn inflate<'a>(
    packed: impl Read,
    name: &str,
    limits: &Limits,
) -> Result<Cow<'a, [u8]>, IngestError> {
    let limit = limits.decompressed_bytes_max;
    let mut out = Vec::new();
    let read = packed.take(limit as u64 + 1).read_to_end(&mut out);
    read.map_err(|e| IngestError::BadMessage(format!("body is not valid {name}: {e}")))?;
    if out.len() > limit {
        return Err(IngestError::DecompressedTooLarge { got: out.len(), limit });
    }
    Ok(out.into())
}

/// Decodes a body that holds log entries, decompression included.
///
/// # Errors
/// If the body as a whole cannot be used. What is wrong with single streams is in the batch.
pub fn decode<'a>(
    kind: BodyKind,
    body: &'a [u8],
    limits: &Limits,
    buffers: &'a mut Buffers,
) -> Result<LogBatch<'a>, IngestError> {
    match kind {
        BodyKind::LokiPush => {
            let message = body::decompress_snappy(body, limits, &mut buffers.message)?;
            push::decode(kind, body, message, limits)
        }
        BodyKind::LokiPushPlain => {
            body::check_size(body, limits)?;
            push::decode(kind, body, body, limits)
        }
        _ => Err(IngestError::BadMessage(format!("{kind:?} holds no log entries"))),
    }
}
