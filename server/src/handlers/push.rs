//! `POST /api/v1/write`: Prometheus remote write.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ephemeris_ingest::{ErrorKind, IngestError, remote_write as decoder};
use ephemeris_model::{BodyKind, WriteOutcome};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::api::error::ErrorType;
use crate::api::{ApiError, Tenant};
use crate::app::App;
use crate::arrivals::{Protocol, Sent};
use crate::body::{self, ReadError, ReadLimits};
use crate::metrics::WriteEnd;
use crate::room::Room;
use crate::workers::Scratch;

mod pairs;

/// Stores a remote-write request.
pub async fn remote_write(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, request_body) = request.into_parts();
    let began = Instant::now();
    let kind = match kind_of(&parts.headers) {
        Ok(kind) => kind,
        Err(message) => {
            let refusal = (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
            // Which version it was meant to be is not known.
            let protocol = Protocol::RemoteWrite1;
            return refuse(&app, (protocol, began), &parts.headers, request_body, refusal).await;
        }
    };
    let protocol = protocol_of(kind);
    let tenant = match Tenant::from_headers(&parts.headers) {
        Ok(tenant) => tenant,
        Err(error) => {
            let refusal = error.into_text_response();
            return refuse(&app, (protocol, began), &parts.headers, request_body, refusal).await;
        }
    };
    let stated = body::stated_bytes(&request_body);
    let limit = app.config.bodies.compressed_bytes_max;
    if let Some(got) = stated.filter(|got| *got > limit as u64) {
        let got = usize::try_from(got).unwrap_or(usize::MAX);
        let error = refused_body(&IngestError::CompressedTooLarge { got, limit });
        let refusal = error.into_text_response();
        return refuse(&app, (protocol, began), &parts.headers, request_body, refusal).await;
    }
    let (bytes, room) = match read(&app, request_body).await {
        Ok(read) => read,
        Err(error) => return finish(&app, began, kind, Err(error)),
    };
    let received = Instant::now();
    app.metrics.body_read(protocol, bytes.len());
    let name = tenant.as_str().to_owned();
    let result = store(&app, tenant, kind, bytes, room).await;
    let sent = result.as_ref().ok().map(|outcome| Sent {
        stored: outcome.samples_written + outcome.histograms_written + outcome.exemplars_written,
        refused: outcome.rejects.total(),
    });
    app.arrivals.sent((protocol, &name), &parts.headers, sent, app.clock.now().0);
    finish(&app, received, kind, result)
}

/// Decodes and stores on a worker.
async fn store(
    app: &Arc<App>,
    tenant: Tenant,
    kind: BodyKind,
    bytes: Bytes,
    room: Room,
) -> Result<WriteOutcome, ApiError> {
    let worker_app = Arc::clone(app);
    let job = move |scratch: &mut Scratch| -> Result<WriteOutcome, ApiError> {
        let body = (kind, &bytes[..]);
        let outcome = if worker_app.pairs.is_on(tenant.as_str()) {
            pairs::store(&worker_app, &tenant, body, scratch)
        } else {
            store_batch(&worker_app, &tenant, body, scratch)
        };
        // The body waits in the queue even if its sender went away, so it keeps its room till here.
        drop(room);
        outcome
    };
    app.ingest.run(job).await?
}

fn store_batch(
    app: &App,
    tenant: &Tenant,
    (kind, body): (BodyKind, &[u8]),
    scratch: &mut Scratch,
) -> Result<WriteOutcome, ApiError> {
    let batch = decoder::decode(kind, body, &app.config.bodies, &mut scratch.ingest)
        .map_err(|error| refused_body(&error))?;
    app.write(tenant, protocol_of(kind), &batch)
}

const fn protocol_of(kind: BodyKind) -> Protocol {
    match kind {
        BodyKind::RemoteWrite2 | BodyKind::RemoteWrite2Plain => Protocol::RemoteWrite2,
        _ => Protocol::RemoteWrite1,
    }
}

/// Reads a body, which takes room as it comes.
pub(super) async fn read(app: &App, request_body: Body) -> Result<(Bytes, Room), ApiError> {
    let room_bytes = app.config.http.bodies_bytes_max;
    let limits = ReadLimits {
        bytes_max: app.config.bodies.compressed_bytes_max as u64,
        timeout: app.config.http.body_timeout,
    };
    let room = Room::new(Arc::clone(&app.body_room), room_bytes);
    body::read_into(request_body, limits, room).await.map_err(|error| match error {
        ReadError::TooLarge { .. } => {
            let text = format!("{error} (limits.compressed_bytes_max)");
            ApiError::new(ErrorType::TooLarge, text)
        }
        ReadError::Slow => ApiError::new(ErrorType::Slow, error.to_string()),
        ReadError::NoRoom => ApiError::unavailable(format!(
            "bodies of {room_bytes} bytes are being worked on, the limit (http.bodies_bytes_max)"
        )),
        ReadError::Broken(_) => ApiError::bad_data(error.to_string()),
    })
}

/// Refuses a request whose body was not looked at.
pub(super) async fn refuse(
    app: &App,
    (protocol, began): (Protocol, Instant),
    headers: &HeaderMap,
    request_body: Body,
    refusal: Response,
) -> Response {
    // A sender that asks before it sends the body needs no drain.
    if !headers.contains_key(EXPECT) {
        body::drain(request_body).await;
    }
    app.metrics.write_ended(protocol, WriteEnd::Invalid, began.elapsed());
    refusal
}

/// Counts the end of a write and answers it.
fn finish(
    app: &App,
    began: Instant,
    kind: BodyKind,
    result: Result<WriteOutcome, ApiError>,
) -> Response {
    let (end, outcome, mut response) = match result {
        Ok(outcome) if outcome.rejects.is_empty() => {
            (WriteEnd::Stored, outcome, StatusCode::NO_CONTENT.into_response())
        }
        Ok(outcome) => {
            let text = format!("{}\n", describe(&outcome));
            (WriteEnd::Partial, outcome, (StatusCode::BAD_REQUEST, text).into_response())
        }
        Err(error) => {
            let again = matches!(
                error.error_type,
                ErrorType::Unavailable | ErrorType::Internal | ErrorType::RateLimited
            );
            let end = if again { WriteEnd::Busy } else { WriteEnd::Invalid };
            (end, WriteOutcome::default(), error.into_text_response())
        }
    };
    app.metrics.write_ended(protocol_of(kind), end, began.elapsed());
    if kind == BodyKind::RemoteWrite2 {
        add_written(response.headers_mut(), &outcome);
    }
    response
}

/// What a sender whose request was refused in part needs to know.
fn describe(outcome: &WriteOutcome) -> String {
    format!(
        "{} samples, {} histograms and {} exemplars stored; {}",
        outcome.samples_written,
        outcome.histograms_written,
        outcome.exemplars_written,
        outcome.rejects.summary()
    )
}

/// Remote write 2.0 asks for these three with every answer.
fn add_written(headers: &mut HeaderMap, outcome: &WriteOutcome) {
    let written = [
        ("x-prometheus-remote-write-samples-written", outcome.samples_written),
        ("x-prometheus-remote-write-histograms-written", outcome.histograms_written),
        ("x-prometheus-remote-write-exemplars-written", outcome.exemplars_written),
    ];
    for (name, count) in written {
        headers.insert(name, HeaderValue::from(count));
    }
}

pub(super) fn refused_body(error: &IngestError) -> ApiError {
    let error_type = match error.kind() {
        ErrorKind::Limit => ErrorType::TooLarge,
        ErrorKind::Busy => ErrorType::Unavailable,
        _ => ErrorType::BadData,
    };
    ApiError::new(error_type, error.to_string())
}

/// Which message a request holds, by its headers alone.
///
/// # Errors
/// If its encoding or media type is not supported; the text is for the sender.
fn kind_of(headers: &HeaderMap) -> Result<BodyKind, String> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"snappy")
    {
        return Err(format!("content encoding {encoding:?} is not supported; use snappy\n"));
    }
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return Ok(BodyKind::RemoteWrite1) };
    let unsupported = || {
        format!(
            "content type {content_type:?} is not supported; use application/x-protobuf, \
             or application/x-protobuf;proto=io.prometheus.write.v2.Request\n"
        )
    };
    let text = content_type.to_str().map_err(|_| unsupported())?;
    let mut parts = text.split(';').map(str::trim);
    if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-protobuf")) {
        return Err(unsupported());
    }
    let mut kind = BodyKind::RemoteWrite1;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').ok_or_else(unsupported)?;
        if !name.trim().eq_ignore_ascii_case("proto") {
            continue;
        }
        kind = match value.trim().trim_matches('"') {
            "prometheus.WriteRequest" => BodyKind::RemoteWrite1,
            "io.prometheus.write.v2.Request" => BodyKind::RemoteWrite2,
            _ => return Err(unsupported()),
        };
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(content_type: &str, encoding: Option<&str>) -> Option<BodyKind> {
        let mut headers = HeaderMap::new();
        let value = |text: &str| HeaderValue::from_str(text).expect("a header value");
        headers.insert(CONTENT_TYPE, value(content_type));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, value(encoding));
        }
        kind_of(&headers).ok()
    }

    #[test]
    fn the_message_is_chosen_by_content_type() {
        let (one, two) = (Some(BodyKind::RemoteWrite1), Some(BodyKind::RemoteWrite2));
        assert_eq!(kind("application/x-protobuf", Some("snappy")), one);
        assert_eq!(kind("application/x-protobuf", None), one);
        assert_eq!(kind("application/x-protobuf;proto=prometheus.WriteRequest", None), one);
        assert_eq!(kind("application/x-protobuf;proto=io.prometheus.write.v2.Request", None), two);
        assert_eq!(kind("application/x-protobuf; proto=io.prometheus.write.v2.Request", None), two);
        assert_eq!(kind("Application/X-Protobuf; charset=utf-8", None), one);
        assert_eq!(kind_of(&HeaderMap::new()).ok(), one);
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for content_type in [
            "text/plain",
            "application/json",
            "application/x-protobuf;proto=x.Y",
            "application/x-protobuf;proto",
            "application/x-protobuf;",
        ] {
            assert_eq!(kind(content_type, Some("snappy")), None, "{content_type}");
        }
        assert_eq!(kind("application/x-protobuf", Some("gzip")), None);
        assert_eq!(kind("application/x-protobuf", Some("")), None);
    }
}
