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
    Prepared::whole(format!("{}\n", json!({"status": "success", "data": data})).into_bytes())
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
        for labels in source.streams(&[matchers], range)? {
            for (name, _) in labels.iter() {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        }
        Ok(success(&json!(names)))
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
        for labels in source.streams(&[matchers], range)? {
            values.extend(labels.get(&name).map(str::to_owned));
        }
        Ok(success(&json!(values)))
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
        let found = source.streams(&selectors, range)?;
        Ok(success(&Value::Array(found.iter().map(object).collect())))
    };
    request.run(&app, run).await
}
