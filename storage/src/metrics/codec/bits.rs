//! Numbers of a fixed width packed bit after bit, least significant bit first.

use crate::encoding::Damage;

/// Bytes of `count` numbers of `width` bits.
#[must_use]
pub const fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends the low `width` bits of each number.
#[inline]
pub fn pack(numbers: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let mask = u64::MAX >> (64 - width);
    let (mut pending, mut filled) = (0u64, 0u32);
    for number in numbers {
        let number = number & mask;
        pending |= number << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&pending.to_le_bytes());
            filled -= 64;
            // What did not fit; nothing if the number ended at the border.
            pending = if filled == 0 { 0 } else { number >> (width - filled) };
        }
    }
    out.extend_from_slice(&pending.to_le_bytes()[..filled.div_ceil(8) as usize]);
}

/// Reads one number of `width` bits for each place of `out`.
///
/// # Errors
/// If `packed` is not exactly as long as that many numbers, or `width` is over 64.
#[inline]
pub fn unpack(packed: &[u8], width: u32, out: &mut [u64]) -> Result<(), Damage> {
    if width > 64 || packed.len() != packed_len(out.len(), width) {
        return Err(Damage("packed numbers have the wrong length"));
    }
    macro_rules! by_width {
        ($($fixed:literal)*) => {
            match width {
                0 => out.fill(0),
                $($fixed => unpack_fixed::<$fixed>(packed, out),)*
                _ => unpack_wide(packed, width, out),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56);
    Ok(())
}

/// Eight numbers take `WIDTH` bytes, so with the width known each lies at a known place.
fn unpack_fixed<const WIDTH: usize>(packed: &[u8], out: &mut [u64]) {
    let mask = u64::MAX >> (64 - WIDTH);
    let mut groups = out.chunks_mut(8).enumerate();
    // The last groups have no room behind them for a load of eight bytes; they get a copy.
    let mut tail = [0u8; LOADED];
    let roomy = (packed.len().saturating_sub(LOADED) / WIDTH).min(groups.len());
    let tail_start = roomy * WIDTH;
    for (at, group) in groups.by_ref().take(roomy) {
        if let Some(bytes) = packed[at * WIDTH..].first_chunk::<LOADED>() {
            unpack_group::<WIDTH>(bytes, mask, group);
        }
    }
    let rest = &packed[tail_start..];
    for (at, group) in groups {
        let start = at * WIDTH - tail_start;
        let bytes = &rest[start..rest.len().min(start + LOADED)];
        tail.fill(0);
        tail[..bytes.len()].copy_from_slice(bytes);
        unpack_group::<WIDTH>(&tail, mask, group);
    }
}

/// Bytes a group of eight numbers may load.
const LOADED: usize = 64;

#[inline(always)]
fn unpack_group<const WIDTH: usize>(bytes: &[u8; LOADED], mask: u64, group: &mut [u64]) {
    let mut numbers = [0u64; 8];
    for (i, number) in numbers.iter_mut().enumerate() {
        let bit = i * WIDTH;
        if let Some(word) = bytes[bit / 8..].first_chunk::<8>() {
            *number = u64::from_le_bytes(*word) >> (bit % 8) & mask;
        }
    }
    let len = group.len();
    group.copy_from_slice(&numbers[..len]);
}

/// Numbers of 57 bits or more can lie in nine bytes.
fn unpack_wide(packed: &[u8], width: u32, out: &mut [u64]) {
    let mask = u64::MAX >> (64 - width);
    let mut bit = 0usize;
    for number in out.iter_mut() {
        let (byte, shift) = (bit / 8, (bit % 8) as u32);
        *number = match packed[byte..].first_chunk::<8>() {
            Some(word) => {
                let low = u64::from_le_bytes(*word) >> shift;
                if shift + width > 64 {
                    let next = packed.get(byte + 8).copied().unwrap_or(0);
                    low | (u64::from(next) << (64 - shift))
                } else {
                    low
                }
            }
            None => last_bytes(&packed[byte..]) >> shift,
        } & mask;
        bit += width as usize;
    }
}

/// Up to seven bytes as a number.
fn last_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            width in 0u32..=64, numbers in proptest::collection::vec(any::<u64>(), 0..260)
        ) {
            let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
            let mut packed = Vec::new();
            pack(numbers.iter().copied(), width, &mut packed);
            prop_assert_eq!(packed.len(), packed_len(numbers.len(), width));
            let mut out = vec![7; numbers.len()];
            unpack(&packed, width, &mut out).expect("the length is right");
            let expected: Vec<u64> = numbers.iter().map(|n| n & mask).collect();
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_wrong_length_is_damage() {
        assert!(unpack(&[0; 3], 8, &mut [0; 4]).is_err());
        assert!(unpack(&[0; 33], 66, &mut [0; 4]).is_err());
    }
}
