//! Integers: constant, as they are, as deltas or as second deltas; the differences from a base
//! packed in the width that is cheapest, with the high bits of the few wider ones beside.

use std::ops::Range;

use super::{CHUNK_LEN, bits, decode_column, encode_column};
use crate::encoding::{Damage, Input, put_varint, put_zigzag, varint_len, zigzag};

/// Bits of the mode byte that belong to this encoding.
pub const MODE_BITS: u8 = 0b111;
const CONSTANT: u8 = 0;
const PLAIN: u8 = 1;
const DELTA: u8 = 2;
const DELTA2: u8 = 3;
/// Added to the mode if some numbers are wider than the width.
const WIDE: u8 = 4;
/// Assumed cost of a number that is wider than the width, in bits.
const WIDE_COST_BITS: usize = 72;
/// Numbers below the base, at most, that are looked at as outliers.
const SMALLEST: usize = 4;

/// Writes a column of integers.
pub fn encode(values: &[i64], out: &mut Vec<u8>) {
    encode_column(values, out, |chunk, out| {
        let mode_at = out.len();
        out.push(0);
        out[mode_at] = encode_body(chunk, out);
    });
}

/// Appends the values at `wanted` of a column of `len` integers.
///
/// # Errors
/// If the bytes are no such column.
pub fn decode(
    input: &mut Input<'_>,
    len: usize,
    wanted: Range<usize>,
    out: &mut Vec<i64>,
) -> Result<(), Damage> {
    let mut scratch = [0i64; CHUNK_LEN];
    decode_column(input, len, wanted, |input, chunk_len, wanted| {
        let mode = input.u8()?;
        if mode > MODE_BITS {
            return Err(Damage("the mode of integers is not known"));
        }
        decode_body(input, mode, &mut scratch[..chunk_len])?;
        out.extend_from_slice(&scratch[wanted]);
        Ok(())
    })
}

/// How the differences of one mode are packed.
#[derive(Clone, Copy)]
struct Packing {
    base: i64,
    width: u32,
    wide_count: usize,
    cost_bits: usize,
}

/// Writes a sub-chunk of 1 to [`CHUNK_LEN`] integers without its mode, and answers the mode.
pub(super) fn encode_body(values: &[i64], out: &mut Vec<u8>) -> u8 {
    let first = values[0];
    if values.iter().all(|&v| v == first) {
        put_zigzag(out, first);
        return CONSTANT;
    }
    let mut deltas = [0i64; CHUNK_LEN];
    let mut deltas2 = [0i64; CHUNK_LEN];
    let n = values.len();
    for i in 1..n {
        deltas[i - 1] = values[i].wrapping_sub(values[i - 1]);
    }
    let deltas = &deltas[..n - 1];
    let delta = packing(deltas);
    let mut best = (DELTA, delta);
    if delta.width > 0 || delta.wide_count > 0 {
        let plain = packing(values);
        if plain.cost_bits <= delta.cost_bits + 8 * varint_len(zigzag(first)) {
            best = (PLAIN, plain);
        }
        for i in 1..deltas.len() {
            deltas2[i - 1] = deltas[i].wrapping_sub(deltas[i - 1]);
        }
        let second = packing(&deltas2[..n - 2]);
        if second.cost_bits + 8 * varint_len(zigzag(deltas[0])) < best.1.cost_bits {
            best = (DELTA2, second);
        }
    }
    let (mode, packing) = best;
    match mode {
        PLAIN => put_packed(packing, values, &[], out),
        DELTA => put_packed(packing, deltas, &[first], out),
        _ => put_packed(packing, &deltas2[..n - 2], &[first, deltas[0]], out),
    }
    if packing.wide_count > 0 { mode | WIDE } else { mode }
}

/// The cheapest base and width for `numbers`.
fn packing(numbers: &[i64]) -> Packing {
    let Some(&least) = numbers.iter().min() else {
        return Packing { base: 0, width: 0, wide_count: 0, cost_bits: 0 };
    };
    let (from_least, low_count) = width_for(numbers, least);
    // A few numbers far below the others (a counter's reset) must not set the base. They show in
    // that hardly any number is in the lower quarter.
    if from_least.width < 2 || low_count > SMALLEST || numbers.len() < 2 * SMALLEST {
        return from_least;
    }
    let mut smallest = [i64::MAX; SMALLEST + 1];
    for &number in numbers {
        if number < smallest[SMALLEST] {
            let at = smallest.partition_point(|&s| s <= number);
            smallest.copy_within(at..SMALLEST, at + 1);
            smallest[at] = number;
        }
    }
    let gap = |i: &usize| smallest[i + 1].wrapping_sub(smallest[*i]).cast_unsigned();
    let widest = (0..SMALLEST).max_by_key(gap).unwrap_or(0);
    let (above, _) = width_for(numbers, smallest[widest + 1]);
    if above.cost_bits < from_least.cost_bits { above } else { from_least }
}

/// The cheapest width for the differences from `base`, and how many numbers need two bits less.
fn width_for(numbers: &[i64], base: i64) -> (Packing, usize) {
    // Two tables, since neighbours mostly count in the same place and would wait for each other.
    let mut counts = [[0u16; 65]; 2];
    let bits =
        |number: i64| 64 - number.wrapping_sub(base).cast_unsigned().leading_zeros() as usize;
    let mut pairs = numbers.chunks_exact(2);
    for pair in &mut pairs {
        counts[0][bits(pair[0])] += 1;
        counts[1][bits(pair[1])] += 1;
    }
    pairs.remainder().iter().for_each(|&number| counts[0][bits(number)] += 1);
    let count = |width: usize| usize::from(counts[0][width] + counts[1][width]);
    let (mut width, mut cost, mut wide_count, mut wider) = (64, usize::MAX, 0, 0);
    for candidate in (0..=64usize).rev() {
        let candidate_cost = numbers.len() * candidate + WIDE_COST_BITS * wider;
        if candidate_cost <= cost {
            (width, cost, wide_count) = (candidate, candidate_cost, wider);
        }
        wider += count(candidate);
        if WIDE_COST_BITS * wider > cost {
            break;
        }
    }
    let low_count = (0..width.saturating_sub(1)).map(count).sum();
    let cost_bits = cost + 8 * varint_len(zigzag(base));
    (Packing { base, width: u32::try_from(width).unwrap_or(64), wide_count, cost_bits }, low_count)
}

/// Writes width, leading values, base, wide numbers and the packed differences.
fn put_packed(packing: Packing, numbers: &[i64], leading: &[i64], out: &mut Vec<u8>) {
    let Packing { base, width, wide_count, .. } = packing;
    out.push(u8::try_from(width).unwrap_or(64));
    leading.iter().for_each(|&value| put_zigzag(out, value));
    put_zigzag(out, base);
    let difference = |number: &i64| number.wrapping_sub(base).cast_unsigned();
    if wide_count > 0 {
        put_varint(out, wide_count as u64);
        for (position, number) in numbers.iter().enumerate() {
            let high = difference(number) >> width;
            if high != 0 {
                out.push(u8::try_from(position).unwrap_or(u8::MAX));
                put_varint(out, high);
            }
        }
    }
    bits::pack(numbers.iter().map(difference), width, out);
}

/// Reads a sub-chunk of `out.len()` integers whose mode was read.
pub(super) fn decode_body(input: &mut Input<'_>, mode: u8, out: &mut [i64]) -> Result<(), Damage> {
    let leading_count = match mode & !WIDE {
        CONSTANT if mode & WIDE == 0 => {
            out.fill(input.zigzag()?);
            return Ok(());
        }
        PLAIN => 0,
        DELTA => 1,
        DELTA2 => 2,
        _ => return Err(Damage("the mode of integers is not known")),
    };
    let count =
        out.len().checked_sub(leading_count).ok_or(Damage("there are fewer values than deltas"))?;
    let width = u32::from(input.u8()?);
    if width > 64 {
        return Err(Damage("a width is over 64 bits"));
    }
    let mut leading = [0i64; 2];
    for value in &mut leading[..leading_count] {
        *value = input.zigzag()?;
    }
    let base = input.zigzag()?;
    let mut wide = *input;
    let wide_count = if mode & WIDE == 0 { 0 } else { read_wide(input, count, width)? };
    let mut differences = [0u64; CHUNK_LEN];
    let differences = &mut differences[..count];
    bits::unpack(input.take(bits::packed_len(count, width))?, width, differences)?;
    if wide_count > 0 {
        wide.varint()?;
        for _ in 0..wide_count {
            let position = usize::from(wide.u8()?);
            differences[position] |= wide.varint()? << width;
        }
    }
    sum_up(differences, base, leading, leading_count, out);
    Ok(())
}

/// Passes over the wide numbers, checking them; answers how many there are.
fn read_wide(input: &mut Input<'_>, count: usize, width: u32) -> Result<usize, Damage> {
    let wide_count = input.count_up_to(count)?;
    for _ in 0..wide_count {
        if usize::from(input.u8()?) >= count {
            return Err(Damage("a wide number lies outside the sub-chunk"));
        }
        input.varint()?;
    }
    if wide_count > 0 && width >= 64 {
        return Err(Damage("a number is wider than 64 bits"));
    }
    Ok(wide_count)
}

/// Turns differences back into values.
#[inline]
fn sum_up(differences: &[u64], base: i64, leading: [i64; 2], count: usize, out: &mut [i64]) {
    let number = |difference: &u64| base.wrapping_add(difference.cast_signed());
    out[..count].copy_from_slice(&leading[..count]);
    let rest = out[count..].iter_mut().zip(differences);
    match count {
        0 => rest.for_each(|(value, difference)| *value = number(difference)),
        1 => {
            let mut last = leading[0];
            for (value, difference) in rest {
                last = last.wrapping_add(number(difference));
                *value = last;
            }
        }
        _ => {
            let mut delta = leading[1];
            let mut last = leading[0].wrapping_add(delta);
            out[1] = last;
            for (value, difference) in out[2..].iter_mut().zip(differences) {
                delta = delta.wrapping_add(number(difference));
                last = last.wrapping_add(delta);
                *value = last;
            }
        }
    }
}
