//! From one data point to the samples of its series.

use std::borrow::Cow;

use crate::error::IngestError;

use super::attributes::hex;
use super::delta::{Added, Session, Window};
use super::family::{Family, Suffix};
use super::histogram::{
    STALE, check_explicit, encode_custom, encode_exponential, encode_stale, reduce,
};
use super::labels::{Pair, set};
use super::message::DataKind;
use super::options::{ExplicitHistograms, Options};
use super::point::{
    BUCKETS_MAX, ExplicitValue, ExponentialValue, Point, PointExemplar, PointValue, SummaryValue,
    count_value, int_value,
};
use super::symbols::{Label, PointLabels, Shared};
use super::translate::time_ms;
use crate::output::{Output, Symbol};

/// Characters that the labels of an exemplar may have; attributes beyond are left out.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// What a point needs to become samples.
pub(super) struct Series<'w, 'd, 'm> {
    pub(super) out: &'w mut Output,
    pub(super) deltas: &'w mut Session<'d>,
    pub(super) options: &'w Options,
    pub(super) family: &'w mut Family,
    /// They hold the labels of the point.
    pub(super) labels: &'w mut PointLabels<'m>,
    pub(super) shared: &'w Shared<'w, 'm>,
    /// Number of the point.
    pub(super) number: u32,
}

/// Nothing, or why the point cannot be used.
type Verdict = Result<(), String>;

/// When a point was measured and since when it counts.
#[derive(Clone, Copy)]
struct At {
    time_ms: i64,
    start_ms: i64,
}

impl At {
    /// A start that is not before the time says nothing.
    const fn new(time_ms: i64, start_ms: i64) -> Self {
        Self { time_ms, start_ms: if start_ms < time_ms { start_ms } else { 0 } }
    }
}

impl<'m> Series<'_, '_, 'm> {
    /// Writes the samples of `point`.
    pub(super) fn write(&mut self, point: &Point<'m>) -> Result<Verdict, IngestError> {
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
        let name = self.family.symbol;
        let exemplars = if self.family.kind == DataKind::Sum {
            self.exemplars(&point.exemplars, f64::NEG_INFINITY, f64::INFINITY)?
        } else {
            Vec::new()
        };
        self.sample(name, None, (value, at), &exemplars)?;
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
        let bucket = self.family.suffixed(Suffix::Bucket, self.out)?;
        let le = self.out.symbol("le")?;
        for (bound, count) in value.bounds.iter().zip(&value.counts) {
            if bound.is_infinite() && *bound > 0.0 {
                break;
            }
            below = below.saturating_add(*count);
            let le = [le, self.labels.number(*bound, self.out)?];
            let exemplars = self.exemplars(&point.exemplars, lower, *bound)?;
            self.sample(bucket, Some(le), (shown(count_value(below)), at), &exemplars)?;
            lower = *bound;
        }
        let le = [le, self.out.symbol("+Inf")?];
        let exemplars = self.exemplars(&point.exemplars, lower, f64::INFINITY)?;
        self.sample(bucket, Some(le), (shown(count_value(value.count)), at), &exemplars)?;
        if let Some(sum) = value.sum.or(stale.then_some(0.0)) {
            let name = self.family.suffixed(Suffix::Sum, self.out)?;
            self.sample(name, None, (shown(sum), at), &[])?;
        }
        let name = self.family.suffixed(Suffix::Count, self.out)?;
        self.sample(name, None, (shown(count_value(value.count)), at), &[])?;
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
        self.open(self.family.symbol, None)?;
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
        let label = self.out.symbol("quantile")?;
        for (quantile, value) in &value.quantiles {
            let quantile = [label, self.labels.number(*quantile, self.out)?];
            self.sample(self.family.symbol, Some(quantile), (shown(*value), at), &[])?;
        }
        let name = self.family.suffixed(Suffix::Sum, self.out)?;
        self.sample(name, None, (shown(value.sum), at), &[])?;
        let name = self.family.suffixed(Suffix::Count, self.out)?;
        self.sample(name, None, (shown(count_value(value.count)), at), &[])?;
        Ok(Ok(()))
    }

    /// The labels of the point with the name of the family, as texts.
    fn named(&self, point: &Point<'m>) -> Result<Vec<Pair<'m>>, IngestError> {
        let mut labels = self.labels.pairs(&point.attributes, self.shared)?;
        set(&mut labels, (Cow::Borrowed("__name__"), Cow::Owned(self.family.name.clone())));
        Ok(labels)
    }

    /// Begins a series with the labels of the point, this name and one label more.
    fn open(&mut self, name: Symbol, more: Option<Label>) -> Result<(), IngestError> {
        let name = [self.out.symbol("__name__")?, name];
        let own = |label: &Label| label[0] == name[0] || more.is_some_and(|m| m[0] == label[0]);
        let labels = self.labels.labels().iter().copied().filter(|label| !own(label));
        self.out.open_with(labels.chain([name]).chain(more));
        Ok(())
    }

    fn sample(
        &mut self,
        name: Symbol,
        more: Option<Label>,
        (value, at): (f64, At),
        exemplars: &[Exemplar],
    ) -> Result<(), IngestError> {
        self.open(name, more)?;
        self.out.sample(self.number, at.time_ms, value, at.start_ms)?;
        self.close(exemplars)
    }

    fn close(&mut self, exemplars: &[Exemplar]) -> Result<(), IngestError> {
        for exemplar in exemplars {
            self.out.exemplar(&exemplar.labels, exemplar.value, exemplar.time_ms);
        }
        self.out.close(self.family.info)
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
