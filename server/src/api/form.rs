//! Parameters of a request: those of a form in the body first, then those of the URL.

use axum::extract::{FromRequest, Request};
use ephemeris_model::TimestampMs;
use http::Method;
use http::header::CONTENT_TYPE;

use super::time::{parse_duration, parse_time};
use super::{ApiError, ErrorType};
use crate::body;

/// Largest form. The longest query fits, each of its bytes percent-encoded.
pub const FORM_BYTES_MAX: u64 = 1 << 20;
/// Most parameters.
const PAIRS_MAX: usize = 10_000;

/// The parameters, in order; the first of a name counts unless all are asked for.
#[derive(Clone, Debug, Default)]
pub struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// The parameters of a body and of a URL.
    #[must_use]
    pub fn new(body: &[u8], url: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body).chain(form_urlencoded::parse(url));
        Self { pairs: pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect() }
    }

    /// As [`Form::new`], of a request.
    ///
    /// # Errors
    /// If there are too many.
    fn of_request(body: &[u8], url: &[u8]) -> Result<Self, ApiError> {
        let count =
            |text: &[u8]| text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).count();
        let got = count(body) + count(url);
        if got > PAIRS_MAX {
            let text = format!("request has {got} parameters; limit is {PAIRS_MAX}");
            return Err(ApiError::bad_data(text));
        }
        Ok(Self::new(body, url))
    }

    /// The first value of `name`, unless it is empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.pairs.iter().filter(|(key, _)| key == name);
        all.next().map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The time `name`, if it is given.
    ///
    /// # Errors
    /// If it is no time.
    pub fn time(&self, name: &str) -> Result<Option<TimestampMs>, ApiError> {
        let parse = |text| parse_time(text).map_err(|cause| ApiError::parameter(name, cause));
        self.get(name).map(parse).transpose()
    }

    /// The time `name`, which must be given.
    ///
    /// # Errors
    /// If it is missing or no time.
    pub fn required_time(&self, name: &str) -> Result<TimestampMs, ApiError> {
        let text = self.get(name).unwrap_or_default();
        parse_time(text).map_err(|cause| ApiError::parameter(name, cause))
    }

    /// The duration `name` in milliseconds, if it is given.
    ///
    /// # Errors
    /// If it is no duration.
    pub fn duration_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text| parse_duration(text).map_err(|cause| ApiError::parameter(name, cause));
        self.get(name).map(parse).transpose()
    }

    /// The parameter `limit` or one like it; none and 0 are no limit.
    ///
    /// # Errors
    /// If it is no whole number, or negative.
    pub fn limit(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let limit: i64 = text.parse().map_err(|_| {
            ApiError::parameter(name, format!("cannot parse {text:?} to a whole number"))
        })?;
        match usize::try_from(limit) {
            Ok(0) => Ok(None),
            Ok(limit) => Ok(Some(limit)),
            Err(_) => Err(ApiError::parameter(name, "limit must be non-negative")),
        }
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (parts, request_body) = request.into_parts();
        let url = parts.uri.query().unwrap_or_default().as_bytes();
        let is_form = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| {
            let kind = kind.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
            kind.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        });
        if parts.method == Method::GET || !is_form {
            return Self::of_request(b"", url);
        }
        let limits = body::ReadLimits { bytes_max: FORM_BYTES_MAX, ..body::ReadLimits::default() };
        match body::read(request_body, limits).await {
            Ok(bytes) => Self::of_request(&bytes, url),
            Err(error @ body::ReadError::TooLarge { .. }) => {
                Err(ApiError::new(ErrorType::TooLarge, format!("{error}, the limit of a form")))
            }
            Err(error @ body::ReadError::Slow) => {
                Err(ApiError::new(ErrorType::Slow, error.to_string()))
            }
            Err(error) => Err(ApiError::bad_data(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_comes_before_the_url() {
        let form = Form::new(b"query=1%2B1&match[]=a&x=", b"query=2&match[]=b&stats=all&x=1");
        assert_eq!(form.get("query"), Some("1+1"));
        assert_eq!(form.get("stats"), Some("all"));
        assert_eq!(form.get("x"), None, "the first counts, also when it is empty");
        assert_eq!(form.all("match[]").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn parameters_have_a_number_that_is_allowed() {
        let pairs = "a=&".repeat(PAIRS_MAX);
        assert!(Form::of_request(pairs.as_bytes(), b"").is_ok());
        let error = Form::of_request(pairs.as_bytes(), b"b").expect_err("one more").message;
        assert_eq!(error, "request has 10001 parameters; limit is 10000");
    }

    #[test]
    fn limits_are_whole_and_not_negative() {
        let limit = |text: &str| Form::new(b"", text.as_bytes()).limit("limit");
        assert_eq!(limit("limit=5").ok(), Some(Some(5)));
        assert_eq!(limit("limit=0").ok(), Some(None));
        assert_eq!(limit("").ok(), Some(None));
        assert!(limit("limit=-1").is_err_and(|e| e.message.contains("must be non-negative")));
        assert!(limit("limit=x").is_err());
    }
}
