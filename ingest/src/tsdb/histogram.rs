//! A chunk of native histograms: a layout that all of them share, then for each its counts, of
//! integers as differences of differences, of floats as XOR with the one before.
//!
//! Whether a counter was reset is left to the reader of the samples: a chunk tells only of the
//! chunk before it, which may be deleted or overlap with this one. That a histogram is a gauge is
//! kept.

use ephemeris_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use ephemeris_model::{CounterResetHint, is_stale};

use super::bits::{Bits, XorColumn};
use super::{Point, TsdbError, left_after};
use crate::proto::write_v1::{BucketSpan, Count, Histogram, ZeroCount};

/// Buckets of a side of a histogram at most.
const BUCKETS_MAX: u64 = 1 << 20;
/// Spans, and custom bounds, at most.
const SPANS_MAX: u64 = 1 << 16;
/// The two upper bits of the flags of a chunk of gauges.
const GAUGE_FLAGS: u64 = 0b11;
/// Custom bounds are written as thousandths where that is exact.
const BOUND_SCALE: f64 = 1000.0;

/// What counts of a chunk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Encoding 2.
    Integer,
    /// Encoding 3.
    Float,
}

/// The samples of a chunk, one by one.
#[derive(Clone, Debug)]
pub struct HistogramPoints<'a> {
    bits: Bits<'a>,
    /// Samples that are not read yet.
    left: u64,
    /// What all samples share; the time and the counts are those of the sample last read.
    layout: Histogram,
    positive_buckets: usize,
    negative_buckets: usize,
    /// None before the first sample.
    columns: Option<Columns>,
    counts: Counts,
    time: Integers,
    sum: XorColumn,
}

/// The counts last read: number, zero bucket, positive and negative buckets.
#[derive(Clone, Debug)]
enum Columns {
    Integer(Vec<Integers>),
    Float(Vec<XorColumn>),
}

/// A column of integers; each is told by the change of its change.
#[derive(Clone, Copy, Debug, Default)]
struct Integers {
    value: i64,
    change: i64,
}

impl Integers {
    const fn new(value: i64) -> Self {
        Self { value, change: 0 }
    }

    /// Before the second value the change is 0, so that all are read alike.
    fn next(&mut self, bits: &mut Bits<'_>) -> Result<(), TsdbError> {
        self.change = self.change.wrapping_add(bits.varbit_int()?);
        self.value = self.value.wrapping_add(self.change);
        Ok(())
    }
}

impl<'a> HistogramPoints<'a> {
    /// Of the data of a chunk.
    ///
    /// # Errors
    /// If its header is damaged or beyond the limits.
    pub fn new(data: &'a [u8], counts: Counts) -> Result<Self, TsdbError> {
        let mut bits = Bits::new(data);
        let left = bits.take(16)?;
        let is_gauge = bits.take(8)? >> 6 == GAUGE_FLAGS;
        let zero_threshold = read_zero_threshold(&mut bits)?;
        let schema = bits.varbit_int()?;
        let schema = i32::try_from(schema)
            .map_err(|_| bits.damaged(format!("schema of histograms is {schema}")))?;
        let (positive_spans, positive_buckets) = read_spans(&mut bits)?;
        let (negative_spans, negative_buckets) = read_spans(&mut bits)?;
        let custom_values = match schema {
            CUSTOM_BUCKETS_SCHEMA => read_bounds(&mut bits)?,
            _ => Vec::new(),
        };
        // Each bucket of the first sample takes a bit at least.
        if left > 0 && positive_buckets + negative_buckets > bits.left() {
            let buckets = positive_buckets + negative_buckets;
            return Err(bits.damaged(format!("{buckets} buckets do not fit into the chunk")));
        }
        let hint = if is_gauge { CounterResetHint::Gauge } else { CounterResetHint::Unknown };
        let layout = Histogram {
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            custom_values,
            reset_hint: hint as i32,
            ..Histogram::default()
        };
        Ok(Self {
            bits,
            left,
            layout,
            positive_buckets,
            negative_buckets,
            columns: None,
            counts,
            time: Integers::default(),
            sum: XorColumn::default(),
        })
    }

    fn read(&mut self) -> Result<Point, TsdbError> {
        let bits = &mut self.bits;
        let (mut columns, is_stale) = if let Some(mut columns) = self.columns.take() {
            self.time.next(bits)?;
            columns.next(bits, 0..2)?;
            // A staleness marker has no buckets.
            let is_stale = is_stale(self.sum.next(bits)?);
            if !is_stale {
                columns.next(bits, 2..usize::MAX)?;
            }
            (columns, is_stale)
        } else {
            self.time = Integers::new(bits.varbit_int()?);
            let mut columns = Columns::first(bits, self.counts)?;
            self.sum = XorColumn::new(bits.float()?);
            columns.first_buckets(bits, self.positive_buckets + self.negative_buckets)?;
            (columns, is_stale(self.sum.value()))
        };
        let mut histogram = if is_stale { Histogram::default() } else { self.layout.clone() };
        columns.put(&mut histogram, self.positive_buckets, is_stale);
        histogram.sum = Some(self.sum.value());
        histogram.timestamp = self.time.value;
        self.columns = Some(columns);
        Ok(Point::Histogram(Box::new(histogram)))
    }
}

impl Iterator for HistogramPoints<'_> {
    type Item = Result<Point, TsdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.left.checked_sub(1)?;
        let point = self.read();
        self.left = left_after(&point, left);
        Some(point)
    }
}

impl Columns {
    /// Number and zero bucket of the first sample.
    fn first(bits: &mut Bits<'_>, counts: Counts) -> Result<Self, TsdbError> {
        Ok(match counts {
            Counts::Integer => {
                let mut read = || bits.varbit_uint().map(|n| Integers::new(n.cast_signed()));
                Self::Integer(vec![read()?, read()?])
            }
            Counts::Float => {
                let mut read = || bits.float().map(XorColumn::new);
                Self::Float(vec![read()?, read()?])
            }
        })
    }

    fn first_buckets(&mut self, bits: &mut Bits<'_>, buckets: usize) -> Result<(), TsdbError> {
        for _ in 0..buckets {
            match self {
                Self::Integer(columns) => columns.push(Integers::new(bits.varbit_int()?)),
                Self::Float(columns) => columns.push(XorColumn::new(bits.float()?)),
            }
        }
        Ok(())
    }

    /// The next sample's values of the columns in `range`.
    fn next(
        &mut self,
        bits: &mut Bits<'_>,
        range: std::ops::Range<usize>,
    ) -> Result<(), TsdbError> {
        let (skip, count) = (range.start, range.end - range.start);
        match self {
            Self::Integer(columns) => {
                columns.iter_mut().skip(skip).take(count).try_for_each(|column| column.next(bits))
            }
            Self::Float(columns) => columns
                .iter_mut()
                .skip(skip)
                .take(count)
                .try_for_each(|column| column.next(bits).map(drop)),
        }
    }

    fn put(&mut self, out: &mut Histogram, positive: usize, is_stale: bool) {
        match self {
            Self::Integer(columns) => {
                let mut values = columns.iter().map(|column| column.value);
                let mut count = || values.next().unwrap_or(0).cast_unsigned();
                let (number, zero) = (count(), count());
                out.count = Some(Count::Integer(if is_stale { 0 } else { number }));
                out.zero_count = Some(ZeroCount::Integer(if is_stale { 0 } else { zero }));
                if !is_stale {
                    out.positive_deltas = values.by_ref().take(positive).collect();
                    out.negative_deltas = values.collect();
                }
            }
            Self::Float(columns) => {
                let mut values = columns.iter().map(XorColumn::value);
                let mut count = || values.next().unwrap_or(0.0);
                let (number, zero) = (count(), count());
                out.count = Some(Count::Float(if is_stale { 0.0 } else { number }));
                out.zero_count = Some(ZeroCount::Float(if is_stale { 0.0 } else { zero }));
                if !is_stale {
                    out.positive_counts = values.by_ref().take(positive).collect();
                    out.negative_counts = values.collect();
                }
            }
        }
    }
}

/// A byte for 0 or a power of two; 255 announces any float.
fn read_zero_threshold(bits: &mut Bits<'_>) -> Result<f64, TsdbError> {
    match bits.take(8)? {
        0 => Ok(0.0),
        255 => bits.float(),
        // A power of two has its exponent alone: 1 is 2^-243, of which the bias of 1023 is added.
        power => Ok(f64::from_bits((power + 1023 - 244) << 52)),
    }
}

/// Spans, and how many buckets they cover.
fn read_spans(bits: &mut Bits<'_>) -> Result<(Vec<BucketSpan>, usize), TsdbError> {
    let count = bits.varbit_uint()?;
    if count > SPANS_MAX {
        return Err(bits.damaged(format!("histograms have {count} spans; limit is {SPANS_MAX}")));
    }
    let (mut spans, mut buckets) = (Vec::new(), 0_u64);
    for _ in 0..count {
        let (length, offset) = (bits.varbit_uint()?, bits.varbit_int()?);
        buckets = buckets.saturating_add(length);
        let span = u32::try_from(length).ok().zip(i32::try_from(offset).ok());
        let Some((length, offset)) = span.filter(|_| buckets <= BUCKETS_MAX) else {
            let what = format!("a span has length {length} and offset {offset}");
            return Err(bits.damaged(format!("{what}; limit is {BUCKETS_MAX} buckets in all")));
        };
        spans.push(BucketSpan { offset, length });
    }
    Ok((spans, usize::try_from(buckets).unwrap_or(usize::MAX)))
}

fn read_bounds(bits: &mut Bits<'_>) -> Result<Vec<f64>, TsdbError> {
    let count = bits.varbit_uint()?;
    if count > SPANS_MAX {
        return Err(bits.damaged(format!("histograms have {count} bounds; limit is {SPANS_MAX}")));
    }
    let mut bounds = Vec::new();
    for _ in 0..count {
        bounds.push(match bits.varbit_uint()? {
            0 => bits.float()?,
            thousandths => (thousandths - 1) as f64 / BOUND_SCALE,
        });
    }
    Ok(bounds)
}
