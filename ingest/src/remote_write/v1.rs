//! `prometheus.WriteRequest`: remote write 1.0 with metadata, exemplars and native histograms.
//!
//! Label bytes of a series are borrowed from the message as they are, so that a known series costs
//! no look at its labels beyond finding their end.

use std::borrow::Cow;

use ephemeris_model::{BatchSeries, BodyKind, Exemplar, Metadata, Sample, WriteBatch};

use crate::body::Limits;
use crate::error::IngestError;
use crate::wire::{Field, Reader, WireType, low_bits};

use super::exemplar::ExemplarPairs;
use super::histogram::read_histogram;
use super::labels::{RawLabels, extend_run, metric_name, plain_labels_length, read_pair};
use super::parts::{Budget, Columns, Open, RawMetadata};
use super::sample::{Version, only_sample, read_sample};

/// Message bytes a series takes at least, as a rule; for the first guess at their number.
const SERIES_BYTES_GUESS: usize = 256;

/// Decodes a decompressed `message`; `body` is what was received, and `kind` how it is encoded.
///
/// Series without samples, histograms and exemplars are passed over.
///
/// # Errors
/// If the message is not well-formed or passes `limits.batch_bytes_max`.
pub fn decode<'a>(
    kind: BodyKind,
    body: &'a [u8],
    message: &'a [u8],
    limits: &Limits,
) -> Result<WriteBatch<'a>, IngestError> {
    let guess = message.len() / SERIES_BYTES_GUESS;
    let mut builder = Builder {
        series: Vec::with_capacity(guess),
        columns: Columns::default(),
        budget: Budget::new(limits.batch_bytes_max),
    };
    builder.columns.samples.reserve(guess);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => {
                field.expect(WireType::Length, "timeseries")?;
                builder.read_series(message, reader.message("timeseries")?)?;
            }
            3 => {
                field.expect(WireType::Length, "metadata")?;
                builder.read_metadata(reader.message("metadata")?)?;
            }
            _ => reader.skip(field)?,
        }
    }
    Ok(builder.columns.into_batch(kind, body, (&RawLabels, Vec::new()), builder.series))
}

struct Builder<'a> {
    series: Vec<BatchSeries<'a>>,
    columns: Columns,
    budget: Budget,
}

impl<'a> Builder<'a> {
    /// Reads the series that `reader` holds of `message`.
    fn read_series(
        &mut self,
        message: &'a [u8],
        mut reader: Reader<'a>,
    ) -> Result<(), IngestError> {
        let start = reader.at();
        let rest = message.get(start..).unwrap_or_default();
        reader.advance(plain_labels_length(rest, reader.rest().len()));
        let mut labels = Cow::Borrowed(reader.since(start));
        if let Some(sample) = only_sample(reader.rest()) {
            return self.push_plain_series(labels, sample);
        }
        let mut run = (start, reader.at());
        let mut open = self.columns.open();
        while let Some(field) = reader.field()? {
            if field.number == 1 {
                field.expect(WireType::Length, "label")?;
                read_pair(reader.message("label")?)?;
                extend_run(&mut labels, &mut run, &reader, field.at);
            } else {
                self.read_item(&mut reader, field, &mut open)?;
            }
        }
        if let Some(items) = self.columns.close(&open, || metric_name(&labels))? {
            self.budget.take_one::<BatchSeries<'_>>()?;
            self.series.push(items.series(labels));
        }
        Ok(())
    }

    /// Adds a series with one sample, as nearly all are.
    #[inline]
    fn push_plain_series(
        &mut self,
        labels: Cow<'a, [u8]>,
        sample: Sample,
    ) -> Result<(), IngestError> {
        self.budget.take(size_of::<Sample>() + size_of::<BatchSeries<'_>>())?;
        self.columns.samples.push(sample);
        self.series.push(self.columns.last_sample()?.series(labels));
        Ok(())
    }

    fn read_item(
        &mut self,
        reader: &mut Reader<'a>,
        field: Field,
        open: &mut Open,
    ) -> Result<(), IngestError> {
        match field.number {
            2 => {
                field.expect(WireType::Length, "sample")?;
                let sample = read_sample(reader.message("sample")?, Version::V1)?;
                self.columns.push_sample(sample, &mut self.budget)?;
            }
            3 => {
                field.expect(WireType::Length, "exemplar")?;
                self.read_exemplar(reader.message("exemplar")?, open)?;
            }
            4 => {
                field.expect(WireType::Length, "histogram")?;
                let message = reader.message("histogram")?;
                match read_histogram(message, &mut self.budget)?.finish() {
                    Ok(sample) => self.columns.histograms.push(sample),
                    Err(text) => open.refuse_histogram(text),
                }
            }
            _ => reader.skip(field)?,
        }
        Ok(())
    }

    fn read_exemplar(
        &mut self,
        mut reader: Reader<'a>,
        open: &mut Open,
    ) -> Result<(), IngestError> {
        self.budget.take(size_of::<Exemplar>() + reader.rest().len())?;
        let mut pairs = ExemplarPairs::default();
        let (mut value, mut timestamp_ms) = (0.0, 0);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => {
                    field.expect(WireType::Length, "label of exemplar")?;
                    pairs.push(read_pair(reader.message("label of exemplar")?)?);
                }
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
        match pairs.finish() {
            Ok(labels) => self.columns.exemplars.push(Exemplar { labels, timestamp_ms, value }),
            Err(text) => open.refuse_exemplar(text),
        }
        Ok(())
    }

    fn read_metadata(&mut self, mut reader: Reader<'a>) -> Result<(), IngestError> {
        self.budget.take(size_of::<Metadata>() + reader.rest().len())?;
        let mut metadata = RawMetadata::default();
        while let Some(field) = reader.field()? {
            let (wire, what) = match field.number {
                1 => (WireType::Varint, "type in metadata"),
                2 => (WireType::Length, "name in metadata"),
                4 => (WireType::Length, "help in metadata"),
                5 => (WireType::Length, "unit in metadata"),
                _ => {
                    reader.skip(field)?;
                    continue;
                }
            };
            field.expect(wire, what)?;
            match field.number {
                1 => metadata.metric_type = u64::from(low_bits(reader.varint(what)?)),
                2 => metadata.metric = reader.bytes(what)?,
                4 => metadata.help = reader.bytes(what)?,
                _ => metadata.unit = reader.bytes(what)?,
            }
        }
        self.columns.add_metadata(metadata);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
