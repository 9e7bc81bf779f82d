//! Keys by which what was translated is found again: hashes of the bytes it came of.
//!
//! Two messages are taken for the same only if all 128 bits agree; the secret of the process keeps
//! a sender from making them.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_128_with_secret;

use crate::error::IngestError;
use crate::wire::Reader;

const SECRET_BYTES: usize = 192;

/// The hash of bytes.
pub(super) type Key = u128;

/// What is found by a key.
pub(super) type ByKey<T> = HashMap<Key, T, BuildHasherDefault<LowHalf>>;

/// Keys are hashes already.
#[derive(Debug, Default)]
pub(super) struct LowHalf(u64);

impl Hasher for LowHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// Makes keys.
pub(super) struct Keys {
    secret: [u8; SECRET_BYTES],
}

impl Default for Keys {
    fn default() -> Self {
        let random = RandomState::new();
        let mut secret = [0; SECRET_BYTES];
        for (i, part) in secret.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&random.hash_one(i).to_le_bytes());
        }
        Self { secret }
    }
}

impl Keys {
    /// The key of some bytes.
    #[inline]
    pub(super) fn of(&self, bytes: &[u8]) -> Key {
        xxh3_128_with_secret(bytes, &self.secret)
    }

    /// The key of two keys, in order.
    #[inline]
    pub(super) fn joined(&self, a: Key, b: Key) -> Key {
        let mut both = [0; 32];
        both[..16].copy_from_slice(&a.to_le_bytes());
        both[16..].copy_from_slice(&b.to_le_bytes());
        self.of(&both)
    }

    /// The key of those fields of a message that are wanted, as they come.
    ///
    /// # Errors
    /// If the message is not well-formed.
    pub(super) fn of_fields(
        &self,
        mut reader: Reader<'_>,
        wanted: impl Fn(u32) -> bool,
    ) -> Result<Key, IngestError> {
        let mut key = 0;
        while let Some(field) = reader.field()? {
            reader.skip(field)?;
            if wanted(field.number) {
                key = self.joined(key, self.of(reader.since(field.at)));
            }
        }
        Ok(key)
    }
}
