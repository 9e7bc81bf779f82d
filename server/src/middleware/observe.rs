//! Each request has an id, a span, a place in the metrics, and headers that keep browsers from
//! guessing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use tracing::Instrument as _;

use crate::app::App;

/// Header with the id of a request: taken from the client, or given here.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id taken from a client.
const REQUEST_ID_BYTES_MAX: usize = 64;
/// Template of requests that match no route.
const NO_ROUTE: &str = "none";

/// Counts a request, times it and gives it an id.
pub async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request, app.started.0);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| NO_ROUTE.to_owned(), |path| path.as_str().to_owned());
    let span = tracing::debug_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        route = %route,
    );
    app.metrics.http.in_flight.add(1);
    let count = InFlight(&app);
    let mut response = next.run(request).instrument(span.clone()).await;
    drop(count);
    let (status, took) = (response.status(), began.elapsed());
    app.metrics.http.answered(&route, status.as_u16(), took);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        let _entered = span.enter();
        tracing::error!(route, duration_ms = millis(took), "request failed inside the server");
    }
    response.headers_mut().insert(REQUEST_ID.clone(), id);
    response
}

/// Keeps browsers from taking an answer for something else than it says.
pub async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Counts down also when the client goes away.
struct InFlight<'a>(&'a App);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.metrics.http.in_flight.add(-1);
    }
}

fn request_id(request: &Request, started: i64) -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let usable = |id: &&HeaderValue| {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        id.len() <= REQUEST_ID_BYTES_MAX && !id.is_empty() && id.as_bytes().iter().all(plain)
    };
    if let Some(id) = request.headers().get(&REQUEST_ID).filter(usable) {
        return id.clone();
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:08x}-{number:08x}", started & 0xffff_ffff);
    // Hexadecimal digits and a dash are always allowed in a header.
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("0"))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
