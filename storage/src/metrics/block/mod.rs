//! A block: sealed, immutable data of one partition. The bytes are in `docs/formats/block.md`.

pub mod reader;
pub mod writer;

pub use reader::Block;
pub use writer::BlockWriter;
