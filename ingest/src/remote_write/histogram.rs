//! Native histograms: the message, which both versions share, and the rules a histogram must keep
//! (Prometheus' native histogram specification). One that breaks a rule is a reject of its own.

use std::mem::size_of;

use ephemeris_model::batch::HistogramSample;
use ephemeris_model::{CounterResetHint, Histogram, HistogramCounts, Span, is_stale, stale_nan};

use crate::error::IngestError;
use crate::wire::{Field, Reader, WireType, low_bits, zigzag};

use super::parts::Budget;

mod reduce;
mod rules;

/// A number that is sent as integer or as float; the last one sent counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Number {
    #[default]
    None,
    Integer(u64),
    Float(f64),
}

impl Number {
    /// As Prometheus reads it: the other form counts as 0.
    const fn integer(self) -> u64 {
        if let Self::Integer(n) = self { n } else { 0 }
    }

    const fn float(self) -> f64 {
        if let Self::Float(n) = self { n } else { 0.0 }
    }
}

/// The buckets of one side as received.
#[derive(Clone, Debug, Default)]
struct Side {
    spans: Vec<Span>,
    /// Difference to the bucket before; integer histograms.
    deltas: Vec<i64>,
    /// Absolute counts; float histograms.
    counts: Vec<f64>,
}

/// A `Histogram` message as received.
#[derive(Clone, Debug, Default)]
pub(super) struct RawHistogram {
    count: Number,
    zero_count: Number,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    negative: Side,
    positive: Side,
    custom_values: Vec<f64>,
    reset_hint: u64,
    timestamp_ms: i64,
    start_timestamp_ms: i64,
}

/// Reads a `Histogram` message.
pub(super) fn read_histogram(
    mut reader: Reader<'_>,
    budget: &mut Budget,
) -> Result<RawHistogram, IngestError> {
    let mut h = RawHistogram::default();
    budget.take_one::<HistogramSample>()?;
    while let Some(field) = reader.field()? {
        if !h.read_number(&mut reader, field)? && !h.read_buckets(&mut reader, field, budget)? {
            reader.skip(field)?;
        }
    }
    Ok(h)
}

impl RawHistogram {
    /// Reads a field that holds a single number; false if it is another field.
    fn read_number(&mut self, r: &mut Reader<'_>, field: Field) -> Result<bool, IngestError> {
        let (wire, what) = match field.number {
            1 => (WireType::Varint, "count of histogram"),
            2 => (WireType::Fixed64, "count of histogram"),
            3 => (WireType::Fixed64, "sum of histogram"),
            4 => (WireType::Varint, "schema of histogram"),
            5 => (WireType::Fixed64, "zero threshold of histogram"),
            6 => (WireType::Varint, "zero count of histogram"),
            7 => (WireType::Fixed64, "zero count of histogram"),
            14 => (WireType::Varint, "reset hint of histogram"),
            15 => (WireType::Varint, "timestamp of histogram"),
            17 => (WireType::Varint, "start timestamp of histogram"),
            _ => return Ok(false),
        };
        field.expect(wire, what)?;
        match field.number {
            1 => self.count = Number::Integer(r.varint(what)?),
            2 => self.count = Number::Float(r.double(what)?),
            3 => self.sum = r.double(what)?,
            4 => self.schema = zigzag32(r.varint(what)?),
            5 => self.zero_threshold = r.double(what)?,
            6 => self.zero_count = Number::Integer(r.varint(what)?),
            7 => self.zero_count = Number::Float(r.double(what)?),
            14 => self.reset_hint = r.varint(what)? & 0xffff_ffff,
            15 => self.timestamp_ms = r.varint(what)?.cast_signed(),
            _ => self.start_timestamp_ms = r.varint(what)?.cast_signed(),
        }
        Ok(true)
    }

    /// Reads a field that holds spans, buckets or bounds; false if it is another field.
    fn read_buckets(
        &mut self,
        r: &mut Reader<'_>,
        field: Field,
        budget: &mut Budget,
    ) -> Result<bool, IngestError> {
        match field.number {
            8 => read_span(r, field, &mut self.negative.spans, budget)?,
            9 => read_deltas(r, field, &mut self.negative.deltas, budget)?,
            10 => read_doubles(r, field, &mut self.negative.counts, budget)?,
            11 => read_span(r, field, &mut self.positive.spans, budget)?,
            12 => read_deltas(r, field, &mut self.positive.deltas, budget)?,
            13 => read_doubles(r, field, &mut self.positive.counts, budget)?,
            16 => read_doubles(r, field, &mut self.custom_values, budget)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The histogram to store, if it keeps all rules.
    pub(super) fn finish(self) -> Result<HistogramSample, String> {
        let Self { timestamp_ms, start_timestamp_ms, .. } = self;
        let sample = |histogram| HistogramSample { timestamp_ms, start_timestamp_ms, histogram };
        if is_stale(self.sum) {
            let is_float = matches!(self.count, Number::Float(_));
            return Ok(sample(stale_marker(is_float)));
        }
        let counts = match self.count {
            Number::Float(count) => HistogramCounts::Float {
                count,
                zero_count: self.zero_count.float(),
                positive: self.positive.counts,
                negative: self.negative.counts,
            },
            Number::Integer(_) | Number::None => HistogramCounts::Integer {
                count: self.count.integer(),
                zero_count: self.zero_count.integer(),
                positive: sum_deltas(self.positive.deltas, "positive")?,
                negative: sum_deltas(self.negative.deltas, "negative")?,
            },
        };
        let histogram = Histogram {
            schema: self.schema,
            sum: self.sum,
            zero_threshold: self.zero_threshold,
            reset_hint: CounterResetHint::from_number(self.reset_hint),
            positive_spans: self.positive.spans,
            negative_spans: self.negative.spans,
            custom_values: self.custom_values,
            counts,
        };
        rules::check(&histogram)?;
        Ok(sample(reduce::to_highest_schema(histogram)))
    }
}

/// A staleness marker for a histogram: of all its fields only the sum counts.
fn stale_marker(is_float: bool) -> Histogram {
    let counts = if is_float {
        HistogramCounts::Float {
            count: 0.0,
            zero_count: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
        }
    } else {
        HistogramCounts::Integer {
            count: 0,
            zero_count: 0,
            positive: Vec::new(),
            negative: Vec::new(),
        }
    };
    Histogram {
        schema: 0,
        sum: stale_nan(),
        zero_threshold: 0.0,
        reset_hint: CounterResetHint::Unknown,
        positive_spans: Vec::new(),
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts,
    }
}

/// Turns differences into absolute counts, in place.
fn sum_deltas(mut deltas: Vec<i64>, side: &str) -> Result<Vec<i64>, String> {
    let mut bucket = 0_i64;
    for (i, delta) in deltas.iter_mut().enumerate() {
        bucket = bucket
            .checked_add(*delta)
            .ok_or_else(|| format!("{side} bucket {i} of histogram is beyond 64 bits"))?;
        if bucket < 0 {
            return Err(format!("{side} bucket {i} of histogram is negative ({bucket})"));
        }
        *delta = bucket;
    }
    Ok(deltas)
}

fn read_span(
    reader: &mut Reader<'_>,
    field: Field,
    spans: &mut Vec<Span>,
    budget: &mut Budget,
) -> Result<(), IngestError> {
    field.expect(WireType::Length, "span of histogram")?;
    let mut message = reader.message("span of histogram")?;
    let mut span = Span::default();
    while let Some(field) = message.field()? {
        match field.number {
            1 => {
                field.expect(WireType::Varint, "offset of span")?;
                span.offset = zigzag32(message.varint("offset of span")?);
            }
            2 => {
                field.expect(WireType::Varint, "length of span")?;
                span.length = low_bits(message.varint("length of span")?);
            }
            _ => message.skip(field)?,
        }
    }
    budget.take_one::<Span>()?;
    spans.push(span);
    Ok(())
}

/// Packed as a rule; one by one is allowed too.
fn read_deltas(
    reader: &mut Reader<'_>,
    field: Field,
    deltas: &mut Vec<i64>,
    budget: &mut Budget,
) -> Result<(), IngestError> {
    let what = "bucket of histogram";
    if field.wire == WireType::Varint {
        budget.take_one::<i64>()?;
        deltas.push(zigzag(reader.varint(what)?));
        return Ok(());
    }
    field.expect(WireType::Length, what)?;
    let mut packed = reader.message(what)?;
    budget.take(packed.rest().len().saturating_mul(size_of::<i64>()))?;
    while !packed.is_at_end() {
        deltas.push(zigzag(packed.varint(what)?));
    }
    Ok(())
}

fn read_doubles(
    reader: &mut Reader<'_>,
    field: Field,
    values: &mut Vec<f64>,
    budget: &mut Budget,
) -> Result<(), IngestError> {
    let what = "bucket of histogram";
    if field.wire == WireType::Fixed64 {
        budget.take_one::<f64>()?;
        values.push(reader.double(what)?);
        return Ok(());
    }
    field.expect(WireType::Length, what)?;
    let mut packed = reader.message(what)?;
    budget.take(packed.rest().len())?;
    while !packed.is_at_end() {
        values.push(packed.double(what)?);
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "zigzag of 32 bits has 32 bits")]
const fn zigzag32(value: u64) -> i32 {
    zigzag(low_bits(value) as u64) as i32
}

#[cfg(test)]
mod tests;
