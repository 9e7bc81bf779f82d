//! Errors of Loki's API: a status and plain text.

use axum::response::{IntoResponse, Response};
use ephemeris_model::SourceError;
use ephemeris_query::logs::error::{LogQueryError, ParseError};
use ephemeris_query::promql::error::ErrorKind;
use http::{HeaderValue, StatusCode};

use crate::api::ApiError;
use crate::workers::PoolError;

/// What went wrong.
#[derive(Debug)]
pub struct LokiError {
    status: StatusCode,
    text: String,
    retry_after: Option<HeaderValue>,
}

impl LokiError {
    /// An error with a status of its own.
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    /// What it says.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The request is at fault.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl IntoResponse for LokiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text).into_response();
        let headers = response.headers_mut();
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        if let Some(seconds) = self.retry_after {
            headers.insert(http::header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<ApiError> for LokiError {
    fn from(error: ApiError) -> Self {
        let text = error.message.clone();
        let response = error.into_text_response();
        let retry_after = response.headers().get(http::header::RETRY_AFTER).cloned();
        Self { status: response.status(), text, retry_after }
    }
}

impl From<PoolError> for LokiError {
    fn from(error: PoolError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<SourceError> for LokiError {
    fn from(error: SourceError) -> Self {
        LogQueryError::from(error).into()
    }
}

impl From<ParseError> for LokiError {
    fn from(error: ParseError) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<LogQueryError> for LokiError {
    fn from(error: LogQueryError) -> Self {
        match error.kind() {
            ErrorKind::Invalid | ErrorKind::Limit => Self::bad(error.to_string()),
            ErrorKind::Timeout => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "request timed out, decrease the duration of the request or add more label \
                 matchers (prefer exact match over regex match) to reduce the amount of data \
                 processed",
            ),
            ErrorKind::Canceled => Self::new(
                StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
                "the request was cancelled by the client",
            ),
            ErrorKind::Busy | ErrorKind::Closed => ApiError::unavailable(error.to_string()).into(),
            ErrorKind::Internal => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}
