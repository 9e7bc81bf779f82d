//! Floats, exact to the bit: as integers or decimals where the data is that, else as their bits
//! in numeric order; what does not fit is kept beside.
//!
//! A decimal is `integer / 10^exponent`: the division is exactly rounded, so the float nearest to
//! a decimal comes back bit for bit. Encoding checks that for every value.

use std::ops::Range;

use ephemeris_model::STALE_NAN_BITS;

use super::integers::{self, MODE_BITS};
use super::{CHUNK_LEN, decode_column, encode_column};
use crate::encoding::{Damage, Input};

/// Kinds of values, in two bits of the mode byte.
const KIND_SHIFT: u32 = 3;
const KIND_BITS: u8 = 0b11 << KIND_SHIFT;
const INTEGERS: u8 = 0;
const DECIMALS: u8 = 1 << KIND_SHIFT;
const ORDERED: u8 = 2 << KIND_SHIFT;
const SHIFTED: u8 = 3 << KIND_SHIFT;
/// There are staleness markers.
const STALE: u8 = 1 << 5;
/// There are NaNs of the usual bits.
const NAN: u8 = 1 << 6;
/// There are other values that do not fit.
const OTHERS: u8 = 1 << 7;

/// Largest exponent of decimals.
const EXPONENT_MAX: usize = 12;
const POWERS: [f64; EXPONENT_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
/// Adding and subtracting it rounds a float below 2^51 to an integer.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
const ROUNDED_MAX: f64 = 2_251_799_813_685_248.0;
/// Values tried to guess the exponent.
const SAMPLE: usize = 16;
/// One value in this many may be an exception before another form is tried.
const EXCEPTION_SHARE: usize = 20;
/// Trailing zero bits of all integers that make shifting worth its byte.
const SHIFT_MIN: u32 = 4;
/// The bits of the usual NaN.
const NAN_BITS: u64 = 0x7ff8_0000_0000_0000;
const SIGN: u64 = 1 << 63;

/// Writes a column of floats.
pub fn encode(values: &[f64], out: &mut Vec<u8>) {
    encode_column(values, out, |chunk, out| Chunk::of(chunk).put(out));
}

/// Appends the values at `wanted` of a column of `len` floats.
///
/// # Errors
/// If the bytes are no such column.
pub fn decode(
    input: &mut Input<'_>,
    len: usize,
    wanted: Range<usize>,
    out: &mut Vec<f64>,
) -> Result<(), Damage> {
    decode_column(input, len, wanted, |input, chunk_len, wanted| {
        let start = out.len();
        out.resize(start + chunk_len, 0.0);
        decode_chunk(input, &mut out[start..])?;
        out.truncate(start + wanted.end);
        if wanted.start > 0 {
            out.drain(start..start + wanted.start);
        }
        Ok(())
    })
}

/// A sub-chunk as integers, with what does not fit beside.
struct Chunk {
    kind: u8,
    /// Exponent or shift; not written for plain integers.
    parameter: u8,
    integers: [i64; CHUNK_LEN],
    len: usize,
    stale: Vec<u8>,
    nans: Vec<u8>,
    others: Vec<(u8, u64)>,
}

impl Chunk {
    /// The cheapest form of 1 to [`CHUNK_LEN`] values.
    fn of(values: &[f64]) -> Self {
        let mut chunk = Self {
            kind: INTEGERS,
            parameter: 0,
            integers: [0; CHUNK_LEN],
            len: values.len(),
            stale: Vec::new(),
            nans: Vec::new(),
            others: Vec::new(),
        };
        if let Some(exponent) = guess_exponent(values) {
            if chunk.fill_decimals(values, exponent) {
                return chunk;
            }
            if let Some(exponent) = exact_exponent(values)
                && chunk.fill_decimals(values, exponent)
            {
                return chunk;
            }
        }
        chunk.fill_ordered(values);
        chunk
    }

    /// Tries decimals with `exponent`; answers whether few enough values are exceptions.
    fn fill_decimals(&mut self, values: &[f64], exponent: usize) -> bool {
        if exponent == 0 {
            self.fill(values, to_integer);
        } else {
            let power = POWERS[exponent];
            self.fill(values, |value| to_decimal(value, power));
        }
        if self.others.len() > values.len() / EXCEPTION_SHARE {
            return false;
        }
        self.kind = if exponent == 0 { INTEGERS } else { DECIMALS };
        self.parameter = u8::try_from(exponent).unwrap_or(0);
        if exponent == 0 {
            self.shift(SHIFT_MIN, SHIFTED);
        }
        true
    }

    fn fill_ordered(&mut self, values: &[f64]) {
        self.fill(values, to_ordered);
        self.kind = ORDERED;
        self.shift(0, ORDERED);
    }

    /// Drops the zero bits all integers end with, if there are at least `min`.
    fn shift(&mut self, min: u32, kind: u8) {
        let integers = &mut self.integers[..self.len];
        let ones = integers.iter().fold(0, |ones, integer| ones | integer);
        let shift = if ones == 0 { 0 } else { ones.trailing_zeros() };
        if shift >= min {
            integers.iter_mut().for_each(|integer| *integer >>= shift);
            self.kind = kind;
            self.parameter = u8::try_from(shift).unwrap_or(0);
        }
    }

    /// Turns all values into integers; exceptions take the integer before them.
    #[inline]
    fn fill(&mut self, values: &[f64], convert: impl Fn(f64) -> Option<i64>) {
        self.stale.clear();
        self.nans.clear();
        self.others.clear();
        let mut first = None;
        let mut last = 0;
        for (position, (&value, integer)) in values.iter().zip(&mut self.integers).enumerate() {
            if let Some(converted) = convert(value) {
                last = converted;
                first.get_or_insert((position, converted));
            } else {
                let at = u8::try_from(position).unwrap_or(u8::MAX);
                match value.to_bits() {
                    STALE_NAN_BITS => self.stale.push(at),
                    NAN_BITS => self.nans.push(at),
                    bits => self.others.push((at, bits)),
                }
            }
            *integer = last;
        }
        if let Some((position, converted)) = first {
            self.integers[..position].fill(converted);
        }
    }

    /// Writes mode, parameter, exceptions and integers.
    fn put(&self, out: &mut Vec<u8>) {
        let mode_at = out.len();
        out.push(self.kind);
        if self.kind != INTEGERS {
            out.push(self.parameter);
        }
        let mut mode = self.kind;
        for (positions, flag) in [(&self.stale, STALE), (&self.nans, NAN)] {
            if !positions.is_empty() {
                mode |= flag;
                out.push(u8::try_from(positions.len()).unwrap_or(u8::MAX));
                out.extend_from_slice(positions);
            }
        }
        if !self.others.is_empty() {
            mode |= OTHERS;
            out.push(u8::try_from(self.others.len()).unwrap_or(u8::MAX));
            for (position, bits) in &self.others {
                out.push(*position);
                out.extend_from_slice(&bits.to_le_bytes());
            }
        }
        mode |= integers::encode_body(&self.integers[..self.len], out);
        out[mode_at] = mode;
    }
}

/// The exponent most of a few values have, if they have one.
fn guess_exponent(values: &[f64]) -> Option<usize> {
    let mut exponents = [0usize; SAMPLE];
    let (mut count, mut without) = (0, 0);
    let step = values.len().div_ceil(SAMPLE).max(1);
    for value in values.iter().step_by(step).filter(|value| !value.is_nan()) {
        let exponent = exponent_of(*value);
        without += usize::from(exponent.is_none());
        if without > 1 {
            return None;
        }
        exponents[count] = exponent.unwrap_or(EXPONENT_MAX + 1);
        count += 1;
    }
    let exponents = &mut exponents[..count];
    exponents.sort_unstable();
    let Some(last) = count.checked_sub(1) else { return Some(0) };
    let guess = exponents[last - last / (SAMPLE - 1)];
    (guess <= EXPONENT_MAX).then_some(guess)
}

/// The smallest exponent that fits all values but a few.
fn exact_exponent(values: &[f64]) -> Option<usize> {
    let mut counts = [0usize; EXPONENT_MAX + 1];
    let mut left = 0;
    for &value in values {
        match exponent_of(value) {
            Some(exponent) => counts[exponent] += 1,
            None if matches!(value.to_bits(), STALE_NAN_BITS | NAN_BITS) => {}
            None => left += 1,
        }
    }
    let mut exceptions = left + counts.iter().sum::<usize>();
    counts.iter().position(|count| {
        exceptions -= count;
        exceptions <= values.len() / EXCEPTION_SHARE
    })
}

/// The smallest exponent `value` is a decimal with.
fn exponent_of(value: f64) -> Option<usize> {
    if !value.is_finite() {
        return None;
    }
    if to_integer(value).is_some() {
        return Some(0);
    }
    (1..=EXPONENT_MAX).find(|&exponent| to_decimal(value, POWERS[exponent]).is_some())
}

#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked below")]
fn to_integer(value: f64) -> Option<i64> {
    let integer = value as i64;
    ((integer as f64).to_bits() == value.to_bits()).then_some(integer)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "checked below")]
fn to_decimal(value: f64, power: f64) -> Option<i64> {
    let scaled = value * power;
    let rounded = (scaled + ROUNDER) - ROUNDER;
    let exact = scaled.abs() < ROUNDED_MAX && (rounded / power).to_bits() == value.to_bits();
    // Zero has no sign as an integer.
    (exact && (rounded != 0.0 || value.to_bits() == 0)).then_some(rounded as i64)
}

/// An integer below 2^51 as a float; loops over it become vector instructions.
#[inline]
fn small_to_float(integer: i64) -> f64 {
    f64::from_bits(integer.wrapping_add(ROUNDER.to_bits().cast_signed()).cast_unsigned()) - ROUNDER
}

/// The bits of a float as an integer in numeric order, trailing zero bits kept.
#[inline]
fn to_ordered(value: f64) -> Option<i64> {
    let bits = value.to_bits();
    if bits == STALE_NAN_BITS || bits == NAN_BITS || bits == SIGN {
        return None;
    }
    let magnitude = (bits & !SIGN).cast_signed();
    Some(if bits & SIGN == 0 { magnitude } else { -magnitude })
}

#[inline]
fn from_ordered(ordered: i64) -> f64 {
    let sign = if ordered < 0 { SIGN } else { 0 };
    f64::from_bits(ordered.unsigned_abs() & !SIGN | sign)
}

/// Reads a sub-chunk of `out.len()` floats.
#[expect(clippy::cast_precision_loss, reason = "integers were floats when they were encoded")]
fn decode_chunk(input: &mut Input<'_>, out: &mut [f64]) -> Result<(), Damage> {
    let mode = input.u8()?;
    let kind = mode & KIND_BITS;
    let parameter = if kind == INTEGERS { 0 } else { input.u8()? };
    let exceptions = *input;
    pass_exceptions(input, mode)?;
    let mut integers = [0i64; CHUNK_LEN];
    let integers = &mut integers[..out.len()];
    integers::decode_body(input, mode & MODE_BITS, integers)?;
    let pairs = out.iter_mut().zip(integers.iter());
    match kind {
        INTEGERS => pairs.for_each(|(value, &integer)| *value = integer as f64),
        DECIMALS => {
            let power = *POWERS
                .get(usize::from(parameter))
                .ok_or(Damage("an exponent of decimals is too large"))?;
            pairs.for_each(|(value, &integer)| *value = small_to_float(integer) / power);
        }
        _ => {
            let shift = u32::from(parameter);
            if shift > 63 {
                return Err(Damage("a shift is over 63 bits"));
            }
            if kind == ORDERED {
                pairs.for_each(|(value, &integer)| *value = from_ordered(integer << shift));
            } else {
                pairs.for_each(|(value, &integer)| *value = (integer << shift) as f64);
            }
        }
    }
    put_exceptions(exceptions, mode, out)
}

/// Passes over the exceptions.
fn pass_exceptions(input: &mut Input<'_>, mode: u8) -> Result<(), Damage> {
    for (flag, bytes) in [(STALE, 1), (NAN, 1), (OTHERS, 9)] {
        if mode & flag != 0 {
            let count = usize::from(input.u8()?);
            input.take(count * bytes)?;
        }
    }
    Ok(())
}

/// Puts the exceptions into their places.
fn put_exceptions(mut input: Input<'_>, mode: u8, out: &mut [f64]) -> Result<(), Damage> {
    const OUTSIDE: Damage = Damage("an exception lies outside the sub-chunk");
    for (flag, bits) in [(STALE, Some(STALE_NAN_BITS)), (NAN, Some(NAN_BITS)), (OTHERS, None)] {
        if mode & flag == 0 {
            continue;
        }
        for _ in 0..input.u8()? {
            let place = out.get_mut(usize::from(input.u8()?)).ok_or(OUTSIDE)?;
            *place = f64::from_bits(match bits {
                Some(bits) => bits,
                None => input.u64()?,
            });
        }
    }
    Ok(())
}
