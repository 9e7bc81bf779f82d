//! Prometheus text and OpenMetrics by POST, for scripts and curl; and the same below the paths of
//! Prometheus' pushgateway, whose labels are set on every series.

use std::sync::Arc;
use std::time::Instant;

use crate::room::Room;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ephemeris_ingest::body::{Compression, decompress};
use ephemeris_ingest::text::{self, Format, TextBatch, grouping};
use ephemeris_ingest::{Limits, remote_write};
use ephemeris_model::{BodyKind, WriteOutcome};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use crate::api::{ApiError, Tenant};
use crate::app::App;
use crate::arrivals::{Protocol, Sent};
use crate::body;
use crate::metrics::WriteEnd;
use crate::workers::Scratch;

use super::otlp::{compression_of, is_temporary};
use super::push::{read, refused_body};

/// Path before the labels of a push.
const PUSH_PATH: &str = "/metrics/";

/// `POST /api/v1/import/prometheus`.
pub async fn prometheus(State(app): State<Arc<App>>, request: Request) -> Response {
    import(&app, request, Vec::new()).await
}

/// `POST` and `PUT /metrics/job/<job>{/<label>/<value>}`.
pub async fn pushed(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path();
    match grouping::labels(path.strip_prefix(PUSH_PATH).unwrap_or_default()) {
        Ok(labels) => import(&app, request, labels).await,
        Err(text) => {
            body::drain(request.into_body()).await;
            ApiError::bad_data(text).into_text_response()
        }
    }
}

async fn import(app: &Arc<App>, request: Request, labels: Vec<(String, String)>) -> Response {
    let began = Instant::now();
    let (parts, request_body) = request.into_parts();
    let accepted = compression_of(&parts.headers)
        .and_then(|compression| Ok((compression, Tenant::from_headers(&parts.headers)?)));
    let result = match accepted {
        Ok((compression, tenant)) => match read(app, request_body).await {
            Ok((bytes, room)) => {
                let format = format_of(&parts.headers);
                let name = tenant.as_str().to_owned();
                let text = Text { bytes, room, compression, format, labels };
                let result = store(app, tenant, text).await;
                let sent = result.as_ref().ok().map(|(batch, outcome)| Sent {
                    stored: outcome.samples_written,
                    refused: batch.refused + outcome.rejects.total(),
                });
                let now_ms = app.clock.now().0;
                app.arrivals.sent((Protocol::Text, &name), &parts.headers, sent, now_ms);
                result
            }
            Err(error) => Err(error),
        },
        Err(error) => {
            body::drain(request_body).await;
            Err(error)
        }
    };
    finish(app, began, result)
}

/// A text as it came.
struct Text {
    bytes: Bytes,
    room: Room,
    compression: Compression,
    format: Format,
    labels: Vec<(String, String)>,
}

async fn store(
    app: &Arc<App>,
    tenant: Tenant,
    request: Text,
) -> Result<(TextBatch, WriteOutcome), ApiError> {
    app.metrics.body_read(Protocol::Text, request.bytes.len());
    let worker_app = Arc::clone(app);
    let job = move |scratch: &mut Scratch| {
        let result = read_and_store(&worker_app, &tenant, &request, scratch);
        drop(request.room);
        result
    };
    app.ingest.run(job).await?
}

fn read_and_store(
    app: &App,
    tenant: &Tenant,
    request: &Text,
    scratch: &mut Scratch,
) -> Result<(TextBatch, WriteOutcome), ApiError> {
    let limits = &app.config.bodies;
    let refuse = |error| refused_body(&error);
    let message = decompress(&request.bytes, request.compression, limits, &mut scratch.message)
        .map_err(refuse)?;
    let now = app.clock.now().0;
    let batch =
        text::read(message, request.format, now, &request.labels, limits).map_err(refuse)?;
    if batch.body.is_empty() {
        return Ok((batch, WriteOutcome::default()));
    }
    // It was made here, from a request within its limits.
    let limits = Limits { compressed_bytes_max: usize::MAX, ..*limits };
    let kind = BodyKind::RemoteWrite2Plain;
    let decoded = remote_write::decode(kind, &batch.body, &limits, &mut scratch.ingest)
        .map_err(|error| refused_body(&error))?;
    let outcome = app.write(tenant, Protocol::Text, &decoded)?;
    Ok((batch, outcome))
}

fn finish(
    app: &App,
    began: Instant,
    result: Result<(TextBatch, WriteOutcome), ApiError>,
) -> Response {
    let (end, response) = match result {
        Ok((batch, outcome)) if batch.refused == 0 && outcome.rejects.is_empty() => {
            (WriteEnd::Stored, StatusCode::NO_CONTENT.into_response())
        }
        Ok((batch, outcome)) => {
            let text = describe(&batch, &outcome);
            (WriteEnd::Partial, (StatusCode::BAD_REQUEST, text).into_response())
        }
        Err(error) => {
            let end = if is_temporary(&error) { WriteEnd::Busy } else { WriteEnd::Invalid };
            (end, error.into_text_response())
        }
    };
    app.metrics.write_ended(Protocol::Text, end, began.elapsed());
    response
}

fn describe(batch: &TextBatch, outcome: &WriteOutcome) -> String {
    let mut text = format!("{} samples stored", outcome.samples_written);
    if batch.refused > 0 {
        text.push_str(&format!("; {} lines refused", batch.refused));
    }
    if !outcome.rejects.is_empty() {
        text.push_str(&format!("; {}", outcome.rejects.summary()));
    }
    for error in &batch.errors {
        text.push('\n');
        text.push_str(error);
    }
    text.push('\n');
    text
}

/// OpenMetrics if the content type says so, else Prometheus' own format.
fn format_of(headers: &HeaderMap) -> Format {
    let media_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match media_type.trim_start().get(..28) {
        Some(start) if start.eq_ignore_ascii_case("application/openmetrics-text") => {
            Format::OpenMetrics
        }
        _ => Format::Prometheus,
    }
}
