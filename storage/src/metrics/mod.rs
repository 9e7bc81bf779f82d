//! Metrics: samples, their encodings, blocks.

pub mod block;
pub mod samples;
