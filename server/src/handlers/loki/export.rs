//! `export`: all entries of a log query as lines of JSON, without a limit on their number.
//!
//! Stream after stream is read, and within a stream run after run, so that what is held does not
//! grow with the answer. An answer that is not whole ends in a line with `error` and an aborted
//! body, so that no client takes it for a whole one.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use ephemeris_model::{
    Direction, EntryBuffer, LogColumns, LogSelect, LogSource, NanoRange, SourceError,
};
use ephemeris_query::budget::Budget;
use ephemeris_query::logs::ast::{Expr, LogExpr};
use ephemeris_query::logs::engine::{EntryQuery, LogEngine};
use ephemeris_query::logs::parse::parse;
use ephemeris_query::logs::result::LogEntry;
use ephemeris_storage::Stop;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Version};
use hyper::body::Frame;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::answer::{write_labels, write_nanos};
use super::error::LokiError;
use super::held::Held;
use super::params;
use super::request::{LokiRequest, now_ns};
use super::tenants::Tenants;
use crate::api::ApiError;
use crate::api::json::write_string;
use crate::app::App;
use crate::metrics::QueryEnd;
use crate::workers::{CancelOnDrop, Scratch};

/// Bytes of lines that are sent together, about.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the client.
const PIECES_WAITING: usize = 4;
/// How long a client may take for a piece.
const PIECE_WAIT_MAX: Duration = Duration::from_secs(30);
/// A client that takes less than this, all in all, holds a worker for nothing.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;

/// What the worker gives the socket.
enum Part {
    Lines(Vec<u8>),
    /// All was sent. A body without it is not whole.
    End,
}

/// Sends all entries of a log query.
///
/// # Errors
/// If a parameter or the query is wrong, too many exports and remote reads run, or the request is
/// in HTTP/1.0, in which an answer that breaks off looks like a whole one.
pub async fn export(
    State(app): State<Arc<App>>,
    version: Version,
    request: LokiRequest,
) -> Result<Response, LokiError> {
    if version < Version::HTTP_11 {
        let text =
            format!("export takes HTTP/1.1 or later, got {version:?}: its end could not be told");
        return Err(LokiError::bad(text));
    }
    let range = params::range(&request.form, now_ns(&app))?;
    let left = params::count(&request.form, "limit")?.unwrap_or(usize::MAX);
    let Ok(slot) = Arc::clone(&app.read_slots).try_acquire_owned() else {
        let text = "too many exports and remote reads run; limit is a quarter of the queries \
                    (query.concurrency_max)";
        return Err(ApiError::unavailable(text).into());
    };
    let client = CancelOnDrop::default();
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let (started, start) = oneshot::channel();
    let (waited, sent_bytes) = (Cell::default(), Cell::default());
    let handle = Handle::current();
    let outlet = Outlet { sender, handle, started: Some(started), waited, sent_bytes };
    let mut export = Export {
        app: Arc::clone(&app),
        range,
        left,
        out: Vec::new(),
        outlet,
        canceled: client.flag(),
        samples: 0,
    };
    let deadline = Instant::now() + app.config.query.timeout;
    let turn = app.queries.turn(request.caller(&app).as_str(), deadline).await?;
    let job = move |_: &mut Scratch| {
        let began = Instant::now();
        let result = export.run(&request);
        let end = if result.is_ok() { QueryEnd::Answered } else { QueryEnd::Failed };
        export.app.metrics.query_ended(end, began.elapsed(), export.samples);
        let result = result.or_else(|error| export.fail(error));
        drop(slot);
        result
    };
    let running = tokio::spawn(async move { app.queries.run_in(turn, job).await });
    if start.await.is_ok() {
        let mut response =
            Response::new(Body::new(Lines { receiver, _client: client, end: End::Open }));
        let kind = HeaderValue::from_static("application/x-ndjson");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        return Ok(response);
    }
    // The job ended before it began an answer, so it says why.
    let ended = running.await.map_err(|error| ApiError::internal(error.to_string()))?;
    match ended? {
        Err(error) => Err(error),
        Ok(()) => Err(ApiError::internal("the export ended without an answer").into()),
    }
}

/// An export on its worker.
struct Export {
    app: Arc<App>,
    range: NanoRange,
    /// Entries that may still be sent.
    left: usize,
    out: Vec<u8>,
    outlet: Outlet,
    canceled: Arc<AtomicBool>,
    samples: u64,
}

impl Export {
    fn run(&mut self, request: &LokiRequest) -> Result<(), LokiError> {
        let Expr::Log(expr) = parse(request.form.get("query").unwrap_or_default())? else {
            return Err(LokiError::bad("export takes a log query; this one answers numbers"));
        };
        let canceled = Arc::clone(&self.canceled);
        let stop: Stop = Arc::new(move || canceled.load(Ordering::Relaxed));
        let source = request.source(&self.app, &stop)?;
        // What is wrong with the stages is told before the answer begins.
        self.filter(&expr, &[])?;
        self.entries(&source, &expr)
    }

    fn entries(&mut self, source: &Tenants, expr: &LogExpr) -> Result<(), LokiError> {
        let select = LogSelect {
            matchers: expr.matchers.clone(),
            range: self.range,
            direction: Direction::Forward,
            columns: LogColumns { lines: true, metadata: true },
            filters: LogEngine.line_filters(expr)?,
            hints: Vec::new(),
        };
        let set = source.select_streams(&select)?;
        self.outlet.start();
        let mut order: Vec<_> = (0..set.len()).map(|index| (set.labels(index), index)).collect();
        order.sort_unstable();
        let mut buffer = EntryBuffer::default();
        for (labels, index) in order {
            let mut failed = None;
            set.read(index, self.range, &mut buffer, &mut |run| {
                // A run is copied, as a query runs on what it can hold on to.
                match self.write(expr, &[(labels.clone(), run.clone())]) {
                    Ok(()) if self.left > 0 => Ok(ControlFlow::Continue(())),
                    Ok(()) => Ok(ControlFlow::Break(())),
                    Err(error) => {
                        failed = Some(error);
                        Ok(ControlFlow::Break(()))
                    }
                }
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            if self.left == 0 {
                break;
            }
        }
        if let Some(warning) = set.warnings().into_iter().next() {
            return Err(LokiError::from(ApiError::internal(format!("not whole: {warning}"))));
        }
        self.flush()?;
        self.outlet.send(Part::End)
    }

    fn filter(
        &mut self,
        expr: &LogExpr,
        runs: &[crate::tails::Run],
    ) -> Result<Vec<LogEntry>, LokiError> {
        let query = EntryQuery {
            start_ns: self.range.start,
            end_ns: self.range.end,
            direction: Direction::Forward,
            limit: self.left,
            interval_ns: 0,
        };
        // Each run has the time of a query: how long all of it takes is up to the client.
        let budget = Budget::with_cancel(self.app.query_limits(), Arc::clone(&self.canceled));
        let budget = budget.with_account(Arc::clone(&self.app.query_memory));
        let answer = LogEngine.entries(&Held(runs), expr, query, &budget)?;
        self.samples += budget.samples_read();
        Ok(answer.entries)
    }

    fn write(&mut self, expr: &LogExpr, runs: &[crate::tails::Run]) -> Result<(), LokiError> {
        if self.canceled.load(Ordering::Relaxed) {
            return Err(SourceError::Canceled.into());
        }
        for entry in self.filter(expr, runs)? {
            self.left -= 1;
            write_line(&mut self.out, &entry);
            if self.out.len() >= PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LokiError> {
        match std::mem::take(&mut self.out) {
            empty if empty.is_empty() => Ok(()),
            lines => self.outlet.send(Part::Lines(lines)),
        }
    }

    /// Tells in the answer why it ends here, if it has begun.
    fn fail(&mut self, error: LokiError) -> Result<(), LokiError> {
        if self.outlet.started.is_some() {
            return Err(error);
        }
        tracing::warn!(error = error.text(), "an export is not whole");
        self.out.extend_from_slice(b"{\"error\":");
        write_string(&mut self.out, error.text());
        self.out.extend_from_slice(b"}\n");
        self.flush()
    }
}

fn write_line(out: &mut Vec<u8>, entry: &LogEntry) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    write_nanos(out, entry.timestamp_ns);
    out.extend_from_slice(b"\",\"line\":");
    write_string(out, &String::from_utf8_lossy(&entry.line));
    out.extend_from_slice(b",\"labels\":");
    write_labels(out, &entry.stream);
    out.extend_from_slice(b",\"structuredMetadata\":");
    write_labels(out, &entry.metadata);
    if !entry.parsed.is_empty() {
        out.extend_from_slice(b",\"parsed\":");
        write_labels(out, &entry.parsed);
    }
    out.extend_from_slice(b"}\n");
}

/// The worker's end.
struct Outlet {
    sender: mpsc::Sender<Part>,
    handle: Handle,
    started: Option<oneshot::Sender<()>>,
    /// How long it waited for the client, and what it sent.
    waited: Cell<Duration>,
    sent_bytes: Cell<u64>,
}

impl Outlet {
    fn start(&mut self) {
        if let Some(started) = self.started.take() {
            // If nobody waits any more, sending fails next.
            let _ = started.send(());
        }
    }

    /// Waits for a slow client, but not for long: a worker waits with it.
    fn send(&self, part: Part) -> Result<(), LokiError> {
        if let Part::Lines(lines) = &part {
            self.sent_bytes.set(self.sent_bytes.get() + lines.len() as u64);
        }
        let patience = patience(self.sent_bytes.get(), self.waited.get());
        let began = Instant::now();
        let sending = async { tokio::time::timeout(patience, self.sender.send(part)).await };
        let sent = self.handle.block_on(sending);
        self.waited.set(self.waited.get() + began.elapsed());
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SourceError::Canceled.into()),
            Err(_) => Err(LokiError::bad("the client takes too long")),
        }
    }
}

/// How long the next piece may wait, after `sent_bytes` and having waited for so long.
fn patience(sent_bytes: u64, waited: Duration) -> Duration {
    let earned = Duration::from_millis(sent_bytes.saturating_mul(1000) / BYTES_PER_SECOND_MIN);
    PIECE_WAIT_MAX.min((PIECE_WAIT_MAX + earned).saturating_sub(waited))
}

/// The socket's end.
struct Lines {
    receiver: mpsc::Receiver<Part>,
    /// Ends the export when the client goes away.
    _client: CancelOnDrop,
    end: End,
}

/// How far a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// All was sent, or the error was told.
    Whole,
    /// It failed, which is to be told.
    Failed,
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.end {
            End::Whole => return Poll::Ready(None),
            End::Failed => {
                self.end = End::Whole;
                let error = std::io::Error::other("the export failed half-way");
                return Poll::Ready(Some(Err(error)));
            }
            End::Open => {}
        }
        match self.receiver.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Part::Lines(lines))) => {
                Poll::Ready(Some(Ok(Frame::data(lines.into()))))
            }
            Poll::Ready(Some(Part::End)) => {
                self.end = End::Whole;
                Poll::Ready(None)
            }
            Poll::Ready(None) => {
                // An error throws away what is not sent yet, so the line that tells it goes first:
                // what waits is sent whenever a body has nothing to give.
                self.end = End::Failed;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_body_without_its_end_is_an_error() {
        for (whole, parts) in [
            (true, vec![Part::Lines(b"a\n".to_vec()), Part::End]),
            (false, vec![Part::Lines(b"a\n".to_vec())]),
        ] {
            let (sender, receiver) = mpsc::channel(PIECES_WAITING);
            for part in parts {
                sender.send(part).await.expect("there is room");
            }
            drop(sender);
            let lines = Lines { receiver, _client: CancelOnDrop::default(), end: End::Open };
            assert_eq!(lines.collect().await.is_ok(), whole);
        }
    }

    #[test]
    fn a_client_that_stays_slow_runs_out_of_patience() {
        let seconds = Duration::from_secs;
        assert_eq!(patience(0, seconds(0)), PIECE_WAIT_MAX);
        assert_eq!(patience(0, seconds(20)), seconds(10));
        assert_eq!(patience(0, seconds(31)), seconds(0));
        assert_eq!(patience(BYTES_PER_SECOND_MIN * 100, seconds(99)), PIECE_WAIT_MAX);
        assert_eq!(patience(BYTES_PER_SECOND_MIN * 100, seconds(129)), seconds(1));
    }
}
