//! Writes a block, series by series.

use ephemeris_model::{Exemplar, TimeRange};

use crate::catalog::BlockRow;
use crate::error::{Error, Result};
use crate::metrics::samples::SeriesSamples;
use crate::rocks::BlockSink;
use crate::series::TenantId;

/// Writes one block.
pub struct BlockWriter {
    sink: BlockSink,
    range: TimeRange,
    level: u8,
}

impl BlockWriter {
    /// Writes into `sink` a block of the partition `range`.
    #[must_use]
    pub fn new(sink: BlockSink, range: TimeRange, level: u8) -> Self {
        Self { sink, range, level }
    }

    /// Appends a series. Series come strictly ascending by tenant and
    /// [`crate::series::series_order`]; samples ascend and lie inside the range.
    ///
    /// # Errors
    /// If they do not, or the block cannot be written.
    pub fn push(
        &mut self,
        _tenant: TenantId,
        _labels: &[(&str, &str)],
        _samples: &SeriesSamples,
        _exemplars: &[Exemplar],
    ) -> Result<()> {
        Err(Error::Internal("writing blocks is not built yet".to_owned()))
    }

    /// Completes and syncs the block. It exists once it is ingested and committed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<BlockRow> {
        let _ = (self.sink, self.range, self.level);
        Err(Error::Internal("writing blocks is not built yet".to_owned()))
    }
}
