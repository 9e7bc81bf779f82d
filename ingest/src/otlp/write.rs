//! From one data point to the samples of its series.

use std::borrow::Cow;

use crate::error::IngestError;

use super::attributes::hex;
use super::delta::{Added, Session, Window};
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
use super::translate::{Family, time_ms};
use crate::output::{Output, Symbol};

/// Characters that the labels of an exemplar may have; attributes beyond are left out.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// What a point needs to become samples.
pub(super) struct Series<'w, 'd, 'm> {
    pub(super) out: &'w mut Output,
    pub(super) deltas: &'w mut Session<'d>,
    pub(super) options: &'w Options,
    pub(super) family: &'w Family,
    /// Labels of the point, without a name.
    pub(super) labels: Vec<Pair<'m>>,
    /// The same as symbols, once they are needed.
    pub(super) symbols: Vec<[Symbol; 2]>,
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
    pub(super) fn write(&mut self, point: &Point<'_>) -> Result<Verdict, IngestError> {
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

    const fn window(point: &Point<'_>) -> Window {
        Window { start_ns: point.start_ns, time_ns: point.time_ns }
    }

    fn number(&mut self, point: &Point<'_>, value: f64, at: At) -> Result<Verdict, IngestError> {
        let (mut value, mut at) = (value, at);
        if point.is_absent() {
            value = STALE;
        } else if self.family.accumulates {
            if self.family.is_monotonic && (value.is_nan() || value < 0.0) {
                return Ok(Err("delta of a monotonic sum is not positive".to_owned()));
            }
            let labels = self.named("");
            match self.deltas.number(&labels, Self::window(point), value)? {
                Added::Total(total, start_ms) => {
                    (value, at) = (total, At::new(at.time_ms, start_ms));
                }
                Added::Repeat => return Ok(Ok(())),
                Added::Refused(text) => return Ok(Err(text)),
            }
        }
        let symbols = self.symbols("", None)?;
        let exemplars = if self.family.kind == DataKind::Sum {
            self.exemplars(&point.exemplars, f64::NEG_INFINITY, f64::INFINITY)?
        } else {
            Vec::new()
        };
        self.sample(&symbols, value, at, &exemplars)?;
        Ok(Ok(()))
    }

    fn explicit(
        &mut self,
        point: &Point<'_>,
        value: &ExplicitValue,
        at: At,
    ) -> Result<Verdict, IngestError> {
        if let Err(text) = check_explicit(value) {
            return Ok(Err(text));
        }
        if !self.family.accumulates || point.is_absent() {
            return self.write_explicit(point, value, at);
        }
        let labels = self.named("");
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
        point: &Point<'_>,
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
            let symbols = self.symbols("_bucket", Some(("le", &bound.to_string())))?;
            let exemplars = self.exemplars(&point.exemplars, lower, *bound)?;
            self.sample(&symbols, shown(count_value(below)), at, &exemplars)?;
            lower = *bound;
        }
        let symbols = self.symbols("_bucket", Some(("le", "+Inf")))?;
        let exemplars = self.exemplars(&point.exemplars, lower, f64::INFINITY)?;
        self.sample(&symbols, shown(count_value(value.count)), at, &exemplars)?;
        if let Some(sum) = value.sum.or(stale.then_some(0.0)) {
            let symbols = self.symbols("_sum", None)?;
            self.sample(&symbols, shown(sum), at, &[])?;
        }
        let symbols = self.symbols("_count", None)?;
        self.sample(&symbols, shown(count_value(value.count)), at, &[])?;
        Ok(Ok(()))
    }

    fn exponential(
        &mut self,
        point: &Point<'_>,
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
        let labels = self.named("");
        match self.deltas.exponential(&labels, Self::window(point), &value)? {
            Added::Total(total, start_ms) => {
                let at = At::new(at.time_ms, start_ms);
                self.native(point, &encode_exponential(&total, at.time_ms, at.start_ms))
            }
            Added::Repeat => Ok(Ok(())),
            Added::Refused(text) => Ok(Err(text)),
        }
    }

    fn native(&mut self, point: &Point<'_>, message: &[u8]) -> Result<Verdict, IngestError> {
        let symbols = self.symbols("", None)?;
        let exemplars = self.exemplars(&point.exemplars, f64::NEG_INFINITY, f64::INFINITY)?;
        self.out.open(&symbols);
        self.out.histogram(self.number, message)?;
        self.close(&exemplars)?;
        Ok(Ok(()))
    }

    fn summary(
        &mut self,
        point: &Point<'_>,
        value: &SummaryValue,
        at: At,
    ) -> Result<Verdict, IngestError> {
        if value.quantiles.len() > BUCKETS_MAX {
            return Ok(Err(format!("summary has more than {BUCKETS_MAX} quantiles")));
        }
        let shown = |n: f64| if point.is_absent() { STALE } else { n };
        for (quantile, value) in &value.quantiles {
            let symbols = self.symbols("", Some(("quantile", &quantile.to_string())))?;
            self.sample(&symbols, shown(*value), at, &[])?;
        }
        let symbols = self.symbols("_sum", None)?;
        self.sample(&symbols, shown(value.sum), at, &[])?;
        let symbols = self.symbols("_count", None)?;
        self.sample(&symbols, shown(count_value(value.count)), at, &[])?;
        Ok(Ok(()))
    }

    /// The labels with the name of the family and a suffix.
    fn named(&self, suffix: &str) -> Vec<Pair<'m>> {
        let mut labels = self.labels.clone();
        let name = format!("{}{suffix}", self.family.name);
        set(&mut labels, (Cow::Borrowed("__name__"), Cow::Owned(name)));
        labels
    }

    /// The labels as symbols, with the name of the family and a suffix, and one label more.
    fn symbols(
        &mut self,
        suffix: &str,
        more: Option<(&str, &str)>,
    ) -> Result<Vec<[Symbol; 2]>, IngestError> {
        if self.symbols.is_empty() {
            for (name, value) in &self.labels {
                self.symbols.push([self.out.symbol(name)?, self.out.symbol(value)?]);
            }
        }
        let name = if suffix.is_empty() {
            self.out.symbol(&self.family.name)?
        } else {
            self.out.symbol(&format!("{}{suffix}", self.family.name))?
        };
        let mut own = vec![[self.out.symbol("__name__")?, name]];
        if let Some((name, value)) = more {
            own.push([self.out.symbol(name)?, self.out.symbol(value)?]);
        }
        let is_own = |pair: &&[Symbol; 2]| own.iter().any(|[name, _]| *name == pair[0]);
        let mut symbols = Vec::with_capacity(self.symbols.len() + own.len());
        symbols.extend(self.symbols.iter().filter(|pair| !is_own(pair)));
        symbols.append(&mut own);
        Ok(symbols)
    }

    fn sample(
        &mut self,
        symbols: &[[Symbol; 2]],
        value: f64,
        at: At,
        exemplars: &[Exemplar],
    ) -> Result<(), IngestError> {
        self.out.open(symbols);
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
