//! From one data point to the samples of its series.

use std::borrow::Cow;

use crate::error::IngestError;

use super::attributes::hex;
use super::cache::{KnownLabels, KnownScope, number_all};
use super::delta::{Added, Session, Window};
use super::family::{Family, Name};
use super::histogram::{
    STALE, check_explicit, encode_custom, encode_exponential, encode_stale, reduce,
};
use super::labels::{Pair, set};
use super::message::DataKind;
use super::options::{ExplicitHistograms, Options};
use super::parts::{PartId, Parts};
use super::point::{
    BUCKETS_MAX, ExplicitValue, ExponentialValue, Point, PointExemplar, PointValue, SummaryValue,
    count_value, int_value,
};
use super::translate::time_ms;
use crate::output::{Output, Symbol};
use crate::remote_write::push_raw;

/// Characters that the labels of an exemplar may have; attributes beyond are left out.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// What a point needs to become samples.
pub(super) struct Series<'w, 'd, 'm> {
    out: &'w mut Output,
    deltas: &'w mut Session<'d>,
    options: &'w Options,
    family: &'w mut Family,
    parts: &'w mut Parts,
    scope: &'w KnownScope,
    labels: KnownLabels,
    lists: &'w [PartId],
    /// Kept for its memory.
    numbers: &'w mut Vec<Symbol>,
    /// The labels of the point as texts, if some of them may have to go.
    odd: Option<Vec<Pair<'m>>>,
    /// Number of the point.
    number: u32,
}

/// Nothing, or why the point cannot be used.
type Verdict = Result<(), String>;

/// When a point was measured and since when it counts.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) time_ms: i64,
    pub(super) start_ms: i64,
}

impl At {
    /// A start that is not before the time says nothing.
    pub(super) const fn new(time_ms: i64, start_ms: i64) -> Self {
        Self { time_ms, start_ms: if start_ms < time_ms { start_ms } else { 0 } }
    }
}

impl<'w, 'd, 'm> Series<'w, 'd, 'm> {
    /// For point `number`, which has these labels.
    #[inline]
    pub(super) const fn new(
        (out, deltas): (&'w mut Output, &'w mut Session<'d>),
        options: &'w Options,
        (family, parts, lists): (&'w mut Family, &'w mut Parts, &'w [PartId]),
        (scope, labels): (&'w KnownScope, KnownLabels),
        (number, numbers): (u32, &'w mut Vec<Symbol>),
    ) -> Self {
        let odd = None;
        Self { out, deltas, options, family, parts, scope, labels, lists, numbers, odd, number }
    }

    /// Writes the samples of `point`.
    #[inline]
    pub(super) fn write(&mut self, point: &Point<'m>) -> Result<Verdict, IngestError> {
        if self.labels.is_odd {
            self.odd = Some(self.scope.labels_of(point, self.options)?);
        }
        let at = At::new(time_ms(point.time_ns), time_ms(point.start_ns));
        match &point.value {
            PointValue::Histogram(value) => self.explicit(point, value, at),
            PointValue::Exponential(value) => self.exponential(point, value, at),
            PointValue::Summary(value) => self.summary(point, value, at),
            PointValue::Double(value) => self.number(point, *value, at),
            PointValue::Int(value) => self.number(point, int_value(*value), at),
            PointValue::None if point.is_absent() => self.number(point, STALE, at),
            PointValue::None => Ok(Err("point has no value".to_owned())),
        }
    }

    const fn window(point: &Point<'m>) -> Window {
        Window { start_ns: point.start_ns, time_ns: point.time_ns }
    }

    fn number(&mut self, point: &Point<'m>, value: f64, at: At) -> Result<Verdict, IngestError> {
        let (mut value, mut at) = (value, at);
        if point.is_absent() {
            value = STALE;
        } else if self.family.accumulates {
            if self.family.is_monotonic && (value.is_nan() || value < 0.0) {
                return Ok(Err("delta of a monotonic sum is not positive".to_owned()));
            }
            let labels = self.named(point)?;
            match self.deltas.number(&labels, Self::window(point), value)? {
                Added::Total(total, start_ms) => {
                    (value, at) = (total, At::new(at.time_ms, start_ms));
                }
                Added::Repeat => return Ok(Ok(())),
                Added::Refused(text) => return Ok(Err(text)),
            }
        }
        let exemplars = if self.family.kind == DataKind::Sum {
            self.exemplars(&point.exemplars, f64::NEG_INFINITY, f64::INFINITY)?
        } else {
            Vec::new()
        };
        self.sample(Name::Plain, (value, at), &exemplars)?;
        Ok(Ok(()))
    }

    fn explicit(
        &mut self,
        point: &Point<'m>,
        value: &ExplicitValue,
        at: At,
    ) -> Result<Verdict, IngestError> {
        if let Err(text) = check_explicit(value) {
            return Ok(Err(text));
        }
        if !self.family.accumulates || point.is_absent() {
            return self.write_explicit(point, value, at);
        }
        let labels = self.named(point)?;
        match self.deltas.explicit(&labels, Self::window(point), value)? {
            Added::Total(total, start_ms) => {
                self.write_explicit(point, &total, At::new(at.time_ms, start_ms))
            }
            Added::Repeat => Ok(Ok(())),
            Added::Refused(text) => Ok(Err(text)),
        }
    }

    fn write_explicit(
        &mut self,
        point: &Point<'m>,
        value: &ExplicitValue,
        at: At,
    ) -> Result<Verdict, IngestError> {
        if self.options.histograms == ExplicitHistograms::Native {
            let message = if point.is_absent() {
                encode_stale(at.time_ms)
            } else {
                encode_custom(value, at.time_ms, at.start_ms)
            };
            return self.native(point, &message);
        }
        let stale = point.is_absent();
        let shown = |n: f64| if stale { STALE } else { n };
        let (mut below, mut lower) = (0_u64, f64::NEG_INFINITY);
        for (bound, count) in value.bounds.iter().zip(&value.counts) {
            if bound.is_infinite() && *bound > 0.0 {
                break;
            }
            below = below.saturating_add(*count);
            let exemplars = self.exemplars(&point.exemplars, lower, *bound)?;
            let name = Name::Bucket(bound.to_bits());
            self.sample(name, (shown(count_value(below)), at), &exemplars)?;
            lower = *bound;
        }
        let exemplars = self.exemplars(&point.exemplars, lower, f64::INFINITY)?;
        let name = Name::Bucket(f64::INFINITY.to_bits());
        self.sample(name, (shown(count_value(value.count)), at), &exemplars)?;
        if let Some(sum) = value.sum.or(stale.then_some(0.0)) {
            self.sample(Name::Sum, (shown(sum), at), &[])?;
        }
        self.sample(Name::Count, (shown(count_value(value.count)), at), &[])?;
        Ok(Ok(()))
    }

    fn exponential(
        &mut self,
        point: &Point<'m>,
        value: &ExponentialValue,
        at: At,
    ) -> Result<Verdict, IngestError> {
        if point.is_absent() {
            return self.native(point, &encode_stale(at.time_ms));
        }
        let value = match reduce(value.clone()) {
            Ok(value) => value,
            Err(text) => return Ok(Err(text)),
        };
        if !self.family.accumulates {
            return self.native(point, &encode_exponential(&value, at.time_ms, at.start_ms));
        }
        let labels = self.named(point)?;
        match self.deltas.exponential(&labels, Self::window(point), &value)? {
            Added::Total(total, start_ms) => {
                let at = At::new(at.time_ms, start_ms);
                self.native(point, &encode_exponential(&total, at.time_ms, at.start_ms))
            }
            Added::Repeat => Ok(Ok(())),
            Added::Refused(text) => Ok(Err(text)),
        }
    }

    fn native(&mut self, point: &Point<'m>, message: &[u8]) -> Result<Verdict, IngestError> {
        let exemplars = self.exemplars(&point.exemplars, f64::NEG_INFINITY, f64::INFINITY)?;
        self.open(Name::Plain)?;
        self.out.histogram(self.number, message)?;
        self.close(&exemplars)?;
        Ok(Ok(()))
    }

    fn summary(
        &mut self,
        point: &Point<'m>,
        value: &SummaryValue,
        at: At,
    ) -> Result<Verdict, IngestError> {
        if value.quantiles.len() > BUCKETS_MAX {
            return Ok(Err(format!("summary has more than {BUCKETS_MAX} quantiles")));
        }
        let shown = |n: f64| if point.is_absent() { STALE } else { n };
        for (quantile, value) in &value.quantiles {
            self.sample(Name::Quantile(quantile.to_bits()), (shown(*value), at), &[])?;
        }
        self.sample(Name::Sum, (shown(value.sum), at), &[])?;
        self.sample(Name::Count, (shown(count_value(value.count)), at), &[])?;
        Ok(Ok(()))
    }

    /// The labels of the point with the name of the family, as texts.
    fn named(&self, point: &Point<'m>) -> Result<Vec<Pair<'m>>, IngestError> {
        let mut labels = self.scope.labels_of(point, self.options)?;
        set(&mut labels, (Cow::Borrowed("__name__"), Cow::Owned(self.family.name.clone())));
        Ok(labels)
    }

    /// Begins a series with the labels of the point and those that it has for itself.
    #[inline]
    fn open(&mut self, name: Name) -> Result<(), IngestError> {
        if self.odd.is_some() {
            return self.open_odd(name);
        }
        let Self { out, family, parts, lists, labels, numbers, .. } = self;
        let name = family.part(name, parts, out)?;
        let list = labels.list.of(lists).iter().copied().chain([name]);
        number_all(numbers, list, (parts, out))?;
        out.open_parts(numbers);
        Ok(())
    }

    /// Begins a series whose own labels take the place of some of the point.
    #[cold]
    fn open_odd(&mut self, name: Name) -> Result<(), IngestError> {
        let (full, label) = (self.family.full_name(name), name.label());
        let own = |name: &str| name == "__name__" || label.as_ref().is_some_and(|l| l.0 == name);
        let mut raw = Vec::new();
        for (name, value) in self.odd.iter().flatten().filter(|(name, _)| !own(name)) {
            push_raw(&mut raw, name.as_bytes(), value.as_bytes());
        }
        push_raw(&mut raw, b"__name__", full.as_bytes());
        if let Some((name, value)) = &label {
            push_raw(&mut raw, name.as_bytes(), value.as_bytes());
        }
        let part = self.out.part(&raw)?;
        self.out.open_parts(&[part]);
        Ok(())
    }

    #[inline]
    fn sample(
        &mut self,
        name: Name,
        (value, at): (f64, At),
        exemplars: &[Exemplar],
    ) -> Result<(), IngestError> {
        self.open(name)?;
        self.out.sample(self.number, at.time_ms, value, at.start_ms)?;
        self.close(exemplars)
    }

    fn close(&mut self, exemplars: &[Exemplar]) -> Result<(), IngestError> {
        for exemplar in exemplars {
            self.out.exemplar(&exemplar.labels, exemplar.value, exemplar.time_ms);
        }
        let info = self.family.tell(self.parts.request(), self.out)?;
        self.out.close(info)
    }

    /// The exemplars above `lower` and not above `upper`, as they can be kept.
    fn exemplars(
        &mut self,
        exemplars: &[PointExemplar<'_>],
        lower: f64,
        upper: f64,
    ) -> Result<Vec<Exemplar>, IngestError> {
        let mut out = Vec::new();
        for exemplar in exemplars {
            let inside =
                exemplar.value <= upper && (exemplar.value > lower || lower == f64::NEG_INFINITY);
            if inside && exemplar.time_ns != 0 {
                out.push(self.exemplar(exemplar)?);
            }
        }
        Ok(out)
    }

    fn exemplar(&mut self, exemplar: &PointExemplar<'_>) -> Result<Exemplar, IngestError> {
        let mut pairs: Vec<Pair<'_>> = Vec::new();
        for (name, id) in [("trace_id", exemplar.trace_id), ("span_id", exemplar.span_id)] {
            if matches!(id.len(), 8 | 16) && id.iter().any(|b| *b != 0) {
                pairs.push((Cow::Borrowed(name), Cow::Owned(hex(id))));
            }
        }
        let chars = |name: &str, value: &str| name.chars().count() + value.chars().count();
        let mut length: usize = pairs.iter().map(|(n, v)| chars(n, v)).sum();
        for attribute in &exemplar.attributes {
            let more = chars(attribute.key, &attribute.value);
            let taken = pairs.iter().any(|(name, _)| name == attribute.key);
            if !taken && !attribute.key.is_empty() && length + more <= EXEMPLAR_CHARS_MAX {
                length += more;
                pairs.push((Cow::Borrowed(attribute.key), attribute.value.clone()));
            }
        }
        let mut labels = Vec::with_capacity(pairs.len());
        for (name, value) in &pairs {
            labels.push([self.out.symbol(name)?, self.out.symbol(value)?]);
        }
        Ok(Exemplar { labels, value: exemplar.value, time_ms: time_ms(exemplar.time_ns) })
    }
}

struct Exemplar {
    labels: Vec<[Symbol; 2]>,
    value: f64,
    time_ms: i64,
}
