//! A stream of frames from the worker that reads to the socket that sends.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Frame;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::Start;
use crate::api::{ApiError, ErrorType};
use crate::workers::{CancelOnDrop, PoolError};

/// How long a client may take for a frame.
const FRAME_WAIT_MAX: Duration = Duration::from_secs(5);

/// What a worker gives a frame.
enum Part {
    Frame(Vec<u8>),
    /// All was sent. A stream without it is not whole.
    End,
}

/// The worker's end.
pub(super) struct Outlet {
    pub(super) sender: mpsc::Sender<Piece>,
    pub(super) handle: Handle,
    /// Until when all of the answer must have been taken.
    pub(super) deadline: Instant,
    pub(super) started: Option<oneshot::Sender<Start>>,
}

/// A frame, or the end.
pub(super) struct Piece(Part);

impl Outlet {
    /// Begins the answer, the first time it is called.
    pub(super) fn start(&mut self, start: Start) {
        if let Some(started) = self.started.take() {
            // If nobody waits any more, sending fails next.
            let _ = started.send(start);
        }
    }

    /// Sends a frame; waits for a slow client, but not for long: a worker waits with it.
    pub(super) fn send(&self, frame: Vec<u8>) -> Result<(), ApiError> {
        self.push(Piece(Part::Frame(frame)))
    }

    /// Tells that all was sent.
    pub(super) fn finish(&self) -> Result<(), ApiError> {
        self.push(Piece(Part::End))
    }

    fn push(&self, piece: Piece) -> Result<(), ApiError> {
        let until = self.deadline.min(Instant::now() + FRAME_WAIT_MAX);
        let sending = async { timeout_at(until.into(), self.sender.send(piece)).await };
        match self.handle.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ApiError::new(ErrorType::Canceled, "the client went away")),
            Err(_) => Err(ApiError::new(ErrorType::Timeout, "the client takes too long")),
        }
    }
}

/// The socket's end: a body of frames. If reading fails half-way the body ends in an error, so that
/// it is not taken for a whole one.
pub(super) struct Frames {
    receiver: mpsc::Receiver<Piece>,
    running: JoinHandle<Result<Result<(), ApiError>, PoolError>>,
    /// Ends the read when the client goes away.
    _client: CancelOnDrop,
    ended: bool,
}

impl Frames {
    pub(super) fn new(
        receiver: mpsc::Receiver<Piece>,
        running: JoinHandle<Result<Result<(), ApiError>, PoolError>>,
        client: CancelOnDrop,
    ) -> Self {
        Self { receiver, running, _client: client, ended: false }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match self.receiver.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Piece(Part::Frame(frame)))) => {
                Poll::Ready(Some(Ok(Frame::data(frame.into()))))
            }
            Poll::Ready(Some(Piece(Part::End))) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(Some(Err(std::io::Error::other("reading failed half-way"))))
            }
        }
    }
}
