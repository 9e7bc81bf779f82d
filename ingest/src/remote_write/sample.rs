//! Float samples: the message, which both versions share, and a short cut for the form nearly all
//! of them have.

use ephemeris_model::Sample;

use crate::error::IngestError;
use crate::wire::{Reader, WireType};

/// Which version of the protocol a message belongs to, where the two share a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// A `Sample` as received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawSample {
    pub(super) value: f64,
    pub(super) timestamp_ms: i64,
    /// 0 = unknown. Remote write 1.0 has no such field.
    pub(super) start_timestamp_ms: i64,
}

/// Reads a `Sample` message, field by field or, as nearly all are, as one pattern.
#[inline]
pub(super) fn read_sample(
    mut reader: Reader<'_>,
    version: Version,
) -> Result<RawSample, IngestError> {
    if let Some((value, timestamp)) = plain_sample(reader.rest()) {
        return Ok(RawSample { value, timestamp_ms: timestamp, start_timestamp_ms: 0 });
    }
    let mut sample = RawSample::default();
    while let Some(field) = reader.field()? {
        match field.number {
            1 => {
                field.expect(WireType::Fixed64, "value of sample")?;
                sample.value = reader.double("value of sample")?;
            }
            2 => {
                field.expect(WireType::Varint, "timestamp of sample")?;
                sample.timestamp_ms = reader.varint("timestamp of sample")?.cast_signed();
            }
            3 if version == Version::V2 => {
                field.expect(WireType::Varint, "start timestamp of sample")?;
                sample.start_timestamp_ms =
                    reader.varint("start timestamp of sample")?.cast_signed();
            }
            _ => reader.skip(field)?,
        }
    }
    Ok(sample)
}

/// The sample of a series whose content ends with it: one `samples` field with a plain sample.
#[inline]
pub(super) fn only_sample(rest: &[u8]) -> Option<Sample> {
    let [0x12, 0x10, sample @ ..] = rest else { return None };
    let (value, timestamp_ms) = plain_sample(sample)?;
    Some(Sample { timestamp_ms, value })
}

/// A value, then a timestamp of six bytes: any time from 1971 to 2109.
#[inline]
fn plain_sample(bytes: &[u8]) -> Option<(f64, i64)> {
    let bytes = <&[u8; 16]>::try_from(bytes).ok()?;
    if bytes[0] != 0x09 || bytes[9] != 0x10 || bytes[15] >= 0x80 {
        return None;
    }
    let bits = |at: usize| i64::from(bytes[at] & 0x7f) << (7 * (at - 10));
    if bytes[10..15].iter().any(|byte| *byte < 0x80) {
        return None;
    }
    let timestamp = bits(10) | bits(11) | bits(12) | bits(13) | bits(14) | bits(15);
    let value = <[u8; 8]>::try_from(&bytes[1..9]).ok()?;
    Some((f64::from_bits(u64::from_le_bytes(value)), timestamp))
}
