//! Chunks: the open, encoded runs of samples of the head. In memory only, so the encoding is free
//! to change.
//!
//! A sample is one control byte and whole bytes after it. The upper half of the control byte says
//! how the interval since the sample before differs from the interval before that, the lower half
//! how the value differs from the value before:
//!
//! | upper half | interval | lower half | value |
//! |---|---|---|---|
//! | 0 | the same | 0 | the same bits |
//! | 1–5, 6–10 | −5 … −1, 1 … 5 ms longer | 1 | the staleness marker |
//! | 11–14 | longer by an integer of 1, 2, 4, 8 bytes | 2–7 | decimal, changed by an integer of 1, 2, 3, 4, 6, 8 bytes |
//! | 15 | a run: the next byte says how many samples repeat interval and value | 8 | decimal of another exponent: exponent, change as varint |
//! | | | 9 | XOR: a byte of leading and counted bytes, the counted bytes |
//! | | | 10–15 | XOR: the lowest 3 … 8 bytes |
//!
//! A decimal is an integer over a power of ten; the integer of the value before is computed from
//! that value, which gives the same on both sides whatever it was.

use ephemeris_model::STALE_NAN_BITS;

use super::arena::{Arena, LINK_BYTES, segment_bytes};
use crate::encoding::{Input, put_zigzag};
use crate::metrics::samples::SeriesSamples;

/// Powers of ten up to the largest exponent of a decimal.
const POWERS: [f64; 13] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
/// In place of an exponent: values are no decimals, do not try.
const NO_DECIMAL: u8 = u8::MAX;
/// So many values that are no decimals, and none is tried any more.
const MISSES_MAX: u8 = 8;
/// Except for one sample in so many.
const RETRY_EVERY: u32 = 64;
/// Largest control and value bytes of a sample: control, 8 of time, 11 of value.
const ITEM_BYTES_MAX: usize = 24;

const RUN: u8 = 15;
const VALUE_SAME: u8 = 0;
const VALUE_STALE: u8 = 1;
const VALUE_RESCALED: u8 = 8;
const VALUE_XOR: u8 = 9;

/// What the last item of a chunk was, for repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    /// A sample with the interval and value before it.
    Repeat,
    /// A run; its count is the last byte of the chunk.
    Run,
    /// A staleness marker.
    Stale,
}

/// Where a chunk lies and what its next sample is encoded against.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    last_time: i64,
    /// Bits of the last value that was no staleness marker.
    last_bits: u64,
    interval: i32,
    count: u32,
    first: u32,
    segment: u32,
    /// Bytes used of the current segment.
    position: u8,
    /// Place of the current segment in the chain; stays at the last size.
    ordinal: u8,
    exponent: u8,
    misses: u8,
    last: Last,
}

/// Whether a sample can be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It can.
    Next,
    /// It is the last sample again.
    Same,
    /// It is out of order.
    Late,
}

impl Chunk {
    /// Time of the last sample, if there is one.
    pub(super) fn last_time(&self) -> Option<i64> {
        (self.count > 0).then_some(self.last_time)
    }

    /// The last value, bit for bit.
    pub(super) fn last_value(&self) -> f64 {
        f64::from_bits(self.last_sample_bits())
    }

    /// Whether the last sample is a staleness marker.
    pub(super) fn ends_stale(&self) -> bool {
        self.last == Last::Stale
    }

    /// Whether the sample can be appended.
    pub(super) fn fit(&self, time: i64, bits: u64) -> Fit {
        if self.count == 0 {
            return Fit::Next;
        }
        match time.checked_sub(self.last_time) {
            Some(0) if bits == self.last_sample_bits() => Fit::Same,
            Some(interval) if interval > 0 => Fit::Next,
            _ => Fit::Late,
        }
    }

    const fn last_sample_bits(&self) -> u64 {
        match self.last {
            Last::Stale => STALE_NAN_BITS,
            _ => self.last_bits,
        }
    }

    /// Appends a sample that fits.
    pub(super) fn push(&mut self, arena: &mut Arena, time: i64, bits: u64) {
        let interval = time.wrapping_sub(self.last_time);
        let change = interval.wrapping_sub(i64::from(self.interval));
        let first = self.count == 0;
        self.count += 1;
        self.last_time = time;
        if change == 0 && bits == self.last_bits && !first && self.last != Last::Stale {
            return self.push_repeat(arena);
        }
        self.interval = if first { 0 } else { kept_interval(interval) };
        let mut item = Item::default();
        let upper = item.put_interval_change(change);
        let lower = self.put_value(&mut item, bits);
        item.bytes[0] = upper << 4 | lower;
        self.append(arena, item.filled());
        self.last = if lower == VALUE_STALE { Last::Stale } else { Last::Other };
    }

    fn push_repeat(&mut self, arena: &mut Arena) {
        match self.last {
            Last::Run => {
                let segment = arena.segment_mut(self.segment, self.ordinal);
                let run = &mut segment[usize::from(self.position) - 1];
                match run.checked_add(1) {
                    Some(longer) => *run = longer,
                    None => self.append(arena, &[RUN << 4, 1]),
                }
            }
            Last::Repeat => {
                self.append(arena, &[RUN << 4, 1]);
                self.last = Last::Run;
            }
            Last::Other | Last::Stale => {
                self.append(arena, &[0]);
                self.last = Last::Repeat;
            }
        }
    }

    /// Encodes the value against the one before; answers the lower half of the control byte.
    fn put_value(&mut self, item: &mut Item, bits: u64) -> u8 {
        if bits == self.last_bits {
            return VALUE_SAME;
        }
        if bits == STALE_NAN_BITS {
            return VALUE_STALE;
        }
        let before = std::mem::replace(&mut self.last_bits, bits);
        if self.exponent != NO_DECIMAL
            && let Some(n) = to_decimal(bits, self.exponent)
        {
            return item.put_change(n.wrapping_sub(scaled(before, self.exponent)));
        }
        if self.exponent == NO_DECIMAL && !self.count.is_multiple_of(RETRY_EVERY) {
            return item.put_xor(bits ^ before);
        }
        let found = (0..13u8).find_map(|exponent| Some((exponent, to_decimal(bits, exponent)?)));
        if let Some((exponent, n)) = found {
            self.exponent = exponent;
            self.misses /= 2;
            item.put(&[exponent]);
            let mut change = Vec::with_capacity(10);
            put_zigzag(&mut change, n.wrapping_sub(scaled(before, exponent)));
            item.put(&change);
            return VALUE_RESCALED;
        }
        self.misses = self.misses.saturating_add(1);
        if self.misses >= MISSES_MAX {
            self.exponent = NO_DECIMAL;
        }
        item.put_xor(bits ^ before)
    }

    fn append(&mut self, arena: &mut Arena, mut bytes: &[u8]) {
        if self.position == 0 {
            self.first = arena.allocate(0);
            self.segment = self.first;
            self.position = u8::try_from(LINK_BYTES).unwrap_or(0);
        }
        while !bytes.is_empty() {
            let position = usize::from(self.position);
            let room = segment_bytes(self.ordinal) - position;
            if room == 0 {
                let ordinal = (self.ordinal + 1).min(3);
                let next = arena.allocate(ordinal);
                let full = arena.segment_mut(self.segment, self.ordinal);
                full[..LINK_BYTES].copy_from_slice(&next.to_le_bytes());
                (self.segment, self.ordinal) = (next, ordinal);
                self.position = u8::try_from(LINK_BYTES).unwrap_or(0);
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(room));
            let segment = arena.segment_mut(self.segment, self.ordinal);
            segment[position..position + now.len()].copy_from_slice(now);
            // A segment has at most 128 bytes.
            self.position = u8::try_from(position + now.len()).unwrap_or(u8::MAX);
            bytes = later;
        }
    }

    /// All bytes of the chunk and [`PADDING`], joined in `bytes`; answers how many samples they hold,
    /// for [`decode`].
    pub(super) fn gather(&self, arena: &Arena, bytes: &mut Vec<u8>) -> u32 {
        bytes.clear();
        if self.count == 0 {
            return 0;
        }
        let (mut number, mut ordinal) = (self.first, 0);
        while number != self.segment {
            let segment = arena.segment(number, ordinal);
            let (link, data) = segment.split_at(LINK_BYTES);
            bytes.extend_from_slice(data);
            number = u32::from_le_bytes([link[0], link[1], link[2], link[3]]);
            ordinal = (ordinal + 1).min(3);
        }
        let last = arena.segment(number, ordinal);
        bytes.extend_from_slice(&last[LINK_BYTES..usize::from(self.position)]);
        bytes.extend_from_slice(&PADDING);
        self.count
    }

    /// Appends all samples to `out`; `scratch` is for bytes.
    pub(super) fn read(&self, arena: &Arena, scratch: &mut Vec<u8>, out: &mut SeriesSamples) {
        let count = self.gather(arena, scratch);
        decode(scratch, count, out);
    }
}

/// One encoded sample.
#[derive(Default)]
struct Item {
    bytes: [u8; ITEM_BYTES_MAX],
    /// Bytes after the control byte.
    length: usize,
}

impl Item {
    fn filled(&self) -> &[u8] {
        &self.bytes[..=self.length]
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let start = self.length + 1;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn put_interval_change(&mut self, change: i64) -> u8 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "−5 to 5")]
        match change {
            0 => 0,
            -5..=-1 => (change + 6) as u8,
            1..=5 => (change + 5) as u8,
            _ => {
                let (form, length) = match change {
                    _ if i8::try_from(change).is_ok() => (11, 1),
                    _ if i16::try_from(change).is_ok() => (12, 2),
                    _ if i32::try_from(change).is_ok() => (13, 4),
                    _ => (14, 8),
                };
                self.put(&change.to_le_bytes()[..length]);
                form
            }
        }
    }

    fn put_change(&mut self, change: i64) -> u8 {
        let bits = 65 - (if change < 0 { !change } else { change }).leading_zeros();
        let (form, length) = match bits {
            0..=8 => (2, 1),
            9..=16 => (3, 2),
            17..=24 => (4, 3),
            25..=32 => (5, 4),
            33..=48 => (6, 6),
            _ => (7, 8),
        };
        self.put(&change.to_le_bytes()[..length]);
        form
    }

    fn put_xor(&mut self, xor: u64) -> u8 {
        let leading = (xor.leading_zeros() / 8) as usize;
        let trailing = (xor.trailing_zeros() / 8) as usize;
        if leading > 5 || trailing >= 2 {
            let counted = 8 - leading - trailing;
            // Both are at most 8.
            self.put(&[u8::try_from(leading << 4 | counted).unwrap_or(0)]);
            self.put(&xor.to_le_bytes()[trailing..trailing + counted]);
            return VALUE_XOR;
        }
        let length = 8 - leading;
        self.put(&xor.to_le_bytes()[..length]);
        u8::try_from(length + 7).unwrap_or(15)
    }
}

/// The integer nearest to the value times a power of ten, or anything at all where there is none:
/// whoever wants to know checks the way back.
#[inline]
fn scaled(bits: u64, exponent: u8) -> i64 {
    /// Added to a number below 2^51 it leaves the rounded integer in the low bits.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let value = f64::from_bits(bits);
    if exponent == 0 {
        #[expect(clippy::cast_possible_truncation, reason = "the way back is checked")]
        return value as i64;
    }
    let shifted = value * POWERS[usize::from(exponent).min(12)] + MAGIC;
    shifted.to_bits().cast_signed().wrapping_sub(MAGIC.to_bits().cast_signed())
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "the way back is checked")]
fn from_decimal(n: i64, exponent: u8) -> u64 {
    match exponent {
        0 => (n as f64).to_bits(),
        _ => (n as f64 / POWERS[usize::from(exponent).min(12)]).to_bits(),
    }
}

/// The value as an integer over a power of ten, if it is one to the bit.
#[inline]
fn to_decimal(bits: u64, exponent: u8) -> Option<i64> {
    let n = scaled(bits, exponent);
    (from_decimal(n, exponent) == bits).then_some(n)
}

/// What the next interval is encoded against: this one, or 0 if it is longer than 24 days.
#[inline]
fn kept_interval(interval: i64) -> i32 {
    i32::try_from(interval).unwrap_or(0)
}

/// Bytes after those of a chunk, so that eight can be read from any place.
const PADDING: [u8; 8] = [0; 8];

/// Appends the `count` samples of the bytes of a chunk, with [`PADDING`] behind them, to `out`.
pub(super) fn decode(bytes: &[u8], count: u32, out: &mut SeriesSamples) {
    let decoded = decode_all(bytes, count, out);
    debug_assert!(decoded.is_some(), "a chunk decodes to what was pushed");
}

/// The same; `None` if the bytes do not hold them.
fn decode_all(bytes: &[u8], count: u32, out: &mut SeriesSamples) -> Option<()> {
    let start = out.timestamps.len();
    out.timestamps.resize(start + count as usize, 0);
    out.values.resize(start + count as usize, 0.0);
    let samples = out.timestamps[start..].iter_mut().zip(&mut out.values[start..]);
    let mut decoder = Decoder { bytes, at: 0, interval: 0, time: 0, value: Value::default() };
    let mut repeats = 0u8;
    let mut first = true;
    let mut last = 0u64;
    for (time, value) in samples {
        if repeats == 0 {
            let control = decoder.byte()?;
            if control >> 4 == RUN {
                repeats = decoder.byte()?;
            } else {
                decoder.interval = decoder.interval.wrapping_add(match control >> 4 {
                    0 => 0,
                    form => decoder.interval_change(form)?,
                });
                decoder.time = decoder.time.wrapping_add(decoder.interval);
                let kept = if first { 0 } else { i64::from(kept_interval(decoder.interval)) };
                (decoder.interval, first) = (kept, false);
                last = decoder.value_bits(control & 15)?;
            }
        }
        if repeats > 0 {
            repeats -= 1;
            decoder.time = decoder.time.wrapping_add(decoder.interval);
            last = decoder.value.bits;
        }
        *time = decoder.time;
        *value = f64::from_bits(last);
    }
    Some(())
}

/// What the next sample is decoded against.
struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    interval: i64,
    time: i64,
    value: Value,
}

/// The last value that was no staleness marker.
#[derive(Default)]
struct Value {
    bits: u64,
    exponent: u8,
    /// The value as a decimal, if the one before was one too: so that decimals follow from
    /// decimals without a way through floats.
    decimal: Option<i64>,
}

impl Decoder<'_> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The next 1 to 8 bytes.
    #[inline]
    fn unsigned(&mut self, length: u32) -> Option<u64> {
        let word = u64::from_le_bytes(*self.bytes.get(self.at..)?.first_chunk()?);
        self.at += length as usize;
        Some(word << (64 - 8 * length) >> (64 - 8 * length))
    }

    #[inline]
    fn signed(&mut self, length: u32) -> Option<i64> {
        let empty = 64 - 8 * length;
        Some((self.unsigned(length)? << empty).cast_signed() >> empty)
    }

    #[inline]
    fn interval_change(&mut self, form: u8) -> Option<i64> {
        Some(match form {
            0..=5 => i64::from(form) - 6,
            6..=10 => i64::from(form) - 5,
            11 => self.signed(1)?,
            12 => self.signed(2)?,
            13 => self.signed(4)?,
            _ => self.signed(8)?,
        })
    }

    /// The bits of the next value.
    #[inline]
    fn value_bits(&mut self, form: u8) -> Option<u64> {
        let change = match form {
            VALUE_SAME => return Some(self.value.bits),
            VALUE_STALE => return Some(STALE_NAN_BITS),
            2..=5 => self.signed(u32::from(form) - 1)?,
            6 => self.signed(6)?,
            7 => self.signed(8)?,
            VALUE_RESCALED => {
                self.value.exponent = self.byte()?;
                self.value.decimal = None;
                let mut input = Input::new(self.bytes.get(self.at..)?);
                let change = input.zigzag().ok()?;
                self.at = self.bytes.len() - input.len();
                change
            }
            VALUE_XOR => {
                let shape = self.byte()?;
                let (leading, counted) = (u32::from(shape >> 4), u32::from(shape & 15));
                let trailing = 8u32.checked_sub(leading + counted)?;
                let xor = if counted == 0 { 0 } else { self.unsigned(counted)? };
                return Some(self.value.xor(xor << (8 * trailing % 64)));
            }
            _ => {
                let xor = self.unsigned(u32::from(form) - 7)?;
                return Some(self.value.xor(xor));
            }
        };
        Some(self.value.change_by(change))
    }
}

impl Value {
    #[inline]
    const fn xor(&mut self, xor: u64) -> u64 {
        self.bits ^= xor;
        self.decimal = None;
        self.bits
    }

    #[inline]
    fn change_by(&mut self, change: i64) -> u64 {
        let before = self.decimal.unwrap_or_else(|| scaled(self.bits, self.exponent));
        let decimal = before.wrapping_add(change);
        self.bits = from_decimal(decimal, self.exponent);
        self.decimal = Some(decimal);
        self.bits
    }
}

#[cfg(test)]
mod tests;
