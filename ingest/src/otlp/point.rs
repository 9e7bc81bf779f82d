//! Data points of every kind, read in place.

use crate::error::IngestError;
use crate::wire::{Field, Reader, WireType, malformed, zigzag};

use super::attributes::{ATTRIBUTES_MAX, Attribute, attribute, push_attribute};
use super::keys::{Key, Keys};
use super::message::DataKind;

/// Buckets or quantiles of one point; one with more is refused.
pub(super) const BUCKETS_MAX: usize = 16_384;
/// Exemplars of one point; more are not kept.
const EXEMPLARS_MAX: usize = 1024;
/// The tag of an attribute of a point of a gauge or a sum.
const TAG_ATTRIBUTE: u8 = 0x3a;
/// Bit of the flags: the point says that there is no value.
const NO_RECORDED_VALUE: u64 = 1;

/// What points of every kind have.
#[derive(Debug, Default)]
pub(super) struct Point<'a> {
    /// Messages of attributes, one more than is read at most.
    pub(super) attributes: Vec<Reader<'a>>,
    /// Their fields, as long as they lie together.
    attribute_bytes: &'a [u8],
    /// Where these begin and end.
    attributes_at: (usize, usize),
    /// Whether something lies between them.
    is_split: bool,
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    pub(super) flags: u64,
    pub(super) exemplars: Vec<PointExemplar<'a>>,
    pub(super) value: PointValue,
}

/// A point of a gauge or a sum that has a time, a value, perhaps a start, and attributes that lie
/// together: what nearly all of them are.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainNumber<'a> {
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    pub(super) value: f64,
    /// The fields of the attributes.
    pub(super) attributes: &'a [u8],
}

impl<'a> PlainNumber<'a> {
    /// Reads a point, if it is such a one.
    #[inline]
    pub(super) fn read(reader: Reader<'a>) -> Option<Self> {
        let bytes = reader.rest();
        let (mut start_ns, mut time_ns, mut value) = (0, 0, None);
        let (mut at, mut attributes, mut count) = (0, 0..0, 0);
        while let Some(&tag) = bytes.get(at) {
            let rest = bytes.get(at + 1..)?;
            if tag != TAG_ATTRIBUTE {
                let number = u64::from_le_bytes(*rest.first_chunk()?);
                match tag {
                    0x11 => start_ns = number,
                    0x19 => time_ns = number,
                    0x21 => value = Some(f64::from_bits(number)),
                    0x31 => value = Some(int_value(number.cast_signed())),
                    _ => return None,
                }
                at += 9;
                continue;
            }
            let length = match *rest {
                [length @ 0..0x80, ..] => 1 + usize::from(length),
                [low, high @ 0..0x80, ..] => 2 + usize::from(low & 0x7f) + (usize::from(high) << 7),
                _ => return None,
            };
            rest.get(..length)?;
            if count == 0 {
                attributes.start = at;
            } else if attributes.end != at {
                return None;
            }
            at += 1 + length;
            attributes.end = at;
            count += 1;
        }
        if time_ns == 0 || count > ATTRIBUTES_MAX {
            return None;
        }
        Some(Self { start_ns, time_ns, value: value?, attributes: bytes.get(attributes)? })
    }
}

/// What a point measured.
#[derive(Debug, Default)]
pub(super) enum PointValue {
    #[default]
    None,
    Double(f64),
    Int(i64),
    Histogram(ExplicitValue),
    Exponential(ExponentialValue),
    Summary(SummaryValue),
}

/// A histogram with explicit bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ExplicitValue {
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) bounds: Vec<f64>,
    /// One more than bounds, or none.
    pub(super) counts: Vec<u64>,
}

/// A histogram with exponential bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ExponentialValue {
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) scale: i32,
    pub(super) zero_count: u64,
    pub(super) zero_threshold: f64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
}

/// Consecutive buckets of an exponential histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets {
    pub(super) offset: i32,
    pub(super) counts: Vec<u64>,
}

/// A summary.
#[derive(Debug, Default)]
pub(super) struct SummaryValue {
    pub(super) count: u64,
    pub(super) sum: f64,
    /// Quantile and value.
    pub(super) quantiles: Vec<(f64, f64)>,
}

/// An exemplar.
#[derive(Debug, Default)]
pub(super) struct PointExemplar<'a> {
    pub(super) time_ns: u64,
    pub(super) value: f64,
    pub(super) span_id: &'a [u8],
    pub(super) trace_id: &'a [u8],
    pub(super) attributes: Vec<Attribute<'a>>,
}

impl<'a> Point<'a> {
    /// Whether the point says that there is no value.
    pub(super) const fn is_absent(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }

    /// Whether it has more attributes than are read.
    pub(super) const fn has_too_many_attributes(&self) -> bool {
        self.attributes.len() > ATTRIBUTES_MAX
    }

    /// Reads a point of a metric of this kind. `attributes` is empty; its memory is used.
    pub(super) fn read(
        kind: DataKind,
        reader: Reader<'a>,
        attributes: Vec<Reader<'a>>,
    ) -> Result<Self, IngestError> {
        let point = Self { attributes, ..Self::default() };
        match kind {
            DataKind::None => Ok(point),
            DataKind::Gauge | DataKind::Sum => point.read_number(reader),
            DataKind::Histogram => point.read_explicit(reader),
            DataKind::Exponential => point.read_exponential(reader),
            DataKind::Summary => point.read_summary(reader),
        }
    }

    fn push_attribute(&mut self, r: &mut Reader<'a>, field: Field) -> Result<(), IngestError> {
        field.expect(WireType::Length, "attribute")?;
        let message = r.message("attribute")?;
        if self.attributes.is_empty() {
            self.attributes_at = (field.at, field.at);
        }
        self.is_split |= self.attributes_at.1 != field.at;
        self.attributes_at.1 = r.at();
        self.attribute_bytes = r.since(self.attributes_at.0);
        if self.attributes.len() <= ATTRIBUTES_MAX {
            self.attributes.push(message);
        }
        Ok(())
    }

    /// The key of its attributes.
    #[inline]
    pub(super) fn attributes_key(&self, keys: &Keys) -> Key {
        if !self.is_split {
            return keys.of(self.attribute_bytes);
        }
        self.attributes.iter().fold(1, |key, message| keys.joined(key, keys.of(message.rest())))
    }

    /// Its attributes, no more than one above what is allowed.
    ///
    /// # Errors
    /// If one is not well-formed.
    pub(super) fn read_attributes(&self) -> Result<Vec<Attribute<'a>>, IngestError> {
        self.attributes.iter().map(|message| attribute(*message)).collect()
    }

    fn read_number(mut self, mut r: Reader<'a>) -> Result<Self, IngestError> {
        let point = &mut self;
        while let Some(field) = r.field()? {
            match field.number {
                2 => point.start_ns = fixed64(&mut r, field)?,
                3 => point.time_ns = fixed64(&mut r, field)?,
                4 => point.value = PointValue::Double(f64::from_bits(fixed64(&mut r, field)?)),
                5 => point.push_exemplar(&mut r, field)?,
                6 => point.value = PointValue::Int(fixed64(&mut r, field)?.cast_signed()),
                7 => point.push_attribute(&mut r, field)?,
                8 => point.flags = varint(&mut r, field)?,
                _ => r.skip(field)?,
            }
        }
        Ok(self)
    }

    fn read_explicit(mut self, mut r: Reader<'a>) -> Result<Self, IngestError> {
        let (point, mut value) = (&mut self, ExplicitValue::default());
        while let Some(field) = r.field()? {
            match field.number {
                2 => point.start_ns = fixed64(&mut r, field)?,
                3 => point.time_ns = fixed64(&mut r, field)?,
                4 => value.count = fixed64(&mut r, field)?,
                5 => value.sum = Some(f64::from_bits(fixed64(&mut r, field)?)),
                6 => each_fixed64(&mut r, field, |n| push(&mut value.counts, n))?,
                7 => each_fixed64(&mut r, field, |n| push(&mut value.bounds, f64::from_bits(n)))?,
                8 => point.push_exemplar(&mut r, field)?,
                9 => point.push_attribute(&mut r, field)?,
                10 => point.flags = varint(&mut r, field)?,
                _ => r.skip(field)?,
            }
        }
        point.value = PointValue::Histogram(value);
        Ok(self)
    }

    fn read_exponential(mut self, mut r: Reader<'a>) -> Result<Self, IngestError> {
        let (point, mut value) = (&mut self, ExponentialValue::default());
        while let Some(field) = r.field()? {
            match field.number {
                1 => point.push_attribute(&mut r, field)?,
                2 => point.start_ns = fixed64(&mut r, field)?,
                3 => point.time_ns = fixed64(&mut r, field)?,
                4 => value.count = fixed64(&mut r, field)?,
                5 => value.sum = Some(f64::from_bits(fixed64(&mut r, field)?)),
                6 => value.scale = sint32(varint(&mut r, field)?),
                7 => value.zero_count = fixed64(&mut r, field)?,
                8 => read_buckets(&mut r, field, &mut value.positive)?,
                9 => read_buckets(&mut r, field, &mut value.negative)?,
                10 => point.flags = varint(&mut r, field)?,
                11 => point.push_exemplar(&mut r, field)?,
                14 => value.zero_threshold = f64::from_bits(fixed64(&mut r, field)?),
                _ => r.skip(field)?,
            }
        }
        point.value = PointValue::Exponential(value);
        Ok(self)
    }

    fn read_summary(mut self, mut r: Reader<'a>) -> Result<Self, IngestError> {
        let (point, mut value) = (&mut self, SummaryValue::default());
        while let Some(field) = r.field()? {
            match field.number {
                2 => point.start_ns = fixed64(&mut r, field)?,
                3 => point.time_ns = fixed64(&mut r, field)?,
                4 => value.count = fixed64(&mut r, field)?,
                5 => value.sum = f64::from_bits(fixed64(&mut r, field)?),
                6 => {
                    field.expect(WireType::Length, "quantile")?;
                    let quantile = read_quantile(r.message("quantile")?)?;
                    push(&mut value.quantiles, quantile);
                }
                7 => point.push_attribute(&mut r, field)?,
                8 => point.flags = varint(&mut r, field)?,
                _ => r.skip(field)?,
            }
        }
        point.value = PointValue::Summary(value);
        Ok(self)
    }

    fn push_exemplar(&mut self, r: &mut Reader<'a>, field: Field) -> Result<(), IngestError> {
        field.expect(WireType::Length, "exemplar")?;
        let message = r.message("exemplar")?;
        if self.exemplars.len() < EXEMPLARS_MAX {
            self.exemplars.push(read_exemplar(message)?);
        }
        Ok(())
    }
}

/// Appends unless there are too many; one too many shows that there are.
fn push<T>(out: &mut Vec<T>, item: T) {
    if out.len() <= BUCKETS_MAX {
        out.push(item);
    }
}

fn fixed64(r: &mut Reader<'_>, field: Field) -> Result<u64, IngestError> {
    field.expect(WireType::Fixed64, "number of data point")?;
    r.double("number of data point").map(f64::to_bits)
}

fn varint(r: &mut Reader<'_>, field: Field) -> Result<u64, IngestError> {
    field.expect(WireType::Varint, "number of data point")?;
    r.varint("number of data point")
}

#[expect(clippy::cast_possible_truncation, reason = "protobuf keeps the low bits of a sint32")]
const fn sint32(value: u64) -> i32 {
    zigzag(value & 0xffff_ffff) as i32
}

/// Packed as a rule; one by one is allowed too.
fn each_fixed64(
    r: &mut Reader<'_>,
    field: Field,
    mut visit: impl FnMut(u64),
) -> Result<(), IngestError> {
    let what = "numbers of data point";
    if field.wire == WireType::Fixed64 {
        visit(r.double(what)?.to_bits());
        return Ok(());
    }
    field.expect(WireType::Length, what)?;
    let mut packed = r.message(what)?;
    while !packed.is_at_end() {
        visit(packed.double(what)?.to_bits());
    }
    Ok(())
}

fn read_buckets(
    r: &mut Reader<'_>,
    field: Field,
    buckets: &mut Buckets,
) -> Result<(), IngestError> {
    let what = "buckets";
    field.expect(WireType::Length, what)?;
    let mut r = r.message(what)?;
    while let Some(field) = r.field()? {
        match (field.number, field.wire) {
            (1, WireType::Varint) => buckets.offset = sint32(r.varint(what)?),
            (2, WireType::Varint) => push(&mut buckets.counts, r.varint(what)?),
            (2, WireType::Length) => {
                let mut packed = r.message(what)?;
                while !packed.is_at_end() {
                    push(&mut buckets.counts, packed.varint(what)?);
                }
            }
            (1 | 2, _) => return Err(malformed(field.at, "buckets are not numbers")),
            _ => r.skip(field)?,
        }
    }
    Ok(())
}

fn read_quantile(mut r: Reader<'_>) -> Result<(f64, f64), IngestError> {
    let (mut quantile, mut value) = (0.0, 0.0);
    while let Some(field) = r.field()? {
        match field.number {
            1 => quantile = f64::from_bits(fixed64(&mut r, field)?),
            2 => value = f64::from_bits(fixed64(&mut r, field)?),
            _ => r.skip(field)?,
        }
    }
    Ok((quantile, value))
}

fn read_exemplar<'a>(mut r: Reader<'a>) -> Result<PointExemplar<'a>, IngestError> {
    let mut exemplar = PointExemplar::default();
    while let Some(field) = r.field()? {
        match field.number {
            2 => exemplar.time_ns = fixed64(&mut r, field)?,
            3 => exemplar.value = f64::from_bits(fixed64(&mut r, field)?),
            4 | 5 => {
                field.expect(WireType::Length, "id of exemplar")?;
                let id = r.bytes("id of exemplar")?;
                *(if field.number == 4 { &mut exemplar.span_id } else { &mut exemplar.trace_id }) =
                    id;
            }
            6 => exemplar.value = int_value(fixed64(&mut r, field)?.cast_signed()),
            7 => push_attribute(&mut r, field, &mut exemplar.attributes)?,
            _ => r.skip(field)?,
        }
    }
    Ok(exemplar)
}

/// An integer as the value of a sample; beyond 2^53 it is rounded.
#[expect(clippy::cast_precision_loss, reason = "values of samples are floats")]
pub(super) const fn int_value(value: i64) -> f64 {
    value as f64
}

/// A count as the value of a sample; beyond 2^53 it is rounded.
#[expect(clippy::cast_precision_loss, reason = "values of samples are floats")]
pub(super) const fn count_value(value: u64) -> f64 {
    value as f64
}
