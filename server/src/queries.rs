//! Runs queries: a [turn](crate::turns) for each, then a worker of the query pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::metrics::PoolNumbers;
use crate::turns::{Turn, TurnLimits, Turns};
use crate::workers::{Pool, PoolConfig, PoolCounts, PoolError, Scratch};

/// Workers for queries, and whose query they run next.
pub struct QueryPool {
    pool: Pool,
    turns: Arc<Turns>,
}

impl QueryPool {
    /// Starts a thread for each query that may run.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(limits: TurnLimits) -> std::io::Result<Self> {
        let threads = limits.running_max.max(1);
        // Who has a turn has a thread, or it is free in a moment: the line is before the turns.
        let config = PoolConfig {
            name: "query",
            threads,
            queue_max: 2 * threads,
            setting: "query.concurrency_max",
        };
        Ok(Self { pool: Pool::new(config)?, turns: Arc::new(Turns::new(limits)) })
    }

    /// Has `job` done for `tenant` when its turn comes, until `deadline` at most. Who stops waiting
    /// leaves the line at once; a job that runs has to be told by a flag of its own.
    ///
    /// # Errors
    /// If there is no turn for it, the pool is closed, or the job panics.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: &str,
        deadline: Instant,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let turn = self.turn(tenant, deadline).await?;
        self.run_in(turn, job).await
    }

    /// Waits for a turn of `tenant`, until `deadline` at most. Who drops the future leaves the line.
    ///
    /// # Errors
    /// If too many wait, or it takes too long.
    pub async fn turn(&self, tenant: &str, deadline: Instant) -> Result<Turn, PoolError> {
        Ok(self.turns.wait(tenant, deadline).await?)
    }

    /// Has `job` done by a worker in its turn.
    ///
    /// # Errors
    /// If the pool is closed or the job panics.
    pub async fn run_in<T: Send + 'static>(
        &self,
        turn: Turn,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let job = move |scratch: &mut Scratch| {
            let result = job(scratch);
            drop(turn);
            result
        };
        self.pool.run(job).await
    }

    /// Counts of the pool.
    #[must_use]
    pub fn counts(&self) -> &PoolCounts {
        self.pool.counts()
    }

    /// Queries that wait now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.turns.waiting() + self.pool.queued()
    }

    /// Whose turn it is.
    #[must_use]
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// As the metrics tell it; those who were refused a turn count as refused by the pool.
    #[must_use]
    pub fn numbers(&self) -> PoolNumbers {
        let refused: u64 = self.turns.counts().refused().iter().map(|(_, n)| n.get()).sum();
        let pool = self.pool.numbers();
        PoolNumbers { queued: self.queued() as u64, refused: pool.refused + refused, ..pool }
    }

    /// Finishes what has its turn, then ends the threads.
    pub fn close(&self) {
        self.pool.close();
    }
}

impl Pool {
    /// As the metrics tell it.
    #[must_use]
    pub fn numbers(&self) -> PoolNumbers {
        let counts = self.counts();
        PoolNumbers {
            running: counts.running.load(Ordering::Relaxed),
            queued: self.queued() as u64,
            refused: counts.refused.load(Ordering::Relaxed),
            panicked: counts.panicked.load(Ordering::Relaxed),
        }
    }
}
