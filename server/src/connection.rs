//! Connections: accept, serve HTTP/1.1 or HTTP/2, and end those that keep the server waiting.
//!
//! A watchdog of each connection knows three kinds of waiting: for the head of a request
//! (`http.header_timeout`), for the next request (`http.idle_timeout`), and for the client to take
//! what is written ([`WRITE_STALL_MAX`]). Bodies have a deadline of their own, in [`crate::body`].

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use crate::app::App;
use crate::config::HttpConfig;

/// How long a client may take nothing of an answer.
const WRITE_STALL_MAX: Duration = Duration::from_secs(60);
/// Bytes of the head of a request, and of the buffer a body is read through.
const READ_BUFFER_BYTES_MAX: usize = 128 << 10;
/// Bytes of all headers of a request over HTTP/2.
const HEADER_LIST_BYTES_MAX: u32 = 64 << 10;
/// Requests at the same time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 200;
/// Streams a client may open and reset before they are looked at.
const RESETS_MAX: usize = 64;
/// How long to wait after accepting failed, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `stopping` is true, then waits until all have ended.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    app: Arc<App>,
    mut stopping: watch::Receiver<bool>,
) {
    let connections_max = app.config.http.connections_max.min(Semaphore::MAX_PERMITS);
    let room = Arc::new(Semaphore::new(connections_max));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (router, app, stopping) = (router.clone(), Arc::clone(&app), stopping.clone());
        tokio::spawn(async move {
            app.metrics.http.connections_accepted.add(1);
            app.metrics.http.connections.add(1);
            greet(stream, router, &app, stopping).await;
            app.metrics.http.connections.add(-1);
            drop(permit);
        });
    }
    drop(listener);
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    // The semaphore is never closed, so this only waits.
    let _ = room.acquire_many(all).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Agrees on encryption, if the server encrypts, and serves the connection.
async fn greet(stream: TcpStream, router: Router, app: &App, mut stopping: watch::Receiver<bool>) {
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = app.web.as_ref().and_then(|web| web.rules().tls.clone()) else {
        return connection(stream, router, app, stopping).await;
    };
    let agreed = tokio::select! {
        agreed = tokio::time::timeout(app.config.http.header_timeout, tls.accept(stream)) => agreed,
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    match agreed {
        Ok(Ok(stream)) => connection(stream, router, app, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "no agreement on encryption"),
        Err(_) => app.metrics.http.header_timeouts.add(1),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    app: &App,
    mut stopping: watch::Receiver<bool>,
) {
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
    let watched = Arc::clone(&activity);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let guard = InFlight::begin(&watched);
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let response: Response = answer.await?;
            Ok::<_, Infallible>(response.map(|body| GuardedBody { body, _guard: guard }))
        }
    });
    let builder = builder();
    let mut serving = pin!(builder.serve_connection_with_upgrades(io, service));
    let tick = (app.config.http.header_timeout / 4)
        .clamp(Duration::from_millis(20), Duration::from_secs(1));
    let mut closing = false;
    loop {
        tokio::select! {
            result = serving.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error = %error, "connection ended");
                }
                return;
            }
            () = tokio::time::sleep(tick) => match activity.verdict(&app.config.http) {
                Verdict::Fine => {}
                Verdict::Idle if !closing => {
                    closing = true;
                    serving.as_mut().graceful_shutdown();
                }
                Verdict::Idle => {}
                Verdict::HeadTooSlow => {
                    app.metrics.http.header_timeouts.add(1);
                    return;
                }
                Verdict::Stalled => return,
            },
            _ = stopping.wait_for(|stop| *stop), if !closing => {
                closing = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The watchdog does this, without counting idle time.
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// What a connection is doing. Times are milliseconds since it was accepted, plus one; 0 is none.
struct Activity {
    accepted: Instant,
    in_flight: AtomicU32,
    /// When the first byte since the last answer came; for a new connection when it was accepted.
    head_since: AtomicU64,
    /// When the last answer ended.
    idle_since: AtomicU64,
    /// Since when a write waits for the client.
    blocked_since: AtomicU64,
    /// The connection speaks HTTP/2, where bytes also come between requests.
    is_http2: AtomicBool,
}

enum Verdict {
    Fine,
    HeadTooSlow,
    Idle,
    Stalled,
}

impl Activity {
    fn new() -> Self {
        Self {
            accepted: Instant::now(),
            in_flight: AtomicU32::new(0),
            head_since: AtomicU64::new(1),
            idle_since: AtomicU64::new(1),
            blocked_since: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn verdict(&self, config: &HttpConfig) -> Verdict {
        let now = self.now();
        let passed = |since: &AtomicU64, limit: Duration| {
            let since = since.load(Ordering::Relaxed);
            since != 0 && u128::from(now.saturating_sub(since)) >= limit.as_millis()
        };
        if passed(&self.blocked_since, WRITE_STALL_MAX) {
            return Verdict::Stalled;
        }
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return Verdict::Fine;
        }
        let is_http2 = self.is_http2.load(Ordering::Relaxed);
        if !is_http2 && passed(&self.head_since, config.header_timeout) {
            return Verdict::HeadTooSlow;
        }
        if passed(&self.idle_since, config.idle_timeout) {
            return Verdict::Idle;
        }
        Verdict::Fine
    }
}

/// A socket that notes when it is read from and when it blocks.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            let activity = &self.activity;
            // No method of HTTP/1 begins so; it is the preface of HTTP/2.
            if activity.idle_since.load(Ordering::Relaxed) == 1
                && buf.filled()[before..].starts_with(b"PRI")
            {
                activity.is_http2.store(true, Ordering::Relaxed);
            }
            if activity.in_flight.load(Ordering::Relaxed) == 0 {
                let now = activity.now();
                // Only the first byte counts: a head that drips in gets no more time.
                let _ = activity.head_since.compare_exchange(
                    0,
                    now,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        }
        result
    }
}

impl<S> Watched<S> {
    fn note<T>(&self, result: Poll<T>) -> Poll<T> {
        let blocked = &self.activity.blocked_since;
        if result.is_ready() {
            blocked.store(0, Ordering::Relaxed);
        } else if blocked.load(Ordering::Relaxed) == 0 {
            blocked.store(self.activity.now(), Ordering::Relaxed);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Counts a request until its answer has been sent or given up.
struct InFlight {
    activity: Arc<Activity>,
}

impl InFlight {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.in_flight.fetch_add(1, Ordering::Relaxed);
        activity.head_since.store(0, Ordering::Relaxed);
        Self { activity: Arc::clone(activity) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.idle_since.store(self.activity.now().max(2), Ordering::Relaxed);
        self.activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

struct GuardedBody {
    body: Body,
    _guard: InFlight,
}

impl hyper::body::Body for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
