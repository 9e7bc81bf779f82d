//! Reading protobuf from a slice: varints, fields, lengths. No message is known here.
//!
//! A [`Reader`] keeps its position in the whole message, so that an error can name the byte.
//! Accepts what `prost` accepts, so that property tests can compare the two.

use crate::error::IngestError;

/// Groups (deprecated, met only in unknown fields) nested deeper than this are refused.
const GROUP_DEPTH_MAX: u32 = 100;

/// How a field is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Length,
    GroupStart,
    GroupEnd,
    Fixed32,
}

/// The tag before a field's content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Number of the field, at least 1.
    pub(crate) number: u32,
    /// How its content is encoded.
    pub(crate) wire: WireType,
    /// Offset of the tag.
    pub(crate) at: usize,
}

/// A position in a message, and the end of the (sub)message it may read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    /// The message from its first byte to the end of the submessage being read.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { bytes: message, at: 0 }
    }

    /// Offset of the next byte.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes of the message from `start` up to the position.
    #[inline]
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Whether nothing is left.
    #[inline]
    pub(crate) const fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// What is left.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Moves over `count` bytes the caller has seen in [`Reader::rest`].
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.bytes.len());
    }

    /// The next tag, or none at the end.
    #[inline]
    pub(crate) fn field(&mut self) -> Result<Option<Field>, IngestError> {
        let at = self.at;
        let Some(&byte) = self.bytes.get(at) else { return Ok(None) };
        let key = if byte < 0x80 {
            self.at += 1;
            u64::from(byte)
        } else {
            self.varint("tag")?
        };
        let wire = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Length,
            3 => WireType::GroupStart,
            4 => WireType::GroupEnd,
            5 => WireType::Fixed32,
            other => return Err(unknown_wire_type(at, other)),
        };
        match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => Ok(Some(Field { number, wire, at })),
            _ => Err(bad_number(at, key >> 3)),
        }
    }

    /// A varint: at most ten bytes, at most 64 bits.
    #[inline]
    pub(crate) fn varint(&mut self, what: &str) -> Result<u64, IngestError> {
        match *self.rest() {
            [byte @ 0..0x80, ..] => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            [low, high @ 0..0x80, ..] => {
                self.at += 2;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.long_varint(what),
        }
    }

    fn long_varint(&mut self, what: &str) -> Result<u64, IngestError> {
        let start = self.at;
        let mut value = 0_u64;
        for (i, &byte) in self.rest().iter().take(10).enumerate() {
            if i == 9 && byte > 1 {
                return Err(malformed(start, &format!("{what} is longer than 64 bits")));
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(malformed(start, &format!("{what} is cut off")))
    }

    /// The content of a length-delimited field.
    #[inline]
    pub(crate) fn bytes(&mut self, what: &str) -> Result<&'a [u8], IngestError> {
        let start = self.at;
        let length = self.varint(what)?;
        let rest = self.rest();
        match usize::try_from(length).ok().and_then(|n| rest.get(..n)) {
            Some(content) => {
                self.at += content.len();
                Ok(content)
            }
            None => Err(too_long(start, what, length, rest.len())),
        }
    }

    /// A reader of the submessage that comes next; this reader moves behind it.
    #[inline]
    pub(crate) fn message(&mut self, what: &str) -> Result<Self, IngestError> {
        let content = self.bytes(what)?;
        Ok(Self { bytes: &self.bytes[..self.at], at: self.at - content.len() })
    }

    /// Eight bytes, little-endian, as the bits of a float.
    #[inline]
    pub(crate) fn double(&mut self, what: &str) -> Result<f64, IngestError> {
        match self.rest().first_chunk::<8>() {
            Some(bytes) => {
                self.at += 8;
                Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
            }
            None => Err(malformed(self.at, &format!("{what} is cut off"))),
        }
    }

    /// Eight bytes, little-endian, as an integer.
    #[inline]
    pub(crate) fn fixed64(&mut self, what: &str) -> Result<u64, IngestError> {
        self.double(what).map(f64::to_bits)
    }

    /// Four bytes, little-endian, as an integer.
    #[inline]
    pub(crate) fn fixed32(&mut self, what: &str) -> Result<u32, IngestError> {
        match self.rest().first_chunk::<4>() {
            Some(bytes) => {
                self.at += 4;
                Ok(u32::from_le_bytes(*bytes))
            }
            None => Err(malformed(self.at, &format!("{what} is cut off"))),
        }
    }

    /// Moves over the content of a field nobody asked for.
    pub(crate) fn skip(&mut self, field: Field) -> Result<(), IngestError> {
        self.skip_nested(field, GROUP_DEPTH_MAX)
    }

    fn skip_nested(&mut self, field: Field, depth: u32) -> Result<(), IngestError> {
        let what = "unknown field";
        match field.wire {
            WireType::Varint => drop(self.varint(what)?),
            WireType::Length => drop(self.bytes(what)?),
            WireType::Fixed64 => self.skip_bytes(8)?,
            WireType::Fixed32 => self.skip_bytes(4)?,
            WireType::GroupEnd => return Err(malformed(field.at, "group ends before it starts")),
            WireType::GroupStart => {
                if depth == 0 {
                    return Err(malformed(field.at, "groups are nested too deep"));
                }
                loop {
                    match self.field()? {
                        None => return Err(malformed(self.at, "group is cut off")),
                        Some(f) if f.wire == WireType::GroupEnd && f.number == field.number => {
                            break;
                        }
                        Some(f) => self.skip_nested(f, depth - 1)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn skip_bytes(&mut self, count: usize) -> Result<(), IngestError> {
        if self.rest().len() < count {
            return Err(malformed(self.at, "unknown field is cut off"));
        }
        self.at += count;
        Ok(())
    }
}

impl Field {
    /// Checks that the field is encoded as its schema says.
    #[inline]
    pub(crate) fn expect(&self, wire: WireType, what: &str) -> Result<(), IngestError> {
        if self.wire == wire {
            return Ok(());
        }
        Err(self.unexpected(wire, what))
    }

    #[cold]
    fn unexpected(&self, wire: WireType, what: &str) -> IngestError {
        malformed(self.at, &format!("{what} is {:?}, expected {wire:?}", self.wire))
    }
}

/// A number of 32 bits is sent as one of 64; what is above is ignored, as protobuf demands.
#[expect(clippy::cast_possible_truncation, reason = "the upper bits are to be ignored")]
pub(crate) const fn low_bits(value: u64) -> u32 {
    value as u32
}

/// Undoes zigzag, the encoding of `sint32` and `sint64`.
pub(crate) const fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cold]
pub(crate) fn malformed(at: usize, what: &str) -> IngestError {
    IngestError::Malformed { at, what: what.to_owned() }
}

#[cold]
fn too_long(at: usize, what: &str, length: u64, left: usize) -> IngestError {
    malformed(at, &format!("{what} is {length} bytes, but only {left} are left"))
}

#[cold]
fn unknown_wire_type(at: usize, wire: u64) -> IngestError {
    malformed(at, &format!("unknown wire type {wire}"))
}

#[cold]
fn bad_number(at: usize, number: u64) -> IngestError {
    malformed(at, &format!("field number {number} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(bytes: &[u8]) -> Result<u64, String> {
        Reader::new(bytes).varint("number").map_err(|e| e.to_string())
    }

    #[test]
    fn varints_hold_64_bits_and_no_more() {
        assert_eq!(varint(&[0x7f]), Ok(127));
        assert_eq!(varint(&[0x80, 0x01]), Ok(128));
        assert_eq!(varint(&[0x80, 0x80, 0x00]), Ok(0), "longer than needed is allowed");
        let mut max = [0xff; 10];
        max[9] = 1;
        assert_eq!(varint(&max), Ok(u64::MAX));
        max[9] = 2;
        let text = "malformed message at byte 0: number is longer than 64 bits";
        assert_eq!(varint(&max), Err(text.to_owned()));
        assert_eq!(varint(&[0xff; 11]), Err(text.to_owned()));
        let text = "malformed message at byte 0: number is cut off";
        assert_eq!(varint(&[0xff; 9]), Err(text.to_owned()));
        assert_eq!(varint(&[]), Err(text.to_owned()));
    }

    #[test]
    fn zigzag_covers_the_ends() {
        for (encoded, value) in [(0, 0), (1, -1), (2, 1), (u64::MAX, i64::MIN)] {
            assert_eq!(zigzag(encoded), value);
        }
        assert_eq!(zigzag(u64::MAX - 1), i64::MAX);
    }

    #[test]
    fn a_submessage_cannot_read_past_its_end() {
        let bytes = [0x0a, 0x01, 0x80, 0x01];
        let mut reader = Reader::new(&bytes);
        reader.field().expect("tag");
        let mut inner = reader.message("part").expect("one byte");
        assert_eq!(
            inner.varint("number").map_err(|e| e.to_string()),
            Err("malformed message at byte 2: number is cut off".to_owned())
        );
    }

    fn skip_all(bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field().map_err(|e| e.to_string())? {
            reader.skip(field).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    #[test]
    fn every_wire_type_is_skipped() {
        assert_eq!(skip_all(&[0x08, 1, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 1, 9]), Ok(()));
        assert_eq!(skip_all(&[0x25, 1, 2, 3, 4, 0x2b, 0x08, 1, 0x2c]), Ok(()));
        for (bytes, text) in [
            (&[0x11, 1][..], "byte 1: unknown field is cut off"),
            (&[0x0e], "byte 0: unknown wire type 6"),
            (&[0x00, 0], "byte 0: field number 0 is out of range"),
            (&[0x1a, 2, 9], "byte 1: unknown field is 2 bytes, but only 1 are left"),
            (&[0x2b, 0x08, 1], "byte 3: group is cut off"),
            (&[0x2b, 0x34], "byte 1: group ends before it starts"),
            (&[0x80, 0x80, 0x80, 0x80, 0x10], "byte 0: field number 536870912 is out of range"),
        ] {
            assert_eq!(skip_all(bytes), Err(format!("malformed message at {text}")));
        }
        let mut deep = vec![0x2b; 100_000];
        deep.extend(vec![0x2c; 100_000]);
        assert!(skip_all(&deep).unwrap_err().contains("nested too deep"));
    }
}
