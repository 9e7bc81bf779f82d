//! A chunk of floats: times as differences of differences, values as XOR with the one before.

use super::bits::{Bits, XorColumn};
use super::{Point, TsdbError, left_after};

/// The samples of a chunk, one by one.
#[derive(Clone, Debug)]
pub struct XorPoints<'a> {
    bits: Bits<'a>,
    /// Samples that are not read yet.
    left: u64,
    is_first: bool,
    is_second: bool,
    timestamp_ms: i64,
    interval_ms: i64,
    value: XorColumn,
}

impl<'a> XorPoints<'a> {
    /// Of the data of a chunk.
    ///
    /// # Errors
    /// If there is not even a number of samples.
    pub fn new(data: &'a [u8]) -> Result<Self, TsdbError> {
        let mut bits = Bits::new(data);
        let left = bits.take(16)?;
        Ok(Self {
            bits,
            left,
            is_first: true,
            is_second: false,
            timestamp_ms: 0,
            interval_ms: 0,
            value: XorColumn::default(),
        })
    }

    fn read(&mut self) -> Result<Point, TsdbError> {
        let bits = &mut self.bits;
        if self.is_first {
            self.timestamp_ms = crate::wire::zigzag(bits.uvarint()?);
            self.value = XorColumn::new(bits.float()?);
        } else {
            self.interval_ms = if self.is_second {
                bits.uvarint()?.cast_signed()
            } else {
                self.interval_ms.wrapping_add(bits.varbit_time()?)
            };
            self.timestamp_ms = self.timestamp_ms.wrapping_add(self.interval_ms);
            self.value.next(bits)?;
        }
        (self.is_first, self.is_second) = (false, self.is_first);
        Ok(Point::Float { timestamp_ms: self.timestamp_ms, value: self.value.value() })
    }
}

impl Iterator for XorPoints<'_> {
    type Item = Result<Point, TsdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.left.checked_sub(1)?;
        let point = self.read();
        self.left = left_after(&point, left);
        Some(point)
    }
}
