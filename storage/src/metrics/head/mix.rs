//! Hashes of label sets whose texts were hashed before: those of the texts, mixed in order.
//!
//! A request names each text once and its series refer to it by number, so a label set costs two
//! multiplications a text, which do not wait for one another. Each place has keys of its own; the
//! sum of the products of keyed halves is the hash called NH, whose chance to be the same for two
//! inputs is 2^-64. It is taken twice, with different keys. The keys are secrets of the process.

use std::hash::{BuildHasher as _, RandomState};

/// Places that have keys; what comes behind them is added to what was mixed so far.
const PLACES: usize = 32;

/// The hash of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SymbolHash(pub(crate) [u64; 2]);

/// Mixes the hashes of texts.
pub(super) struct Mixer {
    keys: [[u64; 4]; PLACES],
}

impl Mixer {
    /// With keys from `random`.
    pub(super) fn new(random: &RandomState) -> Self {
        let mut keys = [[0; 4]; PLACES];
        for (i, key) in keys.as_flattened_mut().iter_mut().enumerate() {
            *key = random.hash_one(("mixer", i));
        }
        Self { keys }
    }

    /// The hash of the texts with these numbers, four bytes each, lowest first. Decoders
    /// have checked that they are there; one that is not is left out.
    #[inline]
    pub(super) fn mix(&self, numbers: &[u8], symbols: &[SymbolHash]) -> u128 {
        let (numbers, _) = numbers.as_chunks::<4>();
        let (mut a, mut b) = (numbers.len() as u128, 0_u128);
        for places in numbers.chunks(PLACES) {
            a = rotated(a);
            b = rotated(b);
            for (number, [k0, k1, k2, k3]) in places.iter().zip(&self.keys) {
                let at = u32::from_le_bytes(*number) as usize;
                let Some(SymbolHash([high, low])) = symbols.get(at) else { continue };
                a = a.wrapping_add(product(high.wrapping_add(*k0), low.wrapping_add(*k1)));
                b = b.wrapping_add(product(high.wrapping_add(*k2), low.wrapping_add(*k3)));
            }
        }
        u128::from(folded(a)) << 64 | u128::from(folded(b))
    }
}

#[inline]
fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// So that what is behind the places that have keys is not just another summand of them.
#[inline]
const fn rotated(sum: u128) -> u128 {
    sum.rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// 64 bits of a sum, of which each depends on all.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "halves are meant")]
fn folded(sum: u128) -> u64 {
    let mut h = (sum >> 64) as u64 ^ (sum as u64).rotate_left(32);
    h = (h ^ h >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ h >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ h >> 33
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn bytes(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn symbols(random: &RandomState, texts: &[u32]) -> Vec<SymbolHash> {
        let hash = |text| SymbolHash([random.hash_one((1, text)), random.hash_one((2, text))]);
        texts.iter().map(hash).collect()
    }

    proptest! {
        #[test]
        fn a_hash_is_that_of_the_texts_in_order(
            sets in vec(vec(0_u32..4, 0..70), 1..40),
            first in Just([0_u32, 1, 2, 3]).prop_shuffle(),
        ) {
            let random = RandomState::new();
            let mixer = Mixer::new(&random);
            // The same texts under other numbers, as in another request.
            let own = symbols(&random, &[0, 1, 2, 3]);
            let other = symbols(&random, &first);
            let number = |text: &u32| first.iter().position(|t| t == text).expect("it is there");
            let mut seen: HashMap<u128, Vec<u32>> = HashMap::new();
            for set in &sets {
                let hash = mixer.mix(&bytes(set), &own);
                let renamed: Vec<u32> = set.iter().map(|t| number(t) as u32).collect();
                prop_assert_eq!(hash, mixer.mix(&bytes(&renamed), &other));
                let before = seen.entry(hash).or_insert_with(|| set.clone());
                prop_assert_eq!(&*before, set, "two label sets have one hash");
            }
        }
    }

    #[test]
    fn every_bit_of_a_hash_is_used() {
        let random = RandomState::new();
        let mixer = Mixer::new(&random);
        let own = symbols(&random, &(0..1000).collect::<Vec<_>>());
        let hashes: Vec<u128> = (0..1000).map(|i| mixer.mix(&bytes(&[1, i]), &own)).collect();
        for bit in 0..128 {
            let set = hashes.iter().filter(|h| *h >> bit & 1 == 1).count();
            assert!((400..600).contains(&set), "bit {bit} is set {set} times of 1000");
        }
    }
}
