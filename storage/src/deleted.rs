//! What is deleted of one block: its tombstones, with the series they are about.

use std::sync::Arc;

use ephemeris_model::{Exemplar, TimeRange, TimestampMs};
use roaring::RoaringBitmap;

use crate::catalog::Tombstone;
use crate::error::Result;
use crate::metrics::block::Block;
use crate::metrics::samples::SeriesSamples;
use crate::series::TenantId;

/// What is deleted of one block. Ids are those of the block.
#[derive(Default)]
pub(crate) struct Deleted {
    parts: Vec<(RoaringBitmap, TimeRange)>,
}

impl Deleted {
    /// What `tombstones` delete of `block`; of one tenant, or of all.
    ///
    /// # Errors
    /// If the index is damaged: then it is not known what is deleted.
    pub(crate) fn of(
        block: &Block,
        tombstones: &[Arc<Tombstone>],
        tenant: Option<TenantId>,
    ) -> Result<Self> {
        let mut parts = Vec::new();
        let id = block.row().id;
        let about = |t: &&Arc<Tombstone>| t.names(id) && tenant.is_none_or(|own| own == t.tenant);
        for tombstone in tombstones.iter().filter(about) {
            let ids = block.select(tombstone.tenant, &tombstone.matchers)?;
            if !ids.is_empty() {
                parts.push((ids, tombstone.range));
            }
        }
        Ok(Self { parts })
    }

    /// The series of which nothing between `first` and `last` is left.
    pub(crate) fn whole(&self, first: TimestampMs, last: TimestampMs) -> RoaringBitmap {
        let whole = |range: &TimeRange| range.start <= first && last < range.end;
        let parts = self.parts.iter().filter(|(_, range)| whole(range));
        parts.fold(RoaringBitmap::new(), |all, (ids, _)| all | ids)
    }

    /// Whether nothing is deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether samples of a series are deleted.
    pub(crate) fn touches(&self, id: u32) -> bool {
        self.parts.iter().any(|(ids, _)| ids.contains(id))
    }

    /// Takes what is deleted out of the samples of a series.
    pub(crate) fn remove_from(&self, id: u32, samples: &mut SeriesSamples) {
        for (_, range) in self.parts.iter().filter(|(ids, _)| ids.contains(id)) {
            samples.remove_range(*range);
        }
    }

    /// Takes what is deleted out of the exemplars of a series.
    pub(crate) fn remove_exemplars(&self, id: u32, exemplars: &mut Vec<Exemplar>) {
        for (_, range) in self.parts.iter().filter(|(ids, _)| ids.contains(id)) {
            exemplars.retain(|exemplar| !range.contains(TimestampMs(exemplar.timestamp_ms)));
        }
    }
}
