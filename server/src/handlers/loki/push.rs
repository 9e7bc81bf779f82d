//! `POST /loki/api/v1/push`: log entries, in protobuf or JSON.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ephemeris_ingest::body::{Compression, check_size, decompress};
use ephemeris_ingest::{IngestError, Limits, loki};
use ephemeris_model::{BodyKind, LogOutcome};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use crate::api::error::ErrorType;
use crate::api::{ApiError, Tenant};
use crate::app::App;
use crate::arrivals::{Protocol, Sent};
use crate::body;
use crate::handlers::push::{read, refuse, refused_body};
use crate::metrics::WriteEnd;

/// How the body of a push is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    message: Message,
    compression: Compression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// A protobuf message in snappy block format.
    Protobuf,
    Json,
}

/// Stores a push.
pub async fn push(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, request_body) = request.into_parts();
    let began = Instant::now();
    let checked = form_of(&parts.headers).map_err(ApiError::bad_data);
    let checked = checked.and_then(|form| Ok((form, Tenant::from_headers(&parts.headers)?)));
    let stated = body::stated_bytes(&request_body);
    let limit = app.config.bodies.compressed_bytes_max;
    let checked = checked.and_then(|checked| match stated.filter(|got| *got > limit as u64) {
        Some(got) => {
            let got = usize::try_from(got).unwrap_or(usize::MAX);
            Err(refused_body(&IngestError::CompressedTooLarge { got, limit }))
        }
        None => Ok(checked),
    });
    let (form, tenant) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            let refusal = error.into_text_response();
            return refuse(
                &app,
                (Protocol::LokiPush, began),
                &parts.headers,
                request_body,
                refusal,
            )
            .await;
        }
    };
    let (bytes, room) = match read(&app, request_body).await {
        Ok(read) => read,
        Err(error) => return finish(&app, began, Err(error)),
    };
    let received = Instant::now();
    app.metrics.body_read(Protocol::LokiPush, bytes.len());
    let (worker_app, name) = (Arc::clone(&app), tenant.as_str().to_owned());
    let job = move |scratch: &mut crate::workers::Scratch| {
        let outcome = write(&worker_app, &tenant, form, &bytes, &mut scratch.message);
        // The body waits in the queue even if its sender went away, so it keeps its room till here.
        drop(room);
        outcome
    };
    let result = app.ingest.run(job).await.map_err(Into::into).and_then(|outcome| outcome);
    let sent = result
        .as_ref()
        .ok()
        .map(|outcome| Sent { stored: outcome.entries_written, refused: outcome.rejects.total() });
    let now_ms = app.clock.now().0;
    app.arrivals.sent((Protocol::LokiPush, &name), &parts.headers, sent, now_ms);
    finish(&app, received, result)
}

/// Decodes and stores a body.
fn write(
    app: &App,
    tenant: &Tenant,
    form: Form,
    bytes: &Bytes,
    buffer: &mut Vec<u8>,
) -> Result<LogOutcome, ApiError> {
    let limits = &app.config.bodies;
    let refused = |error: IngestError| refused_body(&error);
    check_size(bytes, limits).map_err(refused)?;
    let unpacked = decompress(bytes, form.compression, limits, buffer).map_err(refused)?;
    let (kind, body): (BodyKind, Cow<'_, [u8]>) = match form.message {
        Message::Protobuf => (BodyKind::LokiPush, unpacked.into()),
        Message::Json => {
            let message = loki::json::to_message(unpacked, limits).map_err(refused)?;
            (BodyKind::LokiPushPlain, message.into())
        }
    };
    let mut buffers = loki::Buffers::default();
    // What JSON was brought to may be larger than it was.
    let own = Limits { compressed_bytes_max: usize::MAX, ..*limits };
    let batch = loki::decode(kind, &body, &own, &mut buffers).map_err(refused)?;
    app.write_logs(tenant, Protocol::LokiPush, &batch)
}

/// Counts the end of a push and answers it.
fn finish(app: &App, began: Instant, result: Result<LogOutcome, ApiError>) -> Response {
    let (end, response) = match result {
        Ok(outcome) if outcome.rejects.is_empty() => {
            (WriteEnd::Stored, StatusCode::NO_CONTENT.into_response())
        }
        Ok(outcome) => {
            (WriteEnd::Partial, (StatusCode::BAD_REQUEST, describe(&outcome)).into_response())
        }
        Err(error) => {
            use ErrorType::{Internal, RateLimited, Unavailable};
            let again = matches!(error.error_type, Unavailable | Internal | RateLimited);
            let end = if again { WriteEnd::Busy } else { WriteEnd::Invalid };
            (end, error.into_text_response())
        }
    };
    app.metrics.write_ended(Protocol::LokiPush, end, began.elapsed());
    response
}

/// What a sender whose push was refused in part needs to know: the first text, as Loki tells it,
/// and the counts.
fn describe(outcome: &LogOutcome) -> String {
    let first = outcome.rejects.iter().next().map_or("", |(_, _, text)| text);
    let counts: Vec<String> =
        outcome.rejects.iter().map(|(why, n, _)| format!("{n} {}", why.as_str())).collect();
    format!(
        "{first}\n{} entries stored; rejected: {}\n",
        outcome.entries_written,
        counts.join(", ")
    )
}

/// How the body is encoded, by the headers.
fn form_of(headers: &HeaderMap) -> Result<Form, String> {
    let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"));
    let encoding = text(CONTENT_ENCODING).trim().to_ascii_lowercase();
    let compression = match encoding.as_str() {
        "" | "identity" | "snappy" => Compression::None,
        "gzip" => Compression::Gzip,
        "deflate" => Compression::Deflate,
        other => return Err(format!("Content-Encoding {other:?} not supported")),
    };
    let media = text(CONTENT_TYPE).split(';').next().unwrap_or("").trim();
    let json = media.eq_ignore_ascii_case("application/json");
    let message = if json { Message::Json } else { Message::Protobuf };
    Ok(Form { message, compression })
}
