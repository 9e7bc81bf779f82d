//! What all requests share: settings, metrics, worker pools, the engine, and the store once it is
//! open.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ephemeris_ingest::otlp::Accumulator;
use ephemeris_model::{LogBatch, LogOutcome, TimestampMs, WriteBatch, WriteOutcome};
use ephemeris_query::budget::{Account, Budget, BudgetLimits};
use ephemeris_query::promql::engine::{Engine, EngineOptions};
use ephemeris_storage::{Clock, Store, StoreStats, SystemClock};
use tokio::sync::Semaphore;

use crate::active::ActiveQueries;
use crate::api::{ApiError, Tenant};
use crate::arrivals::{Arrivals, Protocol};
use crate::at_once::AtOnce;
use crate::config::Config;
use crate::metrics::{Context, Family, Metrics};
use crate::pairs::Pairs;
use crate::priority;
use crate::queries::QueryPool;
use crate::rates::Rates;
use crate::reuse::Reuse;
use crate::tails::Tails;
use crate::translations::Translations;
use crate::turns::{TurnError, TurnLimits};
use crate::web::Web;
use crate::workers::{Pool, PoolConfig, PoolError};

/// Passwords that wait to be checked.
const PASSWORDS_WAITING_MAX: usize = 32;

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The store is being opened.
    Starting = 0,
    /// Requests are served.
    Ready = 1,
    /// What runs is finished, nothing new is begun.
    Stopping = 2,
}

/// What all requests share.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The server's own metrics.
    pub metrics: Metrics,
    /// Runs queries.
    pub engine: Engine,
    /// The queries that run now.
    pub active: Arc<ActiveQueries>,
    /// For writes.
    pub ingest: Pool,
    /// For queries.
    pub queries: QueryPool,
    /// For everything else that blocks: lists of labels, administration, metrics.
    pub admin: Pool,
    /// Room for bodies being worked on, in KiB.
    pub body_room: Arc<Semaphore>,
    /// What each tenant may send in a second.
    pub rates: Rates,
    /// What arrived.
    pub arrivals: Arrivals,
    /// Which replica of agents that send the same is stored.
    pub pairs: Pairs,
    /// Who is told of new log entries.
    pub tails: Arc<Tails>,
    /// Running totals of delta points.
    pub accumulator: Accumulator,
    /// Answers to range queries that may be reused.
    pub reuse: Reuse,
    /// Light queries that run on socket threads.
    pub at_once: AtOnce,
    /// What translation of OTLP knows from earlier requests.
    pub translations: Translations,
    /// What all queries hold in memory, their answers included.
    pub query_memory: Arc<Account>,
    /// Remote reads that may run at a time: a slow client holds a worker, so most are kept free.
    pub read_slots: Arc<Semaphore>,
    /// TLS and passwords, if any are set.
    pub web: Option<Arc<Web>>,
    /// Who checks a password that was not checked before.
    pub password_turn: Arc<Semaphore>,
    /// Room to wait for that turn.
    pub password_queue: Semaphore,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the process began to serve.
    pub started: TimestampMs,
    /// The memory budget of the store.
    pub memory_budget_bytes: u64,
    store: OnceLock<Arc<Store>>,
    phase: AtomicU8,
}

impl App {
    /// Starts the pools. The store is [opened](App::opened) later.
    ///
    /// # Errors
    /// If a thread cannot be started, or the web configuration cannot be used.
    pub fn new(config: Config) -> io::Result<Self> {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// As [`App::new`], with a clock of one's own.
    ///
    /// # Errors
    /// As [`App::new`].
    pub fn with_clock(config: Config, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let cores = available_parallelism().map_or(2, NonZero::get);
        let ingest = match config.ingest.threads {
            0 => (2 * cores).clamp(2, 256),
            threads => threads,
        };
        let pool = |name, threads, queue_max, setting| {
            Pool::new(PoolConfig { name, threads, queue_max, setting })
        };
        let query = &config.query;
        let memory_budget_bytes = config.memory_budget.bytes();
        let web = config.web_config_file.as_deref().map(Web::open).transpose();
        let web = web.map_err(|error| io::Error::other(format!("web_config_file: {error}")))?;
        Ok(Self {
            web: web.map(Arc::new),
            password_turn: Arc::new(Semaphore::new(1)),
            password_queue: Semaphore::new(PASSWORDS_WAITING_MAX),
            metrics: Metrics::default(),
            active: Arc::default(),
            engine: Engine::new(EngineOptions {
                lookback_ms: query.lookback_ms,
                ..EngineOptions::default()
            }),
            ingest: pool("ingest", ingest, config.ingest.queue_max, "ingest.queue_max")?,
            queries: QueryPool::new(TurnLimits {
                running_max: query.concurrency_max,
                tenant_running_max: query.tenant_concurrency_max,
                waiting_max: query.queue_max,
                tenant_waiting_max: query.tenant_queue_max,
                wait_max: query.queue_wait_max,
            })?,
            admin: pool("admin", cores.clamp(2, 8), query.queue_max, "query.queue_max")?,
            body_room: Arc::new(Semaphore::new(kib(config.http.bodies_bytes_max))),
            rates: Rates::new(config.rates),
            arrivals: Arrivals::default(),
            pairs: Pairs::new(config.pairs.clone()),
            tails: Arc::new(Tails::new(query.tails_max)),
            accumulator: Accumulator::new(config.otlp.delta_series_max),
            at_once: AtOnce::default(),
            reuse: Reuse::new(query.reuse_bytes_max.min(memory_budget_bytes / 50)),
            translations: Translations::new(config.otlp.cache_bytes_max, ingest),
            query_memory: Arc::new(Account::new(memory_budget_bytes / 2)),
            read_slots: Arc::new(Semaphore::new(read_slots(query.concurrency_max))),
            started: clock.now(),
            clock,
            memory_budget_bytes,
            store: OnceLock::new(),
            phase: AtomicU8::new(Phase::Starting as u8),
            config,
        })
    }

    /// What one query may use, by the settings.
    #[must_use]
    pub const fn query_limits(&self) -> BudgetLimits {
        let query = &self.config.query;
        BudgetLimits {
            samples_max: query.samples_max,
            series_max: query.series_max,
            bytes_max: self.memory_budget_bytes / 2,
            timeout: query.timeout,
        }
    }

    /// What a query of a client may use that can raise `cancel`. It has a share in the memory of all
    /// queries, and gives way to others when it runs for long.
    #[must_use]
    pub fn budget(&self, limits: BudgetLimits, cancel: Arc<AtomicBool>) -> Budget {
        let budget = Budget::with_cancel(limits, cancel);
        let budget = budget.with_account(Arc::clone(&self.query_memory));
        match self.config.query.heavy_after {
            Duration::ZERO => budget,
            after => budget.with_heavy(after, priority::give_way),
        }
    }

    /// Takes the open store.
    pub fn opened(&self, store: Arc<Store>) {
        // It is opened once; a second store would be dropped, never mixed in.
        let _ = self.store.set(store);
    }

    /// Requests are served from now on.
    pub fn ready(&self) {
        let (starting, ready) = (Phase::Starting as u8, Phase::Ready as u8);
        // A shutdown that came first wins.
        let _ = self.phase.compare_exchange(starting, ready, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Begins the shutdown.
    pub fn stop(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::Release);
        self.tails.stop();
    }

    /// How far the server is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }

    /// The store.
    ///
    /// # Errors
    /// If it is not open yet.
    pub fn store(&self) -> Result<Arc<Store>, ApiError> {
        self.store.get().cloned().ok_or_else(|| ApiError::unavailable("the store is being opened"))
    }

    /// Stores a batch of a tenant, within its rates, and counts what became of it.
    ///
    /// # Errors
    /// If the tenant sends too much, or the store cannot take it now.
    pub fn write(
        &self,
        tenant: &Tenant,
        protocol: Protocol,
        batch: &WriteBatch<'_>,
    ) -> Result<WriteOutcome, ApiError> {
        let (store, tenant, now) = (self.store()?, tenant.as_str(), Instant::now());
        let count = batch.samples.len() + batch.histograms.len();
        if let Err(error) = self.rates.admit(tenant, count, now) {
            self.metrics.rate_limited.add(1);
            self.arrivals.refused((protocol, tenant), "rate_limited", &error.message);
            return Err(error);
        }
        let outcome = store.write(tenant, batch)?;
        self.rates.created(tenant, outcome.series_created, now);
        self.arrivals.add((protocol, tenant), batch, &outcome, self.clock.now().0);
        self.metrics.batch_written(&outcome);
        Ok(outcome)
    }

    /// Stores log entries of a tenant, within its rates, counts what became of them, and tells those
    /// who tail.
    ///
    /// # Errors
    /// If the tenant sends too much, or the store cannot take it now.
    pub fn write_logs(
        &self,
        tenant: &Tenant,
        protocol: Protocol,
        batch: &LogBatch<'_>,
    ) -> Result<LogOutcome, ApiError> {
        let (store, tenant, now) = (self.store()?, tenant.as_str(), Instant::now());
        let bytes = batch.entries.iter().map(|entry| entry.line.len() as u64).sum();
        if let Err(error) = self.rates.admit_lines(tenant, (batch.entries.len(), bytes), now) {
            self.metrics.rate_limited.add(1);
            self.arrivals.refused((protocol, tenant), "rate_limited", &error.message);
            return Err(error);
        }
        let outcome = store.write_logs(tenant, batch)?;
        self.rates.created(tenant, outcome.streams_created, now);
        self.arrivals.add_logs((protocol, tenant), batch, &outcome, self.clock.now().0);
        self.metrics.rejected(&outcome.rejects);
        self.tails.publish(tenant, batch, &outcome);
        Ok(outcome)
    }

    /// The store, if it is open.
    #[must_use]
    pub fn store_if_open(&self) -> Option<&Arc<Store>> {
        self.store.get()
    }

    /// The metrics of the server, its pools and its store.
    #[must_use]
    pub fn metric_families(&self) -> Vec<Family> {
        let stats: Option<StoreStats> = self.store.get().map(|store| store.stats());
        self.metrics.families(&Context {
            tails: &self.tails,
            reuse: &self.reuse,
            translations: &self.translations,
            at_once: &self.at_once,
            arrivals: &self.arrivals,
            pairs: &self.pairs,
            pools: &[
                ("ingest", self.ingest.numbers()),
                ("query", self.queries.numbers()),
                ("admin", self.admin.numbers()),
            ],
            turns: self.queries.turns().counts(),
            store: stats.as_ref(),
            memory_budget_bytes: self.memory_budget_bytes,
        })
    }
}

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Panicked => Self::internal(error.to_string()),
            PoolError::Turn(TurnError::Timeout) => {
                Self::new(crate::api::ErrorType::Timeout, error.to_string())
            }
            PoolError::Full { .. } | PoolError::Turn(_) | PoolError::Closed => {
                Self::unavailable(error.to_string())
            }
        }
    }
}

impl From<ephemeris_storage::Error> for ApiError {
    fn from(error: ephemeris_storage::Error) -> Self {
        use crate::api::ErrorType;
        use ephemeris_storage::ErrorKind;
        let error_type = match error.kind() {
            ErrorKind::Invalid | ErrorKind::Limit => ErrorType::BadData,
            ErrorKind::NotFound => ErrorType::NotFound,
            ErrorKind::Busy | ErrorKind::Closed => ErrorType::Unavailable,
            ErrorKind::Timeout => ErrorType::Timeout,
            ErrorKind::Canceled => ErrorType::Canceled,
            _ => ErrorType::Internal,
        };
        Self::new(error_type, error.to_string())
    }
}

/// How many of the query workers may serve remote reads.
#[must_use]
pub const fn read_slots(query_concurrency: usize) -> usize {
    if query_concurrency < 8 { 1 } else { query_concurrency / 4 }
}

/// A size in KiB, rounded up, as permits of a semaphore.
#[must_use]
pub fn kib(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}
