//! A bounded cache of decoded parts of blocks, shared by all blocks of a database.
//!
//! Two generations: what is used moves to the young one; when that is full the old one is dropped.

use std::hash::Hash;

use hashbrown::HashMap;
use parking_lot::Mutex;

/// A cache that holds at most a given number of bytes, as told by its users.
pub(crate) struct Cache<K, V> {
    half_bytes_max: usize,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    young: HashMap<K, (V, usize)>,
    young_bytes: usize,
    old: HashMap<K, (V, usize)>,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// A cache of up to `bytes_max`.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        let state = State { young: HashMap::new(), young_bytes: 0, old: HashMap::new() };
        Self { half_bytes_max: bytes_max / 2, state: Mutex::new(state) }
    }

    /// The value of `key`, if it is there.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut state = self.state.lock();
        if let Some((value, _)) = state.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, bytes)) = state.old.remove_entry(key)?;
        let found = value.clone();
        self.put_young(&mut state, key, value, bytes);
        Some(found)
    }

    /// Puts in a value that takes `bytes`.
    pub(crate) fn insert(&self, key: K, value: V, bytes: usize) {
        if bytes <= self.half_bytes_max {
            self.put_young(&mut self.state.lock(), key, value, bytes);
        }
    }

    fn put_young(&self, state: &mut State<K, V>, key: K, value: V, bytes: usize) {
        if state.young_bytes + bytes > self.half_bytes_max {
            state.old = std::mem::take(&mut state.young);
            state.young_bytes = 0;
        }
        state.young_bytes += bytes;
        if let Some((_, replaced)) = state.young.insert(key, (value, bytes)) {
            state.young_bytes -= replaced;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let cache = Cache::new(40);
        for key in 0..100 {
            cache.insert(key, key, 4);
            assert_eq!(cache.get(&0), Some(0), "after {key}");
        }
        assert_eq!(cache.get(&50), None);
        assert_eq!(cache.get(&99), Some(99));
        cache.insert(200, 200, 21);
        assert_eq!(cache.get(&200), None);
        let state = cache.state.lock();
        assert!(state.young.len() + state.old.len() <= 10);
    }
}
