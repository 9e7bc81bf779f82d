//! Native histograms as columns: a layout (schema, spans, bounds) is written once per page and
//! numbered; each count and each bucket of a run of histograms of one layout is a column.

use std::ops::Range;
use std::sync::Arc;

use ephemeris_model::{CounterResetHint, Histogram, HistogramCounts, Span};
use rustc_hash::FxHashMap;

use super::{floats, integers};
use crate::encoding::{Damage, Input, put_varint, put_zigzag};

const INTEGER_COUNTS: u8 = 0;
const FLOAT_COUNTS: u8 = 1;

/// Numbers the layouts of a page.
#[derive(Default)]
pub struct LayoutTable {
    numbers: FxHashMap<Vec<u8>, u32>,
    encoded: Vec<u8>,
}

impl LayoutTable {
    fn number(&mut self, layout: &Layout) -> u32 {
        let mut bytes = Vec::new();
        layout.put(&mut bytes);
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let encoded = &mut self.encoded;
        *self.numbers.entry(bytes).or_insert_with_key(|bytes| {
            encoded.extend_from_slice(bytes);
            next
        })
    }

    /// Bytes of the table so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.encoded.len()
    }

    /// Writes the table.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.numbers.len() as u64);
        out.extend_from_slice(&self.encoded);
    }

    /// Reads the layouts of a page.
    ///
    /// # Errors
    /// If the bytes are no such table.
    pub fn read(input: &mut Input<'_>) -> Result<Vec<Layout>, Damage> {
        let count = input.count()?;
        (0..count).map(|_| Layout::read(input)).collect()
    }
}

/// What histograms of one shape share.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    float_counts: bool,
    schema: i32,
    /// Compared as bits.
    zero_threshold: u64,
    positive_spans: Vec<Span>,
    negative_spans: Vec<Span>,
    positive_count: usize,
    negative_count: usize,
    /// Compared as bits.
    custom_values: Vec<u64>,
}

impl Layout {
    fn of(histogram: &Histogram) -> Self {
        let (float_counts, positive_count, negative_count) = match &histogram.counts {
            HistogramCounts::Integer { positive, negative, .. } => {
                (false, positive.len(), negative.len())
            }
            HistogramCounts::Float { positive, negative, .. } => {
                (true, positive.len(), negative.len())
            }
        };
        Self {
            float_counts,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold.to_bits(),
            positive_spans: histogram.positive_spans.clone(),
            negative_spans: histogram.negative_spans.clone(),
            positive_count,
            negative_count,
            custom_values: histogram.custom_values.iter().map(|v| v.to_bits()).collect(),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(if self.float_counts { FLOAT_COUNTS } else { INTEGER_COUNTS });
        put_zigzag(out, i64::from(self.schema));
        out.extend_from_slice(&self.zero_threshold.to_le_bytes());
        for spans in [&self.positive_spans, &self.negative_spans] {
            put_varint(out, spans.len() as u64);
            for span in spans {
                put_zigzag(out, i64::from(span.offset));
                put_varint(out, u64::from(span.length));
            }
        }
        put_varint(out, self.positive_count as u64);
        put_varint(out, self.negative_count as u64);
        put_varint(out, self.custom_values.len() as u64);
        for bits in &self.custom_values {
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }

    fn read(input: &mut Input<'_>) -> Result<Self, Damage> {
        let float_counts = match input.u8()? {
            INTEGER_COUNTS => false,
            FLOAT_COUNTS => true,
            _ => return Err(Damage("the kind of counts is not known")),
        };
        let schema = read_i32(input)?;
        let zero_threshold = input.u64()?;
        let mut spans = || {
            let count = input.count()?;
            (0..count)
                .map(|_| Ok(Span { offset: read_i32(input)?, length: input.varint_u32()? }))
                .collect::<Result<Vec<Span>, Damage>>()
        };
        let (positive_spans, negative_spans) = (spans()?, spans()?);
        let positive_count = input.count_up_to(usize::MAX)?;
        let negative_count = input.count_up_to(usize::MAX)?;
        let bounds = input.count()?;
        let custom_values = (0..bounds).map(|_| input.u64()).collect::<Result<_, Damage>>()?;
        Ok(Self {
            float_counts,
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            positive_count,
            negative_count,
            custom_values,
        })
    }

    fn histogram(
        &self,
        sum: f64,
        reset_hint: CounterResetHint,
        counts: HistogramCounts,
    ) -> Histogram {
        Histogram {
            schema: self.schema,
            sum,
            zero_threshold: f64::from_bits(self.zero_threshold),
            reset_hint,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            custom_values: self.custom_values.iter().map(|&bits| f64::from_bits(bits)).collect(),
            counts,
        }
    }
}

fn read_i32(input: &mut Input<'_>) -> Result<i32, Damage> {
    i32::try_from(input.zigzag()?).map_err(|_| Damage("a number is too large"))
}

/// Writes the histograms of one series.
pub fn encode(table: &mut LayoutTable, histograms: &[&Histogram], out: &mut Vec<u8>) {
    let mut rest = histograms;
    while let Some(first) = rest.first() {
        let layout = Layout::of(first);
        let same = rest.iter().position(|h| Layout::of(h) != layout).unwrap_or(rest.len());
        let (run, others) = rest.split_at(same);
        put_varint(out, u64::from(table.number(&layout)));
        put_varint(out, run.len() as u64);
        encode_run(&layout, run, out);
        rest = others;
    }
}

/// Writes histograms of one layout.
fn encode_run(layout: &Layout, run: &[&Histogram], out: &mut Vec<u8>) {
    let hints: Vec<i64> = run.iter().map(|h| h.reset_hint as i64).collect();
    integers::encode(&hints, out);
    let sums: Vec<f64> = run.iter().map(|h| h.sum).collect();
    floats::encode(&sums, out);
    let columns = 2 + layout.positive_count + layout.negative_count;
    if layout.float_counts {
        let mut column = Vec::with_capacity(run.len());
        for at in 0..columns {
            column.clear();
            column.extend(run.iter().map(|h| float_at(h, at)));
            floats::encode(&column, out);
        }
    } else {
        let mut column = Vec::with_capacity(run.len());
        for at in 0..columns {
            column.clear();
            column.extend(run.iter().map(|h| integer_at(h, at)));
            integers::encode(&column, out);
        }
    }
}

/// Count, zero count, positive and negative buckets as one row.
fn integer_at(histogram: &Histogram, at: usize) -> i64 {
    match &histogram.counts {
        HistogramCounts::Integer { count, zero_count, positive, negative } => match at {
            0 => count.cast_signed(),
            1 => zero_count.cast_signed(),
            _ => positive.iter().chain(negative).nth(at - 2).copied().unwrap_or(0),
        },
        HistogramCounts::Float { .. } => 0,
    }
}

fn float_at(histogram: &Histogram, at: usize) -> f64 {
    match &histogram.counts {
        HistogramCounts::Float { count, zero_count, positive, negative } => match at {
            0 => *count,
            1 => *zero_count,
            _ => positive.iter().chain(negative).nth(at - 2).copied().unwrap_or(0.0),
        },
        HistogramCounts::Integer { .. } => 0.0,
    }
}

/// Appends the histograms at `wanted` of a series that has `len`.
///
/// # Errors
/// If the bytes are no such series.
pub fn decode(
    layouts: &[Layout],
    input: &mut Input<'_>,
    len: usize,
    wanted: Range<usize>,
    out: &mut Vec<Arc<Histogram>>,
) -> Result<(), Damage> {
    let mut start = 0;
    while start < len {
        let layout = usize::try_from(input.varint()?).ok().and_then(|n| layouts.get(n));
        let layout = layout.ok_or(Damage("the layout of a histogram is not known"))?;
        let run = input.count_up_to(len - start)?;
        if run == 0 {
            return Err(Damage("a run of histograms is empty"));
        }
        let from = wanted.start.clamp(start, start + run) - start;
        let to = wanted.end.clamp(start, start + run) - start;
        decode_run(layout, input, run, from..to.max(from), out)?;
        start += run;
    }
    input.end()
}

/// Reads histograms of one layout.
fn decode_run(
    layout: &Layout,
    input: &mut Input<'_>,
    run: usize,
    wanted: Range<usize>,
    out: &mut Vec<Arc<Histogram>>,
) -> Result<(), Damage> {
    let columns = layout.positive_count.saturating_add(layout.negative_count).saturating_add(2);
    // Each column takes two bytes or more.
    if columns > input.len() {
        return Err(Damage("ends early"));
    }
    let (mut hints, mut sums) = (Vec::new(), Vec::new());
    integers::decode(input, run, wanted.clone(), &mut hints)?;
    floats::decode(input, run, wanted.clone(), &mut sums)?;
    let mut counts = if layout.float_counts {
        let rows = read_rows(columns, wanted.len(), |column| {
            floats::decode(input, run, wanted.clone(), column)
        })?;
        Counts::Floats(rows)
    } else {
        let rows = read_rows(columns, wanted.len(), |column| {
            integers::decode(input, run, wanted.clone(), column)
        })?;
        Counts::Integers(rows)
    };
    for (i, (hint, sum)) in hints.into_iter().zip(sums).enumerate() {
        let hint = CounterResetHint::from_number(hint.cast_unsigned());
        let histogram = layout.histogram(sum, hint, counts.take(i, layout.positive_count));
        out.push(Arc::new(histogram));
    }
    Ok(())
}

/// Rows of counts: count, zero count, positive buckets, negative buckets.
enum Counts {
    Integers(Vec<Vec<i64>>),
    Floats(Vec<Vec<f64>>),
}

impl Counts {
    fn take(&mut self, row: usize, positive_count: usize) -> HistogramCounts {
        match self {
            Self::Integers(rows) => {
                let mut positive = std::mem::take(&mut rows[row]);
                let mut negative = positive.split_off(2 + positive_count);
                negative.shrink_to_fit();
                let (count, zero_count) =
                    (positive[0].cast_unsigned(), positive[1].cast_unsigned());
                positive.drain(..2);
                HistogramCounts::Integer { count, zero_count, positive, negative }
            }
            Self::Floats(rows) => {
                let mut positive = std::mem::take(&mut rows[row]);
                let negative = positive.split_off(2 + positive_count);
                let (count, zero_count) = (positive[0], positive[1]);
                positive.drain(..2);
                HistogramCounts::Float { count, zero_count, positive, negative }
            }
        }
    }
}

/// Reads `columns` columns of `len` values and turns them into rows.
fn read_rows<T: Copy>(
    columns: usize,
    len: usize,
    mut read: impl FnMut(&mut Vec<T>) -> Result<(), Damage>,
) -> Result<Vec<Vec<T>>, Damage> {
    let mut rows: Vec<Vec<T>> = (0..len).map(|_| Vec::with_capacity(columns)).collect();
    let mut column = Vec::new();
    for _ in 0..columns {
        column.clear();
        read(&mut column)?;
        rows.iter_mut().zip(&column).for_each(|(row, &value)| row.push(value));
    }
    Ok(rows)
}
