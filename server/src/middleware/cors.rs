//! Calls from browsers: `OPTIONS` and the `Access-Control-Allow-…` headers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY,
};
use http::{HeaderValue, Method, StatusCode};

use crate::app::App;

/// Answers `OPTIONS` below `/api/` itself and adds the headers an allowed origin needs.
pub async fn cors(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.uri().path().starts_with("/api/");
    let mut response =
        if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let allowed = origin.and_then(|origin| allowed(&app.config.http.cors_origins, &origin));
    if let Some(allowed) = allowed {
        let headers = response.headers_mut();
        let fixed = HeaderValue::from_static;
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            fixed("Accept, Authorization, Content-Type, Origin, X-Scope-OrgID"),
        );
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, fixed("GET, POST, OPTIONS"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, fixed("Date, X-Request-Id"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.append(VARY, fixed("Origin"));
    }
    response
}

/// What `Access-Control-Allow-Origin` says to `origin`, if anything.
pub(crate) fn allowed(setting: &str, origin: &HeaderValue) -> Option<HeaderValue> {
    let mut origins = setting.split(',').map(str::trim).filter(|o| !o.is_empty());
    origins.find_map(|allowed| match allowed {
        "*" => Some(HeaderValue::from_static("*")),
        _ if allowed.as_bytes() == origin.as_bytes() => Some(origin.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_are_allowed() {
        let origin = HeaderValue::from_static("http://a.example");
        assert_eq!(allowed("*", &origin), Some(HeaderValue::from_static("*")));
        assert_eq!(allowed("http://b.example, http://a.example", &origin), Some(origin.clone()));
        assert_eq!(allowed("http://a.example.com", &origin), None);
        assert_eq!(allowed("", &origin), None);
    }
}
