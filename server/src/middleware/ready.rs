//! Requests that need the store get 503 until it is open.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use crate::app::{App, Phase};

/// Lets a request pass once the store is open.
pub async fn gate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.phase() {
        // A request that came in before the end is finished.
        Phase::Ready | Phase::Stopping if app.store_if_open().is_some() => next.run(request).await,
        phase => not_ready(phase),
    }
}

/// The answer of a server that is not ready.
#[must_use]
pub fn not_ready(phase: Phase) -> Response {
    let stopping = if phase == Phase::Stopping { "true" } else { "false" };
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response();
    let headers = response.headers_mut();
    headers.insert("x-prometheus-stopping", HeaderValue::from_static(stopping));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
