//! Reading bodies: never more than a limit, never slower than a deadline.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use crate::room::Room;

/// Bytes a second that a sender must reach on top of [`ReadLimits::timeout`].
const RATE_BYTES_PER_SECOND: u64 = 64 << 10;
/// Bytes reserved for a body before any of it has come.
const RESERVE_BYTES_MAX: u64 = 1 << 20;

/// How much of a refused body is read, and how long.
const DRAIN_BYTES_MAX: u64 = 128 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Limits on reading a body.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Its size.
    pub bytes_max: u64,
    /// Until it must have come, beside what its size adds.
    pub timeout: Duration,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { bytes_max: 32 << 20, timeout: Duration::from_secs(30) }
    }
}

/// Why a body could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is larger than allowed.
    #[error("request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// It came too slowly.
    #[error("request body did not come in time")]
    Slow,
    /// Other bodies hold all the room.
    #[error("no room for the request body")]
    NoRoom,
    /// The connection broke, or the transfer encoding is wrong.
    #[error("cannot read the request body: {0}")]
    Broken(String),
}

/// Size a body states for itself.
#[must_use]
pub fn stated_bytes(body: &Body) -> Option<u64> {
    body.size_hint().exact()
}

/// Reads a whole body.
///
/// # Errors
/// If it is too large or too slow, or the connection breaks.
pub async fn read(body: Body, limits: ReadLimits) -> Result<Bytes, ReadError> {
    read_counted(body, limits, None).await
}

/// Reads a whole body; what has come of it takes room. The time it waits for room is given to it.
///
/// # Errors
/// As [`read`], and if there is no room; none is held then.
pub async fn read_into(
    body: Body,
    limits: ReadLimits,
    mut room: Room,
) -> Result<(Bytes, Room), ReadError> {
    let bytes = read_counted(body, limits, Some(&mut room)).await?;
    Ok((bytes, room))
}

async fn read_counted(
    mut body: Body,
    limits: ReadLimits,
    mut room: Option<&mut Room>,
) -> Result<Bytes, ReadError> {
    let too_large = || ReadError::TooLarge { limit: limits.bytes_max };
    let stated = stated_bytes(&body).unwrap_or(0);
    if stated > limits.bytes_max {
        drain(body).await;
        return Err(too_large());
    }
    let mut began = Instant::now();
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    loop {
        let length = (whole.len() + first.as_ref().map_or(0, Bytes::len)) as u64;
        let allowed = limits.timeout + Duration::from_secs(length / RATE_BYTES_PER_SECOND);
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = sleep_until(began + allowed) => return Err(ReadError::Slow),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| ReadError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if length + data.len() as u64 > limits.bytes_max {
            drain(body).await;
            return Err(too_large());
        }
        if let Some(room) = &mut room {
            let asked = Instant::now();
            if room.grow_to(length + data.len() as u64).await.is_err() {
                room.release();
                drop((first, whole, data));
                drain(body).await;
                return Err(ReadError::NoRoom);
            }
            began += asked.elapsed();
        }
        match first.take() {
            // A body of one frame, the common case, is handed on as it is.
            None if whole.is_empty() => first = Some(data),
            None => whole.extend_from_slice(&data),
            Some(start) => {
                let reserve = stated.min(RESERVE_BYTES_MAX).max((start.len() + data.len()) as u64);
                whole.reserve(usize::try_from(reserve).unwrap_or(0));
                whole.extend_from_slice(&start);
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// Reads and forgets what comes of a body that was refused, so that the sender gets to read the
/// answer: most write all of the body first. Ends after [`DRAIN_BYTES_MAX`] or [`DRAIN_TIME_MAX`].
pub async fn drain(mut body: Body) {
    let deadline = Instant::now() + DRAIN_TIME_MAX;
    let mut left = DRAIN_BYTES_MAX;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(deadline, body.frame()).await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit() {
        let limits = ReadLimits { bytes_max: 5, ..ReadLimits::default() };
        assert_eq!(read(Body::from("12345"), limits).await.ok().as_deref(), Some(&b"12345"[..]));
        let error = read(Body::from("123456"), limits).await.expect_err("one byte too many");
        assert_eq!(error.to_string(), "request body is larger than 5 bytes");
    }

    /// A body of which nothing ever comes.
    struct Never;

    impl hyper::body::Body for Never {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_ends_the_wait() {
        let limits = ReadLimits { timeout: Duration::from_millis(1), ..ReadLimits::default() };
        assert!(matches!(read(Body::new(Never), limits).await, Err(ReadError::Slow)));
    }
}
