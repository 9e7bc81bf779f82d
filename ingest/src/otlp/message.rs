//! The envelope of OTLP metrics: resources, scopes and metrics, read in place.
//!
//! The order of fields is free, so each message is looked through once for what describes it, and
//! its parts are noted as places to read from later.

use std::borrow::Cow;

use crate::error::IngestError;
use crate::wire::{Field, Reader, WireType, low_bits};

use super::attributes::{ATTRIBUTES_MAX, Attribute, push_attribute, text, twice};
use super::keys::{Key, Keys};

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

/// What a `Metric` holds, its points not yet read.
#[derive(Debug, Default)]
pub(super) struct Data<'a> {
    pub(super) kind: DataKind,
    /// The message that holds the points, in field 1.
    pub(super) points: Option<Reader<'a>>,
    pub(super) temporality: Temporality,
    pub(super) is_monotonic: bool,
    /// Where the field of the data begins and ends, if there is but one.
    place: Option<(usize, usize)>,
}

impl<'a> Data<'a> {
    /// Finds what a metric holds; its texts are passed over.
    pub(super) fn find(mut reader: Reader<'a>) -> Result<Self, IngestError> {
        let mut found = Self::default();
        while let Some(field) = reader.field()? {
            match field.number {
                5 => found.set(DataKind::Gauge, &mut reader, field)?,
                7 => found.set(DataKind::Sum, &mut reader, field)?,
                9 => found.set(DataKind::Histogram, &mut reader, field)?,
                10 => found.set(DataKind::Exponential, &mut reader, field)?,
                11 => found.set(DataKind::Summary, &mut reader, field)?,
                _ => reader.skip(field)?,
            }
        }
        Ok(found)
    }

    fn set(
        &mut self,
        kind: DataKind,
        reader: &mut Reader<'a>,
        field: Field,
    ) -> Result<(), IngestError> {
        let what = "data of metric";
        field.expect(WireType::Length, what)?;
        let points = reader.message(what)?;
        if self.points.is_some() && self.kind == kind {
            return Err(twice(field, what));
        }
        self.place = self.points.is_none().then_some((field.at, reader.at()));
        (self.kind, self.points) = (kind, Some(points));
        (self.temporality, self.is_monotonic) = (Temporality::Unspecified, false);
        let mut parts = points;
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

    /// The key of all that the metric says of itself: `metric` but for its points.
    pub(super) fn key(&self, metric: Reader<'a>, keys: &Keys) -> Key {
        let kind = [self.kind as u8, self.temporality as u8, u8::from(self.is_monotonic), 0];
        let kind = u128::from(u32::from_le_bytes(kind));
        let Some((start, end)) = self.place else {
            // Of several data the last one counts; nobody sends that.
            return keys.joined(keys.of(metric.rest()), kind | 1 << 64);
        };
        let start = start.saturating_sub(metric.at());
        let end = end.saturating_sub(metric.at());
        let whole = metric.rest();
        let before = keys.of(whole.get(..start).unwrap_or_default());
        match whole.get(end..).unwrap_or_default() {
            // Both halves of a hash differ from those of another kind.
            [] => before ^ (kind << 64 | kind),
            after => keys.joined(keys.joined(before, keys.of(after)), kind | 1 << 65),
        }
    }
}

/// What a `Metric` says of itself.
#[derive(Debug, Default)]
pub(super) struct Texts<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) unit: &'a str,
    /// What the sender says of the type in Prometheus (`prometheus.type`).
    pub(super) type_hint: &'a str,
}

impl<'a> Texts<'a> {
    /// Reads the texts of a metric.
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, IngestError> {
        let mut texts = Self::default();
        while let Some(field) = reader.field()? {
            match field.number {
                1 => texts.name = text(&mut reader, field, "name of metric")?,
                2 => texts.description = text(&mut reader, field, "description of metric")?,
                3 => texts.unit = text(&mut reader, field, "unit of metric")?,
                12 => texts.read_hint(&mut reader, field)?,
                _ => reader.skip(field)?,
            }
        }
        Ok(texts)
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
