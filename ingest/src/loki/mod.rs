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

use ephemeris_model::{BodyKind, LogBatch};

use crate::body::{self, Limits};
use crate::error::IngestError;

/// Memory a worker keeps from one request to the next. A batch borrows from it.
#[derive(Debug, Default)]
pub struct Buffers {
    /// The decompressed message.
    message: Vec<u8>,
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
