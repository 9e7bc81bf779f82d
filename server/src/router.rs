//! All routes, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::handlers::{
    admin, exemplars, expression, federate, grpc, health, import, labels, loki, metadata, nothing,
    otlp, page, push, query, read, search, status,
};
use crate::middleware::{cors, observe, password, ready};

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
        .route("/search/metric_names", get(search::metric_names).post(search::metric_names))
        .route("/search/label_names", get(search::label_names).post(search::label_names))
        .route("/search/label_values", get(search::label_values).post(search::label_values))
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
        .route("/status/active_queries", get(status::active_queries))
        .route("/status/tsdb", get(status::tsdb))
        .route("/status/ingest", get(status::ingest))
        .route("/admin/tsdb/snapshot", post(admin::snapshot).put(admin::snapshot))
        .route("/admin/tsdb/delete_series", post(admin::delete_series).put(admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", post(admin::clean).put(admin::clean))
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate))
        .route("/status/walreplay", get(status::wal_replay))
        .layer(CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest));

    // Bodies both ways are compressed by themselves.
    let reads = Router::new()
        .route("/read", post(read::read))
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate));

    // Answers to writes carry their length, or no body.
    let writes = Router::new()
        .route("/write", post(push::remote_write))
        .route("/push", post(push::remote_write))
        .route("/import/prometheus", post(import::prometheus).put(import::prometheus))
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate));

    let loki_writes = Router::new()
        .route("/push", post(loki::push::push))
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate));

    // What becomes a WebSocket is not compressed.
    let loki_tail = Router::new()
        .route("/tail", get(loki::tail::tail))
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate));

    let routes = Router::new()
        .merge(otlp_routes(app))
        .nest("/loki/api/v1", loki_reads(app).merge(loki_writes).merge(loki_tail))
        .route("/ready", get(health::ready))
        .nest("/api/v1", api.merge(reads).merge(writes))
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
        .route("/version", get(status::version))
        .route("/", get(page::index))
        // Where Grafana's link "open in Prometheus" leads.
        .route("/graph", get(page::index))
        .route("/page/{name}", get(page::part));
    finish(routes, app)
}

/// OTLP over HTTP; on its own address and on the main one.
fn otlp_routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/v1/metrics", post(otlp::metrics))
        .route("/otlp/v1/metrics", post(otlp::metrics))
        .route("/api/v1/otlp/v1/metrics", post(otlp::metrics))
        .route("/opentelemetry/v1/metrics", post(otlp::metrics))
        .route("/v1/logs", post(otlp::logs))
        .route("/otlp/v1/logs", post(otlp::logs))
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
        .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", post(grpc::export_logs))
        .route("/grpc.health.v1.Health/Check", post(grpc::health_check))
        .route(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            post(grpc::reflection::info),
        )
        .route(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            post(grpc::reflection::info),
        )
        .fallback(any(grpc::unknown_method));
    routes
        .layer(from_fn_with_state(Arc::clone(app), password::password))
        .layer(from_fn_with_state(Arc::clone(app), observe::observe))
        .with_state(Arc::clone(app))
}

fn finish(routes: Router<Arc<App>>, app: &Arc<App>) -> Router {
    routes
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .fallback(any(nothing::unknown_path))
        .method_not_allowed_fallback(nothing::wrong_method)
        .layer(from_fn_with_state(Arc::clone(app), password::password))
        // A browser asks what is allowed before it sends a password.
        .layer(from_fn_with_state(Arc::clone(app), cors::cors))
        .layer(from_fn_with_state(Arc::clone(app), observe::observe))
        .layer(from_fn(observe::harden))
        .with_state(Arc::clone(app))
}

/// Loki's API but for its writes.
fn loki_reads(app: &Arc<App>) -> Router<Arc<App>> {
    use loki::{delete, detected, export, index, info, labels, patterns, query};
    Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/labels", get(labels::names).post(labels::names))
        .route("/label", get(labels::names).post(labels::names))
        .route("/label/{name}/values", get(labels::values).post(labels::values))
        .route("/series", get(labels::series).post(labels::series))
        .route("/index/stats", get(index::stats).post(index::stats))
        .route("/index/volume", get(index::volume).post(index::volume))
        .route("/index/volume_range", get(index::volume_range).post(index::volume_range))
        .route("/detected_labels", get(detected::labels).post(detected::labels))
        .route("/detected_fields", get(detected::fields).post(detected::fields))
        .route("/detected_field/{name}/values", get(detected::values).post(detected::values))
        .route("/patterns", get(patterns::patterns).post(patterns::patterns))
        .route("/format_query", get(info::format).post(info::format))
        .route("/export", get(export::export).post(export::export))
        .route(
            "/delete",
            get(delete::list).post(delete::create).put(delete::create).delete(delete::cancel),
        )
        .route_layer(from_fn_with_state(Arc::clone(app), ready::gate))
        .route("/drilldown-limits", get(info::drilldown_limits))
        .route("/status/buildinfo", get(info::build_info))
        .layer(CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest))
}
