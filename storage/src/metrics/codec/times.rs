//! Timestamps of a series: first and interval where it is constant, else integers.

use crate::encoding::{Damage, Input, put_varint, put_zigzag};

use super::integers;

const CONSTANT_INTERVAL: u8 = 0;
const INTEGERS: u8 = 1;

/// Writes strictly ascending timestamps with their number.
pub fn encode(timestamps: &[i64], out: &mut Vec<u8>) {
    put_varint(out, timestamps.len() as u64);
    let (Some(&first), second) = (timestamps.first(), timestamps.get(1)) else { return };
    let interval = second.map_or(0, |second| second.wrapping_sub(first).cast_unsigned());
    let constant =
        timestamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]).cast_unsigned() == interval);
    if constant {
        out.push(CONSTANT_INTERVAL);
        put_zigzag(out, first);
        put_varint(out, interval);
    } else {
        out.push(INTEGERS);
        integers::encode(timestamps, out);
    }
}

/// The number of timestamps.
///
/// # Errors
/// If the bytes do not start with one up to `len_max`.
pub fn len(bytes: &[u8], len_max: usize) -> Result<usize, Damage> {
    Input::new(bytes).count_up_to(len_max)
}

/// Replaces `out` by the timestamps, at most `len_max`.
///
/// # Errors
/// If the bytes are no ascending timestamps.
pub fn decode(bytes: &[u8], len_max: usize, out: &mut Vec<i64>) -> Result<(), Damage> {
    out.clear();
    let mut input = Input::new(bytes);
    let len = input.count_up_to(len_max)?;
    if len == 0 {
        return input.end();
    }
    match input.u8()? {
        CONSTANT_INTERVAL => {
            let (first, interval) = (input.zigzag()?, input.varint()?);
            // In u128 nothing here can overflow.
            let span = u128::from(interval) * (len as u128 - 1);
            let room = u128::from(i64::MAX.wrapping_sub(first).cast_unsigned());
            if (interval == 0 && len > 1) || span > room {
                return Err(Damage("timestamps do not ascend"));
            }
            let mut at = first;
            out.extend((0..len).map(|_| {
                let here = at;
                at = at.wrapping_add(interval.cast_signed());
                here
            }));
        }
        INTEGERS => {
            integers::decode(&mut input, len, 0..len, out)?;
            if !out.is_sorted_by(|a, b| a < b) {
                return Err(Damage("timestamps do not ascend"));
            }
        }
        _ => return Err(Damage("the kind of timestamps is not known")),
    }
    input.end()
}
