//! Settings: one table ([`settings::SETTINGS`]) defines the flag, the key of the file, the
//! environment variable, the default and the check of each. A flag beats the environment, the
//! environment beats the file, the file beats the default.

pub mod command;
pub mod file;
pub mod memory;
pub mod settings;
pub mod value;

use std::path::PathBuf;
use std::time::Duration;

use ephemeris_ingest::Limits as BodyLimits;
use ephemeris_ingest::otlp::Options as OtlpOptions;
use ephemeris_model::Limits;
use ephemeris_storage::{DiskReserve, Durability};
use thiserror::Error;

use self::memory::MemoryBudget;
use crate::pairs::PairConfig;
use crate::rates::RateLimits;

/// Why the settings cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value does not fit its setting.
    #[error("{origin}: {cause}")]
    Value {
        /// Where the value was written: a flag, a variable or a key of the file.
        origin: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The file has a key no setting has.
    #[error("{}: unknown key {key:?}", path.display())]
    UnknownKey {
        /// Path of the file.
        path: PathBuf,
        /// The key, with dots between its levels.
        key: String,
    },
}

/// Whether something is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the data lies; created if missing.
    pub data_dir: PathBuf,
    /// Address of the API.
    pub listen: String,
    /// Address for OTLP over HTTP, or `off`.
    pub otlp_http_listen: String,
    /// Address for OTLP over gRPC, or `off`.
    pub otlp_grpc_listen: String,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Samples older than this are refused and dropped, in milliseconds.
    pub retention_ms: i64,
    /// Bytes of blocks beyond which the oldest days are deleted; 0 for no bound.
    pub retention_bytes: u64,
    /// How long a deletion of log entries can be taken back, in milliseconds.
    pub log_delete_cancel_ms: i64,
    /// Room on the disk below which writes are refused.
    pub disk_reserve: DiskReserve,
    /// How much memory the store may plan with.
    pub memory_budget: MemoryBudget,
    /// How often the server stores its own metrics; zero is never.
    pub self_metrics_interval: Duration,
    /// How long a shutdown may take.
    pub shutdown_grace: Duration,
    /// What one request may bring.
    pub limits: Limits,
    /// What a tenant may send in a second.
    pub rates: RateLimits,
    /// What the body of one request may cost.
    pub bodies: BodyLimits,
    /// TLS and passwords: [`crate::web`].
    pub web_config_file: Option<PathBuf>,
    /// Connections and bodies.
    pub http: HttpConfig,
    /// Queries.
    pub query: QueryConfig,
    /// Writes.
    pub ingest: IngestConfig,
    /// OpenTelemetry metrics.
    pub otlp: OtlpConfig,
    /// Agents that send the same.
    pub pairs: PairConfig,
    /// The part of the store that is in memory.
    pub head: HeadConfig,
    /// Whether `/api/v1/admin/…` is offered.
    pub admin_api: Switch,
    /// What is logged to standard error, as in `info` or `debug,hyper=warn`.
    pub log_filter: String,
}

/// Settings of connections and bodies.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Open connections; more wait to be accepted.
    pub connections_max: usize,
    /// Until the head of a request must have come.
    pub header_timeout: Duration,
    /// Until a body must have come, beside what its size adds.
    pub body_timeout: Duration,
    /// How long a connection may lie idle.
    pub idle_timeout: Duration,
    /// Bytes of all bodies being worked on.
    pub bodies_bytes_max: u64,
    /// Origins that may call from a browser: `*`, or a list separated by commas; empty for none.
    pub cors_origins: String,
}

/// Settings of queries.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// Longest time a query may take.
    pub timeout: Duration,
    /// Queries that run at the same time.
    pub concurrency_max: usize,
    /// Of one tenant; never more than `concurrency_max`.
    pub tenant_concurrency_max: usize,
    /// Queries that wait for their turn.
    pub queue_max: usize,
    /// Of one tenant.
    pub tenant_queue_max: usize,
    /// How long a query waits for its turn.
    pub queue_wait_max: Duration,
    /// A query that has run for longer gives way to others; zero if none does.
    pub heavy_after: Duration,
    /// Samples one query may hold at a time.
    pub samples_max: u64,
    /// How far an instant selector looks back, in milliseconds.
    pub lookback_ms: i64,
    /// Series one query may touch.
    pub series_max: u64,
    /// Live tails of logs one tenant may have.
    pub tails_max: usize,
    /// Bytes of answers to range queries that are kept to be reused; 0 for none.
    pub reuse_bytes_max: u64,
}

/// Settings of writes.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Threads that decode and store; zero is two a core.
    pub threads: usize,
    /// Writes that wait for a thread.
    pub queue_max: usize,
}

/// Settings of OpenTelemetry metrics.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// How they are translated.
    pub options: OtlpOptions,
    /// Running totals of delta series kept in memory.
    pub delta_series_max: usize,
    /// Bytes of what translation knows from earlier requests.
    pub cache_bytes_max: usize,
}

/// When a generation of the head ends and is sealed: at whichever bound comes first.
#[derive(Clone, Copy, Debug)]
pub struct HeadConfig {
    /// Bytes of chunks.
    pub chunk_bytes_max: u64,
    /// Bytes of WAL.
    pub wal_bytes_max: u64,
    /// Bytes of out-of-order samples.
    pub late_bytes_max: u64,
    /// Age in milliseconds.
    pub age_ms_max: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            listen: "127.0.0.1:9090".to_owned(),
            otlp_http_listen: "127.0.0.1:4318".to_owned(),
            otlp_grpc_listen: "127.0.0.1:4317".to_owned(),
            durability: Durability::Sync,
            retention_ms: 400 * 24 * 3_600_000,
            retention_bytes: 0,
            log_delete_cancel_ms: 24 * 3_600_000,
            disk_reserve: DiskReserve::Auto,
            memory_budget: MemoryBudget::Percent(50.0),
            self_metrics_interval: Duration::from_secs(15),
            shutdown_grace: Duration::from_secs(60),
            limits: Limits::default(),
            rates: RateLimits {
                samples_per_second_max: 20_000_000,
                log_bytes_per_second_max: 1 << 30,
                new_series_per_second_max: 2_000_000,
            },
            bodies: BodyLimits::default(),
            web_config_file: None,
            http: HttpConfig {
                connections_max: 512,
                header_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(300),
                bodies_bytes_max: 64 << 20,
                cors_origins: "*".to_owned(),
            },
            query: QueryConfig {
                timeout: Duration::from_secs(120),
                concurrency_max: 20,
                tenant_concurrency_max: 15,
                queue_max: 200,
                tenant_queue_max: 150,
                queue_wait_max: Duration::from_secs(30),
                heavy_after: Duration::from_millis(100),
                samples_max: 50_000_000,
                lookback_ms: 300_000,
                series_max: 20_000_000,
                tails_max: 10,
                reuse_bytes_max: 32 << 20,
            },
            ingest: IngestConfig { threads: 0, queue_max: 256 },
            otlp: OtlpConfig {
                options: OtlpOptions::default(),
                delta_series_max: 500_000,
                cache_bytes_max: 32 << 20,
            },
            pairs: PairConfig::default(),
            head: HeadConfig {
                chunk_bytes_max: 48 << 20,
                wal_bytes_max: 3 << 30,
                late_bytes_max: 64 << 20,
                age_ms_max: 2 * 3_600_000,
            },
            admin_api: Switch::On,
            log_filter: "info".to_owned(),
        }
    }
}
