//! OTLP over gRPC: unary calls, which are small enough to be spoken here: a message of five bytes
//! of prefix and its content, an answer of the same form, the status in trailers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ephemeris_ingest::body::Compression;
use ephemeris_ingest::otlp::answer::{self, Encoding, Unit};
use ephemeris_ingest::reflection::{health_service, service_names};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::Frame;

use crate::api::error::{ErrorType, RETRY_AFTER_SECONDS};
use crate::api::{ApiError, Tenant};
use crate::app::App;

use super::otlp::{Export, end_of, grpc_code, is_temporary, protocol_of, store};
use super::push::{read, refused_body};

pub mod reflection;

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// `SERVING`, in `grpc.health.v1.HealthCheckResponse`.
const SERVING: [u8; 2] = [0x08, 0x01];
/// `NOT_SERVING`.
const NOT_SERVING: [u8; 2] = [0x08, 0x02];
/// Compressions that a client may use.
const ACCEPTED: &str = "identity,gzip,deflate,zstd,snappy,lz4";

/// `MetricsService/Export`.
pub async fn export_metrics(State(app): State<Arc<App>>, request: Request) -> Response {
    receive(&app, Unit::DataPoints, request).await
}

/// `LogsService/Export`.
pub async fn export_logs(State(app): State<Arc<App>>, request: Request) -> Response {
    receive(&app, Unit::LogRecords, request).await
}

async fn receive(app: &Arc<App>, unit: Unit, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return not_grpc();
    }
    let began = Instant::now();
    let (parts, request_body) = request.into_parts();
    let result = export(app, unit, &parts.headers, request_body).await;
    app.metrics.write_ended(protocol_of(unit), end_of(&result), began.elapsed());
    match result {
        Ok(received) => {
            let (refused, message) = (received.refused, &received.message);
            answer_message(&answer::response(Encoding::Protobuf, unit, refused, message))
        }
        Err(error) => answer_error(&error),
    }
}

async fn export(
    app: &Arc<App>,
    unit: Unit,
    headers: &HeaderMap,
    request_body: Body,
) -> Result<super::otlp::Received, ApiError> {
    if app.store_if_open().is_none() {
        return Err(ApiError::unavailable("the server is starting"));
    }
    let tenant = Tenant::from_headers(headers)?;
    let encoding = headers.get("grpc-encoding").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let compression = Compression::from_name(encoding).ok_or_else(|| {
        let text = format!("grpc-encoding {encoding:?} is not supported; use {ACCEPTED}");
        ApiError::new(ErrorType::Unsupported, text)
    })?;
    let (frame, room) = read(app, request_body).await?;
    let (bytes, compression) = unframe(&frame, compression)?;
    let encoding = Encoding::Protobuf;
    let headers = headers.clone();
    store(app, tenant, Export { unit, headers, bytes, compression, encoding, room }).await
}

/// The one message of a unary call, and how it is compressed.
fn unframe(frame: &Bytes, compression: Compression) -> Result<(Bytes, Compression), ApiError> {
    let cut = || ApiError::bad_data("the message of the call is cut off");
    let [flag, length @ ..] = frame.first_chunk::<PREFIX_BYTES>().ok_or_else(cut)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut())?;
    if frame.len() - PREFIX_BYTES < length {
        return Err(cut());
    }
    if frame.len() - PREFIX_BYTES > length {
        return Err(ApiError::bad_data("the call has more than one message"));
    }
    let compression = match flag {
        0 => Compression::None,
        1 => compression,
        _ => return Err(ApiError::bad_data("the message has an unknown flag")),
    };
    Ok((frame.slice(PREFIX_BYTES..), compression))
}

/// `grpc.health.v1.Health/Check`, of the server as a whole or of one service.
pub async fn health_check(State(app): State<Arc<App>>, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return not_grpc();
    }
    let service = match read(&app, request.into_body()).await {
        Ok((frame, _room)) => unframe(&frame, Compression::None)
            .and_then(|(message, _)| health_service(&message).map_err(|e| refused_body(&e))),
        Err(error) => Err(error),
    };
    match service {
        Ok(service) if service.is_empty() || service_names().contains(&service) => {}
        Ok(service) => {
            let text = format!("there is no service {service:?}");
            return answer_error(&ApiError::new(ErrorType::NotFound, text));
        }
        Err(error) => return answer_error(&error),
    }
    let serving = app.phase() == crate::app::Phase::Ready;
    answer_message(if serving { &SERVING } else { &NOT_SERVING })
}

/// Any other method.
pub async fn unknown_method(request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return not_grpc();
    }
    let text = format!("there is no method {}", request.uri().path());
    answer_error(&ApiError::new(ErrorType::Unsupported, text))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = media_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+proto") || rest[0] == b';')
}

fn not_grpc() -> Response {
    let text = "this address takes OTLP over gRPC; for OTLP over HTTP see otlp_http_listen\n";
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response()
}

fn frame_of(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(0);
    let mut frame = Vec::with_capacity(PREFIX_BYTES + message.len());
    frame.push(0);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

fn answer_message(message: &[u8]) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Reply { message: Some(frame_of(message)), trailers: Some(trailers) };
    with_headers(Response::new(Body::new(body)))
}

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
    response
}

/// An answer of nothing but headers, as gRPC has it for errors.
fn answer_error(error: &ApiError) -> Response {
    let code = grpc_code(error);
    let mut response = with_headers(StatusCode::OK.into_response());
    let headers = response.headers_mut();
    headers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    if let Ok(message) = HeaderValue::from_str(&percent(&error.message)) {
        headers.insert("grpc-message", message);
    }
    if is_temporary(error) {
        let after = RETRY_AFTER_SECONDS;
        let details = answer::status_with_retry(code, &error.message, after);
        insert_binary(headers, "grpc-status-details-bin", &details);
        insert_binary(headers, "google.rpc.retryinfo-bin", &answer::retry_info(after));
    }
    response
}

fn insert_binary(headers: &mut HeaderMap, name: &'static str, content: &[u8]) {
    if let Ok(value) = HeaderValue::from_str(&answer::base64(content)) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// A text as `grpc-message` has it.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes().take(4096) {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A message, then trailers.
struct Reply {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl hyper::body::Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let message = self.message.take().map(Frame::data);
        let frame = message.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_whole_message() {
        let gzip = Compression::Gzip;
        let frame = Bytes::from_static(b"\x01\0\0\0\x02ab");
        let (message, compression) = unframe(&frame, gzip).expect("whole");
        assert_eq!((&message[..], compression), (&b"ab"[..], gzip));
        for bad in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\0a", b"\x02\0\0\0\0"] {
            assert!(unframe(&Bytes::from_static(bad), gzip).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn messages_are_printable() {
        assert_eq!(percent("50% \u{e9}\n"), "50%25 %C3%A9%0A");
    }
}
