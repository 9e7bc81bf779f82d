//! The server from start to end: listen, open the store, serve, shut down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ephemeris_storage::{Clock, Store, StoreConfig, SystemClock};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::{connection, memory, router, self_metrics, web};

/// Of the grace of a shutdown, the part kept for sealing the heads.
const SEAL_SHARE: u32 = 2;

/// Why the server could not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source} ({setting})")]
    Listen {
        /// The address.
        address: String,
        /// The setting it is from.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot be opened or closed.
    #[error(transparent)]
    Store(#[from] ephemeris_storage::Error),
    /// The store could not be opened because a thread failed.
    #[error("opening the store failed: {0}")]
    Open(String),
    /// Threads cannot be started, or the like.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A server that listens; dropping it ends it without a shutdown.
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    otlp_http_address: Option<SocketAddr>,
    otlp_grpc_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    connections: Vec<tokio::task::JoinHandle<()>>,
    opening: Opening,
}

/// The store being opened.
type Opening = oneshot::Receiver<Result<Arc<Store>, ephemeris_storage::Error>>;

impl Server {
    /// Listens, and begins to open the store. Requests that need it get 503 until it is open.
    ///
    /// # Errors
    /// If the address cannot be listened on or threads cannot be started.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        Self::start_at(config, Arc::new(SystemClock)).await
    }

    /// As [`Server::start`], with a clock of one's own.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_at(config: Config, clock: Arc<dyn Clock>) -> Result<Self, ServerError> {
        let listener = listen(&config.listen, "listen").await?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "listening");
        let defaults = Config::default();
        let http = listen_beside(
            (&config.otlp_http_listen, &defaults.otlp_http_listen),
            "otlp_http_listen",
        )
        .await?;
        let grpc = listen_beside(
            (&config.otlp_grpc_listen, &defaults.otlp_grpc_listen),
            "otlp_grpc_listen",
        )
        .await?;
        let app = Arc::new(App::with_clock(config, clock)?);
        let opening = open_store(&app)?;
        if let Some(web) = &app.web {
            tokio::spawn(web::watch(Arc::downgrade(web)));
        }
        let (stop, stopping) = watch::channel(false);
        let mut server = Self {
            address,
            app,
            otlp_http_address: None,
            otlp_grpc_address: None,
            stop,
            connections: Vec::new(),
            opening,
        };
        server.serve(listener, router::router(&server.app), &stopping);
        if let Some(listener) = http {
            server.otlp_http_address = Some(listener.local_addr()?);
            server.serve(listener, router::otlp_http(&server.app), &stopping);
        }
        if let Some(listener) = grpc {
            server.otlp_grpc_address = Some(listener.local_addr()?);
            server.serve(listener, router::otlp_grpc(&server.app), &stopping);
        }
        Ok(server)
    }

    fn serve(
        &mut self,
        listener: TcpListener,
        router: axum::Router,
        stopping: &watch::Receiver<bool>,
    ) {
        let app = Arc::clone(&self.app);
        let serving = connection::serve(listener, router, app, stopping.clone());
        self.connections.push(tokio::spawn(serving));
    }

    /// Where it listens for OTLP over HTTP.
    #[must_use]
    pub const fn otlp_http_address(&self) -> Option<SocketAddr> {
        self.otlp_http_address
    }

    /// Where it listens for OTLP over gRPC.
    #[must_use]
    pub const fn otlp_grpc_address(&self) -> Option<SocketAddr> {
        self.otlp_grpc_address
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What all requests share.
    #[must_use]
    pub const fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `end` is ready, then shuts down within the grace.
    ///
    /// # Errors
    /// If the store cannot be opened or closed.
    pub async fn run(mut self, end: impl Future<Output = ()>) -> Result<(), ServerError> {
        let mut end = std::pin::pin!(end);
        let opened = tokio::select! {
            opened = &mut self.opening => Some(opened),
            () = &mut end => None,
        };
        let Some(opened) = opened else {
            // Nothing was acknowledged yet, so there is nothing to seal; the WAL keeps the rest.
            tracing::info!("stopped before the store was open");
            return Ok(());
        };
        let store = opened.map_err(|error| ServerError::Open(error.to_string()))??;
        self.app.opened(Arc::clone(&store));
        // Before anybody can ask, so that the first query has data.
        self_metrics::begin(&self.app, self.address).await;
        self.app.ready();
        tracing::info!(address = %self.address, "ready");
        let own = tokio::spawn(self_metrics::run(
            Arc::clone(&self.app),
            self.address,
            self.stop.subscribe(),
        ));
        end.await;
        self.shut_down(store, own).await
    }

    async fn shut_down(
        self,
        store: Arc<Store>,
        own: tokio::task::JoinHandle<()>,
    ) -> Result<(), ServerError> {
        let grace = self.app.config.shutdown_grace;
        let deadline = Instant::now() + grace;
        tracing::info!(grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), "stopping");
        self.app.stop();
        self.stop.send_replace(true);
        let patience = grace - grace / SEAL_SHARE;
        let all = async {
            for connections in self.connections {
                // It ends well or was given up; either way it has ended.
                let _ = connections.await;
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("requests still run at the end of their grace; they are given up");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), own).await;
        let app = Arc::clone(&self.app);
        let closing = tokio::task::spawn_blocking(move || {
            // Writes that were begun are finished before the store refuses them.
            app.ingest.close();
            store.close(deadline.saturating_duration_since(Instant::now()))
        });
        match closing.await {
            Ok(result) => result?,
            Err(error) => return Err(ServerError::Open(error.to_string())),
        }
        tracing::info!("stopped");
        Ok(())
    }
}

async fn listen(address: &str, setting: &'static str) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| {
        let address = address.to_owned();
        ServerError::Listen { address, setting, source }
    })
}

/// Listens on an address beside the main one. That another program has the default one, as an
/// OpenTelemetry Collector may, is no reason not to start.
async fn listen_beside(
    (address, default): (&str, &str),
    setting: &'static str,
) -> Result<Option<TcpListener>, ServerError> {
    if address == "off" {
        return Ok(None);
    }
    match listen(address, setting).await {
        Ok(listener) => {
            let address = listener.local_addr()?;
            tracing::info!(%address, setting, "listening for otlp");
            Ok(Some(listener))
        }
        Err(ServerError::Listen { source, .. })
            if address == default && source.kind() == io::ErrorKind::AddrInUse =>
        {
            tracing::warn!(address, setting, "the address is taken; otlp is not served on it");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn open_store(app: &App) -> Result<Opening, ServerError> {
    let config = &app.config;
    let mut store_config = StoreConfig::new(&config.data_dir);
    store_config.durability = config.durability;
    store_config.retention_ms = config.retention_ms;
    store_config.retention_bytes = Some(config.retention_bytes).filter(|bytes| *bytes > 0);
    store_config.log_delete_cancel_ms = config.log_delete_cancel_ms;
    store_config.disk_reserve = config.disk_reserve;
    store_config.memory_budget_bytes = app.memory_budget_bytes;
    store_config.limits = config.limits;
    store_config.head_chunk_bytes_max = config.head.chunk_bytes_max;
    store_config.head_wal_bytes_max = config.head.wal_bytes_max;
    store_config.head_late_bytes_max = config.head.late_bytes_max;
    store_config.head_age_ms_max = config.head.age_ms_max;
    let (clock, (sender, opening)) = (Arc::clone(&app.clock), oneshot::channel());
    std::thread::Builder::new().name("open".to_owned()).spawn(move || {
        let decoder = Arc::new(ephemeris_ingest::Decoder::default());
        let opened = Store::open(store_config, decoder, clock).map(Arc::new);
        if let Ok(store) = &opened {
            store.when_freed(memory::freed);
        }
        // Nobody waits if the server was stopped meanwhile.
        let _ = sender.send(opened);
    })?;
    Ok(opening)
}
