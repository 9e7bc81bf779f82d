//! Bytes of the WAL: the header of a file, and records. `docs/formats/wal.md` draws them.

use ephemeris_model::{BodyKind, TimestampMs};

use crate::encoding::{Damage, Input};

/// First bytes of a WAL file.
const MAGIC: [u8; 6] = *b"EPHWAL";
/// Version of the file format.
const VERSION: u16 = 1;
/// Version of the decoders the bodies were checked with. It rises when a decoder numbers the items
/// of a body differently, since verdicts refer to those numbers.
const DECODER_VERSION: u8 = 1;
/// Bytes of a file header.
pub(crate) const HEADER_BYTES: usize = 28;
/// Bytes before the payload of a record: marker, length, checksum.
pub(crate) const FRAME_BYTES: usize = 16;
/// Bytes of a payload before tenant, verdicts and body.
const FIXED_BYTES: usize = 16;
/// Longest payload.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1 << 30;
/// Longest name of a tenant.
pub(crate) const TENANT_BYTES_MAX: usize = u8::MAX as usize;

/// Header of a WAL file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) generation: u64,
    /// Random bytes before each record of the file. A sender cannot know them, so nothing in a
    /// body can pass for a record when the reader looks for one behind damage.
    pub(crate) marker: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..6].copy_from_slice(&MAGIC);
        out[6..8].copy_from_slice(&VERSION.to_le_bytes());
        out[8..16].copy_from_slice(&self.generation.to_le_bytes());
        out[16..24].copy_from_slice(&self.marker.to_le_bytes());
        let crc = crc32c::crc32c(&out[..24]);
        out[24..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut input = Input::new(bytes);
        if input.array::<6>()? != MAGIC {
            return Err(Damage("the file is no WAL"));
        }
        let version = input.u16()?;
        let header = Self { generation: input.u64()?, marker: input.u64()? };
        if input.u32()? != crc32c::crc32c(bytes.get(..24).unwrap_or_default()) {
            return Err(Damage("the checksum of the file header does not match"));
        }
        if version != VERSION {
            return Err(Damage("the version of the file is not known"));
        }
        Ok(header)
    }
}

/// One request, as it is kept until its samples are in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: BodyKind,
    pub(crate) received_at: TimestampMs,
    pub(crate) tenant: &'a str,
    pub(crate) verdicts: Verdicts<'a>,
    /// The body as received.
    pub(crate) body: &'a [u8],
}

/// Which items of a body were refused: a bit for each sample, then each histogram, then each
/// exemplar, lowest bit first. Bits that are not there are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts<'a>(pub(crate) &'a [u8]);

impl Verdicts<'_> {
    /// Whether no item was refused.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the item was refused.
    #[inline]
    pub(crate) fn refused(&self, item: usize) -> bool {
        self.0.get(item / 8).is_some_and(|byte| byte >> (item % 8) & 1 == 1)
    }
}

/// The parts of a record before its body, and the checksum over all.
pub(crate) struct Frame {
    /// Marker, length, checksum, and the fixed part of the payload.
    bytes: [u8; FRAME_BYTES + FIXED_BYTES],
}

impl<'a> Record<'a> {
    /// Bytes of the record in the file.
    pub(crate) const fn len(&self) -> usize {
        FRAME_BYTES + self.payload_len()
    }

    const fn payload_len(&self) -> usize {
        FIXED_BYTES + self.tenant.len() + self.verdicts.0.len() + self.body.len()
    }

    /// Computes what comes before tenant, verdicts and body.
    pub(crate) fn frame(&self, marker: u64) -> Frame {
        // Callers hold records below the limits, which fit.
        let u32_of = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = [0; FRAME_BYTES + FIXED_BYTES];
        bytes[..8].copy_from_slice(&marker.to_le_bytes());
        bytes[8..12].copy_from_slice(&u32_of(self.payload_len()));
        bytes[16] = self.kind as u8;
        bytes[17] = DECODER_VERSION;
        bytes[18] = u8::try_from(self.tenant.len()).unwrap_or(u8::MAX);
        bytes[20..28].copy_from_slice(&self.received_at.0.to_le_bytes());
        bytes[28..32].copy_from_slice(&u32_of(self.verdicts.0.len()));
        let parts =
            [&bytes[8..12], &bytes[16..], self.tenant.as_bytes(), self.verdicts.0, self.body];
        let crc = parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        Frame { bytes }
    }

    /// Appends the record.
    pub(crate) fn put(&self, frame: &Frame, out: &mut Vec<u8>) {
        out.reserve(self.len());
        out.extend_from_slice(&frame.bytes);
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(self.verdicts.0);
        out.extend_from_slice(self.body);
    }

    /// Reads a payload whose checksum matched.
    pub(crate) fn decode(payload: &'a [u8]) -> Result<Self, Damage> {
        let mut input = Input::new(payload);
        let kind = BodyKind::from_number(input.u8()?);
        let kind = kind.ok_or(Damage("the kind of the body is not known"))?;
        if input.u8()? != DECODER_VERSION {
            return Err(Damage("the version of the decoder is not known"));
        }
        let tenant_bytes = usize::from(input.u8()?);
        if input.u8()? != 0 {
            return Err(Damage("a reserved byte is set"));
        }
        let received_at = TimestampMs(input.i64()?);
        let verdict_bytes = input.u32()? as usize;
        let tenant = std::str::from_utf8(input.take(tenant_bytes)?);
        let tenant = tenant.map_err(|_| Damage("the name of the tenant is not UTF-8"))?;
        let verdicts = Verdicts(input.take(verdict_bytes)?);
        Ok(Self { kind, received_at, tenant, verdicts, body: input.rest() })
    }
}

/// Marker, length and checksum of a record, as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) length: usize,
    crc: u32,
    length_bytes: [u8; 4],
}

impl FrameHead {
    /// Reads what comes before a payload; `None` if there is no record.
    pub(crate) fn decode(bytes: [u8; FRAME_BYTES], marker: u64) -> Option<Self> {
        let head = Self::read(bytes, marker)?;
        (FIXED_BYTES..=PAYLOAD_BYTES_MAX).contains(&head.length).then_some(head)
    }

    /// The same, whatever the length is.
    pub(crate) fn read(bytes: [u8; FRAME_BYTES], marker: u64) -> Option<Self> {
        let [m0, m1, m2, m3, m4, m5, m6, m7, l0, l1, l2, l3, c0, c1, c2, c3] = bytes;
        let length_bytes = [l0, l1, l2, l3];
        let length = u32::from_le_bytes(length_bytes) as usize;
        let found = u64::from_le_bytes([m0, m1, m2, m3, m4, m5, m6, m7]);
        let crc = u32::from_le_bytes([c0, c1, c2, c3]);
        (found == marker).then_some(Self { length, crc, length_bytes })
    }

    /// The same with another length, to see whether only the length is damaged.
    pub(crate) fn with_length(self, length: u32) -> Self {
        Self { length: length as usize, length_bytes: length.to_le_bytes(), ..self }
    }

    /// Whether this is the payload that was written.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        crc32c::crc32c_append(crc32c::crc32c(&self.length_bytes), payload) == self.crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_any_flipped_bit_is_seen() {
        let record = Record {
            kind: BodyKind::RemoteWrite1,
            received_at: TimestampMs(-5),
            tenant: "fleet",
            verdicts: Verdicts(&[0b101]),
            body: b"body",
        };
        let mut bytes = Vec::new();
        record.put(&record.frame(77), &mut bytes);
        assert_eq!(bytes.len(), record.len());
        let check = |bytes: &[u8]| {
            let (head, payload) = bytes.split_first_chunk::<FRAME_BYTES>()?;
            let head = FrameHead::decode(*head, 77)?;
            (head.length == payload.len() && head.matches(payload)).then_some(())
        };
        assert!(check(&bytes).is_some());
        assert_eq!(Record::decode(&bytes[FRAME_BYTES..]), Ok(record));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&flipped).is_none(), "bit {bit}");
        }
        assert!(record.verdicts.refused(0) && !record.verdicts.refused(1));
        assert!(record.verdicts.refused(2) && !record.verdicts.refused(99));
    }

    #[test]
    fn a_header_comes_back_and_a_cut_one_is_damage() {
        let header = Header { generation: 9, marker: u64::MAX - 3 };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for end in 0..bytes.len() {
            assert!(Header::decode(&bytes[..end]).is_err());
        }
    }
}
