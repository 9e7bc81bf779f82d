//! `/api/v1/metadata` and `/api/v1/targets/metadata`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use ephemeris_model::{Metadata, Source};
use serde::Serialize;

use super::labels::on_reader;
use crate::api::json::success;
use crate::api::stream::Prepared;
use crate::api::{ApiError, Form, Tenant};
use crate::app::App;

#[derive(Serialize)]
struct Entry {
    #[serde(rename = "type")]
    metric_type: &'static str,
    help: String,
    unit: String,
}

/// Lists what is known about metrics: type, help and unit, as sent with remote write.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn metadata(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Prepared, ApiError> {
    let metric = form.get("metric").map(str::to_owned);
    let limit = form.limit("limit")?.unwrap_or(usize::MAX);
    let limit_per_metric = form.limit("limit_per_metric")?.unwrap_or(usize::MAX);
    on_reader(&app, tenant, move |reader| {
        let mut metrics: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for Metadata { metric, metric_type, help, unit } in reader.metadata(metric.as_deref())? {
            if metrics.len() >= limit && !metrics.contains_key(&metric) {
                continue;
            }
            let entries = metrics.entry(metric).or_default();
            if entries.len() < limit_per_metric {
                entries.push(Entry { metric_type: metric_type.as_str(), help, unit });
            }
        }
        Ok(Prepared::whole(success(&metrics, &[])))
    })
    .await
}

/// Metadata by scraped target: empty, since nothing is scraped here.
pub async fn of_targets() -> Prepared {
    let none: [(); 0] = [];
    Prepared::whole(success(&none, &[]))
}
