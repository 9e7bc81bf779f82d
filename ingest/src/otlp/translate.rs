//! The walk through a request: each data point becomes samples of one series or several.

use std::borrow::Cow;

use ephemeris_model::MetricType;

use crate::body::Limits;
use crate::error::IngestError;
use crate::wire::Reader;

use super::delta::Session;
use super::family::Families;
use super::labels::{ResourceLabels, scope_labels, set};
use super::message::{Metric, each, resource, scope};
use super::options::Options;
use super::point::Point;
use super::symbols::{PointLabels, Shared};
use super::write::Series;
use crate::output::{FamilyInfo, NO_POINT, Output};

/// Between two samples of `target_info` of one resource, so that a lookback always finds one.
const TARGET_INFO_STEP_MS: i64 = 150_000;
/// Samples of `target_info` one resource of a request may bring.
const TARGET_INFO_SAMPLES_MAX: usize = 1_000;
/// Different texts of refusals that are told to the sender.
const REASONS_MAX: usize = 8;

/// A translated request.
#[derive(Debug, Default)]
pub struct Translated {
    /// A remote-write 2.0 message, not compressed. Empty if there is nothing to store.
    pub body: Vec<u8>,
    /// Data points received.
    pub points: u64,
    /// What was refused, and what is worth telling.
    pub refused: Refused,
    /// For each float sample of the message, the number of its data point, or [`NO_POINT`].
    pub sample_points: Vec<u32>,
    /// The same for each histogram.
    pub histogram_points: Vec<u32>,
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

/// Translates an `ExportMetricsServiceRequest`.
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
) -> Result<Translated, IngestError> {
    let mut walk = Walk {
        options,
        deltas,
        out: Output::new(limits.batch_bytes_max),
        families: Families::default(),
        labels: PointLabels::new(options.naming),
        attributes: Vec::new(),
        points: 0,
        refused: Refused::default(),
    };
    each(Reader::new(message), 1, "resource metrics", |part| walk.resource(part))?;
    let Walk { out, points, refused, .. } = walk;
    let (body, sample_points, histogram_points) = out.finish();
    let empty = sample_points.is_empty() && histogram_points.is_empty();
    Ok(Translated {
        body: if empty { Vec::new() } else { body },
        points: u64::from(points),
        refused,
        sample_points,
        histogram_points,
    })
}

struct Walk<'m, 'o, 'd> {
    options: &'o Options,
    deltas: &'o mut Session<'d>,
    out: Output,
    families: Families<'m>,
    labels: PointLabels<'m>,
    /// Kept for its memory.
    attributes: Vec<Reader<'m>>,
    /// Points met so far, so the number of the next.
    points: u32,
    refused: Refused,
}

impl<'m> Walk<'m, '_, '_> {
    fn resource(&mut self, part: Reader<'m>) -> Result<(), IngestError> {
        let resource = resource(part)?;
        let labels = ResourceLabels::new(&resource, self.options);
        let mut times = Times::default();
        each(part, 2, "scope metrics", |part| {
            let scope = scope(part)?;
            let scope = scope_labels(&scope, self.options);
            let shared = Shared::new(&labels, &scope, &mut self.out)?;
            each(part, 2, "metric", |metric| self.metric(metric, &shared, &mut times))
        })?;
        self.target_info(&labels, times)
    }

    fn metric(
        &mut self,
        part: Reader<'m>,
        shared: &Shared<'_, 'm>,
        times: &mut Times,
    ) -> Result<(), IngestError> {
        let metric = Metric::read(part)?;
        let Some(data) = metric.data else {
            self.refused.warn(|| format!("metric {:?} has no data", metric.name));
            return Ok(());
        };
        let Self { out, labels, deltas, options, .. } = self;
        let family = self.families.of(&metric, options, out)?;
        each(data, 1, "data point", |part| {
            let number = self.points;
            self.points = number
                .checked_add(1)
                .ok_or_else(|| IngestError::BadMessage("more than 2^32 data points".to_owned()))?;
            let mut attributes = std::mem::take(&mut self.attributes);
            attributes.clear();
            let point = Point::read(metric.kind, part, attributes)?;
            labels.take(&point.attributes, out)?;
            let result = match family {
                Ok(_) if point.time_ns == 0 => Err("point has no time".to_owned()),
                Ok(_) if point.has_too_many_attributes() => {
                    Err("point has too many attributes".to_owned())
                }
                Ok(family) => {
                    times.add(time_ms(point.time_ns));
                    labels.make(&point.attributes, shared, out)?;
                    Series { out, deltas, options, family, labels, shared, number }.write(&point)?
                }
                Err(text) => Err(text.clone()),
            };
            if let Err(text) = result {
                self.refused.add(1, format!("{text}: metric {:?}", metric.name));
            }
            self.attributes = point.attributes;
            Ok(())
        })
    }

    /// Writes `target_info` for the times the resource has points at.
    fn target_info(
        &mut self,
        labels: &ResourceLabels<'_>,
        times: Times,
    ) -> Result<(), IngestError> {
        let Some((first, last)) = times.range else { return Ok(()) };
        if !self.options.target_info || labels.identity.is_empty() || labels.info.is_empty() {
            return Ok(());
        }
        let mut all = labels.info.clone();
        for pair in &labels.identity {
            set(&mut all, pair.clone());
        }
        set(&mut all, (Cow::Borrowed("__name__"), Cow::Borrowed("target_info")));
        let mut symbols = Vec::with_capacity(all.len());
        for (name, value) in &all {
            symbols.push([self.out.symbol(name)?, self.out.symbol(value)?]);
        }
        self.out.open(&symbols);
        let step = usize::try_from(TARGET_INFO_STEP_MS).unwrap_or(usize::MAX);
        for time in (first..last).step_by(step).take(TARGET_INFO_SAMPLES_MAX) {
            self.out.sample(NO_POINT, time, 1.0, 0)?;
        }
        self.out.sample(NO_POINT, last, 1.0, 0)?;
        let help = self.out.symbol("Target metadata")?;
        let metric_type = MetricType::Gauge as u8;
        self.out.close(FamilyInfo { metric_type, help, unit: 0 })
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
