//! `query` and `query_range`.

use std::sync::Arc;

use axum::extract::State;
use ephemeris_query::budget::Budget;
use ephemeris_query::logs::ast::Expr;
use ephemeris_query::logs::engine::{EntryQuery, LogEngine, MetricRange};
use ephemeris_query::logs::parse::parse;

use super::answer;
use super::error::LokiError;
use super::params;
use super::request::{LokiRequest, now_ns};
use super::tenants::Tenants;
use crate::api::stream::Prepared;
use crate::app::App;

/// Evaluates a metric query at one moment.
///
/// # Errors
/// If a parameter is wrong or the query fails.
pub async fn instant(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let at_ns = params::time(&request.form, "time")?.unwrap_or_else(|| now_ns(&app));
    params::limit(&request.form)?;
    params::direction(&request.form)?;
    let run = move |request: &LokiRequest, source: &Tenants, budget: &Budget| {
        let Expr::Metric(expr) = parse(request.form.get("query").unwrap_or_default())? else {
            return Err(LokiError::bad(
                "log queries are not supported as an instant query type, please change your \
                 query to a range query type",
            ));
        };
        let found = LogEngine.instant(source, &expr, at_ns, budget)?;
        Ok(Prepared::whole(answer::metric(&found)))
    };
    request.run(&app, run).await
}

/// Evaluates a metric query at each step of a range, or finds entries in it.
///
/// # Errors
/// If a parameter is wrong or the query fails.
pub async fn range(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let form = &request.form;
    let range = params::range(form, now_ns(&app))?;
    let step_ns = params::step(form, range)?;
    let entries = EntryQuery {
        start_ns: range.start,
        end_ns: range.end,
        direction: params::direction(form)?,
        limit: params::limit(form)?,
        interval_ns: params::interval(form)?,
    };
    let run = move |request: &LokiRequest, source: &Tenants, budget: &Budget| {
        let body = match parse(request.form.get("query").unwrap_or_default())? {
            Expr::Log(expr) => {
                let found = LogEngine.entries(source, &expr, entries, budget)?;
                answer::streams(&found, request.categories)
            }
            Expr::Metric(expr) => {
                let steps = MetricRange { start_ns: range.start, end_ns: range.end, step_ns };
                answer::metric(&LogEngine.range(source, &expr, steps, budget)?)
            }
        };
        Ok(Prepared::whole(body))
    };
    request.run(&app, run).await
}
