//! A segment of `chunks/`: chunks one after another, found by the places in the index.

use std::sync::Arc;

use super::histogram::{Counts, HistogramPoints};
use super::window::{Fields, ReadAt, Window};
use super::xor::XorPoints;
use super::{Point, TsdbError, damaged};

const MAGIC: u32 = 0x85bd_40dd;
const VERSION: u8 = 1;
/// Magic, version and padding.
const HEAD_BYTES: u64 = 8;
/// Largest chunk: Prometheus ends one at 1 KiB, but not before it has ten histograms.
const CHUNK_BYTES_MAX: u64 = 16 << 20;
const VARINT_BYTES_MAX: u64 = 10;

/// A segment.
#[derive(Debug)]
pub struct Segment<R> {
    window: Window<R>,
}

impl<R: ReadAt> Segment<R> {
    /// Opens a segment.
    ///
    /// # Errors
    /// If it does not begin as one.
    pub fn open(file: R) -> Result<Self, TsdbError> {
        let mut window = Window::new(Arc::new(file))?;
        let mut fields = Fields::new(window.exactly(0, HEAD_BYTES, "head of the segment")?, 0);
        let magic = fields.be32("magic")?;
        if magic != MAGIC {
            return Err(damaged(0, format!("magic is {magic:08x}, that of chunks {MAGIC:08x}")));
        }
        match fields.bytes(1, "version")? {
            [VERSION] => Ok(Self { window }),
            other => {
                let what = format!("segment has version {other:?}, only {VERSION} is read");
                Err(TsdbError::Unsupported(what))
            }
        }
    }

    /// The samples of the chunk at `offset`; its checksum holds.
    ///
    /// # Errors
    /// If the chunk is damaged or has an encoding that is not known.
    pub fn chunk(&mut self, offset: u32) -> Result<Points<'_>, TsdbError> {
        let at = u64::from(offset);
        if at < HEAD_BYTES {
            return Err(damaged(at, "a chunk is said to be in the head of the segment"));
        }
        let mut fields = Fields::new(self.window.up_to(at, VARINT_BYTES_MAX)?, at);
        let length = fields.uvarint("length of a chunk")?;
        let start = fields.at();
        if length > CHUNK_BYTES_MAX {
            let what = format!("chunk has {length} bytes; limit is {CHUNK_BYTES_MAX}");
            return Err(damaged(at, what));
        }
        let mut fields = Fields::new(self.window.exactly(start, length + 5, "chunk")?, start);
        let content = fields.bytes(length + 1, "chunk")?;
        let (sum, stated) = (crc32c::crc32c(content), fields.be32("checksum of a chunk")?);
        if sum != stated {
            let what = format!("checksum of a chunk is {sum:08x}, the file says {stated:08x}");
            return Err(damaged(at, what));
        }
        match content.split_first() {
            Some((encoding, data)) => Points::new(*encoding, data),
            None => Err(damaged(at, "chunk is empty")),
        }
    }
}

/// The samples of a chunk, one by one; ends after an error.
#[derive(Clone, Debug)]
pub enum Points<'a> {
    /// Encoding 1.
    Floats(XorPoints<'a>),
    /// Encodings 2 and 3.
    Histograms(Box<HistogramPoints<'a>>),
}

impl<'a> Points<'a> {
    /// Of the data of a chunk.
    ///
    /// # Errors
    /// If the encoding is not known, or the head of the data is damaged.
    pub fn new(encoding: u8, data: &'a [u8]) -> Result<Self, TsdbError> {
        let histograms =
            |counts| Ok(Self::Histograms(Box::new(HistogramPoints::new(data, counts)?)));
        match encoding {
            1 => Ok(Self::Floats(XorPoints::new(data)?)),
            2 => histograms(Counts::Integer),
            3 => histograms(Counts::Float),
            other => Err(TsdbError::Unsupported(format!(
                "chunk has encoding {other}; 1 (XOR), 2 (histogram) and 3 (float histogram) are \
                 read, XOR2 and those with start timestamps are not"
            ))),
        }
    }
}

impl Iterator for Points<'_> {
    type Item = Result<Point, TsdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Floats(points) => points.next(),
            Self::Histograms(points) => points.next(),
        }
    }
}
