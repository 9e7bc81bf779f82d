//! The envelope of OTLP metrics: resources, scopes and metrics, read in place.
//!
//! The order of fields is free, so each message is looked through once for what describes it, and
//! its parts are noted as places to read from later.

use std::borrow::Cow;

use crate::error::IngestError;
use crate::wire::{Field, Reader, WireType, low_bits};

use super::attributes::{ATTRIBUTES_MAX, Attribute, push_attribute, text, twice};

/// Calls `visit` with each submessage in field `number` of `reader`.
pub(super) fn each<'a>(
    mut reader: Reader<'a>,
    number: u32,
    what: &str,
    mut visit: impl FnMut(Reader<'a>) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    while let Some(field) = reader.field()? {
        if field.number == number {
            field.expect(WireType::Length, what)?;
            visit(reader.message(what)?)?;
        } else {
            reader.skip(field)?;
        }
    }
    Ok(())
}

/// A `Resource`.
#[derive(Debug, Default)]
pub(super) struct Resource<'a> {
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// The resource of a `ResourceMetrics`.
pub(super) fn resource<'a>(reader: Reader<'a>) -> Result<Resource<'a>, IngestError> {
    let mut resource = Resource::default();
    each(reader, 1, "resource", |message| each_attribute(message, 1, &mut resource.attributes))?;
    check_count("resource", &resource.attributes)?;
    Ok(resource)
}

fn each_attribute<'a>(
    mut reader: Reader<'a>,
    number: u32,
    out: &mut Vec<Attribute<'a>>,
) -> Result<(), IngestError> {
    while let Some(field) = reader.field()? {
        if field.number == number {
            push_attribute(&mut reader, field, out)?;
        } else {
            reader.skip(field)?;
        }
    }
    Ok(())
}

fn check_count(what: &str, attributes: &[Attribute<'_>]) -> Result<(), IngestError> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(IngestError::BadMessage(format!(
            "{what} has more than {ATTRIBUTES_MAX} attributes"
        )));
    }
    Ok(())
}

/// An `InstrumentationScope`, with the schema of its `ScopeMetrics`.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) schema_url: &'a str,
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// The scope of a `ScopeMetrics`.
pub(super) fn scope<'a>(mut reader: Reader<'a>) -> Result<Scope<'a>, IngestError> {
    let mut scope = Scope::default();
    while let Some(field) = reader.field()? {
        match field.number {
            1 => {
                field.expect(WireType::Length, "scope")?;
                read_scope(reader.message("scope")?, &mut scope)?;
            }
            3 => scope.schema_url = text(&mut reader, field, "schema of scope")?,
            _ => reader.skip(field)?,
        }
    }
    check_count("scope", &scope.attributes)?;
    Ok(scope)
}

fn read_scope<'a>(mut reader: Reader<'a>, scope: &mut Scope<'a>) -> Result<(), IngestError> {
    while let Some(field) = reader.field()? {
        match field.number {
            1 => scope.name = text(&mut reader, field, "name of scope")?,
            2 => scope.version = text(&mut reader, field, "version of scope")?,
            3 => push_attribute(&mut reader, field, &mut scope.attributes)?,
            _ => reader.skip(field)?,
        }
    }
    Ok(())
}

/// Which kind of data a metric has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum DataKind {
    #[default]
    None,
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

/// How points of a metric relate to those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Temporality {
    #[default]
    Unspecified,
    Delta,
    Cumulative,
}

/// A `Metric`, its points not yet read.
#[derive(Debug, Default)]
pub(super) struct Metric<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) unit: &'a str,
    /// What the sender says of the type in Prometheus (`prometheus.type`).
    pub(super) type_hint: &'a str,
    pub(super) kind: DataKind,
    /// The message that holds the points, in field 1.
    pub(super) data: Option<Reader<'a>>,
    pub(super) temporality: Temporality,
    pub(super) is_monotonic: bool,
}

impl<'a> Metric<'a> {
    /// Reads a metric without its points.
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, IngestError> {
        let mut metric = Self::default();
        while let Some(field) = reader.field()? {
            match field.number {
                1 => metric.name = text(&mut reader, field, "name of metric")?,
                2 => metric.description = text(&mut reader, field, "description of metric")?,
                3 => metric.unit = text(&mut reader, field, "unit of metric")?,
                5 => metric.set_data(DataKind::Gauge, &mut reader, field)?,
                7 => metric.set_data(DataKind::Sum, &mut reader, field)?,
                9 => metric.set_data(DataKind::Histogram, &mut reader, field)?,
                10 => metric.set_data(DataKind::Exponential, &mut reader, field)?,
                11 => metric.set_data(DataKind::Summary, &mut reader, field)?,
                12 => metric.read_hint(&mut reader, field)?,
                _ => reader.skip(field)?,
            }
        }
        Ok(metric)
    }

    fn set_data(
        &mut self,
        kind: DataKind,
        reader: &mut Reader<'a>,
        field: Field,
    ) -> Result<(), IngestError> {
        let what = "data of metric";
        field.expect(WireType::Length, what)?;
        let data = reader.message(what)?;
        if self.data.is_some() && self.kind == kind {
            return Err(twice(field, what));
        }
        (self.kind, self.data) = (kind, Some(data));
        (self.temporality, self.is_monotonic) = (Temporality::Unspecified, false);
        let mut parts = data;
        while let Some(field) = parts.field()? {
            match (field.number, field.wire) {
                (2, WireType::Varint) => {
                    self.temporality = match low_bits(parts.varint("temporality")?) {
                        1 => Temporality::Delta,
                        2 => Temporality::Cumulative,
                        _ => Temporality::Unspecified,
                    };
                }
                (3, WireType::Varint) => self.is_monotonic = parts.varint("is_monotonic")? != 0,
                _ => parts.skip(field)?,
            }
        }
        Ok(())
    }

    fn read_hint(&mut self, reader: &mut Reader<'a>, field: Field) -> Result<(), IngestError> {
        let mut pairs = Vec::new();
        push_attribute(reader, field, &mut pairs)?;
        for pair in pairs {
            // Only a text can be one of the types.
            if let (Attribute { key: "prometheus.type", .. }, Cow::Borrowed(text)) =
                (&pair, &pair.value)
            {
                self.type_hint = text;
            }
        }
        Ok(())
    }
}
