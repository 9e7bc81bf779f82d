//! The walk through a request: each data point becomes samples of one series or several.

use ephemeris_model::MetricType;

use crate::body::Limits;
use crate::error::IngestError;
use crate::remote_write::replica::{Fate, ReplicaLabels};
use crate::wire::Reader;

use super::cache::{BadFamily, Cache, KnownResource, KnownScope, number_all};
use super::delta::Session;
use super::message::{Data, DataKind, Texts, each};
use super::options::Options;
use super::point::{PlainNumber, Point};
use super::write::{At, Series};
use crate::output::{FamilyInfo, NO_POINT, Output, PLAIN_REFERENCES_MAX, Symbol};

/// Between two samples of `target_info` of one resource, so that a lookback always finds one.
const TARGET_INFO_STEP_MS: i64 = 150_000;
/// Samples of `target_info` one resource of a request may bring.
const TARGET_INFO_SAMPLES_MAX: usize = 1_000;
/// Different texts of refusals that are told to the sender.
const REASONS_MAX: usize = 8;

/// A translated request.
#[derive(Debug, Default)]
pub struct Translated {
    /// A message of kind [`LabelParts`](ephemeris_model::BodyKind::LabelParts). Empty if there is
    /// nothing to store.
    pub body: Vec<u8>,
    /// Data points received.
    pub points: u64,
    /// What was refused, and what is worth telling.
    pub refused: Refused,
    /// For each float sample of the message, the number of its data point, or [`NO_POINT`].
    pub sample_points: Vec<u32>,
    /// The same for each histogram.
    pub histogram_points: Vec<u32>,
    /// What became of points of agents that come in pairs.
    pub pairs: PairPoints,
}

/// Agents that send the same: how they are told apart, and whose points are kept.
pub struct Replicas<'r> {
    /// Labels by which they are told apart, as translation names them; attributes of resources.
    pub labels: &'r ReplicaLabels,
    /// What becomes of the points of a cluster's replica.
    pub fate: &'r mut dyn FnMut(&str, &str) -> Fate,
}

/// Data points of agents that come in pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairPoints {
    /// Those another replica's were stored for.
    pub dropped: u64,
    /// Those of one cluster too many. They are not among [`Translated::refused`].
    pub refused: u64,
}

/// Data points that were refused.
#[derive(Debug, Default)]
pub struct Refused {
    /// How many.
    pub points: u64,
    /// Why: count and the text of the first of its kind.
    pub reasons: Vec<(u64, String)>,
    /// What is odd, but costs no point.
    pub warnings: Vec<String>,
}

impl Refused {
    /// Counts refused points. Texts that begin alike are one reason.
    pub fn add(&mut self, count: u64, text: String) {
        self.points += count;
        let ends = |c: char| c == ':' || c == '"' || c.is_ascii_digit();
        let kind = |text: &str| text.split(ends).next().unwrap_or_default().len();
        let same = |known: &str| known[..kind(known)] == text[..kind(&text)];
        if let Some((n, _)) = self.reasons.iter_mut().find(|(_, known)| same(known)) {
            *n += count;
        } else if self.reasons.len() < REASONS_MAX {
            self.reasons.push((count, text));
        }
    }

    /// Notes something odd.
    pub fn warn(&mut self, text: impl FnOnce() -> String) {
        if self.warnings.len() < REASONS_MAX {
            self.warnings.push(text());
        }
    }

    /// One line for the sender; empty if there is nothing to tell.
    #[must_use]
    pub fn message(&self) -> String {
        let reasons = self.reasons.iter().map(|(count, text)| format!("{count} rejected: {text}"));
        reasons.chain(self.warnings.iter().cloned()).collect::<Vec<_>>().join("; ")
    }
}

/// Translates an `ExportMetricsServiceRequest`, of a tenant that perhaps sends in pairs: then
/// resources that name cluster and replica lose the label of the replica, and are kept, dropped or
/// refused as a whole. What comes again is known by `cache`; the result is
/// the same without.
///
/// # Errors
/// If the message is not well-formed, its translation passes `limits.batch_bytes_max`, or the
/// store cannot be read for the totals of delta points. Single points that cannot be used are
/// in [`Translated::refused`].
pub fn translate(
    message: &[u8],
    options: &Options,
    limits: &Limits,
    deltas: &mut Session<'_>,
    cache: &mut Cache,
    replicas: Option<Replicas<'_>>,
) -> Result<Translated, IngestError> {
    cache.begin(options);
    let out = Output::sized(limits.batch_bytes_max, cache.sizes);
    let mut walk = Walk {
        options,
        deltas,
        cache,
        replicas,
        pairs: PairPoints::default(),
        out,
        attributes: Vec::new(),
        numbers: Vec::new(),
        told_target_info: false,
        points: 0,
        refused: Refused::default(),
    };
    each(Reader::new(message), 1, "resource metrics", |part| walk.resource(part))?;
    let Walk { out, points, refused, pairs, cache, .. } = walk;
    cache.sizes = out.sizes();
    let (body, sample_points, histogram_points) = out.finish();
    let empty = sample_points.is_empty() && histogram_points.is_empty();
    Ok(Translated {
        body: if empty { Vec::new() } else { body },
        points: u64::from(points),
        refused,
        sample_points,
        histogram_points,
        pairs,
    })
}

struct Walk<'m, 'o, 'd, 'r> {
    options: &'o Options,
    deltas: &'o mut Session<'d>,
    cache: &'o mut Cache,
    replicas: Option<Replicas<'r>>,
    pairs: PairPoints,
    out: Output,
    /// Kept for its memory.
    attributes: Vec<Reader<'m>>,
    /// Kept for its memory.
    numbers: Vec<Symbol>,
    /// Whether metadata of `target_info` was written.
    told_target_info: bool,
    /// Points met so far, so the number of the next.
    points: u32,
    refused: Refused,
}

impl<'m> Walk<'m, '_, '_, '_> {
    fn resource(&mut self, part: Reader<'m>) -> Result<(), IngestError> {
        let labels = self.replicas.as_ref().map(|replicas| replicas.labels);
        let resource = self.cache.resource(part, labels, &mut self.out)?;
        if let (Some(replicas), Some((cluster, replica))) = (&mut self.replicas, &resource.replica)
        {
            let fate = (replicas.fate)(cluster, replica);
            if fate != Fate::Keep {
                return self.leave_out(part, fate);
            }
        }
        let mut times = Times::default();
        each(part, 2, "scope metrics", |part| {
            let scope = self.cache.scope(&resource, part, &mut self.out)?;
            each(part, 2, "metric", |metric| self.metric(metric, &scope, &mut times))
        })?;
        self.target_info(&resource, times)
    }

    /// Counts the points of a resource that is not kept.
    fn leave_out(&mut self, part: Reader<'m>, fate: Fate) -> Result<(), IngestError> {
        let before = self.points;
        each(part, 2, "scope metrics", |part| {
            each(part, 2, "metric", |metric| {
                let Some(points) = Data::find(metric)?.points else { return Ok(()) };
                each(points, 1, "data point", |_| self.next_point().map(drop))
            })
        })?;
        let count = u64::from(self.points - before);
        match fate {
            Fate::Refuse => self.pairs.refused += count,
            Fate::Keep | Fate::Drop => self.pairs.dropped += count,
        }
        Ok(())
    }

    /// The number of the next point.
    fn next_point(&mut self) -> Result<u32, IngestError> {
        let number = self.points;
        self.points = number
            .checked_add(1)
            .ok_or_else(|| IngestError::BadMessage("more than 2^32 data points".to_owned()))?;
        Ok(number)
    }

    fn metric(
        &mut self,
        part: Reader<'m>,
        scope: &KnownScope,
        times: &mut Times,
    ) -> Result<(), IngestError> {
        let data = Data::find(part)?;
        let Some(points) = data.points else {
            let name = Texts::read(part)?.name;
            self.refused.warn(|| format!("metric {name:?} has no data"));
            return Ok(());
        };
        let family = self.cache.family(part, &data, &mut self.out)?;
        let is_number = matches!(data.kind, DataKind::Gauge | DataKind::Sum);
        each(points, 1, "data point", |part| {
            if is_number
                && let Some(point) = PlainNumber::read(part)
                && self.known_point(&point, family, scope, times)?
            {
                return Ok(());
            }
            self.point(part, (&data, family), scope, times)
        })
    }

    /// Writes a point of which all is known; false if it is not, and nothing was done.
    #[inline]
    fn known_point(
        &mut self,
        point: &PlainNumber<'m>,
        family: usize,
        scope: &KnownScope,
        times: &mut Times,
    ) -> Result<bool, IngestError> {
        let Self { out, cache, points, numbers, .. } = self;
        let request = cache.parts.request();
        let Some(Ok(family)) = cache.families.get(family) else { return Ok(false) };
        let Some(name) = family.plain_part(request) else { return Ok(false) };
        let labels = cache.known_labels(point.attributes, scope).filter(|labels| !labels.is_odd);
        let (Some(labels), Some(next)) = (labels, points.checked_add(1)) else { return Ok(false) };
        let list = labels.list.of(&cache.lists);
        if list.len() >= PLAIN_REFERENCES_MAX {
            return Ok(false);
        }
        let at = At::new(time_ms(point.time_ns), time_ms(point.start_ns));
        times.add(at.time_ms);
        number_all(numbers, list.iter().copied().chain([name]), (&mut cache.parts, out))?;
        out.plain(*points, numbers, (at.time_ms, at.start_ms), point.value)?;
        *points = next;
        Ok(true)
    }

    #[inline]
    fn point(
        &mut self,
        part: Reader<'m>,
        (data, family): (&Data<'m>, usize),
        scope: &KnownScope,
        times: &mut Times,
    ) -> Result<(), IngestError> {
        let number = self.next_point()?;
        let mut attributes = std::mem::take(&mut self.attributes);
        attributes.clear();
        let point = Point::read(data.kind, part, attributes)?;
        let Self { out, deltas, options, cache, numbers, .. } = self;
        let labels = cache.point(&point, scope, out)?;
        let Cache { families, parts, lists, .. } = &mut **cache;
        let lost = || IngestError::BadMessage("family of metric is not known".to_owned());
        let (metric, result) = match families.get_mut(family).ok_or_else(lost)? {
            Err(BadFamily { metric, text }) => (metric, Err(text.clone())),
            Ok(family) if point.time_ns == 0 => {
                (&mut family.metric, Err("point has no time".to_owned()))
            }
            Ok(family) if point.has_too_many_attributes() => {
                (&mut family.metric, Err("point has too many attributes".to_owned()))
            }
            Ok(family) => {
                times.add(time_ms(point.time_ns));
                let parts = (&mut *family, parts, &**lists);
                let labels = (scope, labels);
                let mut series =
                    Series::new((out, deltas), options, parts, labels, (number, numbers));
                let result = series.write(&point)?;
                (&mut family.metric, result)
            }
        };
        if let Err(text) = result {
            self.refused.add(1, format!("{text}: metric {metric:?}"));
        }
        self.attributes = point.attributes;
        Ok(())
    }

    /// Writes `target_info` for the times the resource has points at.
    fn target_info(&mut self, resource: &KnownResource, times: Times) -> Result<(), IngestError> {
        let (Some((first, last)), Some(info)) = (times.range, resource.info) else {
            return Ok(());
        };
        let Cache { parts, lists, .. } = &mut *self.cache;
        let list = info.of(lists).iter().copied();
        number_all(&mut self.numbers, list, (parts, &mut self.out))?;
        self.out.open_parts(&self.numbers);
        let step = usize::try_from(TARGET_INFO_STEP_MS).unwrap_or(usize::MAX);
        for time in (first..last).step_by(step).take(TARGET_INFO_SAMPLES_MAX) {
            self.out.sample(NO_POINT, time, 1.0, 0)?;
        }
        self.out.sample(NO_POINT, last, 1.0, 0)?;
        let mut info = FamilyInfo::default();
        if !std::mem::replace(&mut self.told_target_info, true) {
            let help = self.out.symbol("Target metadata")?;
            info = FamilyInfo { metric_type: MetricType::Gauge as u8, help, unit: 0 };
        }
        self.out.close(info)
    }
}

/// Earliest and latest time of the points of a resource.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    range: Option<(i64, i64)>,
}

impl Times {
    fn add(&mut self, time: i64) {
        let (first, last) = self.range.unwrap_or((time, time));
        self.range = Some((first.min(time), last.max(time)));
    }
}

/// A time as samples have it.
pub(super) const fn time_ms(time_ns: u64) -> i64 {
    (time_ns / 1_000_000).cast_signed()
}
