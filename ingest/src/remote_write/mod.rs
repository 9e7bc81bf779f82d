//! Prometheus remote write, 1.0 and 2.0: messages decoded in place, labels left as they came.
//!
//! | module | holds |
//! |---|---|
//! | [`v1`] | `prometheus.WriteRequest` |
//! | [`v2`] | `io.prometheus.write.v2.Request` |
//! | [`replica`] | of agents that send the same, one is kept |
//! | `labels` | the raw label bytes of a series, and how pairs are read from them |
//! | `sample` | float samples |
//! | `histogram` | native histograms and the rules they must keep |
//! | `exemplar` | the rules for labels of exemplars |
//! | `parts` | what both versions share while a batch is being built |

pub mod replica;
pub mod v1;
pub mod v2;

mod exemplar;
mod histogram;
mod labels;
mod parts;
mod sample;

pub(crate) use labels::push_raw;

use ephemeris_model::{BodyKind, WriteBatch};

use crate::body::{self, Limits};
use crate::error::IngestError;

/// Memory a worker keeps from one request to the next. A batch borrows from it.
#[derive(Debug, Default)]
pub struct Buffers {
    /// The decompressed message.
    message: Vec<u8>,
    /// Label bytes of series whose message does not hold them in one piece.
    labels: Vec<u8>,
}

/// Decodes the body of a remote-write request of `kind`, decompression included.
///
/// # Errors
/// If the body as a whole cannot be used. What is wrong with single series, histograms, exemplars
/// or metadata is in the batch's rejects.
pub fn decode<'a>(
    kind: BodyKind,
    body: &'a [u8],
    limits: &Limits,
    buffers: &'a mut Buffers,
) -> Result<WriteBatch<'a>, IngestError> {
    match kind {
        BodyKind::RemoteWrite1 => {
            let message = body::decompress_snappy(body, limits, &mut buffers.message)?;
            v1::decode(kind, body, message, limits)
        }
        BodyKind::RemoteWrite1Plain => {
            body::check_size(body, limits)?;
            v1::decode(kind, body, body, limits)
        }
        BodyKind::RemoteWrite2 => {
            let message = body::decompress_snappy(body, limits, &mut buffers.message)?;
            v2::decode(kind, body, message, limits, &mut buffers.labels)
        }
        BodyKind::RemoteWrite2Plain | BodyKind::LabelParts => {
            body::check_size(body, limits)?;
            v2::decode(kind, body, body, limits, &mut buffers.labels)
        }
        BodyKind::LokiPush | BodyKind::LokiPushPlain => {
            Err(IngestError::BadMessage(format!("{kind:?} holds no samples")))
        }
    }
}
