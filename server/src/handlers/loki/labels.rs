//! `labels`, `label/{name}/values` and `series`: answered from the index alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use ephemeris_model::LogSource;
use ephemeris_query::budget::Budget;
use ephemeris_query::logs::parse::parse_matchers;
use serde_json::{Map, Value, json};

use super::error::LokiError;
use super::params;
use super::request::{LokiRequest, now_ns};
use super::tenants::Tenants;
use crate::api::stream::Prepared;
use crate::app::App;

/// The answer with `data`.
pub(super) fn success(data: &Value) -> Prepared {
    success_with(data, &[])
}

/// The answer with `data`, and with what it lacks if there is something.
pub(super) fn success_with(data: &Value, warnings: &[String]) -> Prepared {
    let mut body = json!({"status": "success", "data": data});
    if !warnings.is_empty() {
        body["warnings"] = json!(warnings);
    }
    Prepared::whole(format!("{body}\n").into_bytes())
}

/// Lists label names.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn names(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let range = params::range(&request.form, now_ns(&app))?;
    let matchers = request.matchers("query")?;
    let run = move |_: &LokiRequest, source: &Tenants, _: &Budget| {
        let mut names = BTreeSet::new();
        let list = source.streams(&[matchers], range)?;
        for labels in &list.streams {
            for (name, _) in labels.iter() {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        }
        Ok(success_with(&json!(names), &list.warnings))
    };
    request.run(&app, run).await
}

/// Lists the values of a label.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn values(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let range = params::range(&request.form, now_ns(&app))?;
    let matchers = request.matchers("query")?;
    let run = move |_: &LokiRequest, source: &Tenants, _: &Budget| {
        let mut values = BTreeSet::new();
        let list = source.streams(&[matchers], range)?;
        for labels in &list.streams {
            values.extend(labels.get(&name).map(str::to_owned));
        }
        Ok(success_with(&json!(values), &list.warnings))
    };
    request.run(&app, run).await
}

/// Lists label sets of streams.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn series(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let range = params::range(&request.form, now_ns(&app))?;
    let form = &request.form;
    let texts = form.all("match[]").chain(form.all("match")).filter(|text| !text.is_empty());
    let selectors: Vec<_> = texts.map(parse_matchers).collect::<Result<_, _>>()?;
    let run = move |_: &LokiRequest, source: &Tenants, _: &Budget| {
        let object = |labels: &ephemeris_model::Labels| {
            let pairs = labels.iter().map(|(name, value)| (name.to_owned(), json!(value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        let list = source.streams(&selectors, range)?;
        let found = Value::Array(list.streams.iter().map(object).collect());
        Ok(success_with(&found, &list.warnings))
    };
    request.run(&app, run).await
}
