//! Merges blocks of a partition into one.

use std::sync::Arc;

use ephemeris_model::{TimeRange, TimestampMs};

use crate::catalog::{BlockId, BlockRow};
use crate::error::{Error, Result};
use crate::metrics::block::{Block, BlockWriter};

/// Which blocks of a partition to merge next, at time `now`; `None` if none are worth it.
#[must_use]
pub fn plan(_blocks: &[BlockRow], _now: TimestampMs) -> Option<Vec<BlockId>> {
    None
}

/// Merges `blocks` into `writer`: by series order, samples by the conflict rule, and only those
/// inside `keep`. `None` if no sample is left; then there is no new block.
///
/// # Errors
/// If a block is damaged, or writing fails. The blocks merged are untouched.
pub fn merge(
    _blocks: &[Arc<Block>],
    _writer: BlockWriter,
    _keep: TimeRange,
) -> Result<Option<BlockRow>> {
    Err(Error::Internal("merging is not built yet".to_owned()))
}
