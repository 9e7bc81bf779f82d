//! Large answers are written piece by piece, when the client has taken the piece before: no second
//! copy of an answer is held, and a slow client holds no thread.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use hyper::body::Frame;

/// Size of a piece; an answer of one piece is sent with its length.
const PIECE_BYTES: usize = 64 << 10;

/// Writes an answer piece by piece.
pub trait Pieces: Send + 'static {
    /// Appends to `out` until it holds `bytes_wanted` or the answer ends.
    fn fill(&mut self, out: &mut Vec<u8>, bytes_wanted: usize) -> More;
}

/// Whether an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// There is more to write.
    Yes,
    /// That was the end.
    No,
}

/// Pieces that keep something until the answer was sent or given up, as what counts its memory.
pub struct Keeping<P, K> {
    pieces: P,
    _kept: K,
}

impl<P, K> Keeping<P, K> {
    /// Keeps `kept` as long as `pieces`.
    pub const fn new(pieces: P, kept: K) -> Self {
        Self { pieces, _kept: kept }
    }
}

impl<P: Pieces, K: Send + 'static> Pieces for Keeping<P, K> {
    fn fill(&mut self, out: &mut Vec<u8>, bytes_wanted: usize) -> More {
        self.pieces.fill(out, bytes_wanted)
    }
}

/// A JSON answer whose first piece is written already.
pub struct Prepared {
    first: Bytes,
    rest: Option<Box<dyn Pieces>>,
}

impl Prepared {
    /// Writes the first piece. To be called where computing is done, not where sockets are served.
    #[must_use]
    pub fn new(mut pieces: impl Pieces) -> Self {
        let mut out = Vec::new();
        match pieces.fill(&mut out, PIECE_BYTES) {
            More::Yes => Self { first: out.into(), rest: Some(Box::new(pieces)) },
            More::No => Self { first: out.into(), rest: None },
        }
    }

    /// An answer that is there as a whole.
    #[must_use]
    pub fn whole(body: Vec<u8>) -> Self {
        Self { first: body.into(), rest: None }
    }
}

impl IntoResponse for Prepared {
    fn into_response(self) -> Response {
        let body = match self.rest {
            None => Body::from(self.first),
            Some(pieces) => Body::new(PieceBody { first: Some(self.first), pieces: Some(pieces) }),
        };
        let mut response = Response::new(body);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

struct PieceBody {
    first: Option<Bytes>,
    pieces: Option<Box<dyn Pieces>>,
}

impl hyper::body::Body for PieceBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(pieces) = &mut self.pieces else { return Poll::Ready(None) };
        let mut out = Vec::with_capacity(PIECE_BYTES + (PIECE_BYTES >> 4));
        if pieces.fill(&mut out, PIECE_BYTES) == More::No {
            self.pieces = None;
        }
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}

/// An answer whose data is a list.
pub struct ListPieces<I, W> {
    items: I,
    write: W,
    written: u64,
    tail: Vec<u8>,
}

impl<T, I, W> ListPieces<I, W>
where
    I: Iterator<Item = T> + Send + 'static,
    W: FnMut(&mut Vec<u8>, T) + Send + 'static,
{
    /// An answer that lists `items`, each written by `write`, with these warnings behind.
    pub fn new(items: I, write: W, warnings: &[String]) -> Self {
        Self { items, write, written: 0, tail: super::json::tail(warnings, &[]) }
    }
}

impl<T, I, W> Pieces for ListPieces<I, W>
where
    I: Iterator<Item = T> + Send + 'static,
    W: FnMut(&mut Vec<u8>, T) + Send + 'static,
{
    fn fill(&mut self, out: &mut Vec<u8>, bytes_wanted: usize) -> More {
        if self.written == 0 {
            out.extend_from_slice(br#"{"status":"success","data":["#);
        }
        while out.len() < bytes_wanted {
            let Some(item) = self.items.next() else {
                out.push(b']');
                out.append(&mut self.tail);
                return More::No;
            };
            if self.written > 0 {
                out.push(b',');
            }
            self.written += 1;
            (self.write)(out, item);
        }
        More::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn body_of(count: u32) -> String {
        let write = |out: &mut Vec<u8>, n: u32| out.extend_from_slice(n.to_string().as_bytes());
        let pieces = ListPieces::new(0..count, write, &["cut".to_owned()]);
        let response = Prepared::new(pieces).into_response();
        let bytes = response.into_body().collect().await.expect("the body is whole").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8")
    }

    #[test]
    fn what_is_kept_is_kept_until_the_answer_ends() {
        let kept = std::sync::Arc::new(());
        let pieces = |count| {
            let write = |out: &mut Vec<u8>, _| out.extend_from_slice(&[b'1'; 100]);
            Keeping::new(ListPieces::new(0..count, write, &[]), std::sync::Arc::clone(&kept))
        };
        let large = Prepared::new(pieces(100_000));
        assert_eq!(std::sync::Arc::strong_count(&kept), 2);
        drop(large.into_response());
        assert_eq!(std::sync::Arc::strong_count(&kept), 1);
        let _small = Prepared::new(pieces(1));
        assert_eq!(std::sync::Arc::strong_count(&kept), 1, "it is written already");
    }

    #[tokio::test]
    async fn a_list_is_the_same_in_one_piece_and_in_many() {
        let small = body_of(2).await;
        assert_eq!(small, r#"{"status":"success","data":[0,1],"warnings":["cut"]}"#);
        let large: serde_json::Value = serde_json::from_str(&body_of(100_000).await).expect("JSON");
        assert_eq!(large["data"].as_array().map(Vec::len), Some(100_000));
        assert_eq!(large["data"][99_999], 99_999);
        assert_eq!(body_of(0).await, r#"{"status":"success","data":[],"warnings":["cut"]}"#);
    }
}
