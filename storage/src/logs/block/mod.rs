//! Log blocks: streams with their pages, beside the blocks of samples and of the same build: the
//! index, the manifest and the row in the catalog are theirs. The bytes are described in
//! `docs/formats/log-block.md`.

mod directory;
mod read;
mod writer;

pub use directory::{LogGroup, PagePlace};
pub use writer::LogBlockWriter;

/// Added to the number of a value of the directory, the number of the counts of its pages.
pub(crate) const COUNTS: u32 = 1 << 31;
/// Streams in a value of the directory.
pub(crate) const GROUP_STREAMS: u32 = 1024;
