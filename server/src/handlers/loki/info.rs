//! `format_query`, `drilldown-limits` and `status/buildinfo`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ephemeris_query::logs::parse::parse;
use ephemeris_query::logs::print::prettify;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::params::LIMIT_MAX;
use super::request::LokiRequest;
use crate::api::stream::Prepared;
use crate::app::App;
use crate::config::value::format_duration_ms;

/// The version of Loki whose API this is, our own behind the plus.
const VERSION: &str = concat!("3.7.0+ephemeris.", env!("CARGO_PKG_VERSION"));

fn whole(body: &Value) -> Prepared {
    Prepared::whole(format!("{body}\n").into_bytes())
}

/// A query, written over several lines if it is long; the only errors of the API in JSON.
pub async fn format(request: LokiRequest) -> Response {
    let text = request.form.get("query").unwrap_or_default();
    let formatted = parse(text).map_err(|error| error.to_string());
    let formatted = formatted.and_then(|expr| prettify(&expr).map_err(|error| error.to_string()));
    match formatted {
        Ok(formatted) => super::labels::success(&json!(formatted)).into_response(),
        Err(error) => {
            let body = json!({"status": "invalid-query", "error": error});
            let json = [(CONTENT_TYPE, "application/json")];
            (StatusCode::BAD_REQUEST, json, format!("{body}\n")).into_response()
        }
    }
}

/// What Logs Drilldown may ask for.
pub async fn drilldown_limits(State(app): State<Arc<App>>) -> Prepared {
    let timeout = u64::try_from(app.config.query.timeout.as_millis()).unwrap_or(u64::MAX);
    whole(&json!({
        "limits": {
            "discover_log_levels": true,
            "discover_service_name": [
                "service", "app", "application", "app_name", "name", "app_kubernetes_io_name",
                "container", "container_name", "k8s_container_name", "component", "workload",
                "job", "k8s_job_name",
            ],
            "log_level_fields": ephemeris_ingest::loki::level::LEVEL_FIELDS,
            "max_entries_limit_per_query": LIMIT_MAX,
            "max_line_size_truncate": false,
            "max_query_bytes_read": "0B",
            "max_query_length": "0s",
            "max_query_lookback": "0s",
            "max_query_range": "0s",
            "max_query_series": app.config.query.series_max,
            "metric_aggregation_enabled": false,
            "otlp_config": null,
            "pattern_persistence_enabled": false,
            "query_timeout": format_duration_ms(timeout),
            "retention_period": format_duration_ms(app.config.retention_ms.unsigned_abs()),
            "retention_stream": null,
            "volume_enabled": true,
            "volume_max_series": 1000,
        },
        "pattern_ingester_enabled": true,
        "version": VERSION,
    }))
}

/// Version and build.
pub async fn build_info() -> Prepared {
    whole(&json!({
        "version": VERSION,
        "revision": option_env!("EPHEMERIS_REVISION").unwrap_or(""),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}
