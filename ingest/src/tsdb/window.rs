//! Reading a file piece by piece: a [`Window`] holds the piece around the place last read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::{TsdbError, damaged};

/// Bytes read at once, if no more are wanted.
const READ_AHEAD_BYTES: u64 = 256 << 10;

/// A file, or bytes in its place.
pub trait ReadAt {
    /// Bytes in all.
    ///
    /// # Errors
    /// If the file cannot be asked.
    fn size(&self) -> io::Result<u64>;

    /// Fills `out` with what is at byte `at`.
    ///
    /// # Errors
    /// If there is less, or reading fails.
    fn fill(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn fill(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, at)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn fill(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(at).ok();
        let found = start.and_then(|start| self.get(start..start.checked_add(out.len())?));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A piece of a file.
#[derive(Debug)]
pub(crate) struct Window<R> {
    file: Arc<R>,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<R: ReadAt> Window<R> {
    pub(crate) fn new(file: Arc<R>) -> Result<Self, TsdbError> {
        let size = file.size()?;
        Ok(Self { file, size, start: 0, bytes: Vec::new() })
    }

    /// Bytes of the file.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The `count` bytes at `at`. The caller limits `count`.
    pub(crate) fn exactly(&mut self, at: u64, count: u64, what: &str) -> Result<&[u8], TsdbError> {
        let size = self.size;
        if at.checked_add(count).is_none_or(|end| end > size) {
            let what = format!("{what} of {count} bytes ends behind the file, which has {size}");
            return Err(damaged(at, what));
        }
        self.up_to(at, count)
    }

    /// The `count` bytes at `at`, fewer at the end of the file. The caller limits `count`.
    pub(crate) fn up_to(&mut self, at: u64, count: u64) -> Result<&[u8], TsdbError> {
        let count = count.min(self.size.saturating_sub(at));
        let held = self.start..self.start + self.bytes.len() as u64;
        if at < held.start || at.saturating_add(count) > held.end {
            let ahead = READ_AHEAD_BYTES.min(self.size.saturating_sub(at));
            let length = usize::try_from(count.max(ahead)).unwrap_or(0);
            self.bytes.clear();
            // A window that grew for one large piece does not stay large.
            self.bytes.shrink_to(length);
            self.bytes.resize(length, 0);
            self.start = at;
            if let Err(error) = self.file.fill(at, &mut self.bytes) {
                self.bytes.clear();
                return Err(error.into());
            }
        }
        let from = usize::try_from(at.saturating_sub(self.start)).unwrap_or(0);
        let end = from.saturating_add(usize::try_from(count).unwrap_or(0));
        Ok(self.bytes.get(from..end).unwrap_or_default())
    }
}

/// Fields one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    /// Offset in the file of the next byte.
    at: u64,
}

impl<'a> Fields<'a> {
    /// Of bytes that stand at `at` in their file.
    pub(crate) const fn new(rest: &'a [u8], at: u64) -> Self {
        Self { rest, at }
    }

    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn bytes(&mut self, count: u64, what: &str) -> Result<&'a [u8], TsdbError> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((found, rest)) = split else {
            let left = self.rest.len();
            return Err(damaged(self.at, format!("{what} has {count} bytes, but {left} are left")));
        };
        self.rest = rest;
        self.at += count;
        Ok(found)
    }

    /// Four bytes, big-endian.
    pub(crate) fn be32(&mut self, what: &str) -> Result<u32, TsdbError> {
        let bytes = self.bytes(4, what)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// Eight bytes, big-endian.
    pub(crate) fn be64(&mut self, what: &str) -> Result<u64, TsdbError> {
        let bytes = self.bytes(8, what)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A varint: at most ten bytes, at most 64 bits.
    pub(crate) fn uvarint(&mut self, what: &str) -> Result<u64, TsdbError> {
        let mut value = 0_u64;
        for (i, &byte) in self.rest.iter().take(10).enumerate() {
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = self.rest.get(i + 1..).unwrap_or_default();
                self.at += i as u64 + 1;
                return Ok(value);
            }
        }
        Err(damaged(self.at, format!("{what} is cut off or longer than 64 bits")))
    }

    /// A varint with a sign (zigzag).
    pub(crate) fn varint(&mut self, what: &str) -> Result<i64, TsdbError> {
        self.uvarint(what).map(crate::wire::zigzag)
    }
}
