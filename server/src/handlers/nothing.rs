//! Endpoints whose answer is empty because Ephemeris neither scrapes nor evaluates rules, and the
//! answers to what is not offered.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::api::json::success;
use crate::api::stream::Prepared;
use crate::api::{ApiError, ErrorType};

fn answer(data: &Value) -> Prepared {
    Prepared::whole(success(data, &[]))
}

/// No rules.
pub async fn rules() -> Prepared {
    answer(&json!({"groups": []}))
}

/// No alerts.
pub async fn alerts() -> Prepared {
    answer(&json!({"alerts": []}))
}

/// No alertmanagers.
pub async fn alertmanagers() -> Prepared {
    answer(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

/// No targets.
pub async fn targets() -> Prepared {
    answer(&json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}))
}

/// No scrape pools.
pub async fn scrape_pools() -> Prepared {
    answer(&json!({"scrapePools": []}))
}

/// Ends of paths where senders of other protocols knock.
const OTHER_PROTOCOLS: [&str; 5] =
    ["/v1/metrics", "/v1/logs", "/v1/traces", "/loki/api/v1/push", "/api/v2/write"];

/// The answer to a path that no route has.
pub async fn unknown_path(uri: Uri) -> Response {
    let path = uri.path();
    if OTHER_PROTOCOLS.iter().any(|end| path.ends_with(end)) {
        let text = format!(
            "{path} is not served; what is taken is Prometheus remote write at /api/v1/write, OTLP \
             at /v1/metrics and /v1/logs, and Loki's push at /loki/api/v1/push"
        );
        return ApiError::new(ErrorType::NotFound, text).into_response();
    }
    if path.starts_with("/api/") {
        let text = format!("there is no endpoint {path}");
        return ApiError::new(ErrorType::NotFound, text).into_response();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// The answer to a method that the route does not take; what it takes is in `Allow`.
pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    let text = format!("{} does not take {method}", uri.path());
    let mut response = ApiError::bad_data(text).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
