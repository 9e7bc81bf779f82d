//! Integers and byte strings as they lie on disk: little-endian, varints of seven bits a byte.
//!
//! Writing cannot fail. Reading checks every step and answers [`Damage`], never panics, and never
//! allocates more than the input can fill.

/// What is wrong with bytes that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage(pub &'static str);

/// Longest varint of a `u64`.
const VARINT_BYTES_MAX: usize = 10;

/// Appends a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 128")]
    out.push(n as u8);
}

/// Appends a signed number as a varint, small absolute values first.
#[inline]
pub fn put_zigzag(out: &mut Vec<u8>, n: i64) {
    put_varint(out, zigzag(n));
}

/// Appends bytes with their length before them.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes of `n` as a varint.
#[must_use]
pub const fn varint_len(n: u64) -> usize {
    if n == 0 { 1 } else { (70 - n.leading_zeros() as usize) / 7 }
}

/// 0, −1, 1, −2 … as 0, 1, 2, 3 …
#[inline]
#[must_use]
pub const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

/// The reverse of [`zigzag`].
#[inline]
#[must_use]
pub const fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

/// Bytes being read from the front.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Reads `bytes` from their first on.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Number of bytes not read yet.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether all was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Damage> {
        let Some((taken, rest)) = self.rest.split_at_checked(n) else {
            return Err(Damage("ends early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Damage("ends early"));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// If there is none.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Damage> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn u16(&mut self) -> Result<u16, Damage> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn i64(&mut self) -> Result<i64, Damage> {
        self.array().map(i64::from_le_bytes)
    }

    /// A varint.
    ///
    /// # Errors
    /// If it does not end, or is no `u64`.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Damage> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Damage> {
        let mut n = 0u64;
        for i in 0..VARINT_BYTES_MAX {
            let byte = self.u8()?;
            if i == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            n |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(Damage("a varint is too long"))
    }

    /// A signed varint.
    ///
    /// # Errors
    /// As [`Input::varint`].
    #[inline]
    pub fn zigzag(&mut self) -> Result<i64, Damage> {
        self.varint().map(unzigzag)
    }

    /// A varint that must be a `u32`.
    ///
    /// # Errors
    /// If it is none.
    #[inline]
    pub fn varint_u32(&mut self) -> Result<u32, Damage> {
        u32::try_from(self.varint()?).map_err(|_| Damage("a number is too large"))
    }

    /// A varint that counts things of which each takes at least one byte of what follows.
    ///
    /// # Errors
    /// If there cannot be as many.
    #[inline]
    pub fn count(&mut self) -> Result<usize, Damage> {
        self.count_up_to(self.rest.len())
    }

    /// A varint of at most `max`.
    ///
    /// # Errors
    /// If it is more.
    #[inline]
    pub fn count_up_to(&mut self, max: usize) -> Result<usize, Damage> {
        match usize::try_from(self.varint()?) {
            Ok(n) if n <= max => Ok(n),
            _ => Err(Damage("a count is too large")),
        }
    }

    /// Bytes with their length before them.
    ///
    /// # Errors
    /// If they end early.
    pub fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let n = self.count()?;
        self.take(n)
    }

    /// Text with its length before it.
    ///
    /// # Errors
    /// If it ends early or is no UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damage("text is not UTF-8"))
    }

    /// Checks that all was read.
    ///
    /// # Errors
    /// If bytes are left.
    pub const fn end(&self) -> Result<(), Damage> {
        if self.is_empty() { Ok(()) } else { Err(Damage("bytes are left over")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_varint_that_does_not_end_is_damage() {
        assert_eq!(Input::new(&[0x80; 12]).varint(), Err(Damage("a varint is too long")));
        assert_eq!(Input::new(&[0x80]).varint(), Err(Damage("ends early")));
        let eleven_bits = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(Input::new(&eleven_bits).varint(), Err(Damage("a varint is too long")));
    }

    #[test]
    fn a_count_cannot_pass_what_follows() {
        assert_eq!(Input::new(&[5, 0, 0]).count(), Err(Damage("a count is too large")));
        assert_eq!(Input::new(&[2, 0, 0]).count(), Ok(2));
    }

    proptest! {
        #[test]
        fn numbers_come_back(n: u64, signed: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, n);
            prop_assert_eq!(out.len(), varint_len(n));
            put_zigzag(&mut out, signed);
            let mut input = Input::new(&out);
            prop_assert_eq!(input.varint(), Ok(n));
            prop_assert_eq!(input.zigzag(), Ok(signed));
            prop_assert_eq!(input.end(), Ok(()));
        }
    }
}
