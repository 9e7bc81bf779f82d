//! Who is told of new log entries: after a push is stored, its entries go to the queue of every tail
//! whose selector they match. What a client does not take in time is dropped and counted; a push
//! never waits for one. How entries are filtered and sent is the affair of `handlers::loki::tail`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ephemeris_model::{BatchStream, EntryBuffer, Labels, LogBatch, LogOutcome, Matcher};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::metrics::Counter;

/// Bytes that wait for one client: lines, labels, metadata and what keeping them takes.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Bytes of labels of the dropped entries that are named.
const DROPPED_BYTES_MAX: usize = 1 << 20;
/// About what a run takes beside its labels and entries.
const RUN_BYTES: usize = 512;
/// Tails of all tenants.
const TAILS_MAX: usize = 100;
/// Dropped entries that are named to the client; more are only counted.
const DROPPED_NAMED_MAX: usize = 1000;
/// About what an entry takes beside its text.
const ENTRY_BYTES: usize = 64;
/// Pushes that follow closely are handed out together.
const GATHER: Duration = Duration::from_millis(20);

/// All tails.
#[derive(Debug)]
pub struct Tails {
    per_tenant_max: usize,
    tenants: RwLock<HashMap<String, Vec<Arc<Queue>>>>,
    stop: watch::Sender<bool>,
    dropped: Counter,
}

/// How many tails there are, and what they lost.
pub struct TailCounts<'a> {
    /// Tails that are open.
    pub open: u64,
    /// Entries that were dropped.
    pub dropped: &'a Counter,
}

/// Entries of one stream out of one push, in order of time.
pub type Run = (Labels, EntryBuffer);

/// An entry that was dropped, as far as it is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// Labels of its stream.
    pub labels: Labels,
}

/// What a tail takes out of its queue.
#[derive(Debug, Default)]
pub struct Taken {
    /// Entries in order of arrival.
    pub runs: Vec<Run>,
    /// Entries of matching streams there was no room for.
    pub dropped: Vec<Dropped>,
}

/// Why there is no tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// How many there would be.
    pub count: usize,
    /// How many there may be.
    pub limit: usize,
    /// What sets the limit.
    pub set_by: &'static str,
}

#[derive(Debug)]
struct Queue {
    matchers: Vec<Matcher>,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    runs: VecDeque<WaitingRun>,
    bytes: usize,
    dropped: Vec<Dropped>,
    dropped_bytes: usize,
    dropped_since: Option<Instant>,
}

#[derive(Debug)]
struct WaitingRun {
    since: Instant,
    bytes: usize,
    run: Run,
}

/// One tail; dropping it ends it.
pub struct Tail {
    tails: Arc<Tails>,
    tenant: String,
    queue: Arc<Queue>,
    stop: watch::Receiver<bool>,
}

impl Tails {
    /// None yet, and at most so many for a tenant.
    #[must_use]
    pub fn new(per_tenant_max: usize) -> Self {
        let tenants = RwLock::default();
        Self { per_tenant_max, tenants, stop: watch::channel(false).0, dropped: Counter::default() }
    }

    /// Opens a tail on the streams of `tenant` that satisfy all matchers: what is stored from now on
    /// comes to it.
    ///
    /// # Errors
    /// If there are too many.
    pub fn open(self: &Arc<Self>, tenant: &str, matchers: Vec<Matcher>) -> Result<Tail, TooMany> {
        let queue = Queue { matchers, waiting: Mutex::default(), wake: Notify::new() };
        let queue = Arc::new(queue);
        let mut tenants = self.tenants.write();
        let all: usize = tenants.values().map(Vec::len).sum();
        let own = tenants.get(tenant).map_or(0, Vec::len);
        let bounds = [
            (own + 1, self.per_tenant_max, "query.tails_max"),
            (all + 1, TAILS_MAX, "of all tenants; fixed"),
        ];
        for (count, limit, set_by) in bounds {
            if count > limit {
                return Err(TooMany { count, limit, set_by });
            }
        }
        tenants.entry(tenant.to_owned()).or_default().push(Arc::clone(&queue));
        drop(tenants);
        let (tails, tenant) = (Arc::clone(self), tenant.to_owned());
        Ok(Tail { tails, tenant, queue, stop: self.stop.subscribe() })
    }

    /// Hands out a batch that was stored.
    pub fn publish(&self, tenant: &str, batch: &LogBatch<'_>, outcome: &LogOutcome) {
        // Not only cheap: who opened a tail before has it here, who opens one later reads the batch.
        let tenants = self.tenants.read();
        for queue in tenants.get(tenant).into_iter().flatten() {
            let dropped = queue.put(batch, outcome, Instant::now());
            self.dropped.add(dropped);
        }
    }

    /// Ends all tails; there will be no other.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// For the metrics.
    #[must_use]
    pub fn counts(&self) -> TailCounts<'_> {
        let open = self.tenants.read().values().map(|queues| queues.len() as u64).sum();
        TailCounts { open, dropped: &self.dropped }
    }
}

impl Queue {
    /// Takes what matches; answers how many entries found no room.
    fn put(&self, batch: &LogBatch<'_>, outcome: &LogOutcome, now: Instant) -> u64 {
        let mut dropped = 0;
        for stream in &batch.streams {
            let Some(labels) = self.labels_if_wanted(stream) else { continue };
            let items = stream.entries.start as usize..stream.entries.end as usize;
            let mut items: Vec<usize> = items.filter(|item| !outcome.is_refused(*item)).collect();
            if items.is_empty() {
                continue;
            }
            items.sort_by_key(|item| batch.entries[*item].timestamp_ns);
            let label_bytes = labels.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
            let mut waiting = self.waiting.lock();
            // As many as fit, in their order.
            let mut size = RUN_BYTES + label_bytes;
            let fits = items.iter().take_while(|item| {
                size += size_of_entry(batch, **item);
                waiting.bytes + size <= QUEUE_BYTES_MAX
            });
            let (kept, lost) = items.split_at(fits.count());
            for item in lost {
                dropped += 1;
                waiting.dropped_since.get_or_insert(now);
                let is_named = waiting.dropped.len() < DROPPED_NAMED_MAX
                    && waiting.dropped_bytes + label_bytes <= DROPPED_BYTES_MAX;
                if is_named {
                    let timestamp_ns = batch.entries[*item].timestamp_ns;
                    waiting.dropped_bytes += label_bytes;
                    waiting.dropped.push(Dropped { timestamp_ns, labels: labels.clone() });
                }
            }
            if !kept.is_empty() {
                let entries: usize = kept.iter().map(|item| size_of_entry(batch, *item)).sum();
                let bytes = RUN_BYTES + label_bytes + entries;
                waiting.bytes += bytes;
                waiting.runs.push_back(WaitingRun {
                    since: now,
                    bytes,
                    run: (labels, copy(batch, kept)),
                });
            }
            drop(waiting);
            self.wake.notify_one();
        }
        dropped
    }

    fn labels_if_wanted(&self, stream: &BatchStream<'_>) -> Option<Labels> {
        let pairs = stream.labels.as_ref().ok()?;
        let value = |name: &str| {
            pairs.iter().find(|(own, _)| own == name).map_or("", |(_, value)| &**value)
        };
        let wanted = self.matchers.iter().all(|matcher| matcher.matches(value(&matcher.name)));
        wanted.then(|| Labels::from_sorted(pairs.iter().map(|(n, v)| (&**n, &**v))))
    }
}

fn size_of_entry(batch: &LogBatch<'_>, item: usize) -> usize {
    let entry = &batch.entries[item];
    let pairs = &batch.metadata[entry.metadata.start as usize..entry.metadata.end as usize];
    let metadata: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    ENTRY_BYTES + entry.line.len() + metadata
}

fn copy(batch: &LogBatch<'_>, items: &[usize]) -> EntryBuffer {
    let mut run = EntryBuffer::default();
    for item in items {
        let entry = &batch.entries[*item];
        let pairs = &batch.metadata[entry.metadata.start as usize..entry.metadata.end as usize];
        run.push(entry.timestamp_ns, entry.line, pairs.iter().map(|(n, v)| (&**n, &**v)));
    }
    run
}

impl Tail {
    /// Waits until something has lain in the queue for `delay`.
    pub async fn due(&self, delay: Duration) {
        loop {
            let first = {
                let waiting = self.queue.waiting.lock();
                let run = waiting.runs.front().map(|run| run.since);
                run.into_iter().chain(waiting.dropped_since).min()
            };
            match first {
                Some(at) => return tokio::time::sleep_until((at + delay + GATHER).into()).await,
                None => self.queue.wake.notified().await,
            }
        }
    }

    /// Takes what has lain in the queue for `delay`.
    #[must_use]
    pub fn take(&self, delay: Duration) -> Taken {
        let now = Instant::now();
        let mut waiting = self.queue.waiting.lock();
        let mut taken = Taken { runs: Vec::new(), dropped: std::mem::take(&mut waiting.dropped) };
        (waiting.dropped_since, waiting.dropped_bytes) = (None, 0);
        while waiting.runs.front().is_some_and(|run| run.since + delay <= now) {
            if let Some(WaitingRun { bytes, run, .. }) = waiting.runs.pop_front() {
                waiting.bytes = waiting.bytes.saturating_sub(bytes);
                taken.runs.push(run);
            }
        }
        taken
    }

    /// Waits until the server stops.
    pub async fn stopped(&self) {
        // The sender lives as long as this tail.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let mut tenants = self.tails.tenants.write();
        if let Some(queues) = tenants.get_mut(&self.tenant) {
            queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
            if queues.is_empty() {
                tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests;
