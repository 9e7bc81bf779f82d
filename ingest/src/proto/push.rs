//! `logproto.PushRequest`, Loki's push message, and the messages in it.

use prost::Message;

/// A push.
#[derive(Clone, PartialEq, Message)]
pub struct PushRequest {
    /// Streams with their entries.
    #[prost(message, repeated, tag = "1")]
    pub streams: Vec<Stream>,
}

/// A stream.
#[derive(Clone, PartialEq, Message)]
pub struct Stream {
    /// Its label set as text.
    #[prost(bytes = "vec", tag = "1")]
    pub labels: Vec<u8>,
    /// Its entries.
    #[prost(message, repeated, tag = "2")]
    pub entries: Vec<Entry>,
    /// A hash of the labels, which nobody needs.
    #[prost(uint64, tag = "3")]
    pub hash: u64,
}

/// An entry.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// Its time.
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Timestamp>,
    /// Its line.
    #[prost(bytes = "vec", tag = "2")]
    pub line: Vec<u8>,
    /// Its structured metadata.
    #[prost(message, repeated, tag = "3")]
    pub structured_metadata: Vec<Pair>,
}

/// A time.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Timestamp {
    /// Seconds since the epoch.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds in the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A name and its value.
#[derive(Clone, PartialEq, Message)]
pub struct Pair {
    /// Name.
    #[prost(bytes = "vec", tag = "1")]
    pub name: Vec<u8>,
    /// Value.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl Pair {
    /// A pair.
    #[must_use]
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.as_bytes().to_vec(), value: value.as_bytes().to_vec() }
    }
}
