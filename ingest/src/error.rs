//! Why a request as a whole was refused. What is wrong with one series or sample is a reject
//! ([`ephemeris_model::Rejects`]) and does not appear here.

use thiserror::Error;

/// A request that was refused as a whole; nothing of it was stored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IngestError {
    /// There is no body.
    #[error("body is empty")]
    EmptyBody,
    /// The body as received is too large.
    #[error("body is {got} bytes; limit is {limit} (limits.compressed_bytes_max)")]
    CompressedTooLarge {
        /// Bytes received.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The body would be too large once decompressed.
    #[error("decompressed body is {got} bytes; limit is {limit} (limits.decompressed_bytes_max)")]
    DecompressedTooLarge {
        /// Bytes the body declares.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The body holds more items than may be held in memory at once.
    #[error("decoded request needs more than {limit} bytes (limits.batch_bytes_max)")]
    BatchTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The body is not what its encoding says.
    #[error("body is not valid snappy: {0}")]
    BadSnappy(String),
    /// The body is not what its encoding says.
    #[error("body is not valid {name}: {cause}")]
    BadCompression {
        /// The encoding.
        name: &'static str,
        /// What was met.
        cause: String,
    },
    /// The message is not well-formed.
    #[error("malformed message at byte {at}: {what}")]
    Malformed {
        /// Offset in the decompressed message.
        at: usize,
        /// What was met there.
        what: String,
    },
    /// The store, which has the totals of delta points, cannot be read now.
    #[error("totals of delta points cannot be read: {0}")]
    StoreUnreadable(String),
    /// The message is well-formed but breaks a rule that concerns all of it.
    #[error("{0}")]
    BadMessage(String),
}

/// What the sender of a refused request can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong and will stay so.
    Invalid,
    /// The request passes a limit; a smaller one may be fine.
    Limit,
    /// It passes by itself; the same request may be fine later.
    Busy,
}

impl IngestError {
    /// What the sender can do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::CompressedTooLarge { .. }
            | Self::DecompressedTooLarge { .. }
            | Self::BatchTooLarge { .. } => ErrorKind::Limit,
            Self::StoreUnreadable(_) => ErrorKind::Busy,
            Self::EmptyBody
            | Self::BadSnappy(_)
            | Self::BadCompression { .. }
            | Self::Malformed { .. }
            | Self::BadMessage(_) => ErrorKind::Invalid,
        }
    }
}
