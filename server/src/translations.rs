//! What translation of OTLP keeps from request to request: a cache for each worker that translates,
//! so that none waits for another.

use ephemeris_ingest::otlp::Cache;
use parking_lot::Mutex;

/// The caches that no request uses now.
#[derive(Debug)]
pub struct Translations {
    idle: Mutex<Vec<Cache>>,
    /// Bytes one of them may take.
    bytes_max: usize,
}

impl Translations {
    /// For so many workers, which together may take `bytes_max`.
    #[must_use]
    pub const fn new(bytes_max: usize, workers: usize) -> Self {
        let workers = if workers == 0 { 1 } else { workers };
        Self { idle: Mutex::new(Vec::new()), bytes_max: bytes_max / workers }
    }

    /// Bytes of what is remembered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.idle.lock().iter().map(Cache::bytes).sum()
    }

    /// Does `work` with the cache that was used last: it is the fullest, and in the caches of the
    /// processor.
    pub fn with<T>(&self, work: impl FnOnce(&mut Cache) -> T) -> T {
        let idle = self.idle.lock().pop();
        let mut cache = idle.unwrap_or_else(|| Cache::new(self.bytes_max));
        let result = work(&mut cache);
        // One that a large request has filled is not kept until the next one.
        if cache.bytes() <= self.bytes_max {
            self.idle.lock().push(cache);
        }
        result
    }
}
