//! Worker pools: OS threads that do the blocking and the computing, each pool with a bounded queue
//! of its own, so that writes, queries and administration do not starve each other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use ephemeris_ingest::Buffers;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::memory;
use crate::priority;
use crate::turns::TurnError;

/// Pause before it is tried again to start a thread.
const HIRE_AGAIN: std::time::Duration = std::time::Duration::from_millis(200);
/// Bytes of stack of a worker; the depth of expressions is bounded by the parser.
const STACK_BYTES: usize = 8 << 20;

type Job = Box<dyn FnOnce(&mut Scratch) + Send>;

/// What a worker keeps from job to job.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Buffers of the decoders of bodies.
    pub ingest: Buffers,
    /// A decompressed message.
    pub message: Vec<u8>,
    /// A message brought from JSON into protobuf.
    pub protobuf: Vec<u8>,
}

/// Why a job was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Too many jobs wait.
    #[error("too many requests wait for {pool}; limit is {limit} ({setting})")]
    Full {
        /// Name of the pool.
        pool: &'static str,
        /// The limit.
        limit: usize,
        /// Setting of the limit.
        setting: &'static str,
    },
    /// There was no turn for it.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The server stops.
    #[error("the server is shutting down")]
    Closed,
    /// The job panicked, a bug here.
    #[error("the request failed inside the server")]
    Panicked,
}

/// What a pool is made of.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// Name of the pool and its threads.
    pub name: &'static str,
    /// Number of threads.
    pub threads: usize,
    /// Jobs that may wait.
    pub queue_max: usize,
    /// Setting of `queue_max`, for the text of the error.
    pub setting: &'static str,
}

/// Counts of a pool.
#[derive(Debug, Default)]
pub struct PoolCounts {
    /// Jobs running now.
    pub running: AtomicU64,
    /// Jobs refused because the queue was full.
    pub refused: AtomicU64,
    /// Jobs that panicked.
    pub panicked: AtomicU64,
}

/// Threads with a queue.
pub struct Pool {
    config: PoolConfig,
    queue: Mutex<Option<Sender<Job>>>,
    crew: Arc<Crew>,
    foreman: Mutex<Option<JoinHandle<()>>>,
}

/// The threads, and what each of them needs.
struct Crew {
    name: &'static str,
    receiver: Receiver<Job>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    counts: PoolCounts,
    /// Told by a thread that leaves; none once the pool is closed.
    vacancies: Mutex<Option<Sender<()>>>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(config: PoolConfig) -> std::io::Result<Self> {
        // What is free is taken at once, so a queue of no length still serves idle threads.
        let (sender, receiver) = bounded::<Job>(config.queue_max.max(1));
        let (threads, counts) = (Mutex::default(), PoolCounts::default());
        let (vacancies, vacant) = unbounded();
        let vacancies = Mutex::new(Some(vacancies));
        let crew = Arc::new(Crew { name: config.name, receiver, threads, counts, vacancies });
        for _ in 0..config.threads.max(1) {
            crew.hire()?;
        }
        // A thread has the priority of the one that starts it, so one that gave way hires nobody.
        let foreman = Builder::new().name(format!("{}-hire", config.name));
        let foreman = foreman.spawn({
            let crew = Arc::clone(&crew);
            move || crew.fill(&vacant)
        })?;
        let (queue, foreman) = (Mutex::new(Some(sender)), Mutex::new(Some(foreman)));
        Ok(Self { config, queue, crew, foreman })
    }

    /// Its counts.
    #[must_use]
    pub fn counts(&self) -> &PoolCounts {
        &self.crew.counts
    }

    /// Jobs that wait now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.lock().as_ref().map_or(0, Sender::len)
    }

    /// Has `job` done by a thread of the pool. If the caller stops waiting, a job not begun yet is
    /// skipped.
    ///
    /// # Errors
    /// If the queue is full, the pool is closed, or the job panics.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (sender, receiver) = oneshot::channel();
        let task: Job = Box::new(move |scratch| {
            if !sender.is_closed() {
                // Nobody waits any more if this fails.
                let _ = sender.send(job(scratch));
            }
        });
        let queue = self.queue.lock().clone().ok_or(PoolError::Closed)?;
        match queue.try_send(task) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.crew.counts.refused.fetch_add(1, Ordering::Relaxed);
                let PoolConfig { name, queue_max, setting, .. } = self.config;
                return Err(PoolError::Full { pool: name, limit: queue_max, setting });
            }
            Err(TrySendError::Disconnected(_)) => return Err(PoolError::Closed),
        }
        drop(queue);
        receiver.await.map_err(|_| PoolError::Panicked)
    }

    /// Finishes what waits, then ends the threads.
    pub fn close(&self) {
        self.queue.lock().take();
        self.crew.vacancies.lock().take();
        // Whoever left before is replaced now, whoever would leave from now on stays.
        if let Some(foreman) = self.foreman.lock().take() {
            // It does nothing that panics.
            let _ = foreman.join();
        }
        loop {
            let Some(thread) = self.crew.threads.lock().pop() else { break };
            // A worker catches the panics of its jobs, so it ends well.
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Its threads end by themselves without it.
        self.crew.vacancies.lock().take();
    }
}

impl Crew {
    /// Starts a thread for each that left, until there are no more to come.
    fn fill(self: &Arc<Self>, vacant: &Receiver<()>) {
        while vacant.recv().is_ok() {
            while let Err(error) = self.hire() {
                if self.vacancies.lock().is_none() {
                    return;
                }
                tracing::warn!(pool = self.name, %error, "a thread could not be started");
                std::thread::sleep(HIRE_AGAIN);
            }
        }
    }

    /// Starts a thread.
    fn hire(self: &Arc<Self>) -> std::io::Result<()> {
        let crew = Arc::clone(self);
        let builder = Builder::new().name(self.name.to_owned()).stack_size(STACK_BYTES);
        let thread = builder.spawn(move || crew.work())?;
        let mut threads = self.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Does jobs until there are no more, or until one has lowered the priority of the thread.
    fn work(self: &Arc<Self>) {
        let mut scratch = Scratch::default();
        loop {
            let job = match self.receiver.recv_timeout(memory::REST) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    if memory::release() {
                        scratch = Scratch::default();
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.counts.running.fetch_add(1, Ordering::Relaxed);
            if catch_unwind(AssertUnwindSafe(|| job(&mut scratch))).is_err() {
                self.counts.panicked.fetch_add(1, Ordering::Relaxed);
                tracing::error!("a request panicked; this is a bug");
                scratch = Scratch::default();
            }
            self.counts.running.fetch_sub(1, Ordering::Relaxed);
            if priority::is_lowered() {
                let vacancies = self.vacancies.lock();
                if vacancies.as_ref().is_some_and(|vacancies| vacancies.send(()).is_ok()) {
                    return;
                }
            }
        }
    }
}

/// Tells a job that its caller went away, when it is dropped.
#[derive(Debug, Default)]
pub struct CancelOnDrop {
    canceled: Arc<AtomicBool>,
}

impl CancelOnDrop {
    /// The flag that is set.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.canceled)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.canceled.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: PoolConfig =
        PoolConfig { name: "test", threads: 1, queue_max: 1, setting: "test.queue_max" };

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_closed_pool_too() {
        let pool = Arc::new(Pool::new(SMALL).expect("a thread starts"));
        let (release, gate) = bounded::<()>(0);
        let (started, running) = oneshot::channel();
        let busy = Arc::clone(&pool);
        let first = tokio::spawn(async move {
            let job = move |_: &mut Scratch| {
                let _ = started.send(());
                gate.recv().is_ok()
            };
            busy.run(job).await
        });
        running.await.expect("the job runs");
        let waiting = Arc::clone(&pool);
        let second = tokio::spawn(async move { waiting.run(|_| 2).await });
        while pool.queued() == 0 {
            tokio::task::yield_now().await;
        }
        let error = pool.run(|_| 3).await.expect_err("one runs, one waits");
        let text = "too many requests wait for test; limit is 1 (test.queue_max)";
        assert_eq!(error.to_string(), text);
        release.send(()).expect("the job waits for it");
        assert_eq!(first.await.expect("no panic"), Ok(true));
        assert_eq!(second.await.expect("no panic"), Ok(2));
        pool.close();
        assert_eq!(pool.run(|_| 4).await, Err(PoolError::Closed));
    }

    #[tokio::test]
    async fn a_panic_costs_one_request() {
        let pool = Pool::new(SMALL).expect("a thread starts");
        let job = |_: &mut Scratch| -> u32 { std::panic::panic_any("as a test") };
        assert_eq!(pool.run(job).await, Err(PoolError::Panicked));
        assert_eq!(pool.run(|_| 5).await, Ok(5));
        assert_eq!(pool.counts().panicked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_thread_that_gave_way_is_replaced() {
        let pool = Pool::new(SMALL).expect("a thread starts");
        let thread = |lower: fn()| {
            move |_: &mut Scratch| {
                lower();
                (std::thread::current().id(), priority::niceness())
            }
        };
        let (first, before) = pool.run(thread(|| {})).await.expect("no panic");
        let (same, lowered) = pool.run(thread(priority::lower)).await.expect("no panic");
        assert!(same == first && lowered > before);
        let (second, after) = pool.run(thread(|| {})).await.expect("no panic");
        assert!(second != first);
        assert_eq!(after, before, "it has the priority of those that never gave way");
        assert_eq!(pool.run(thread(|| {})).await, Ok((second, before)), "it stays");
        pool.close();
        assert!(pool.crew.threads.lock().is_empty());
    }

    #[test]
    fn dropping_the_guard_sets_the_flag() {
        let guard = CancelOnDrop::default();
        let flag = guard.flag();
        drop(guard);
        assert!(flag.load(Ordering::Relaxed));
    }
}
