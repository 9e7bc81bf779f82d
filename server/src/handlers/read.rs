//! `POST /api/v1/read`: Prometheus remote read, so that another Prometheus or Thanos reads here.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ephemeris_ingest::remote_read::{ReadRequest, chunked, decode};
use ephemeris_ingest::{Limits, body as encoding};
use ephemeris_query::budget::Budget;
use ephemeris_query::promql::error::QueryError;
use ephemeris_storage::Store;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use self::answer::Answer;
use self::frames::{Frames, Outlet};
use super::push::read as read_body;
use super::query::{end_of, stop_of};
use crate::active::{ActiveQuery, Entered, Origin};
use crate::api::{ApiError, Tenant};
use crate::app::App;
use crate::workers::{CancelOnDrop, Scratch};

mod answer;
mod frames;

/// Frames that wait for a slow client.
const FRAMES_WAITING: usize = 4;
/// Longest text a read is listed with.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Answers a remote read.
pub async fn read(State(app): State<Arc<App>>, tenant: Tenant, request: Request) -> Response {
    let (parts, request_body) = request.into_parts();
    let origin = Origin::from_headers(&parts.headers);
    let result = async {
        let (body, room) = read_body(&app, request_body).await?;
        let client = CancelOnDrop::default();
        let job = ReadJob::new(&app, tenant, origin, &client)?;
        let work = move |job: &ReadJob, outlet: &mut Outlet| {
            job.budget.check().map_err(QueryError::from)?;
            let request = parse(&body, &job.app.config.bodies)?;
            drop((body, room));
            job.answer(&request, outlet)
        };
        respond(job, client, work).await
    };
    result.await.unwrap_or_else(ApiError::into_text_response)
}

fn parse(body: &[u8], limits: &Limits) -> Result<ReadRequest, ApiError> {
    let bad = |error: ephemeris_ingest::IngestError| ApiError::bad_data(error.to_string());
    let mut buffer = Vec::new();
    let message = encoding::decompress_snappy(body, limits, &mut buffer).map_err(bad)?;
    decode(message).map_err(bad)
}

/// How an answer begins.
enum Start {
    Message(Message),
    Stream,
}

/// An answer in one message; its bytes count in the budget until they were sent.
struct Message {
    bytes: Vec<u8>,
    _budget: Arc<Budget>,
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A remote read on its way through a worker.
struct ReadJob {
    app: Arc<App>,
    store: Arc<Store>,
    tenant: Tenant,
    origin: Origin,
    budget: Arc<Budget>,
    began: Instant,
}

impl ReadJob {
    fn new(
        app: &Arc<App>,
        tenant: Tenant,
        origin: Origin,
        client: &CancelOnDrop,
    ) -> Result<Self, ApiError> {
        let budget = Budget::with_cancel(app.query_limits(), client.flag());
        Ok(Self {
            app: Arc::clone(app),
            store: app.store()?,
            tenant,
            origin,
            budget: Arc::new(budget.with_account(Arc::clone(&app.query_memory))),
            began: Instant::now(),
        })
    }

    fn answer(&self, request: &ReadRequest, outlet: &mut Outlet) -> Result<(), ApiError> {
        let _listed = self.list(request);
        let reader = self.store.reader(self.tenant.as_str())?.with_stop(stop_of(&self.budget));
        Answer::new(&reader, request, &self.budget)?.write(outlet)
    }

    /// Lists the read among the queries that run.
    fn list(&self, request: &ReadRequest) -> Entered {
        let queries = &request.queries;
        let mut text = String::from("remote read");
        for query in queries {
            text.push_str(&format!(" {:?}", query.matchers));
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
        self.app.active.enter(ActiveQuery {
            text,
            tenant: self.tenant.as_str().to_owned(),
            start_ms: queries.iter().map(|query| query.start_ms).min().unwrap_or(0),
            end_ms: queries.iter().map(|query| query.end_ms).max().unwrap_or(0),
            step_ms: 0,
            origin: self.origin.clone(),
            began: self.began,
            budget: Arc::clone(&self.budget),
        })
    }
}

async fn respond(
    job: ReadJob,
    client: CancelOnDrop,
    work: impl FnOnce(&ReadJob, &mut Outlet) -> Result<(), ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let app = Arc::clone(&job.app);
    let Ok(slot) = Arc::clone(&app.read_slots).try_acquire_owned() else {
        return Err(ApiError::unavailable(
            "too many remote reads run; limit is a quarter of the queries (query.concurrency_max)",
        ));
    };
    let (started, start) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(FRAMES_WAITING);
    let mut outlet = Outlet {
        sender,
        handle: Handle::current(),
        deadline: job.budget.deadline(),
        started: Some(started),
    };
    let turn = app.queries.turn(job.tenant.as_str(), job.budget.deadline()).await?;
    let run = move |_: &mut Scratch| -> Result<(), ApiError> {
        let began = Instant::now();
        let result = work(&job, &mut outlet);
        let end = end_of(result.as_ref().err());
        job.app.metrics.query_ended(end, began.elapsed(), job.budget.samples_read());
        drop(slot);
        result
    };
    let running = tokio::spawn(async move { app.queries.run_in(turn, run).await });
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

fn message_response(message: Message) -> Response {
    let bytes = Bytes::from_owner(message);
    with_headers(bytes, &[(CONTENT_TYPE, "application/x-protobuf"), (CONTENT_ENCODING, "snappy")])
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
