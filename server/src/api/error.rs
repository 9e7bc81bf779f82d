//! Errors of the API: which status and `errorType` each has is said here and nowhere else.

use axum::response::{IntoResponse, Response};
use ephemeris_model::SourceError;
use ephemeris_query::promql::error::{ErrorKind as QueryErrorKind, QueryError};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use super::json::{Html, write_escaped};

/// Seconds after which a client that met a full queue may try again.
pub const RETRY_AFTER_SECONDS: u32 = 5;

/// What kind of error it is, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The request is at fault.
    BadData,
    /// The query cannot be answered.
    Execution,
    /// The client went away.
    Canceled,
    /// The query took too long.
    Timeout,
    /// The server is at fault.
    Internal,
    /// There is no such thing.
    NotFound,
    /// The request is larger than allowed.
    TooLarge,
    /// The body did not come in time.
    Slow,
    /// Not now: the server starts, stops, or has too much to do.
    Unavailable,
    /// The encoding of the request is not spoken here.
    MediaType,
    /// Too much in too short a time; a setting says how much is allowed.
    RateLimited,
    /// Not here: a setting forbids it.
    Disabled,
    /// Not yet: it is not built.
    Unsupported,
}

impl ErrorType {
    /// Name in `errorType`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadData | Self::TooLarge | Self::Slow | Self::MediaType => "bad_data",
            Self::RateLimited => "too_many_requests",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::NotFound => "not_found",
            Self::Unavailable | Self::Disabled | Self::Unsupported => "unavailable",
        }
    }

    /// Status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            // The convention for a client that closed its request.
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Timeout | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal | Self::Disabled => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// An error as the API answers it.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// Its kind.
    pub error_type: ErrorType,
    /// What is wrong, for people.
    pub message: String,
    /// Warnings met before the error.
    pub warnings: Vec<String>,
}

impl ApiError {
    /// An error without warnings.
    #[must_use]
    pub fn new(error_type: ErrorType, message: impl Into<String>) -> Self {
        Self { error_type, message: message.into(), warnings: Vec::new() }
    }

    /// The request is at fault.
    #[must_use]
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorType::BadData, message)
    }

    /// A parameter is at fault.
    #[must_use]
    pub fn parameter(name: &str, cause: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {cause}"))
    }

    /// The server is at fault.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorType::Internal, message)
    }

    /// The server cannot do it now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorType::Unavailable, message)
    }

    /// The answer as plain text, for protocols whose senders log the body as it is.
    #[must_use]
    pub fn into_text_response(self) -> Response {
        let mut response =
            (self.error_type.status(), format!("{}\n", self.message)).into_response();
        self.add_retry_after(&mut response);
        response
    }

    fn add_retry_after(&self, response: &mut Response) {
        if matches!(self.error_type, ErrorType::Unavailable | ErrorType::RateLimited) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
    }

    fn body(&self) -> Vec<u8> {
        let mut out = br#"{"status":"error","errorType":""#.to_vec();
        out.extend_from_slice(self.error_type.as_str().as_bytes());
        out.extend_from_slice(br#"","error":"#);
        write_escaped(&mut out, &self.message, Html::Escape);
        out.extend_from_slice(&super::json::tail(&self.warnings, &[]));
        out
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let mut response =
            (self.error_type.status(), [(CONTENT_TYPE, json)], self.body()).into_response();
        self.add_retry_after(&mut response);
        response
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let error_type = match error.kind() {
            QueryErrorKind::Invalid | QueryErrorKind::Limit => ErrorType::Execution,
            QueryErrorKind::Timeout => ErrorType::Timeout,
            QueryErrorKind::Canceled => ErrorType::Canceled,
            QueryErrorKind::Busy | QueryErrorKind::Closed => ErrorType::Unavailable,
            QueryErrorKind::Internal => ErrorType::Internal,
        };
        Self::new(error_type, error.to_string())
    }
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> Self {
        let error_type = match &error {
            SourceError::Closed => ErrorType::Unavailable,
            SourceError::Canceled => ErrorType::Canceled,
            SourceError::Limit(_) => ErrorType::Execution,
            _ => ErrorType::Internal,
        };
        Self::new(error_type, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_order_and_escapes_of_the_api() {
        let mut error = ApiError::parameter("query", "1:1: parse error: unexpected <op:+>");
        error.warnings.push("w".to_owned());
        let expected = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:1: parse error: unexpected \u003cop:+\u003e","warnings":["w"]}"#;
        assert_eq!(String::from_utf8_lossy(&error.body()), expected);
    }

    #[test]
    fn a_refusal_that_passes_says_when_to_come_back() {
        let response = ApiError::unavailable("busy").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        let response = ApiError::new(ErrorType::Canceled, "gone").into_text_response();
        assert_eq!(response.status().as_u16(), 499);
        assert!(response.headers().get(RETRY_AFTER).is_none());
    }
}
