//! The family a metric becomes: its name, type and metadata, made once for all metrics that say the
//! same of themselves.

use ephemeris_model::MetricType;
use hashbrown::HashMap;

use crate::error::IngestError;
use crate::output::{FamilyInfo, Output};
use crate::wire::Reader;

use super::cache::BadFamily;
use super::message::{Data, DataKind, Temporality, Texts};
use super::naming::{NameKind, metric_name, unit_text};
use super::options::{DeltaMode, Options};
use super::parts::{PartId, Parts};

/// Bytes that a family costs beside its texts.
const FAMILY_BYTES: usize = 256;
/// Bytes that knowing a name with a label costs.
const NAME_BYTES: usize = 64;

/// The family a metric becomes.
#[derive(Debug)]
pub(super) struct Family {
    /// The metric, as it is called by its sender.
    pub(super) metric: String,
    pub(super) name: String,
    /// The label `__name__` with this name.
    plain: PartId,
    /// The label with a suffix, and the label a series of the family has beside.
    others: HashMap<Name, PartId>,
    metric_type: u8,
    help: String,
    unit: String,
    /// The request that metadata was written in last.
    told: u32,
    pub(super) kind: DataKind,
    pub(super) is_monotonic: bool,
    /// Its points are to be added up.
    pub(super) accumulates: bool,
}

/// What a series of a family has for itself, by which it is told from the others of its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// Nothing but the name of the family.
    Plain,
    /// `_sum`.
    Sum,
    /// `_count`.
    Count,
    /// `_bucket`, with `le` by the bits of its bound.
    Bucket(u64),
    /// `quantile`, by its bits.
    Quantile(u64),
}

impl Name {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Plain | Self::Quantile(_) => "",
            Self::Sum => "_sum",
            Self::Count => "_count",
            Self::Bucket(_) => "_bucket",
        }
    }

    /// Name and value of the label it has beside `__name__`.
    pub(super) fn label(self) -> Option<(&'static str, String)> {
        let text = |bits| f64::from_bits(bits).to_string();
        match self {
            Self::Plain | Self::Sum | Self::Count => None,
            Self::Bucket(bits) if f64::from_bits(bits) == f64::INFINITY => {
                Some(("le", "+Inf".to_owned()))
            }
            Self::Bucket(bits) => Some(("le", text(bits))),
            Self::Quantile(bits) => Some(("quantile", text(bits))),
        }
    }
}

impl Family {
    /// What a metric becomes, or why none of its points can be used.
    ///
    /// # Errors
    /// If it is not well-formed.
    pub(super) fn new(
        part: Reader<'_>,
        data: &Data<'_>,
        options: &Options,
        parts: &mut Parts,
    ) -> Result<Result<Self, BadFamily>, IngestError> {
        let texts = Texts::read(part)?;
        let bad = |text: &str| {
            Ok(Err(BadFamily { metric: texts.name.to_owned(), text: text.to_owned() }))
        };
        let (kind, is_monotonic) = (data.kind, data.is_monotonic);
        let is_counter = kind == DataKind::Sum && is_monotonic;
        let temporal = matches!(kind, DataKind::Sum | DataKind::Histogram | DataKind::Exponential);
        if temporal && data.temporality == Temporality::Unspecified {
            return bad("metric has no aggregation temporality");
        }
        let name_kind = match kind {
            DataKind::Sum if is_counter => NameKind::Counter,
            DataKind::Gauge => NameKind::Gauge,
            _ => NameKind::Other,
        };
        let Some(name) = metric_name(options.naming, texts.name, texts.unit, name_kind) else {
            return bad("name of metric has no usable character");
        };
        let is_delta = temporal && data.temporality == Temporality::Delta;
        let accumulates = is_delta && options.delta == DeltaMode::Accumulate;
        let metric_type = match kind {
            _ if is_delta && !accumulates => MetricType::Unknown,
            DataKind::Sum if is_counter => MetricType::Counter,
            DataKind::Histogram | DataKind::Exponential => MetricType::Histogram,
            DataKind::Summary => MetricType::Summary,
            _ => match texts.type_hint {
                "unknown" => MetricType::Unknown,
                "info" => MetricType::Info,
                "stateset" => MetricType::StateSet,
                _ => MetricType::Gauge,
            },
        };
        Ok(Ok(Self {
            metric: texts.name.to_owned(),
            plain: parts.add([("__name__", name.as_str())].into_iter()),
            name,
            others: HashMap::new(),
            metric_type: metric_type as u8,
            help: texts.description.to_owned(),
            unit: unit_text(texts.unit),
            told: 0,
            kind,
            is_monotonic,
            accumulates,
        }))
    }

    /// Bytes it takes, about.
    pub(super) const fn bytes(&self) -> usize {
        let texts = self.metric.len() + self.name.len() + self.help.len() + self.unit.len();
        FAMILY_BYTES + texts
    }

    /// The text of `__name__`.
    pub(super) fn full_name(&self, name: Name) -> String {
        format!("{}{}", self.name, name.suffix())
    }

    /// The labels that a series of the family has for itself.
    ///
    /// # Errors
    /// If the message becomes too large.
    #[inline]
    pub(super) fn part(
        &mut self,
        name: Name,
        parts: &mut Parts,
        out: &mut Output,
    ) -> Result<PartId, IngestError> {
        if name == Name::Plain {
            return Ok(self.plain);
        }
        if let Some(id) = self.others.get(&name) {
            return Ok(*id);
        }
        let before = parts.bytes();
        let (full, label) = (self.full_name(name), name.label());
        let label = label.as_ref().map(|(name, value)| (*name, value.as_str()));
        let id = parts.add([("__name__", full.as_str())].into_iter().chain(label));
        out.take(NAME_BYTES + parts.bytes() - before)?;
        self.others.insert(name, id);
        Ok(id)
    }

    /// The name of a series that has nothing else for itself, if no more is to be written of a
    /// float that it holds as it is: the family has told of itself, and its points are not added up.
    #[inline]
    pub(super) fn plain_part(&self, request: u32) -> Option<PartId> {
        (self.told == request && !self.accumulates).then_some(self.plain)
    }

    /// What the family says of itself, once in a request; after that it has said it.
    ///
    /// # Errors
    /// If the message becomes too large.
    #[inline]
    pub(super) fn tell(
        &mut self,
        request: u32,
        out: &mut Output,
    ) -> Result<FamilyInfo, IngestError> {
        if self.told == request {
            return Ok(FamilyInfo::default());
        }
        self.told = request;
        let (help, unit) = (out.symbol(&self.help)?, out.symbol(&self.unit)?);
        Ok(FamilyInfo { metric_type: self.metric_type, help, unit })
    }
}
