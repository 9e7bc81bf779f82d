//! `/-/healthy`, `/-/ready` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::api::ApiError;
use crate::app::{App, Phase};
use crate::metrics::text;
use crate::middleware::ready::not_ready;

/// 200 while the process lives.
pub async fn healthy() -> &'static str {
    "Ephemeris is Healthy.\n"
}

/// 200 when requests are served, 503 before and while stopping.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.phase() {
        Phase::Ready => "Ephemeris is Ready.\n".into_response(),
        phase => not_ready(phase),
    }
}

/// The server's own metrics.
///
/// # Errors
/// If they cannot be read out.
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let read_out = move || {
        let mut out = Vec::new();
        text::write(&mut out, &app.metric_families());
        out
    };
    // Not through a pool: it must work when all pools are full.
    let body = tokio::task::spawn_blocking(read_out).await;
    let body = body.map_err(|error| ApiError::internal(error.to_string()))?;
    let kind = HeaderValue::from_static(text::CONTENT_TYPE);
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}
