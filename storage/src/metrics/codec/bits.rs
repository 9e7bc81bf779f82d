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
    if width == 0 {
        out.fill(0);
        return Ok(());
    }
    let mask = u64::MAX >> (64 - width);
    let mut bit = 0usize;
    for number in out.iter_mut() {
        let (byte, shift) = (bit / 8, (bit % 8) as u32);
        *number = match packed.get(byte..).and_then(<[u8]>::first_chunk::<8>) {
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
    Ok(())
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
