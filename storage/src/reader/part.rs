//! One part of a version, a generation of the head or a block, behind the same few questions.

use std::sync::Arc;

use ephemeris_model::{Exemplar, Labels, Matcher, TimeRange, TimestampMs};
use roaring::RoaringBitmap;

use super::stop::{Stop, select_all};
use crate::catalog::{Catalog, Tombstone};
use crate::deleted::Deleted;
use crate::error::{Error, Result};
use crate::metrics::block::Block;
use crate::metrics::head::generation::Generation;
use crate::metrics::samples::{Newest, SeriesSamples};
use crate::series::TenantId;
use crate::version::Version;

/// Is handed the id and the label set of each series.
pub(super) type VisitLabels<'a> = &'a mut dyn FnMut(u32, &[(&str, &str)]);

/// Which series of the head are selected, and who may end that.
#[derive(Clone, Copy)]
pub(super) struct Since<'a> {
    /// They may have something at or after this.
    pub(super) start: TimestampMs,
    /// Asked now and then.
    pub(super) stop: Option<&'a Stop>,
}

/// A part of a version. Ids of series mean something only inside of it.
pub(super) enum Part {
    Head(Arc<Generation>),
    Block(Arc<Block>, Arc<Vec<Arc<Tombstone>>>),
}

/// The parts that may hold something inside `range`: blocks first, as they hold most.
pub(super) fn overlapping(version: &Version, range: TimeRange) -> Vec<Part> {
    let touches = |min: TimestampMs, max: TimestampMs| {
        !range.is_empty() && min < range.end && range.start <= max
    };
    let blocks = version.blocks.iter().filter(|block| {
        let row = block.row();
        touches(row.min_time, row.max_time)
    });
    let generations = version
        .generations()
        .filter(|generation| generation.times().is_some_and(|(min, max)| touches(min, max)));
    let tombstones = &version.tombstones;
    let blocks = blocks.map(|block| Part::Block(Arc::clone(block), Arc::clone(tombstones)));
    blocks.chain(generations.map(|generation| Part::Head(Arc::clone(generation)))).collect()
}

impl Part {
    /// What is deleted of it.
    pub(super) fn deleted(&self, tenant: TenantId) -> Result<Deleted> {
        match self {
            Self::Block(block, tombstones) => Deleted::of(block, tombstones, Some(tenant)),
            Self::Head(_) => Ok(Deleted::default()),
        }
    }

    /// The series of which something is left, if some were deleted; `None` for all.
    fn left(&self, tenant: TenantId) -> Result<Option<RoaringBitmap>> {
        let Self::Block(block, _) = self else { return Ok(None) };
        let row = block.row();
        let whole = self.deleted(tenant)?.whole(row.min_time, row.max_time);
        Ok(if whole.is_empty() { None } else { Some(block.select(tenant, &[])? - whole) })
    }

    /// The series that satisfy all matchers and are not deleted as a whole. Of the head, those that
    /// may have something at or after a time.
    pub(super) fn select(
        &self,
        tenant: TenantId,
        matchers: &[Matcher],
        since: Since<'_>,
    ) -> Result<RoaringBitmap> {
        select_all(matchers, since.stop, |few| self.select_few(tenant, few, since.start))
    }

    fn select_few(
        &self,
        tenant: TenantId,
        matchers: &[Matcher],
        start: TimestampMs,
    ) -> Result<RoaringBitmap> {
        match self {
            Self::Block(block, _) => {
                let ids = block.select(tenant, matchers)?;
                Ok(match self.left(tenant)? {
                    Some(left) => ids & left,
                    None => ids,
                })
            }
            Self::Head(generation) => {
                let ids = generation.identity().with_tenant(tenant, |view| view.select(matchers));
                Ok(generation.filled(&ids.unwrap_or_default(), start))
            }
        }
    }

    /// The series any of the selectors selects; `None`, for all, if there is no selector.
    pub(super) fn select_any(
        &self,
        tenant: TenantId,
        selectors: &[Vec<Matcher>],
        since: Since<'_>,
    ) -> Result<Option<RoaringBitmap>> {
        if selectors.iter().any(Vec::is_empty) || selectors.is_empty() {
            return self.left(tenant);
        }
        let mut any = RoaringBitmap::new();
        for matchers in selectors {
            any |= self.select(tenant, matchers, since)?;
        }
        Ok(Some(any))
    }

    /// Hands each of `ids` to `visit` with its newest sample inside `window`, as far as it is known
    /// without reading samples; `false` ends the walk.
    pub(super) fn newest(
        &self,
        ids: &RoaringBitmap,
        window: TimeRange,
        visit: &mut dyn FnMut(u32, Newest) -> bool,
    ) -> Result<()> {
        match self {
            Self::Block(block, _) => block.newest(ids, window, visit),
            Self::Head(generation) => {
                generation.newest(ids, window, visit);
                Ok(())
            }
        }
    }

    /// The same for few series, told from their samples.
    pub(super) fn newest_read(
        &self,
        ids: &[u32],
        window: TimeRange,
        deleted: &Deleted,
        visit: &mut dyn FnMut(u32, Newest),
    ) -> Result<()> {
        let (mut scratch, mut samples) = (Vec::new(), SeriesSamples::default());
        match self {
            Self::Head(generation) => {
                for &id in ids {
                    generation.read(id, &mut scratch, &mut samples);
                    visit(id, samples.newest(window));
                }
                Ok(())
            }
            Self::Block(block, _) => {
                let mut damage = Vec::new();
                block.read(ids, window, &mut damage, &mut |id, found| {
                    if deleted.touches(id) {
                        samples.clone_from(found);
                        deleted.remove_from(id, &mut samples);
                        visit(id, samples.newest(window));
                    } else {
                        visit(id, found.newest(window));
                    }
                    Ok(())
                })?;
                match damage.pop() {
                    Some(text) => Err(Error::corrupt(format!("block {}", block.row().id.0), text)),
                    None => Ok(()),
                }
            }
        }
    }

    /// Hands the label sets of `ids` to `visit`, by id.
    pub(super) fn series_labels(
        &self,
        tenant: TenantId,
        ids: &RoaringBitmap,
        visit: VisitLabels<'_>,
    ) -> Result<()> {
        match self {
            Self::Block(block, _) => block.series_labels(ids, visit),
            Self::Head(generation) => {
                generation.identity().with_tenant(tenant, |view| {
                    let mut pairs = Vec::with_capacity(16);
                    for id in ids {
                        pairs.clear();
                        pairs.extend(view.pairs(id));
                        visit(id, &pairs);
                    }
                });
                Ok(())
            }
        }
    }

    pub(super) fn label_names(
        &self,
        tenant: TenantId,
        among: Option<&RoaringBitmap>,
    ) -> Result<Vec<String>> {
        match self {
            Self::Block(block, _) => block.label_names(tenant, among),
            Self::Head(generation) => {
                let names =
                    generation.identity().with_tenant(tenant, |view| view.label_names(among));
                Ok(names.unwrap_or_default())
            }
        }
    }

    pub(super) fn label_values(
        &self,
        tenant: TenantId,
        name: &str,
        among: Option<&RoaringBitmap>,
    ) -> Result<Vec<String>> {
        match self {
            Self::Block(block, _) => block.label_values(tenant, name, among),
            Self::Head(generation) => {
                let values = generation
                    .identity()
                    .with_tenant(tenant, |view| view.label_values(name, among));
                Ok(values.unwrap_or_default())
            }
        }
    }

    /// Hands exemplars inside `range` to `visit`, series by series.
    pub(super) fn exemplars(
        &self,
        tenant: TenantId,
        (selectors, stop): (&[Vec<Matcher>], Option<&Stop>),
        range: TimeRange,
        visit: &mut dyn FnMut(Labels, Vec<Exemplar>),
    ) -> Result<()> {
        let since = Since { start: TimestampMs::MIN, stop };
        let all = [Vec::new()];
        let selectors = if selectors.is_empty() { &all } else { selectors };
        let mut ids = RoaringBitmap::new();
        for matchers in selectors {
            ids |= self.select(tenant, matchers, since)?;
        }
        let mut found: Vec<(u32, Vec<Exemplar>)> = match self {
            Self::Block(block, _) => {
                let ids: Vec<u32> = ids.iter().collect();
                block.exemplars(&ids, range)?
            }
            Self::Head(generation) => ids.iter().map(|id| (id, generation.exemplars(id))).collect(),
        };
        let deleted = self.deleted(tenant)?;
        for (id, exemplars) in &mut found {
            deleted.remove_exemplars(*id, exemplars);
            exemplars.retain(|exemplar| range.contains(TimestampMs(exemplar.timestamp_ms)));
        }
        found.retain(|(_, exemplars)| !exemplars.is_empty());
        let with_some: RoaringBitmap = found.iter().map(|(id, _)| *id).collect();
        let mut found = found.into_iter();
        self.series_labels(tenant, &with_some, &mut |_, pairs| {
            if let Some((_, exemplars)) = found.next() {
                visit(Labels::from_sorted(pairs.iter().copied()), exemplars);
            }
        })
    }

    /// Remembers that this part was found damaged, so that it is left as it is.
    pub(super) fn note_damage(&self, catalog: &Catalog, text: &str) {
        let Self::Block(block, _) = self else { return };
        let id = block.row().id;
        if let Err(error) = catalog.note_damage(id, text) {
            tracing::warn!(block = id.0, %error, "damage could not be noted");
        }
    }
}
