//! `/api/v1/query_exemplars`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ephemeris_model::{Exemplar, Labels, Source};
use ephemeris_query::promql::parse::parse;
use http::StatusCode;

use super::labels::on_reader;
use super::selectors::range;
use super::tree::selectors_of;
use crate::api::json::write_labels;
use crate::api::number::{write_timestamp, write_value};
use crate::api::stream::{ListPieces, Prepared};
use crate::api::{ApiError, Form, Tenant};
use crate::app::App;

/// Lists the exemplars of all series the selectors of a query select.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn query(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Response, ApiError> {
    let range = range(&form)?;
    let answer = on_reader(&app, tenant, move |reader| {
        let text = form.get("query").unwrap_or_default();
        let expr = parse(text).map_err(|error| ApiError::parameter("query", error))?;
        let selectors = selectors_of(&expr);
        if selectors.is_empty() {
            return Ok(None);
        }
        let found = reader.exemplars(&selectors, range)?;
        let warnings = reader.warnings();
        Ok(Some(Prepared::new(ListPieces::new(found.into_iter(), write_series, &warnings))))
    });
    let nothing = || StatusCode::NO_CONTENT.into_response();
    Ok(answer.await?.map_or_else(nothing, IntoResponse::into_response))
}

fn write_series(out: &mut Vec<u8>, (labels, exemplars): (Labels, Vec<Exemplar>)) {
    out.extend_from_slice(br#"{"seriesLabels":"#);
    write_labels(out, &labels);
    out.extend_from_slice(br#","exemplars":["#);
    for (at, exemplar) in exemplars.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b"," } else { b"" });
        out.extend_from_slice(br#"{"labels":"#);
        write_labels(out, &exemplar.labels);
        out.extend_from_slice(br#","value":""#);
        write_value(out, exemplar.value);
        out.extend_from_slice(br#"","timestamp":"#);
        write_timestamp(out, exemplar.timestamp_ms);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}
