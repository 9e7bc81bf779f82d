//! Takes the digits out of a text, and puts them back: eight bytes at a time where the processor can
//! move bytes by a table, else byte by byte.
//!
//! A branch for each byte would be guessed wrong at both ends of most numbers.

use crate::encoding::Damage;

/// What is wrong with digits that are not those of a text.
pub(super) const BAD_DIGITS: Damage = Damage("the digits of a text do not fit it");

/// The text with `0` for every digit, and the digits.
pub(super) fn split(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut masked = text.to_vec();
    // Room for a step that takes eight bytes of which few are digits.
    let mut digits = vec![0; text.len() + STEP];
    let (done, mut count) = simd::split(&mut masked, &mut digits);
    for byte in masked.iter_mut().skip(done) {
        if let Some(next) = digits.get_mut(count) {
            *next = *byte;
        }
        let is_digit = byte.is_ascii_digit();
        count += usize::from(is_digit);
        *byte = if is_digit { b'0' } else { *byte };
    }
    digits.truncate(count);
    (masked, digits)
}

/// Puts digits back, as many as there are places; tells how many these are. All of `digits` are
/// digits.
///
/// # Errors
/// If there are too few, or a place has another digit than `0`.
pub(super) fn join(text: &mut [u8], digits: &[u8]) -> Result<usize, Damage> {
    if text.iter().any(|byte| (b'1'..=b'9').contains(byte)) {
        return Err(BAD_DIGITS);
    }
    let (done, mut used) = simd::join(text, digits);
    for byte in text.iter_mut().skip(done).filter(|byte| **byte == b'0') {
        *byte = *digits.get(used).ok_or(BAD_DIGITS)?;
        used += 1;
    }
    Ok(used)
}

/// The number of digits in a text.
pub(super) fn count(text: &[u8]) -> usize {
    // Counts of a byte each are what the processor adds many of at once.
    let in_part = |part: &[u8]| part.iter().map(|byte| u8::from(byte.is_ascii_digit())).sum::<u8>();
    text.chunks(usize::from(u8::MAX)).map(|part| usize::from(in_part(part))).sum()
}

/// Bytes taken at a time.
const STEP: usize = 8;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "only a call of what the processor can is unsafe")]
mod simd {
    use core::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cvtsi64_si128,
        _mm_cvtsi128_si64, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm_shuffle_epi8, _mm_sub_epi8,
    };

    use super::STEP;

    /// For each set of places among eight, from where each place gets its byte: the first place the
    /// first byte, the second the second. Other places get 0.
    static SPREAD: [[u8; STEP]; 256] = spread();
    /// The other way: the first byte from the first place, the second from the second.
    static GATHER: [[u8; STEP]; 256] = gather();
    /// A byte from nowhere.
    const NONE: u8 = 0x80;

    const fn spread() -> [[u8; STEP]; 256] {
        let mut table = [[NONE; STEP]; 256];
        let mut set = 0;
        while set < 256 {
            let (mut place, mut count) = (0, 0);
            while place < STEP {
                if set >> place & 1 == 1 {
                    table[set][place] = count;
                    count += 1;
                }
                place += 1;
            }
            set += 1;
        }
        table
    }

    const fn gather() -> [[u8; STEP]; 256] {
        let mut table = [[NONE; STEP]; 256];
        let mut set = 0;
        while set < 256 {
            let (mut place, mut count) = (0, 0);
            while place < STEP as u8 {
                if set >> place & 1 == 1 {
                    table[set][count] = place;
                    count += 1;
                }
                place += 1;
            }
            set += 1;
        }
        table
    }

    /// Puts digits back in whole steps; tells how many bytes and digits that took.
    pub(super) fn join(text: &mut [u8], digits: &[u8]) -> (usize, usize) {
        if is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has both, as was just asked; the function is safe otherwise.
            return unsafe { join_steps(text, digits) };
        }
        (0, 0)
    }

    /// Masks the text in whole steps and takes its digits, for which there is room for one step
    /// more; tells how many bytes and digits that took.
    pub(super) fn split(text: &mut [u8], digits: &mut [u8]) -> (usize, usize) {
        if is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has both, as was just asked; the function is safe otherwise.
            return unsafe { split_steps(text, digits) };
        }
        (0, 0)
    }

    #[target_feature(enable = "ssse3")]
    fn load(bytes: [u8; STEP]) -> __m128i {
        _mm_cvtsi64_si128(i64::from_le_bytes(bytes))
    }

    #[target_feature(enable = "ssse3")]
    fn store(bytes: __m128i) -> [u8; STEP] {
        _mm_cvtsi128_si64(bytes).to_le_bytes()
    }

    /// The places of eight bytes that are set.
    #[target_feature(enable = "ssse3")]
    fn set_of(places: __m128i) -> usize {
        (_mm_movemask_epi8(places) & 0xff) as usize
    }

    #[target_feature(enable = "ssse3,popcnt")]
    fn join_steps(text: &mut [u8], digits: &[u8]) -> (usize, usize) {
        let zero = _mm_set1_epi8(b'0'.cast_signed());
        let (mut done, mut used) = (0, 0);
        for step in text.as_chunks_mut::<STEP>().0 {
            let Some(next) = digits.get(used..).and_then(|rest| rest.first_chunk()) else { break };
            let masked = load(*step);
            let places = _mm_cmpeq_epi8(masked, zero);
            let set = set_of(places);
            let put = _mm_shuffle_epi8(load(*next), load(SPREAD[set]));
            *step = store(_mm_or_si128(_mm_andnot_si128(places, masked), put));
            used += set.count_ones() as usize;
            done += STEP;
        }
        (done, used)
    }

    #[target_feature(enable = "ssse3,popcnt")]
    fn split_steps(text: &mut [u8], digits: &mut [u8]) -> (usize, usize) {
        let zero = _mm_set1_epi8(b'0'.cast_signed());
        let nine = _mm_set1_epi8(9);
        let (mut done, mut count) = (0, 0);
        for step in text.as_chunks_mut::<STEP>().0 {
            let Some(next) = digits.get_mut(count..).and_then(|rest| rest.first_chunk_mut()) else {
                break;
            };
            let bytes = load(*step);
            let above = _mm_sub_epi8(bytes, zero);
            let places = _mm_cmpeq_epi8(_mm_min_epu8(above, nine), above);
            let set = set_of(places);
            *next = store(_mm_shuffle_epi8(bytes, load(GATHER[set])));
            let kept = _mm_andnot_si128(places, bytes);
            *step = store(_mm_or_si128(kept, _mm_and_si128(places, zero)));
            count += set.count_ones() as usize;
            done += STEP;
        }
        (done, count)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod simd {
    /// Nothing is done in steps.
    pub(super) const fn join(_text: &mut [u8], _digits: &[u8]) -> (usize, usize) {
        (0, 0)
    }

    /// Nothing is done in steps.
    pub(super) const fn split(_text: &mut [u8], _digits: &mut [u8]) -> (usize, usize) {
        (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_taken_and_put_back(
            text in proptest::collection::vec(
                prop_oneof![any::<u8>(), b'0'..=b'9', Just(b'/'), Just(b':')],
                0..100,
            ),
        ) {
            let (masked, digits) = split(&text);
            let mask = |byte: &u8| if byte.is_ascii_digit() { b'0' } else { *byte };
            let taken: Vec<u8> = text.iter().copied().filter(u8::is_ascii_digit).collect();
            prop_assert_eq!(&masked, &text.iter().map(mask).collect::<Vec<u8>>());
            prop_assert_eq!(&digits, &taken);
            prop_assert_eq!(count(&text.repeat(9)), 9 * taken.len());
            let mut joined = masked.clone();
            prop_assert_eq!(join(&mut joined, &digits), Ok(digits.len()));
            prop_assert_eq!(&joined, &text);
            // More digits than there are places stay.
            let (mut joined, more) = (masked.clone(), [&*digits, b"12345678901"].concat());
            prop_assert_eq!(join(&mut joined, &more), Ok(digits.len()));
            prop_assert_eq!(&joined, &text);
            let fewer = digits.len().checked_sub(1).map(|end| &digits[..end]);
            prop_assert!(fewer.is_none_or(|fewer| join(&mut masked.clone(), fewer).is_err()));
        }
    }

    #[test]
    fn a_place_with_another_digit_is_damage() {
        for at in 0..20 {
            let mut text = vec![b'a'; 20];
            text[at] = b'1';
            assert!(join(&mut text, b"12345").is_err(), "at {at}");
        }
    }
}
