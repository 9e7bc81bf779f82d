//! Metrics: samples, their encodings, blocks.

pub mod block;
pub mod codec;
pub mod samples;
