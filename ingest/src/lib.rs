//! The ways into Ephemeris: from the body of a request to an [`ephemeris_model::WriteBatch`].
//!
//! | module | holds |
//! |---|---|
//! | [`body`] | limits on a body, decompression into a worker's buffer |
//! | [`remote_write`] | Prometheus remote write 1.0 and 2.0 |
//! | [`loki`] | Loki push, in protobuf and in JSON |
//! | [`remote_read`] | Prometheus remote read: the request and the encoding of its answers |
//! | [`otlp`] | OpenTelemetry metrics and logs, translated |
//! | [`text`] | Prometheus' text format and OpenMetrics |
//! | [`tsdb`] | blocks of Prometheus' storage, for `ephemeris import` |
//! | [`decoder`] | the same decoders for bodies found in the WAL |
//! | [`proto`] | messages for encoding, and the reference the decoders are tested against |
//! | `output` | writes what is translated as a remote-write 2.0 message |
//! | `wire` | reading protobuf: the only code that looks at bytes |
//!
//! Write path: `body::decompress` → `remote_write::v1` or `v2` → `WriteBatch`, which borrows the
//! decompressed message; for logs `loki::decode` → `LogBatch` in the same way. Nothing is stored here, and nothing is known about storage.
//!
//! **Invariant**: decoding depends on the body alone, never on time or settings other than the
//! limits that refuse a body as a whole. What was decoded once is decoded again on replay.
//!
//! **Invariant**: what one request may make this crate allocate is bounded by [`body::Limits`].
//!
//! When you add a `BodyKind`, also add it to `remote_write::decode` (or its sibling) and to
//! [`decoder`], and give it a fuzz target.

pub mod body;
pub mod decoder;
pub mod loki;
pub mod otlp;
pub mod proto;
pub mod reflection;
pub mod remote_read;
pub mod remote_write;
pub mod text;
pub mod tsdb;

mod error;
mod output;
mod wire;

pub use body::Limits;
pub use decoder::Decoder;
pub use error::{ErrorKind, IngestError};
pub use remote_write::Buffers;
