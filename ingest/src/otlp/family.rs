//! The family a metric becomes: its name, type and metadata, made once for all metrics of a request
//! that say the same of themselves.

use ephemeris_model::MetricType;
use hashbrown::HashMap;

use crate::error::IngestError;
use crate::output::{FamilyInfo, Output, Symbol};

use super::message::{DataKind, Metric, Temporality};
use super::naming::{NameKind, metric_name, unit_text};
use super::options::{DeltaMode, Options};

/// Bytes that knowing a family costs beside its texts.
const FAMILY_BYTES: usize = 256;

/// The family a metric becomes.
pub(super) struct Family {
    pub(super) name: String,
    /// Its name.
    pub(super) symbol: Symbol,
    /// Names of its series with a suffix, once they are needed.
    suffixed: [Option<Symbol>; Suffix::ALL.len()],
    pub(super) info: FamilyInfo,
    pub(super) kind: DataKind,
    pub(super) is_monotonic: bool,
    /// Its points are to be added up.
    pub(super) accumulates: bool,
}

/// What the names of series of histograms and summaries end in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Suffix {
    Bucket,
    Sum,
    Count,
}

impl Suffix {
    const ALL: [&str; 3] = ["_bucket", "_sum", "_count"];
}

impl Family {
    /// What the metric becomes, or why none of its points can be used.
    fn new(
        metric: &Metric<'_>,
        options: &Options,
        out: &mut Output,
    ) -> Result<Result<Self, String>, IngestError> {
        let is_counter = metric.kind == DataKind::Sum && metric.is_monotonic;
        let temporal =
            matches!(metric.kind, DataKind::Sum | DataKind::Histogram | DataKind::Exponential);
        if temporal && metric.temporality == Temporality::Unspecified {
            return Ok(Err("metric has no aggregation temporality".to_owned()));
        }
        let name_kind = match metric.kind {
            DataKind::Sum if is_counter => NameKind::Counter,
            DataKind::Gauge => NameKind::Gauge,
            _ => NameKind::Other,
        };
        let Some(name) = metric_name(options.naming, metric.name, metric.unit, name_kind) else {
            return Ok(Err("name of metric has no usable character".to_owned()));
        };
        let is_delta = temporal && metric.temporality == Temporality::Delta;
        let accumulates = is_delta && options.delta == DeltaMode::Accumulate;
        let metric_type = match metric.kind {
            _ if is_delta && !accumulates => MetricType::Unknown,
            DataKind::Sum if is_counter => MetricType::Counter,
            DataKind::Histogram | DataKind::Exponential => MetricType::Histogram,
            DataKind::Summary => MetricType::Summary,
            _ => match metric.type_hint {
                "unknown" => MetricType::Unknown,
                "info" => MetricType::Info,
                "stateset" => MetricType::StateSet,
                _ => MetricType::Gauge,
            },
        };
        let info = FamilyInfo {
            metric_type: metric_type as u8,
            help: out.symbol(metric.description)?,
            unit: out.symbol(&unit_text(metric.unit))?,
        };
        let (symbol, suffixed) = (out.symbol(&name)?, [None; Suffix::ALL.len()]);
        let (kind, is_monotonic) = (metric.kind, metric.is_monotonic);
        Ok(Ok(Self { name, symbol, suffixed, info, kind, is_monotonic, accumulates }))
    }

    /// The name with a suffix.
    pub(super) fn suffixed(
        &mut self,
        suffix: Suffix,
        out: &mut Output,
    ) -> Result<Symbol, IngestError> {
        let (at, text) = (suffix as usize, Suffix::ALL[suffix as usize]);
        if let Some(symbol) = self.suffixed[at] {
            return Ok(symbol);
        }
        let symbol = out.symbol(&format!("{}{text}", self.name))?;
        self.suffixed[at] = Some(symbol);
        Ok(symbol)
    }
}

/// What decides on a family: name, unit, description and type hint, and what it holds.
type Key<'m> = ([&'m str; 4], DataKind, Temporality, bool);

/// The families of a request.
#[derive(Default)]
pub(super) struct Families<'m> {
    places: HashMap<Key<'m>, usize>,
    families: Vec<Result<Family, String>>,
}

impl<'m> Families<'m> {
    /// What the metric becomes, or why none of its points can be used.
    ///
    /// # Errors
    /// If the message becomes too large.
    pub(super) fn of(
        &mut self,
        metric: &Metric<'m>,
        options: &Options,
        out: &mut Output,
    ) -> Result<&mut Result<Family, String>, IngestError> {
        let texts = [metric.name, metric.unit, metric.description, metric.type_hint];
        let key = (texts, metric.kind, metric.temporality, metric.is_monotonic);
        let at = match self.places.get(&key) {
            Some(at) => *at,
            None => {
                let family = Family::new(metric, options, out)?;
                let name = family.as_ref().map_or(0, |family| family.name.len());
                out.take(FAMILY_BYTES + name)?;
                self.families.push(family);
                self.places.insert(key, self.families.len() - 1);
                self.families.len() - 1
            }
        };
        let lost = || IngestError::BadMessage("family of metric is not known".to_owned());
        self.families.get_mut(at).ok_or_else(lost)
    }
}
