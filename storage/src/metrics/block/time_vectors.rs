//! Time vectors: the timestamps series share, each different one stored once.
//!
//! ```text
//! value := offset u32 × (count + 1), vector ×           64 vectors to a value
//! ```

use std::hash::{BuildHasher, RandomState};

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::encoding::Damage;
use crate::metrics::codec::times;

/// Vectors in a value.
pub(super) const VECTORS_PER_VALUE: u32 = 64;

/// Collects the vectors of a block.
pub(super) struct TimeVectors {
    /// Random, so that nobody can make two vectors look the same.
    seed: u64,
    numbers: FxHashMap<u128, u32>,
    /// Encoded vectors of the value being filled.
    open: Vec<u8>,
    ends: Vec<u32>,
    last: Vec<i64>,
    last_number: u32,
    count: u32,
    scratch: Vec<u8>,
}

impl Default for TimeVectors {
    fn default() -> Self {
        Self {
            seed: RandomState::new().hash_one(0u8),
            numbers: FxHashMap::default(),
            open: Vec::new(),
            ends: Vec::new(),
            last: Vec::new(),
            last_number: 0,
            count: 0,
            scratch: Vec::new(),
        }
    }
}

impl TimeVectors {
    /// Number of the vector `timestamps`, and the body of a value if one became full.
    pub(super) fn number(&mut self, timestamps: &[i64]) -> (u32, Option<(u32, Vec<u8>)>) {
        if self.count > 0 && self.last == timestamps {
            return (self.last_number, None);
        }
        self.last.clear();
        self.last.extend_from_slice(timestamps);
        self.scratch.clear();
        times::encode(timestamps, &mut self.scratch);
        let next = self.count;
        self.last_number =
            *self.numbers.entry(xxh3_128_with_seed(&self.scratch, self.seed)).or_insert(next);
        if self.last_number != next {
            return (self.last_number, None);
        }
        self.count += 1;
        self.open.extend_from_slice(&self.scratch);
        self.ends.push(u32::try_from(self.open.len()).unwrap_or(u32::MAX));
        let full = self.count.is_multiple_of(VECTORS_PER_VALUE);
        (next, if full { self.close() } else { None })
    }

    /// Number of vectors.
    #[must_use]
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// The number and body of the value that is being filled, if it holds a vector.
    pub(super) fn close(&mut self) -> Option<(u32, Vec<u8>)> {
        if self.ends.is_empty() {
            return None;
        }
        let table = 4 * (u32::try_from(self.ends.len()).unwrap_or(u32::MAX) + 1);
        let mut body = Vec::with_capacity(table as usize + self.open.len());
        for end in std::iter::once(0).chain(self.ends.drain(..)) {
            body.extend_from_slice(&(table + end).to_le_bytes());
        }
        body.append(&mut self.open);
        Some(((self.count - 1) / VECTORS_PER_VALUE, body))
    }
}

/// The vector at `position` in the body of a value.
///
/// # Errors
/// If there is none.
pub(super) fn vector(body: &[u8], position: usize) -> Result<&[u8], Damage> {
    const MISSING: Damage = Damage("a time vector is missing");
    let offset = |at: usize| {
        let bytes = body.get(4 * at..).and_then(<[u8]>::first_chunk::<4>);
        bytes.map(|bytes| u32::from_le_bytes(*bytes) as usize)
    };
    // The first offset tells where the table ends.
    let table = offset(0).ok_or(MISSING)?;
    if 4 * (position + 2) > table {
        return Err(MISSING);
    }
    let (start, end) = offset(position).zip(offset(position + 1)).ok_or(MISSING)?;
    body.get(start..end).ok_or(MISSING)
}
