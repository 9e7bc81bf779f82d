//! The file `index` of a block, version 2: the series one after another, each with its labels and
//! the places of its chunks. The tables for queries (postings, label values) are not read.
//!
//! A series whose entry is damaged does not end the reading: the next entry is found by its
//! checksum, as every entry starts at a multiple of 16 bytes.

use std::ops::Range;
use std::sync::Arc;

use super::symbols::Symbols;
use super::window::{Fields, ReadAt, Window};
use super::{TsdbError, damaged};

const MAGIC: u32 = 0xbaaa_d700;
const VERSION: u8 = 2;
/// Magic and version.
const HEAD_BYTES: u64 = 5;
/// Six places and a checksum, the last of the file.
const CONTENTS_BYTES: u64 = 52;
/// Every entry starts at a multiple of this.
const ALIGNMENT: u64 = 16;
/// Longest entry: a series with hundreds of thousands of chunks.
const ENTRY_BYTES_MAX: u64 = 16 << 20;
/// Longest entry looked for behind a damaged one.
const FOUND_BYTES_MAX: u64 = 64 << 10;
const VARINT_BYTES_MAX: u64 = 10;
/// Bytes that all labels of a series may take.
const LABELS_BYTES_MAX: usize = 4 << 20;
/// Bytes a label takes beside its texts.
const LABEL_BYTES: usize = 64;

/// A series as the index has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// What tombstones call it.
    pub id: u64,
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// Its chunks, by time.
    pub chunks: Vec<ChunkPlace>,
}

/// Where a chunk is, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPlace {
    /// First time, in milliseconds since the epoch.
    pub start_ms: i64,
    /// Last time.
    pub end_ms: i64,
    /// Which segment, from 0; its file is named by the next number.
    pub segment: u32,
    /// Offset in the segment.
    pub offset: u32,
}

/// An index that is being read.
#[derive(Debug)]
pub struct Index<R> {
    window: Window<R>,
    symbols: Symbols<R>,
    next: u64,
    end: u64,
}

impl<R: ReadAt> Index<R> {
    /// Opens an index: checks its contents and its symbols.
    ///
    /// # Errors
    /// If these are damaged, since then no series can be told; or if the version is another.
    pub fn open(file: R) -> Result<Self, TsdbError> {
        let file = Arc::new(file);
        let mut window = Window::new(Arc::clone(&file))?;
        let head = window.exactly(0, HEAD_BYTES, "head of the index")?;
        let mut fields = Fields::new(head, 0);
        let magic = fields.be32("magic")?;
        if magic != MAGIC {
            return Err(damaged(0, format!("magic is {magic:08x}, that of an index {MAGIC:08x}")));
        }
        match fields.bytes(1, "version")? {
            [VERSION] => {}
            other => {
                let what = format!("index has version {other:?}, only {VERSION} is read");
                return Err(TsdbError::Unsupported(what));
            }
        }
        let (symbols, series) = contents(&mut window)?;
        let symbols = Symbols::open(file, symbols)?;
        Ok(Self { window, symbols, next: aligned(series.start), end: series.end })
    }

    /// The next series; none behind the last one. After an error the next one is found.
    #[expect(clippy::should_implement_trait, reason = "an iterator ends at its first error")]
    pub fn next(&mut self) -> Option<Result<Series, TsdbError>> {
        let at = self.next;
        if at >= self.end || self.is_padding(at) {
            return None;
        }
        match self.entry(at, ENTRY_BYTES_MAX) {
            Ok(entry) => {
                self.next = aligned(entry.end.saturating_add(4));
                Some(self.series(at, &entry))
            }
            Err(error) => {
                self.next = at + ALIGNMENT;
                while self.next < self.end && self.entry(self.next, FOUND_BYTES_MAX).is_err() {
                    self.next += ALIGNMENT;
                }
                Some(Err(error))
            }
        }
    }

    /// Whether nothing but zeros follow in the section.
    fn is_padding(&mut self, at: u64) -> bool {
        let left = self.end - at;
        let bytes = self.window.up_to(at, left.min(ALIGNMENT));
        left <= ALIGNMENT && bytes.is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    }

    /// Where the content of the entry at `at` is; its checksum holds.
    fn entry(&mut self, at: u64, length_max: u64) -> Result<Range<u64>, TsdbError> {
        let mut fields = Fields::new(self.window.up_to(at, VARINT_BYTES_MAX)?, at);
        let length = fields.uvarint("length of a series")?;
        let start = fields.at();
        if length == 0 || length > length_max || start + length + 4 > self.end {
            let what = format!("series has {length} bytes; limit is {length_max}");
            return Err(damaged(at, what));
        }
        let bytes = self.window.exactly(start, length + 4, "series")?;
        let mut fields = Fields::new(bytes, start);
        let sum = crc32c::crc32c(fields.bytes(length, "series")?);
        let stated = fields.be32("checksum of a series")?;
        if sum != stated {
            let what = format!("checksum of a series is {sum:08x}, the file says {stated:08x}");
            return Err(damaged(at, what));
        }
        Ok(start..start + length)
    }

    fn series(&mut self, at: u64, entry: &Range<u64>) -> Result<Series, TsdbError> {
        let bytes = self.window.exactly(entry.start, entry.end - entry.start, "series")?;
        let mut fields = Fields::new(bytes, entry.start);
        let mut series = Series { id: at / ALIGNMENT, ..Series::default() };
        let mut label_bytes = 0;
        for _ in 0..fields.uvarint("number of labels")? {
            let name = self.symbols.get(fields.uvarint("name of a label")?)?.to_owned();
            let value = self.symbols.get(fields.uvarint("value of a label")?)?.to_owned();
            label_bytes += name.len() + value.len() + LABEL_BYTES;
            if label_bytes > LABELS_BYTES_MAX {
                let what = format!("labels of a series take more than {LABELS_BYTES_MAX} bytes");
                return Err(damaged(at, what));
            }
            series.labels.push((name, value));
        }
        let (mut time, mut reference) = (0_i64, 0_u64);
        for number in 0..fields.uvarint("number of chunks")? {
            let start_ms = match number {
                0 => fields.varint("first time")?,
                _ => time.wrapping_add_unsigned(fields.uvarint("first time")?),
            };
            let end_ms = start_ms.wrapping_add_unsigned(fields.uvarint("last time")?);
            time = end_ms;
            reference = match number {
                0 => fields.uvarint("place of a chunk")?,
                _ => reference.wrapping_add_signed(fields.varint("place of a chunk")?),
            };
            // Upper and lower half, so both fit.
            let (segment, offset) = ((reference >> 32) as u32, reference as u32);
            series.chunks.push(ChunkPlace { start_ms, end_ms, segment, offset });
        }
        if !fields.is_at_end() {
            return Err(damaged(fields.at(), "bytes follow the last chunk of a series"));
        }
        Ok(series)
    }
}

/// Reads the table of contents: where the symbols start, and where the series are.
fn contents<R: ReadAt>(window: &mut Window<R>) -> Result<(u64, Range<u64>), TsdbError> {
    let at = window.size().saturating_sub(CONTENTS_BYTES).max(HEAD_BYTES);
    let bytes = window.exactly(at, CONTENTS_BYTES, "table of contents")?;
    let mut fields = Fields::new(bytes, at);
    let sum = crc32c::crc32c(bytes.get(..bytes.len() - 4).unwrap_or_default());
    let mut places = [0; 6];
    for place in &mut places {
        *place = fields.be64("place of a section")?;
    }
    let stated = fields.be32("checksum of the contents")?;
    if sum != stated {
        let what = format!("checksum of the contents is {sum:08x}, the file says {stated:08x}");
        return Err(damaged(at, what));
    }
    let [symbols, series, ..] = places;
    if let Some(wrong) = places.iter().find(|place| **place > at) {
        return Err(damaged(at, format!("a section starts at {wrong}, behind the file's end")));
    }
    // Sections that do not exist have the place 0.
    let end = places.iter().copied().filter(|place| *place > series).min().unwrap_or(at);
    Ok((symbols, if series == 0 { at..at } else { series..end }))
}

const fn aligned(at: u64) -> u64 {
    at.next_multiple_of(ALIGNMENT)
}
