//! The server from start to end: listen, open the store, serve, shut down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ephemeris_storage::{Store, StoreConfig};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::{connection, router, self_metrics};

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
    #[error("cannot listen on {address}: {source} (listen)")]
    Listen {
        /// The address.
        address: String,
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
    stop: watch::Sender<bool>,
    connections: tokio::task::JoinHandle<()>,
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
        let listener = TcpListener::bind(&config.listen)
            .await
            .map_err(|source| ServerError::Listen { address: config.listen.clone(), source })?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "listening");
        let app = Arc::new(App::new(config)?);
        let opening = open_store(&app)?;
        let (stop, stopping) = watch::channel(false);
        let router = router::router(&app);
        let connections =
            tokio::spawn(connection::serve(listener, router, Arc::clone(&app), stopping));
        Ok(Self { address, app, stop, connections, opening })
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
        if tokio::time::timeout(patience, self.connections).await.is_err() {
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

fn open_store(app: &App) -> Result<Opening, ServerError> {
    let config = &app.config;
    let mut store_config = StoreConfig::new(&config.data_dir);
    store_config.durability = config.durability;
    store_config.retention_ms = config.retention_ms;
    store_config.retention_bytes = Some(config.retention_bytes).filter(|bytes| *bytes > 0);
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
        // Nobody waits if the server was stopped meanwhile.
        let _ = sender.send(opened);
    })?;
    Ok(opening)
}
