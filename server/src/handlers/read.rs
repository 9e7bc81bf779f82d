//! `POST /api/v1/read`: Prometheus remote read, so that another Prometheus or Thanos reads here.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use ephemeris_ingest::remote_read::samples::ReadResponse;
use ephemeris_ingest::remote_read::{Query, ReadRequest, ResponseType, chunked, decode};
use ephemeris_ingest::{Limits, body as encoding};
use ephemeris_model::{
    Labels, SampleBuffer, Select, SeriesSet, Source, SourceError, TimeRange, TimestampMs,
};
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::error::QueryError;
use ephemeris_storage::Reader;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use self::frames::{Frames, Outlet};
use crate::api::{ApiError, ErrorType, Tenant};
use crate::app::App;
use crate::body::{self, ReadError, ReadLimits};
use crate::workers::{CancelOnDrop, Scratch};

mod frames;

/// Largest answer in one message.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// Frames that wait for a slow client.
const FRAMES_WAITING: usize = 4;

/// Answers a remote read.
pub async fn read(State(app): State<Arc<App>>, tenant: Tenant, request: Request) -> Response {
    let result = async {
        let body = read_body(&app, request.into_body()).await?;
        let request = parse(&body, &app.config.bodies)?;
        respond(&app, tenant, request).await
    };
    result.await.unwrap_or_else(ApiError::into_text_response)
}

async fn read_body(app: &App, body: Body) -> Result<bytes::Bytes, ApiError> {
    let limits = ReadLimits {
        bytes_max: app.config.bodies.compressed_bytes_max as u64,
        timeout: app.config.http.body_timeout,
    };
    body::read(body, limits).await.map_err(|error| {
        let error_type = match error {
            ReadError::TooLarge { .. } => ErrorType::TooLarge,
            ReadError::Slow => ErrorType::Slow,
            ReadError::NoRoom => ErrorType::Unavailable,
            ReadError::Broken(_) => ErrorType::BadData,
        };
        ApiError::new(error_type, error.to_string())
    })
}

fn parse(body: &[u8], limits: &Limits) -> Result<ReadRequest, ApiError> {
    let bad = |error: ephemeris_ingest::IngestError| ApiError::bad_data(error.to_string());
    let mut buffer = Vec::new();
    let message = encoding::decompress_snappy(body, limits, &mut buffer).map_err(bad)?;
    decode(message).map_err(bad)
}

/// How an answer begins.
enum Start {
    Message(Vec<u8>),
    Stream,
}

async fn respond(
    app: &Arc<App>,
    tenant: Tenant,
    request: ReadRequest,
) -> Result<Response, ApiError> {
    let store = app.store()?;
    let client = CancelOnDrop::default();
    let settings = &app.config.query;
    let limits = BudgetLimits {
        samples_max: settings.samples_max,
        series_max: settings.series_max,
        bytes_max: app.memory_budget_bytes / 2,
        timeout: settings.timeout,
    };
    let budget = Budget::with_cancel(limits, client.flag());
    let (started, start) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(FRAMES_WAITING);
    let mut outlet = Outlet {
        sender,
        handle: Handle::current(),
        timeout: settings.timeout,
        started: Some(started),
    };
    let worker_app = Arc::clone(app);
    let job = move |_: &mut Scratch| -> Result<(), ApiError> {
        let reader = store.reader(tenant.as_str())?;
        let answer = Answer { reader: &reader, request: &request, budget: &budget };
        answer.write(&mut outlet)
    };
    let running = tokio::spawn(async move { worker_app.queries.run(job).await });
    match start.await {
        Ok(Start::Message(message)) => Ok(message_response(message)),
        Ok(Start::Stream) => Ok(stream_response(Frames::new(receiver, running, client))),
        // The job ended before it began an answer, so it says why.
        Err(_) => {
            let ended = running.await.map_err(|error| ApiError::internal(error.to_string()))?;
            ended?.and_then(|()| Err(ApiError::internal("the read ended without an answer")))
        }
    }
}

fn message_response(message: Vec<u8>) -> Response {
    with_headers(message, &[(CONTENT_TYPE, "application/x-protobuf"), (CONTENT_ENCODING, "snappy")])
}

fn stream_response(frames: Frames) -> Response {
    with_headers(Body::new(frames), &[(CONTENT_TYPE, chunked::CONTENT_TYPE)])
}

fn with_headers(body: impl IntoResponse, headers: &[(HeaderName, &'static str)]) -> Response {
    let mut response = body.into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

struct Answer<'a> {
    reader: &'a Reader,
    request: &'a ReadRequest,
    budget: &'a Budget,
}

impl Answer<'_> {
    fn write(&self, outlet: &mut Outlet) -> Result<(), ApiError> {
        let prefers_stream =
            self.request.accepted.first() == Some(&ResponseType::StreamedXorChunks);
        if !prefers_stream {
            return self.message(outlet);
        }
        // A stream holds XOR chunks, and those hold floats alone.
        if !self.has_histograms()? {
            return self.stream(outlet);
        }
        if self.request.accepted.contains(&ResponseType::Samples) {
            return self.message(outlet);
        }
        Err(ApiError::bad_data(
            "the selection holds native histograms, which are served as SAMPLES only; \
             accepted_response_types must name it",
        ))
    }

    fn message(&self, outlet: &mut Outlet) -> Result<(), ApiError> {
        let mut response = ReadResponse::default();
        for query in &self.request.queries {
            self.each_series(query, &mut |labels, samples| {
                response.series(labels, samples);
                if response.len() > MESSAGE_BYTES_MAX {
                    let text = format!(
                        "answer is larger than {MESSAGE_BYTES_MAX} bytes; ask for \
                         STREAMED_XOR_CHUNKS or for less"
                    );
                    return Err(ApiError::bad_data(text));
                }
                Ok(())
            })?;
            response.end_query();
        }
        let body = encoding::compress_snappy(&response.finish());
        outlet.start(Start::Message(body.map_err(|error| ApiError::internal(error.to_string()))?));
        Ok(())
    }

    fn stream(&self, outlet: &mut Outlet) -> Result<(), ApiError> {
        for (index, query) in self.request.queries.iter().enumerate() {
            self.each_series(query, &mut |labels, samples| {
                chunked::frames(index, labels, samples, &mut |frame| {
                    outlet.start(Start::Stream);
                    outlet.send(frame)
                })
            })?;
        }
        outlet.start(Start::Stream);
        outlet.finish()
    }

    fn has_histograms(&self) -> Result<bool, ApiError> {
        let mut found = false;
        for query in &self.request.queries {
            let set = self.select(query)?;
            let mut buffer = SampleBuffer::default();
            self.read(&*set, 0..set.len(), &mut buffer, &mut |_, samples| {
                found |= !samples.histograms.is_empty();
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Visits the series of a query in order of their labels.
    fn each_series(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Labels, &SampleBuffer) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let set = self.select(query)?;
        self.budget.touch_series(set.len() as u64).map_err(QueryError::from)?;
        let mut series: Vec<(Labels, usize)> = (0..set.len()).map(|i| (set.labels(i), i)).collect();
        series.sort_unstable();
        let mut buffer = SampleBuffer::default();
        for (labels, index) in series {
            self.read(&*set, index..index + 1, &mut buffer, &mut |_, samples| {
                if samples.is_empty() { Ok(()) } else { visit(&labels, samples) }
            })?;
        }
        Ok(())
    }

    fn select(&self, query: &Query) -> Result<Arc<dyn SeriesSet + '_>, ApiError> {
        let range = TimeRange::inclusive(TimestampMs(query.start_ms), TimestampMs(query.end_ms));
        let matchers = query.matchers.clone();
        Ok(self.reader.select(&Select { matchers, range })?)
    }

    /// Reads series, counted by the budget; the error of `visit` comes through as it is.
    fn read(
        &self,
        set: &dyn SeriesSet,
        indices: Range<usize>,
        buffer: &mut SampleBuffer,
        visit: &mut dyn FnMut(usize, &SampleBuffer) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let mut problem = None;
        let result = set.read(indices, buffer, &mut |index, samples| {
            self.budget.count_read(samples.len() as u64);
            let checked = self.budget.check().map_err(|error| QueryError::from(error).into());
            checked.and_then(|()| visit(index, samples)).map_err(|error| {
                problem = Some(error);
                SourceError::Canceled
            })
        });
        match problem {
            Some(error) => Err(error),
            None => Ok(result?),
        }
    }
}
