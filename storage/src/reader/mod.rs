//! Reading: one tenant's data of one version, over head and blocks.

mod count;
mod grams;
mod logs;
mod part;
mod set;
mod stop;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ephemeris_model::{
    Exemplar, Labels, Matcher, Metadata, Select, SeriesCount, SeriesCounts, SeriesSet, Source,
    SourceError, TimeRange, TimestampMs,
};
use parking_lot::Mutex;

use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind};
use crate::series::TenantId;
use crate::version::Version;
use part::{Part, Since};
use set::Selection;
pub use stop::Stop;

/// Warnings of one answer at most.
const WARNINGS_MAX: usize = 20;

/// One tenant's data at one moment.
pub struct Reader {
    pub(crate) version: Arc<Version>,
    pub(crate) catalog: Arc<Catalog>,
    /// `None` if nothing was ever written for the tenant.
    pub(crate) tenant: Option<TenantId>,
    /// What is older is past the retention.
    pub(crate) oldest: TimestampMs,
    /// What the lists answered so far lack.
    pub(crate) warnings: Mutex<Vec<String>>,
    /// Whether the caller wants nothing any more.
    pub(crate) stop: Option<Stop>,
    /// What one selection may read.
    pub(crate) limits: ReadLimits,
}

/// What one selection may read; more ends it with [`SourceError::Limit`].
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Series found in one part of the store. More are told before their labels are looked at.
    pub series_max: u64,
    /// Samples decoded for one batch of series. More are told after the series that has them.
    pub samples_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { series_max: u64::MAX, samples_max: usize::MAX }
    }
}

impl Reader {
    /// The same, which ends a selection of series with [`SourceError::Canceled`] soon after `stop`
    /// says so.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The same, which reads no more than `limits`.
    #[must_use]
    pub const fn with_limits(mut self, limits: ReadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What is older is past the retention, and in no answer.
    #[must_use]
    pub const fn oldest(&self) -> TimestampMs {
        self.oldest
    }

    /// The range without what is past the retention.
    fn kept(&self, range: TimeRange) -> TimeRange {
        TimeRange::new(range.start.max(self.oldest), range.end)
    }

    /// What series selected in a range have to have something at or after, and who ends that.
    fn since(&self, range: TimeRange) -> Since<'_> {
        Since { start: self.kept(range).start, stop: self.stop.as_ref() }
    }

    /// The parts of the version that may hold something inside `range`, and the tenant.
    fn parts(&self, range: TimeRange) -> Option<(TenantId, Vec<Part>)> {
        let range = self.kept(range);
        Some((self.tenant?, part::overlapping(&self.version, range)))
    }

    /// Runs `look` on the ids any of the selectors selects in a part; on `None` for all.
    fn each_part(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        mut look: impl FnMut(&Part, TenantId, &[Vec<Matcher>]) -> crate::Result<()>,
    ) -> Result<(), SourceError> {
        let Some((tenant, parts)) = self.parts(range) else { return Ok(()) };
        self.catalog.missing(self.kept(range)).into_iter().for_each(|text| self.warn(text));
        for part in parts {
            match look(&part, tenant, selectors) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    part.note_damage(&self.catalog, &error.to_string());
                    self.warn(error.to_string());
                }
                done => done.map_err(source_error)?,
            }
        }
        Ok(())
    }

    fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock();
        if warnings.len() < WARNINGS_MAX && !warnings.contains(&text) {
            warnings.push(text);
        }
    }
}

impl Source for Reader {
    fn select(&self, select: &Select) -> Result<Arc<dyn SeriesSet + '_>, SourceError> {
        let range = self.kept(select.range);
        let found = self.parts(range);
        let part_count = found.as_ref().map_or(0, |(_, parts)| parts.len());
        let catalog = Arc::clone(&self.catalog);
        let limits = (self.stop.clone(), self.limits);
        let mut selection = Selection::new(catalog, range, limits, part_count);
        self.catalog.missing(range).into_iter().for_each(|text| selection.warn(text));
        if let Some((tenant, parts)) = found {
            for part in parts {
                selection.add(part, tenant, &select.matchers).map_err(source_error)?;
            }
        }
        Ok(Arc::new(selection))
    }

    fn count_series(&self, count: &SeriesCount) -> Result<Option<SeriesCounts>, SourceError> {
        match self.count(count) {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
            done => done.map_err(source_error),
        }
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<String>, SourceError> {
        let since = self.since(range);
        let mut names = BTreeSet::new();
        self.each_part(selectors, range, |part, tenant, selectors| {
            let ids = part.select_any(tenant, selectors, since)?;
            names.extend(part.label_names(tenant, ids.as_ref())?);
            Ok(())
        })?;
        Ok(names.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<String>, SourceError> {
        let since = self.since(range);
        let mut values = BTreeSet::new();
        self.each_part(selectors, range, |part, tenant, selectors| {
            let ids = part.select_any(tenant, selectors, since)?;
            values.extend(part.label_values(tenant, name, ids.as_ref())?);
            Ok(())
        })?;
        Ok(values.into_iter().collect())
    }

    fn metadata(&self, metric: Option<&str>) -> Result<Vec<Metadata>, SourceError> {
        Ok(self.tenant.map(|tenant| self.catalog.metadata(tenant, metric)).unwrap_or_default())
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SourceError> {
        let kept = self.kept(range);
        let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
        self.each_part(selectors, range, |part, tenant, selectors| {
            part.exemplars(
                tenant,
                (selectors, self.stop.as_ref()),
                kept,
                &mut |labels, exemplars| {
                    found.entry(labels).or_default().extend(exemplars);
                },
            )
        })?;
        for exemplars in found.values_mut() {
            exemplars.sort_by(|a, b| order(a).cmp(&order(b)).then(a.labels.cmp(&b.labels)));
            exemplars.dedup_by(|a, b| order(a) == order(b) && a.labels == b.labels);
        }
        Ok(found.into_iter().collect())
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }
}

fn order(exemplar: &Exemplar) -> (i64, u64) {
    (exemplar.timestamp_ms, exemplar.value.to_bits())
}

/// The words of the seam for an error of the store.
#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
fn source_error(error: Error) -> SourceError {
    match error.kind() {
        ErrorKind::Closed => SourceError::Closed,
        ErrorKind::Canceled => SourceError::Canceled,
        ErrorKind::Limit => SourceError::Limit(error.to_string()),
        _ => SourceError::Io(error.to_string()),
    }
}
