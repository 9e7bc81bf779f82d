//! Server reflection: a conversation of requests and answers about the services here, as `grpcurl`
//! and others have it before they call anything.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Buf as _, Bytes, BytesMut};
use ephemeris_ingest::reflection;
use http::HeaderMap;
use hyper::body::Frame;
use tokio::time::{Instant, Sleep, sleep};

use super::{PREFIX_BYTES, frame_of, is_grpc, not_grpc, with_headers};

/// A request names a symbol or file; a longer one is refused.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Requests of one conversation.
const REQUESTS_MAX: u32 = 10_000;
/// A conversation in which nothing is asked for so long is ended.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// `grpc.reflection.v1.ServerReflection/ServerReflectionInfo`, and the same of `v1alpha`.
pub async fn info(request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return not_grpc();
    }
    let conversation = Conversation {
        requests: request.into_body(),
        received: BytesMut::new(),
        answered: 0,
        idle: Box::pin(sleep(IDLE_MAX)),
        state: State::Open,
    };
    with_headers(Response::new(Body::new(conversation)))
}

enum State {
    Open,
    /// It ends with this code and text.
    Ending(u8, &'static str),
    Ended,
}

/// The answers, each made when its request has come and the client takes it.
struct Conversation {
    requests: Body,
    received: BytesMut,
    answered: u32,
    idle: Pin<Box<Sleep>>,
    state: State,
}

impl Conversation {
    /// The answer to the next request that has come whole, or how the conversation ends.
    fn next(&mut self) -> Result<Option<Bytes>, (u8, &'static str)> {
        let Some([flag, length @ ..]) = self.received.first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if *flag != 0 {
            return Err((12, "a request about services may not be compressed"));
        }
        if length > REQUEST_BYTES_MAX {
            return Err((8, "a request about services is longer than 16 KiB"));
        }
        if self.received.len() - PREFIX_BYTES < length {
            return Ok(None);
        }
        if self.answered == REQUESTS_MAX {
            return Err((8, "a conversation about services has 10000 requests at most"));
        }
        self.answered += 1;
        self.received.advance(PREFIX_BYTES);
        let request = self.received.split_to(length);
        match reflection::answer(&request) {
            Ok(answer) => Ok(Some(frame_of(&answer))),
            Err(_) => Err((3, "a request about services is malformed")),
        }
    }

    /// Takes in what comes next; false once nothing does.
    fn receive(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        use hyper::body::Body as _;
        let frame = match Pin::new(&mut self.requests).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(_) => return Poll::Ready(false),
            Poll::Pending => return self.idle.as_mut().poll(context).map(|()| false),
        };
        self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
        if let Ok(data) = frame.into_data() {
            self.received.extend_from_slice(&data);
        }
        Poll::Ready(true)
    }
}

impl hyper::body::Body for Conversation {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            match this.state {
                State::Ended => return Poll::Ready(None),
                State::Ending(code, text) => {
                    this.state = State::Ended;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers(code, text)))));
                }
                State::Open => {}
            }
            match this.next() {
                Ok(Some(answer)) => return Poll::Ready(Some(Ok(Frame::data(answer)))),
                Err((code, text)) => this.state = State::Ending(code, text),
                Ok(None) => match this.receive(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(true) => {}
                    Poll::Ready(false) if this.received.is_empty() => {
                        this.state = State::Ending(0, "");
                    }
                    Poll::Ready(false) => {
                        this.state = State::Ending(3, "a request about services is cut off");
                    }
                },
            }
        }
    }
}

fn trailers(code: u8, text: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from(u16::from(code)));
    if !text.is_empty() {
        trailers.insert("grpc-message", http::HeaderValue::from_static(text));
    }
    trailers
}
