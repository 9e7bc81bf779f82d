//! Answers to range queries, kept by step, so that a dashboard that refreshes has only its newest
//! steps computed. `answer` does that; this file keeps what it may take.
//!
//! What is kept is never wrong: it is used only for steps of which the store says that none of the
//! samples they depend on changed (`Store::changed_since`, where the reason is written down), so a
//! late write, a deletion, the retention and damage make it void. Which samples a step depends on is
//! told by [`ephemeris_query::promql::reach`]; an expression that depends on anything else is not
//! kept, nor is an answer with a warning or an info.

mod answer;
mod matrix;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ephemeris_query::promql::result::MatrixSeries;
use parking_lot::Mutex;

use crate::metrics::Counter;

pub(crate) use self::answer::Asked;

/// One answer takes no more than this share of all that may be kept.
const SHARE_OF_ONE: u64 = 8;
/// About what an answer takes beside its series and its texts.
const ENTRY_BYTES: u64 = 400;

/// What answers must have in common for one to serve the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    tenant: String,
    /// The expression as written: a dashboard writes it the same each time.
    query: String,
    step_ms: i64,
    /// Where steps lie: their times modulo the step.
    phase_ms: i64,
    lookback_ms: i64,
}

/// An answer that is kept.
#[derive(Debug)]
struct Kept {
    /// The first and last step it is for.
    steps: (i64, i64),
    /// It has all changes up to this one.
    seen: u64,
    /// It has what is not older than this.
    oldest_ms: i64,
    matrix: Vec<MatrixSeries>,
}

/// Answers that are kept, of all tenants; those that were not used for longest go first.
#[derive(Debug)]
pub struct Reuse {
    bytes_max: u64,
    kept: Mutex<Entries>,
    /// Steps that were taken from an answer that was kept.
    steps_reused: Counter,
    /// Range queries that could be answered from what is kept, in part at least.
    hits: Counter,
    /// Those that could not, although they may be kept.
    misses: Counter,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Arc<Key>, Entry>,
    /// By when they were used, the oldest first.
    by_use: BTreeMap<u64, Arc<Key>>,
    uses: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    kept: Arc<Kept>,
    bytes: u64,
    used: u64,
}

/// What is kept, and how much it helped.
pub struct ReuseCounts<'a> {
    /// Bytes of the answers.
    pub bytes: u64,
    /// Steps that were taken from them.
    pub steps_reused: &'a Counter,
    /// Range queries they served.
    pub hits: &'a Counter,
    /// Range queries they could have served.
    pub misses: &'a Counter,
}

impl Reuse {
    /// Keeps answers of at most `bytes_max`; none if that is 0.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            kept: Mutex::default(),
            steps_reused: Counter::default(),
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }

    /// What is kept, and how much it helped.
    #[must_use]
    pub fn counts(&self) -> ReuseCounts<'_> {
        let bytes = self.kept.lock().bytes;
        let Self { steps_reused, hits, misses, .. } = self;
        ReuseCounts { bytes, steps_reused, hits, misses }
    }

    fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        let mut kept = self.kept.lock();
        let Entries { by_key, by_use, uses, .. } = &mut *kept;
        let entry = by_key.get_mut(key)?;
        *uses += 1;
        if let Some(key) = by_use.remove(&entry.used) {
            by_use.insert(*uses, key);
        }
        entry.used = *uses;
        Some(Arc::clone(&entry.kept))
    }

    /// Whether an answer of so many bytes may be kept.
    const fn admits(&self, bytes: u64) -> bool {
        bytes <= self.bytes_max / SHARE_OF_ONE
    }

    /// Keeps an answer in place of the one before.
    fn put(&self, key: Key, kept: Kept) {
        let texts = key.tenant.len() + key.query.len();
        let bytes = matrix::bytes_of(&kept.matrix) + texts as u64 + ENTRY_BYTES;
        if !self.admits(bytes) {
            return;
        }
        let (key, kept) = (Arc::new(key), Arc::new(kept));
        let mut entries = self.kept.lock();
        entries.remove(&key);
        while entries.bytes + bytes > self.bytes_max
            && let Some(oldest) = entries.by_use.values().next().cloned()
        {
            entries.remove(&oldest);
        }
        entries.uses += 1;
        let used = entries.uses;
        entries.bytes += bytes;
        entries.by_use.insert(used, Arc::clone(&key));
        entries.by_key.insert(key, Entry { kept, bytes, used });
    }
}

impl Entries {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.by_key.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(query: &str) -> Key {
        let (tenant, query) = (String::new(), query.to_owned());
        Key { tenant, query, step_ms: 1, phase_ms: 0, lookback_ms: 1 }
    }

    fn kept(series: usize) -> Kept {
        let floats = vec![(0, 1.0); 4];
        let labels = ephemeris_model::Labels::empty();
        let one = MatrixSeries { labels, floats, histograms: Vec::new() };
        Kept { steps: (0, 0), seen: 0, oldest_ms: 0, matrix: vec![one; series] }
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let each = matrix::bytes_of(&kept(10).matrix) + ENTRY_BYTES + 1;
        let reuse = Reuse::new(8 * each);
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            reuse.put(key(name), kept(10));
        }
        assert_eq!(reuse.counts().bytes, 8 * each);
        assert!(reuse.get(&key("a")).is_some());
        reuse.put(key("i"), kept(10));
        assert!(reuse.get(&key("b")).is_none(), "it was used before all others");
        assert!(["a", "c", "i"].iter().all(|name| reuse.get(&key(name)).is_some()));
        reuse.put(key("a"), kept(1));
        assert!(reuse.counts().bytes < 8 * each, "what was there before does not count any more");
        reuse.put(key("j"), kept(11));
        assert!(reuse.get(&key("j")).is_none(), "it is greater than its share");
        let entries = reuse.kept.lock();
        assert_eq!((entries.by_key.len(), entries.by_use.len()), (8, 8));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let reuse = Reuse::new(0);
        reuse.put(key("a"), kept(0));
        assert!(reuse.get(&key("a")).is_none());
    }
}
