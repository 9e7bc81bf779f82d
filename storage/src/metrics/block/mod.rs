//! A block: sealed, immutable data of one partition, as numbered values and a manifest. The bytes
//! are described in `docs/formats/block.md`.
//!
//! | file | holds |
//! |---|---|
//! | `writer` | [`BlockWriter`]: series in order, in one pass |
//! | `reader`, `read` | [`Block`]: labels; samples |
//! | `manifest` | what the block is and whose |
//! | `directory` | where each series lies |
//! | `page`, `exemplars` | columns of neighbouring series |
//! | `time_vectors` | timestamps, each different vector once |
//! | `spool` | later sections while pages are written |
//! | `touched` | pages read by this thread, counted |
//! | `caches` | decoded parts kept in memory |

mod caches;
mod directory;
mod exemplars;
mod manifest;
mod page;
mod read;
mod reader;
mod spool;
mod time_vectors;
mod touched;
mod writer;

pub use caches::BlockCaches;
pub(crate) use caches::LOG_COUNTS_GROUP_BYTES_MAX;
pub use manifest::{FORMAT_VERSION, Manifest, TenantPlace};
pub use reader::{Block, LabelVisitor, SampleVisitor};
pub(crate) use spool::Spool;
pub(crate) use touched::take as take_read;
pub use writer::BlockWriter;

#[cfg(test)]
pub(crate) mod tests;
