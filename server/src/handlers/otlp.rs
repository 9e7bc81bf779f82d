//! OTLP metrics and logs over HTTP, in protobuf and in JSON; the part that gRPC shares with it too.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crate::room::Room;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ephemeris_ingest::body::{Compression, decompress};
use ephemeris_ingest::otlp::answer::{self, Encoding, Unit};
use ephemeris_ingest::otlp::{self, NO_POINT, PairPoints, Replicas, Translated};
use ephemeris_ingest::remote_write::replica::Fate;
use ephemeris_ingest::{Limits, loki, remote_write};
use ephemeris_model::{BodyKind, RejectReason, Rejects, WriteOutcome};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::api::error::{ErrorType, RETRY_AFTER_SECONDS};
use crate::api::{ApiError, Tenant};
use crate::app::App;
use crate::arrivals::{Protocol, Sent};
use crate::body;
use crate::metrics::WriteEnd;
use crate::totals::StoredSeries;
use crate::workers::Scratch;

use super::push::{read, refused_body};

/// What became of a request.
#[derive(Debug, Default)]
pub struct Received {
    /// Points or records stored.
    pub stored: u64,
    /// Points or records refused.
    pub refused: u64,
    /// Why, or what is worth telling; empty if nothing is.
    pub message: String,
}

/// `POST /v1/metrics`: stores an `ExportMetricsServiceRequest`.
pub async fn metrics(State(app): State<Arc<App>>, request: Request) -> Response {
    receive(&app, Unit::DataPoints, request).await
}

/// `POST /v1/logs`: stores an `ExportLogsServiceRequest`.
pub async fn logs(State(app): State<Arc<App>>, request: Request) -> Response {
    receive(&app, Unit::LogRecords, request).await
}

async fn receive(app: &Arc<App>, unit: Unit, request: Request) -> Response {
    let began = Instant::now();
    let (parts, request_body) = request.into_parts();
    let encoding = encoding_of(&parts.headers);
    let accepted = encoding.and_then(|encoding| {
        let compression = compression_of(&parts.headers)?;
        Ok((encoding, compression, Tenant::from_headers(&parts.headers)?))
    });
    let (encoding, compression, tenant) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            body::drain(request_body).await;
            app.metrics.write_ended(protocol_of(unit), WriteEnd::Invalid, began.elapsed());
            return failure(encoding_of(&parts.headers).unwrap_or(Encoding::Json), &error);
        }
    };
    let result = match read(app, request_body).await {
        Ok((bytes, room)) => {
            let headers = parts.headers;
            let request = Export { unit, headers, bytes, compression, encoding, room };
            store(app, tenant, request).await
        }
        Err(error) => Err(error),
    };
    app.metrics.write_ended(protocol_of(unit), end_of(&result), began.elapsed());
    match result {
        Ok(received) => success(encoding, unit, &received),
        Err(error) => failure(encoding, &error),
    }
}

pub(super) const fn protocol_of(unit: Unit) -> Protocol {
    match unit {
        Unit::DataPoints => Protocol::Otlp,
        Unit::LogRecords => Protocol::OtlpLogs,
    }
}

/// How a request ended, for the metrics.
pub(super) fn end_of(result: &Result<Received, ApiError>) -> WriteEnd {
    match result {
        Ok(received) if received.refused == 0 => WriteEnd::Stored,
        Ok(_) => WriteEnd::Partial,
        Err(error) if is_temporary(error) => WriteEnd::Busy,
        Err(_) => WriteEnd::Invalid,
    }
}

/// A request as it came.
pub(super) struct Export {
    /// What it brings.
    pub(super) unit: Unit,
    /// The headers it came with.
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
    pub(super) compression: Compression,
    pub(super) encoding: Encoding,
    pub(super) room: Room,
}

/// Translates and stores a request on a worker.
pub(super) async fn store(
    app: &Arc<App>,
    tenant: Tenant,
    request: Export,
) -> Result<Received, ApiError> {
    app.metrics.body_read(protocol_of(request.unit), request.bytes.len());
    let worker_app = Arc::clone(app);
    let job = move |scratch: &mut Scratch| {
        let result = match request.unit {
            Unit::DataPoints => store_metrics(&worker_app, &tenant, &request, scratch),
            Unit::LogRecords => store_logs(&worker_app, &tenant, &request, scratch),
        };
        let sent = result.as_ref().ok();
        let sent = sent.map(|received| Sent { stored: received.stored, refused: received.refused });
        let source = (protocol_of(request.unit), tenant.as_str());
        let now_ms = worker_app.clock.now().0;
        worker_app.arrivals.sent(source, &request.headers, sent, now_ms);
        // The body waits in the queue even if its sender went away, so it keeps its room till here.
        drop(request.room);
        result
    };
    app.ingest.run(job).await?
}

fn store_metrics(
    app: &App,
    tenant: &Tenant,
    request: &Export,
    scratch: &mut Scratch,
) -> Result<Received, ApiError> {
    let limits = &app.config.bodies;
    let refuse = |error| refused_body(&error);
    let Scratch { ingest, message, protobuf } = scratch;
    let mut message =
        decompress(&request.bytes, request.compression, limits, message).map_err(refuse)?;
    if request.encoding == Encoding::Json {
        otlp::json::metrics_to_protobuf(message, limits.batch_bytes_max, protobuf)
            .map_err(refuse)?;
        message = protobuf;
    }
    let store = app.store()?;
    let (now, owner) = (app.clock.now(), tenant.as_str().to_owned());
    let stored = StoredSeries { store, tenant: owner, now };
    let mut session = app.accumulator.session(tenant.as_str(), &stored);
    let options = &app.config.otlp.options;
    let name = tenant.as_str();
    let mut pairs = app.pairs.is_on(name).then(|| app.pairs.request(name, app.clock.passed()));
    let translated = app.translations.with(|cache| {
        let mut fate = |cluster: &str, replica: &str| match &mut pairs {
            Some(request) => request.fate(cluster, replica),
            None => Fate::Keep,
        };
        let labels = app.pairs.labels();
        let replicas = app.pairs.is_on(name).then_some(Replicas { labels, fate: &mut fate });
        otlp::translate(message, options, limits, &mut session, cache, replicas)
    });
    let mut translated = translated.map_err(refuse)?;
    if !translated.body.is_empty() {
        // It was made here, from a request within its limits.
        let limits = Limits { compressed_bytes_max: usize::MAX, ..*limits };
        let kind = BodyKind::LabelParts;
        let batch = remote_write::decode(kind, &translated.body, &limits, ingest)
            .map_err(|error| refused_body(&error))?;
        let outcome = app.write(tenant, Protocol::Otlp, &batch)?;
        let written = outcome.samples_written + outcome.histograms_written;
        if let Some(request) = pairs.filter(|_| written > 0 || outcome.rejects.is_empty()) {
            request.stored();
        }
        if outcome.rejects.is_empty() {
            session.commit();
        } else {
            let refused = refused_points(&translated, &outcome);
            translated.refused.add(refused, outcome.rejects.summary());
        }
    } else if translated.pairs != PairPoints::default() {
        app.arrivals.came((Protocol::Otlp, name), now.0);
    }
    count_pairs(app, name, &mut translated, now.0);
    app.metrics.points_refused(translated.refused.points);
    let message = translated.refused.message();
    let refused = translated.refused.points;
    Ok(Received { stored: translated.points.saturating_sub(refused), refused, message })
}

fn store_logs(
    app: &App,
    tenant: &Tenant,
    request: &Export,
    scratch: &mut Scratch,
) -> Result<Received, ApiError> {
    let limits = &app.config.bodies;
    let refuse = |error| refused_body(&error);
    let Scratch { message, protobuf, .. } = scratch;
    let mut message =
        decompress(&request.bytes, request.compression, limits, message).map_err(refuse)?;
    if request.encoding == Encoding::Json {
        otlp::json::logs_to_protobuf(message, limits.batch_bytes_max, protobuf).map_err(refuse)?;
        message = protobuf;
    }
    let received_ns = app.clock.now().0.saturating_mul(1_000_000);
    let body = otlp::logs::to_push(message, received_ns, limits).map_err(refuse)?;
    if body.is_empty() {
        return Ok(Received::default());
    }
    // It was made here, from a request within its limits.
    let limits = Limits { compressed_bytes_max: usize::MAX, ..*limits };
    let mut buffers = loki::Buffers::default();
    let batch = loki::decode(BodyKind::LokiPushPlain, &body, &limits, &mut buffers);
    let outcome = app.write_logs(tenant, Protocol::OtlpLogs, &batch.map_err(refuse)?)?;
    let refused = outcome.rejects.total();
    let message = if refused == 0 { String::new() } else { outcome.rejects.summary() };
    Ok(Received { stored: outcome.entries_written, refused, message })
}

/// Counts points of agents that come in pairs and were not stored. Those that another replica's were
/// stored for count as stored, for they are: by that one.
fn count_pairs(app: &App, tenant: &str, translated: &mut Translated, now_ms: i64) {
    let PairPoints { dropped, refused } = translated.pairs;
    let source = (Protocol::Otlp, tenant);
    if dropped > 0 {
        app.pairs.deduplicated.add(dropped);
        app.arrivals.deduplicated(source, dropped, now_ms);
    }
    if refused > 0 {
        let mut rejects = Rejects::default();
        rejects.add(RejectReason::TooManyClusters, refused, || app.pairs.refusal());
        app.metrics.rejected(&rejects);
        app.arrivals.rejected(source, &rejects, now_ms);
        translated.refused.add(refused, rejects.summary());
    }
}

/// How many data points the store refused, whole or in part.
fn refused_points(translated: &Translated, outcome: &WriteOutcome) -> u64 {
    let origins = translated.sample_points.iter().chain(&translated.histogram_points);
    let refused = origins.enumerate().filter(|(item, _)| outcome.is_refused(*item));
    let points: HashSet<u32> =
        refused.map(|(_, point)| *point).filter(|p| *p != NO_POINT).collect();
    points.len() as u64
}

/// How the request is encoded, by its content type.
fn encoding_of(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/x-protobuf") {
        Ok(Encoding::Protobuf)
    } else if media_type.eq_ignore_ascii_case("application/json") {
        Ok(Encoding::Json)
    } else {
        Err(ApiError::new(
            ErrorType::MediaType,
            format!(
                "content type {text:?} is not supported; use application/x-protobuf or \
                 application/json"
            ),
        ))
    }
}

/// How the body is compressed.
pub(super) fn compression_of(headers: &HeaderMap) -> Result<Compression, ApiError> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(Compression::None) };
    let known = value.to_str().ok().and_then(Compression::from_name);
    known.filter(|_| values.next().is_none()).ok_or_else(|| {
        let names = Compression::NAMES;
        let text = format!("content encoding {value:?} is not supported; use one of {names}");
        ApiError::new(ErrorType::MediaType, text)
    })
}

fn success(encoding: Encoding, unit: Unit, received: &Received) -> Response {
    let body = answer::response(encoding, unit, received.refused, &received.message);
    with_type(StatusCode::OK, encoding, body)
}

fn failure(encoding: Encoding, error: &ApiError) -> Response {
    // Senders of OTLP give up on a 500, so what may pass is never one.
    let status = if is_temporary(error) && error.error_type != ErrorType::RateLimited {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        error.error_type.status()
    };
    let body = answer::status(encoding, grpc_code(error), &error.message);
    let mut response = with_type(status, encoding, body);
    if is_temporary(error) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

fn with_type(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let media_type = HeaderValue::from_static(encoding.media_type());
    (status, [(CONTENT_TYPE, media_type)], body).into_response()
}

/// Whether the same request may be fine later.
pub(super) const fn is_temporary(error: &ApiError) -> bool {
    matches!(
        error.error_type,
        ErrorType::Unavailable | ErrorType::Internal | ErrorType::Timeout | ErrorType::RateLimited
    )
}

/// The code of gRPC for an error.
pub(super) const fn grpc_code(error: &ApiError) -> u8 {
    match error.error_type {
        ErrorType::TooLarge | ErrorType::RateLimited => 8,
        ErrorType::NotFound => 5,
        ErrorType::Unsupported | ErrorType::MediaType => 12,
        ErrorType::Canceled => 1,
        ErrorType::Slow => 4,
        ErrorType::Unavailable | ErrorType::Internal | ErrorType::Timeout => 14,
        ErrorType::BadData | ErrorType::Execution | ErrorType::Disabled => 3,
    }
}
