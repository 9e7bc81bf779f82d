//! All routes, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::handlers::{
    admin, exemplars, expression, federate, grpc, health, import, labels, metadata, nothing, otlp,
    push, query, status,
};
use crate::middleware::{cors, observe, ready};

/// The routes of the server.
pub fn router(app: &Arc<App>) -> Router {
    // Answers may be large and go to browsers: gzip if the client takes it, nothing else.
    let api = Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/query_exemplars", get(exemplars::query).post(exemplars::query))
        .route("/series", get(labels::series).post(labels::series))
        .route("/labels", get(labels::names).post(labels::names))
        .route("/label/{name}/values", get(labels::values))
        .route("/metadata", get(metadata::metadata))
        .route("/targets/metadata", get(metadata::of_targets))
        .route("/format_query", get(expression::format).post(expression::format))
        .route("/parse_query", get(expression::parse).post(expression::parse))
        .route("/rules", get(nothing::rules))
        .route("/alerts", get(nothing::alerts))
        .route("/alertmanagers", get(nothing::alertmanagers))
        .route("/targets", get(nothing::targets))
        .route("/scrape_pools", get(nothing::scrape_pools))
        .route("/features", get(status::features))
        .route("/status/buildinfo", get(status::build_info))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/runtimeinfo", get(status::runtime_info))
        .route("/status/tsdb", get(status::tsdb))
        .route("/status/ingest", get(status::ingest))
        .route("/admin/tsdb/snapshot", post(admin::snapshot).put(admin::snapshot))
        .route("/admin/tsdb/delete_series", post(admin::delete_series).put(admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", post(admin::clean).put(admin::clean))
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate))
        .route("/status/walreplay", get(status::wal_replay))
        .layer(CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest));

    // Answers to writes carry their length, or no body.
    let writes = Router::new()
        .route("/write", post(push::remote_write))
        .route("/push", post(push::remote_write))
        .route("/import/prometheus", post(import::prometheus).put(import::prometheus))
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate));

    let routes = Router::new()
        .merge(otlp_routes(app))
        .nest("/api/v1", api.merge(writes))
        .route(
            "/federate",
            get(federate::federate).layer(from_fn_with_state(Arc::clone(app), ready::gate)),
        )
        .route("/metrics", get(health::metrics))
        .route(
            "/metrics/{*labels}",
            post(import::pushed)
                .put(import::pushed)
                .layer(from_fn_with_state(Arc::clone(app), ready::gate)),
        )
        .route("/version", get(status::version));
    finish(routes, app)
}

/// OTLP over HTTP; on its own address and on the main one.
fn otlp_routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/v1/metrics", post(otlp::metrics))
        .route("/otlp/v1/metrics", post(otlp::metrics))
        .route("/api/v1/otlp/v1/metrics", post(otlp::metrics))
        .route("/opentelemetry/v1/metrics", post(otlp::metrics))
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate))
}

/// What the address for OTLP over HTTP serves.
pub fn otlp_http(app: &Arc<App>) -> Router {
    finish(otlp_routes(app), app)
}

/// What the address for OTLP over gRPC serves.
pub fn otlp_grpc(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route(
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            post(grpc::export_metrics),
        )
        .route("/grpc.health.v1.Health/Check", post(grpc::health_check))
        .fallback(any(grpc::unknown_method));
    routes.layer(from_fn_with_state(Arc::clone(app), observe::observe)).with_state(Arc::clone(app))
}

fn finish(routes: Router<Arc<App>>, app: &Arc<App>) -> Router {
    routes
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .fallback(any(nothing::unknown_path))
        .method_not_allowed_fallback(nothing::wrong_method)
        .layer(from_fn_with_state(Arc::clone(app), cors::cors))
        .layer(from_fn_with_state(Arc::clone(app), observe::observe))
        .layer(from_fn(observe::harden))
        .with_state(Arc::clone(app))
}
