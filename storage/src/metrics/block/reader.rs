//! Reads a block.

use std::sync::Arc;

use ephemeris_model::{Exemplar, Matcher, TimeRange};
use roaring::RoaringBitmap;

use crate::catalog::BlockRow;
use crate::error::{Error, Result};
use crate::metrics::samples::SeriesSamples;
use crate::rocks::Rocks;
use crate::series::TenantId;

/// Takes a series' id and its label set.
pub type LabelVisitor<'a> = dyn FnMut(u32, &[(&str, &str)]) + 'a;

/// An open block. Threads share it.
pub struct Block {
    rocks: Arc<Rocks>,
    row: BlockRow,
}

fn missing() -> Error {
    Error::Internal("reading blocks is not built yet".to_owned())
}

impl Block {
    /// Opens the block of `row`, which was ingested.
    ///
    /// # Errors
    /// If its manifest is damaged, or needs a newer version.
    pub fn open(rocks: &Arc<Rocks>, row: BlockRow) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { rocks: Arc::clone(rocks), row }))
    }

    /// What the catalog knows of it.
    #[must_use]
    pub const fn row(&self) -> &BlockRow {
        &self.row
    }

    /// The series of `tenant` that satisfy all matchers, as ids of this block. Ids ascend in
    /// series order.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn select(&self, _tenant: TenantId, _matchers: &[Matcher]) -> Result<RoaringBitmap> {
        let _ = &self.rocks;
        Err(missing())
    }

    /// Hands the label sets of `ids` to `visit`, ascending by id.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn series_labels(&self, _ids: &RoaringBitmap, _visit: &mut LabelVisitor<'_>) -> Result<()> {
        Err(missing())
    }

    /// Hands the samples inside `range` of the series `ids` (ascending) to `visit`; a series
    /// without one is left out. A damaged page costs its series, with a text in `damage`.
    ///
    /// # Errors
    /// What `visit` returns, or if reading fails for another reason than damage.
    pub fn read(
        &self,
        _ids: &[u32],
        _range: TimeRange,
        _damage: &mut Vec<String>,
        _visit: &mut dyn FnMut(u32, &SeriesSamples) -> Result<()>,
    ) -> Result<()> {
        Err(missing())
    }

    /// Sorted label names of a tenant, or of the series `among`.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn label_names(
        &self,
        _tenant: TenantId,
        _among: Option<&RoaringBitmap>,
    ) -> Result<Vec<String>> {
        Err(missing())
    }

    /// Sorted values of label `name` of a tenant, or of the series `among`.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn label_values(
        &self,
        _tenant: TenantId,
        _name: &str,
        _among: Option<&RoaringBitmap>,
    ) -> Result<Vec<String>> {
        Err(missing())
    }

    /// Exemplars of the series `ids` (ascending) inside `range`, ascending in time.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn exemplars(&self, _ids: &[u32], _range: TimeRange) -> Result<Vec<(u32, Vec<Exemplar>)>> {
        Err(missing())
    }
}
