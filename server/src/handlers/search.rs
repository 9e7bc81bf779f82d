//! `/api/v1/search/{metric_names,label_names,label_values}`: names that fit what was typed, as
//! lines of JSON, for editors that complete.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ephemeris_model::{METRIC_NAME, Metadata, Source};
use ephemeris_query::budget::Budget;
use ephemeris_query::promql::error::QueryError;
use ephemeris_storage::Reader;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use self::score::{Algorithm, Case, Terms};
use super::labels::on_reader;
use super::selectors::{range, selectors};
use crate::api::json::write_string;
use crate::api::stream::{More, Pieces, Prepared};
use crate::api::{ApiError, Form, Tenant};
use crate::app::App;
use crate::workers::CancelOnDrop;

mod score;

/// Results of an answer, and of a line of it, unless asked otherwise.
const LIMIT: usize = 100;
/// Most results of an answer.
const LIMIT_MAX: usize = 10_000;
/// Most terms of a request.
const TERMS_MAX: usize = 32;
/// Longest term, in bytes.
const TERM_BYTES_MAX: usize = 256;

/// Searches metric names.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn metric_names(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Response, ApiError> {
    let with_metadata = flag(&form, "include_metadata")?.unwrap_or(false);
    search(&app, tenant, &form, "name", move |reader, form| {
        let names = reader.label_values(METRIC_NAME, &selectors(form)?, range(form)?)?;
        let metadata = if with_metadata { reader.metadata(None)? } else { Vec::new() };
        Ok((names, metadata))
    })
    .await
}

/// Searches label names.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn label_names(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Response, ApiError> {
    search(&app, tenant, &form, "name", |reader, form| {
        Ok((reader.label_names(&selectors(form)?, range(form)?)?, Vec::new()))
    })
    .await
}

/// Searches the values of a label.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn label_values(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Response, ApiError> {
    let Some(label) = form.get("label") else {
        return Err(ApiError::parameter("label", "a label name is required"));
    };
    let label = label.to_owned();
    search(&app, tenant, &form, "value", move |reader, form| {
        Ok((reader.label_values(&label, &selectors(form)?, range(form)?)?, Vec::new()))
    })
    .await
}

/// Names, and metadata of those that are metrics.
type Found = (Vec<String>, Vec<Metadata>);

async fn search(
    app: &Arc<App>,
    tenant: Tenant,
    form: &Form,
    key: &'static str,
    find: impl FnOnce(&Reader, &Form) -> Result<Found, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let request = Request::new(form)?;
    let form = form.clone();
    // Ends the search when the client goes away.
    let client = CancelOnDrop::default();
    let budget = Budget::with_cancel(app.query_limits(), client.flag());
    let prepared = on_reader(app, tenant, move |reader| {
        budget.check().map_err(QueryError::from)?;
        let (names, metadata) = find(reader, &form)?;
        Ok(Prepared::new(request.answer(names, metadata, key, &budget)?))
    });
    let mut response = prepared.await?.into_response();
    drop(client);
    let kind = HeaderValue::from_static("application/x-ndjson; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Rising,
    Falling,
    BestFirst,
}

/// What the three have in common.
struct Request {
    terms: Terms,
    order: Order,
    with_score: bool,
    limit: usize,
    batch: usize,
}

impl Request {
    fn new(form: &Form) -> Result<Self, ApiError> {
        if form.all("search[]").count() > TERMS_MAX {
            let cause = format!("more than {TERMS_MAX} search terms");
            return Err(ApiError::parameter("search[]", cause));
        }
        if let Some(long) = form.all("search[]").find(|term| term.len() > TERM_BYTES_MAX) {
            let cause = format!("term is {} bytes; limit is {TERM_BYTES_MAX}", long.len());
            return Err(ApiError::parameter("search[]", cause));
        }
        let case = match flag(form, "case_sensitive")? {
            None | Some(true) => Case::Sensitive,
            Some(false) => Case::Folded,
        };
        let limit = count(form, "limit")?;
        if limit > LIMIT_MAX {
            return Err(ApiError::parameter("limit", format!("limit is {LIMIT_MAX}")));
        }
        Ok(Self {
            terms: Terms::new(form.all("search[]"), case, fuzzy(form)?),
            order: order(form)?,
            with_score: flag(form, "include_score")?.unwrap_or(false),
            limit,
            batch: count(form, "batch_size")?,
        })
    }

    fn answer(
        &self,
        names: Vec<String>,
        metadata: Vec<Metadata>,
        key: &'static str,
        budget: &Budget,
    ) -> Result<Lines, ApiError> {
        let mut scored: Vec<(f64, String)> = Vec::new();
        for name in names {
            budget.check().map_err(QueryError::from)?;
            scored.extend(self.terms.score(&name).map(|score| (score, name)));
        }
        match self.order {
            Order::Rising => {}
            Order::Falling => scored.reverse(),
            Order::BestFirst => scored.sort_by(|a, b| b.0.total_cmp(&a.0)),
        }
        let has_more = scored.len() > self.limit;
        scored.truncate(self.limit);
        let mut by_name = HashMap::new();
        for one in metadata {
            by_name.entry(one.metric.clone()).or_insert(one);
        }
        Ok(Lines {
            results: scored.into_iter(),
            metadata: by_name,
            key,
            with_score: self.with_score,
            batch: self.batch,
            has_more,
        })
    }
}

fn count(form: &Form, name: &str) -> Result<usize, ApiError> {
    match (form.get(name), form.limit(name)?) {
        (None, _) => Ok(LIMIT),
        (Some(_), Some(count)) => Ok(count),
        (Some(_), None) => Err(ApiError::parameter(name, "must be at least 1")),
    }
}

fn flag(form: &Form, name: &str) -> Result<Option<bool>, ApiError> {
    match form.get(name) {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(other) => Err(ApiError::parameter(name, format!("{other:?} is not true or false"))),
    }
}

fn fuzzy(form: &Form) -> Result<Option<(Algorithm, f64)>, ApiError> {
    let algorithm = match form.get("fuzz_alg") {
        None | Some("subsequence") => Algorithm::Subsequence,
        Some("jarowinkler") => Algorithm::JaroWinkler,
        Some(other) => {
            let cause = format!("{other:?} is not supported; use subsequence or jarowinkler");
            return Err(ApiError::parameter("fuzz_alg", cause));
        }
    };
    let Some(text) = form.get("fuzz_threshold") else {
        return Ok(None);
    };
    match text.parse::<u8>() {
        Ok(percent @ 0..=100) => Ok(Some((algorithm, f64::from(percent) / 100.0))),
        _ => Err(ApiError::parameter("fuzz_threshold", "must be a whole number from 0 to 100")),
    }
}

fn order(form: &Form) -> Result<Order, ApiError> {
    let falling = match form.get("sort_dir") {
        None => None,
        Some("asc") => Some(false),
        Some("dsc") => Some(true),
        Some(other) => {
            let cause = format!("{other:?} is not supported; use asc or dsc");
            return Err(ApiError::parameter("sort_dir", cause));
        }
    };
    match (form.get("sort_by"), falling) {
        (None | Some("alpha"), Some(true)) => Ok(Order::Falling),
        (None | Some("alpha"), _) => Ok(Order::Rising),
        (Some("score"), None) => Ok(Order::BestFirst),
        (Some("score"), Some(_)) => {
            Err(ApiError::parameter("sort_dir", "is only valid with sort_by=alpha"))
        }
        (Some(other), _) => {
            let cause = format!("{other:?} is not supported; use alpha or score");
            Err(ApiError::parameter("sort_by", cause))
        }
    }
}

/// Lines of results, then one that says how it ended.
struct Lines {
    results: std::vec::IntoIter<(f64, String)>,
    metadata: HashMap<String, Metadata>,
    key: &'static str,
    with_score: bool,
    batch: usize,
    has_more: bool,
}

impl Pieces for Lines {
    fn fill(&mut self, out: &mut Vec<u8>, bytes_wanted: usize) -> More {
        while out.len() < bytes_wanted {
            if self.results.len() == 0 {
                let more = self.has_more;
                out.extend_from_slice(
                    format!("{{\"status\":\"success\",\"has_more\":{more}}}\n").as_bytes(),
                );
                return More::No;
            }
            self.line(out);
        }
        More::Yes
    }
}

impl Lines {
    fn line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"results\":[");
        for place in 0..self.batch.min(self.results.len()) {
            let Some((score, name)) = self.results.next() else { break };
            if place > 0 {
                out.push(b',');
            }
            self.result(out, &name, score);
        }
        out.extend_from_slice(b"]}\n");
    }

    fn result(&self, out: &mut Vec<u8>, name: &str, score: f64) {
        out.extend_from_slice(format!("{{\"{}\":", self.key).as_bytes());
        write_string(out, name);
        let mut member = |key: &str, value: &str| {
            out.extend_from_slice(format!(",\"{key}\":").as_bytes());
            write_string(out, value);
        };
        if let Some(metadata) = self.metadata.get(name) {
            member("type", metadata.metric_type.as_str());
            member("help", &metadata.help);
            if !metadata.unit.is_empty() {
                member("unit", &metadata.unit);
            }
        }
        if self.with_score {
            out.extend_from_slice(format!(",\"score\":{score:.4}").as_bytes());
        }
        out.push(b'}');
    }
}
