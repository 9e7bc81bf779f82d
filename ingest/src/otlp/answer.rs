//! What the sender of OTLP is told, in the encoding of its request.

use crate::output::{bytes, number};

pub use super::attributes::base64;

/// Bytes of a text for the sender; what is longer is cut.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// How a request, and so its answer, is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// What is counted in a partial success; the name of its field in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Metrics.
    DataPoints,
    /// Logs.
    LogRecords,
}

/// An `Export…ServiceResponse`: nothing if all went well, else how many were refused and why.
#[must_use]
pub fn response(encoding: Encoding, unit: Unit, refused: u64, message: &str) -> Vec<u8> {
    if refused == 0 && message.is_empty() {
        return match encoding {
            Encoding::Protobuf => Vec::new(),
            Encoding::Json => b"{}".to_vec(),
        };
    }
    let message = cut(message);
    match encoding {
        Encoding::Protobuf => {
            let (mut partial, mut out) = (Vec::new(), Vec::new());
            number(&mut partial, 1, refused);
            bytes(&mut partial, 2, message.as_bytes());
            bytes(&mut out, 1, &partial);
            out
        }
        Encoding::Json => {
            let name = match unit {
                Unit::DataPoints => "rejectedDataPoints",
                Unit::LogRecords => "rejectedLogRecords",
            };
            let partial = serde_json::json!({ name: refused.to_string(), "errorMessage": message });
            serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    }
}

/// A `google.rpc.Status`; `code` is one of gRPC.
#[must_use]
pub fn status(encoding: Encoding, code: u8, message: &str) -> Vec<u8> {
    let message = cut(message);
    match encoding {
        Encoding::Protobuf => {
            let mut out = Vec::new();
            number(&mut out, 1, u64::from(code));
            bytes(&mut out, 2, message.as_bytes());
            out
        }
        Encoding::Json => {
            serde_json::json!({ "code": code, "message": message }).to_string().into_bytes()
        }
    }
}

/// A `google.rpc.Status` with a `RetryInfo`: when to try again.
#[must_use]
pub fn status_with_retry(code: u8, message: &str, after_seconds: u32) -> Vec<u8> {
    let mut out = status(Encoding::Protobuf, code, message);
    let mut any = Vec::new();
    bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    bytes(&mut any, 2, &retry_info(after_seconds));
    bytes(&mut out, 3, &any);
    out
}

/// A `google.rpc.RetryInfo`.
#[must_use]
pub fn retry_info(after_seconds: u32) -> Vec<u8> {
    let (mut duration, mut out) = (Vec::new(), Vec::new());
    number(&mut duration, 1, u64::from(after_seconds));
    bytes(&mut out, 1, &duration);
    out
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_encoding_asked_for() {
        let all = |encoding| response(encoding, Unit::DataPoints, 0, "");
        assert_eq!(all(Encoding::Protobuf), b"");
        assert_eq!(all(Encoding::Json), b"{}");
        let part = |encoding| response(encoding, Unit::DataPoints, 3, "why");
        assert_eq!(part(Encoding::Protobuf), b"\x0a\x07\x08\x03\x12\x03why");
        assert_eq!(
            String::from_utf8_lossy(&part(Encoding::Json)),
            r#"{"partialSuccess":{"errorMessage":"why","rejectedDataPoints":"3"}}"#
        );
        assert_eq!(status(Encoding::Protobuf, 3, "no"), b"\x08\x03\x12\x02no");
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "é".repeat(TEXT_BYTES_MAX);
        assert!(status(Encoding::Protobuf, 3, &long).len() < TEXT_BYTES_MAX + 10);
    }
}
