//! Bits of a chunk, the highest of a byte first, and the numbers written with few of them
//! (`varbit` and `xor` in Prometheus' `chunks.md`).

use super::{TsdbError, damaged};

/// Bits of a number that is announced by so many ones.
const VARBIT_WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];
/// The same for changes of an interval in chunks of floats.
const TIME_WIDTHS: [u32; 5] = [0, 14, 17, 20, 64];

/// A place in the data of a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Bits not read yet.
    pub(crate) const fn left(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.at)
    }

    /// Damage here.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> TsdbError {
        damaged(self.at as u64 / 8, what)
    }

    /// The next `count` bits, 64 at most, as a number.
    #[inline]
    pub(crate) fn take(&mut self, count: u32) -> Result<u64, TsdbError> {
        if count == 0 {
            return Ok(0);
        }
        if self.left() < count as usize || count > 64 {
            return Err(self.damaged("data of the chunk is cut off"));
        }
        let rest = &self.data[self.at / 8..];
        let skip = (self.at % 8) as u32;
        self.at += count as usize;
        if let Some(word) = rest.first_chunk::<8>()
            && skip + count <= 64
        {
            return Ok(u64::from_be_bytes(*word) << skip >> (64 - count));
        }
        let mut word = [0; 16];
        for (to, from) in word.iter_mut().zip(rest).take(9) {
            *to = *from;
        }
        let value = u128::from_be_bytes(word) << skip >> (128 - count);
        // At most 64 bits are left of it.
        Ok(u64::try_from(value).unwrap_or(0))
    }

    /// A float of 64 bits.
    pub(crate) fn float(&mut self) -> Result<f64, TsdbError> {
        self.take(64).map(f64::from_bits)
    }

    /// A varint of whole bytes, as in protobuf.
    pub(crate) fn uvarint(&mut self) -> Result<u64, TsdbError> {
        let mut value = 0;
        for i in 0..10 {
            let byte = self.take(8)?;
            if i == 9 && byte > 1 {
                break;
            }
            value |= (byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number is longer than 64 bits"))
    }

    /// `varbit_uint`.
    pub(crate) fn varbit_uint(&mut self) -> Result<u64, TsdbError> {
        let width = self.width(&VARBIT_WIDTHS)?;
        self.take(width)
    }

    /// `varbit_int`.
    pub(crate) fn varbit_int(&mut self) -> Result<i64, TsdbError> {
        self.signed(&VARBIT_WIDTHS)
    }

    /// `varbit_ts`.
    pub(crate) fn varbit_time(&mut self) -> Result<i64, TsdbError> {
        self.signed(&TIME_WIDTHS)
    }

    /// Of the numbers that fit into a width, the upper half, without its first, is negative.
    fn signed(&mut self, widths: &[u32]) -> Result<i64, TsdbError> {
        let width = self.width(widths)?;
        let value = self.take(width)?;
        if (1..64).contains(&width) && value > 1 << (width - 1) {
            return Ok(value.wrapping_sub(1 << width).cast_signed());
        }
        Ok(value.cast_signed())
    }

    /// The width that the next bits announce: ones, as many as it has a number, and a zero, which
    /// is left out after as many as there can be.
    fn width(&mut self, widths: &[u32]) -> Result<u32, TsdbError> {
        let Some((last, others)) = widths.split_last() else { return Ok(0) };
        for width in others {
            if self.take(1)? == 0 {
                return Ok(*width);
            }
        }
        Ok(*last)
    }
}

/// A column of floats, each as XOR with the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct XorColumn {
    value: u64,
    leading: u32,
    trailing: u32,
}

impl XorColumn {
    /// A column that begins with `value`.
    pub(crate) const fn new(value: f64) -> Self {
        Self { value: value.to_bits(), leading: 0, trailing: 0 }
    }

    /// The value last read.
    pub(crate) const fn value(&self) -> f64 {
        f64::from_bits(self.value)
    }

    /// Reads the next value.
    #[inline]
    pub(crate) fn next(&mut self, bits: &mut Bits<'_>) -> Result<f64, TsdbError> {
        if bits.take(1)? == 0 {
            return Ok(self.value());
        }
        if bits.take(1)? == 1 {
            // Below 32 and 64, so these fit.
            let leading = bits.take(5)? as u32;
            let width = match bits.take(6)? as u32 {
                0 => 64,
                width => width,
            };
            let Some(trailing) = 64_u32.checked_sub(leading + width) else {
                return Err(bits.damaged(format!("{leading} and {width} bits are more than 64")));
            };
            (self.leading, self.trailing) = (leading, trailing);
        }
        let changed = bits.take(64 - self.leading - self.trailing)?;
        self.value ^= changed << self.trailing;
        Ok(self.value())
    }
}
