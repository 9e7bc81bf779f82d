//! `io.prometheus.write.v2.Request`: remote write 2.0. Series name their labels by symbols.
//!
//! A message is read twice, since symbols may come after the series that use them: first symbols
//! and the places of the series, then each series. Label bytes are the references; the batch has
//! the symbols, each of which is hashed once.
//!
//! A message of the server's own ([`BodyKind::LabelParts`]) is read in the same way: its series
//! refer to parts of label sets.

use std::borrow::Cow;

use ephemeris_model::{BatchSeries, BodyKind, Exemplar, RejectReason, Sample, WriteBatch};

use crate::body::Limits;
use crate::error::IngestError;
use crate::wire::{Field, Reader, WireType, low_bits, malformed};

use super::exemplar::ExemplarPairs;
use super::histogram::read_histogram;
use super::parts::{Budget, Columns, Items, Open};
use super::sample::{Version, only_sample, read_sample};
use metadata::FamilyMetadata;
use symbols::{Form, Symbols};

mod metadata;
mod symbols;

/// Message bytes a series takes at least, as a rule; for the first guess at their number.
const SERIES_BYTES_GUESS: usize = 64;

/// What a series with one sample takes, beside its label bytes.
const PLAIN_BYTES: usize = size_of::<Sample>() + size_of::<BatchSeries<'_>>() + size_of::<usize>();

/// A label buffer that grew beyond this is given back at the next request.
const LABELS_KEEP_BYTES: usize = 4 << 20;

/// Decodes a decompressed `message`; `body` is what was received, and `kind` how it is encoded.
/// Label bytes are written to `labels`, which is cleared first and kept by the caller from request
/// to request.
///
/// A series whose references are wrong, or without samples, histograms and exemplars, is a reject.
/// Start timestamps of histograms are not kept.
///
/// # Errors
/// If the message is not well-formed, its first symbol is not empty, or it passes
/// `limits.batch_bytes_max`.
pub fn decode<'a>(
    kind: BodyKind,
    body: &'a [u8],
    message: &'a [u8],
    limits: &Limits,
    labels: &'a mut Vec<u8>,
) -> Result<WriteBatch<'a>, IngestError> {
    labels.clear();
    labels.shrink_to(LABELS_KEEP_BYTES);
    let mut builder = Builder {
        symbols: Symbols::new(Form::of(kind)),
        labels,
        series: Vec::new(),
        label_ends: Vec::new(),
        refs: Vec::new(),
        metadata: FamilyMetadata::default(),
        columns: Columns::default(),
        budget: Budget::new(limits.batch_bytes_max),
    };
    let places = builder.read_envelope(message)?;
    builder.symbols.check()?;
    builder.columns.samples.reserve(places.len());
    builder.series.reserve(places.len());
    builder.label_ends.reserve(places.len());
    for place in places {
        builder.read_series(place)?;
    }
    let Builder { labels, mut series, label_ends, columns, symbols, .. } = builder;
    let labels: &'a [u8] = labels;
    let mut start = 0;
    for (one, end) in series.iter_mut().zip(label_ends) {
        one.labels = Cow::Borrowed(labels.get(start..end).unwrap_or_default());
        start = end;
    }
    let source = Form::of(kind).source();
    Ok(columns.into_batch(kind, body, (source, symbols.into_texts()), series))
}

struct Builder<'a, 'b> {
    symbols: Symbols<'a>,
    labels: &'b mut Vec<u8>,
    /// Their labels come when the buffer is complete, so that it can be borrowed.
    series: Vec<BatchSeries<'a>>,
    /// Where the labels of each series end in the buffer; they begin where those before end.
    label_ends: Vec<usize>,
    /// References of the current series; kept for its memory.
    refs: Vec<u32>,
    metadata: FamilyMetadata,
    columns: Columns,
    budget: Budget,
}

impl<'a> Builder<'a, '_> {
    /// Reads the symbols and finds the series.
    fn read_envelope(&mut self, message: &'a [u8]) -> Result<Vec<Reader<'a>>, IngestError> {
        let mut places = Vec::with_capacity(message.len() / SERIES_BYTES_GUESS);
        let mut reader = Reader::new(message);
        while let Some(field) = reader.field()? {
            match field.number {
                4 => {
                    field.expect(WireType::Length, "symbol")?;
                    self.budget.take_one::<&[u8]>()?;
                    self.symbols.push(reader.bytes("symbol")?);
                }
                5 => {
                    field.expect(WireType::Length, "timeseries")?;
                    self.budget.take_one::<Reader<'_>>()?;
                    places.push(reader.message("timeseries")?);
                }
                _ => reader.skip(field)?,
            }
        }
        Ok(places)
    }

    fn read_series(&mut self, mut reader: Reader<'a>) -> Result<(), IngestError> {
        self.refs.clear();
        if let Some(sample) = plain_series(reader.rest()) {
            reader.field()?;
            return self.push_plain_series(reader.message("references to symbols")?, sample);
        }
        let mut open = self.columns.open();
        let mut head = SeriesHead::default();
        while let Some(field) = reader.field()? {
            match field.number {
                1 => read_refs(&mut reader, field, &mut self.refs, &mut self.budget)?,
                2 => {
                    field.expect(WireType::Length, "sample")?;
                    let sample = read_sample(reader.message("sample")?, Version::V2)?;
                    self.columns.push_sample(sample, &mut self.budget)?;
                }
                3 => {
                    field.expect(WireType::Length, "histogram")?;
                    let message = reader.message("histogram")?;
                    match read_histogram(message, &mut self.budget)?.finish() {
                        Ok(sample) => self.columns.histograms.push(sample),
                        Err(text) => open.refuse_histogram(text),
                    }
                }
                4 => {
                    field.expect(WireType::Length, "exemplar")?;
                    self.read_exemplar(reader.message("exemplar")?, &mut open)?;
                }
                5 => {
                    field.expect(WireType::Length, "metadata")?;
                    head.metadata.read(reader.message("metadata")?)?;
                }
                6 => {
                    field.expect(WireType::Varint, "created timestamp")?;
                    head.created_timestamp_ms = reader.varint("created timestamp")?.cast_signed();
                }
                _ => reader.skip(field)?,
            }
        }
        self.end_series(&open, &head)
    }

    /// Adds a series of references and one sample, as nearly all are.
    #[inline]
    fn push_plain_series(&mut self, refs: Reader<'a>, sample: Sample) -> Result<(), IngestError> {
        read_packed(refs, &mut self.refs, &mut self.budget)?;
        let labels_start = self.labels.len();
        if let Err(text) = self.symbols.write_labels(&self.refs, self.labels) {
            self.columns.rejects.add(RejectReason::BadSymbolReference, 1, || text);
            return Ok(());
        }
        self.budget.take(PLAIN_BYTES + self.labels.len() - labels_start)?;
        self.columns.push_plain_sample(sample);
        let items = self.columns.last_sample()?;
        self.push(items);
        Ok(())
    }

    /// Adds a series whose label bytes are the last in the buffer.
    #[inline]
    fn push(&mut self, items: Items) {
        self.series.push(items.series(Cow::Borrowed(&[])));
        self.label_ends.push(self.labels.len());
    }

    /// Writes out the labels of the series and takes it, or takes back what was read of it.
    fn end_series(&mut self, open: &Open, head: &SeriesHead) -> Result<(), IngestError> {
        let labels_start = self.labels.len();
        if let Err(text) = self.symbols.write_labels(&self.refs, self.labels) {
            let count = self.columns.take_back(open);
            self.columns.rejects.add(RejectReason::BadSymbolReference, count, || text);
            return Ok(());
        }
        self.budget.take(self.labels.len() - labels_start)?;
        self.columns.set_start_timestamps(open, head.created_timestamp_ms);
        self.metadata.add(
            &head.metadata,
            &self.symbols,
            &self.refs,
            (&mut self.columns, &mut self.budget),
        )?;
        if let Some(items) = self.columns.close(open, || self.symbols.shown(&self.refs))? {
            self.budget.take_one::<BatchSeries<'_>>()?;
            self.budget.take_one::<usize>()?;
            self.push(items);
        } else {
            if !open.has_refused() {
                self.columns.refuse_empty(&self.symbols.shown(&self.refs));
            }
            self.labels.truncate(labels_start);
        }
        Ok(())
    }

    fn read_exemplar(
        &mut self,
        mut reader: Reader<'a>,
        open: &mut Open,
    ) -> Result<(), IngestError> {
        self.budget.take_one::<Exemplar>()?;
        let mut refs = Vec::new();
        let (mut value, mut timestamp_ms) = (0.0, 0);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => read_refs(&mut reader, field, &mut refs, &mut self.budget)?,
                2 => {
                    field.expect(WireType::Fixed64, "value of exemplar")?;
                    value = reader.double("value of exemplar")?;
                }
                3 => {
                    field.expect(WireType::Varint, "timestamp of exemplar")?;
                    timestamp_ms = reader.varint("timestamp of exemplar")?.cast_signed();
                }
                _ => reader.skip(field)?,
            }
        }
        let mut pairs = ExemplarPairs::default();
        let labels = self.symbols.pairs(&refs).try_for_each(|pair| pair.map(|p| pairs.push(p)));
        match labels.and_then(|()| pairs.finish()) {
            Ok(labels) => self.columns.exemplars.push(Exemplar { labels, timestamp_ms, value }),
            Err(text) => open.refuse_exemplar(text),
        }
        Ok(())
    }
}

/// What a series says once, beside its items.
#[derive(Default)]
struct SeriesHead {
    metadata: metadata::RefMetadata,
    /// From senders of the third release candidate of the protocol; 0 = unknown.
    created_timestamp_ms: i64,
}

/// Packed as a rule; one by one is allowed too.
pub(super) fn read_refs(
    reader: &mut Reader<'_>,
    field: Field,
    refs: &mut Vec<u32>,
    budget: &mut Budget,
) -> Result<(), IngestError> {
    let what = "reference to a symbol";
    if field.wire == WireType::Varint {
        budget.take_one::<u32>()?;
        refs.push(low_bits(reader.varint(what)?));
        return Ok(());
    }
    if field.wire != WireType::Length {
        return Err(malformed(field.at, &format!("{what} is {:?}", field.wire)));
    }
    read_packed(reader.message(what)?, refs, budget)
}

#[inline]
fn read_packed(
    mut packed: Reader<'_>,
    refs: &mut Vec<u32>,
    budget: &mut Budget,
) -> Result<(), IngestError> {
    budget.take(packed.rest().len())?;
    refs.reserve(packed.rest().len());
    // Numbers of one or two bytes, as nearly all are.
    let mut rest = packed.rest();
    loop {
        match *rest {
            [byte @ 0..0x80, ref more @ ..] => {
                refs.push(u32::from(byte));
                rest = more;
            }
            [low, high @ 0..0x80, ref more @ ..] => {
                refs.push(u32::from(low & 0x7f) | u32::from(high) << 7);
                rest = more;
            }
            _ => break,
        }
    }
    packed.advance(packed.rest().len() - rest.len());
    while !packed.is_at_end() {
        refs.push(low_bits(packed.varint("reference to a symbol")?));
    }
    Ok(())
}

/// The sample of a series that has references, then one sample, and nothing else.
#[inline]
fn plain_series(series: &[u8]) -> Option<Sample> {
    let &[0x0a, length @ 0..0x80, ref rest @ ..] = series else { return None };
    only_sample(rest.get(usize::from(length)..)?)
}

#[cfg(test)]
mod tests;
