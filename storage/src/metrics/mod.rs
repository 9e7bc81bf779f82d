//! Metrics: samples, their encodings, blocks.

pub mod block;
pub mod codec;
pub(crate) mod head;
pub mod samples;
