//! What every request of Loki's API brings: tenants, parameters, flags; and how it is worked on.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequest, Request};
use ephemeris_model::Matcher;
use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_query::budget::Budget;
use ephemeris_query::logs::parse::parse_matchers;
use ephemeris_query::logs::result::Categories;
use ephemeris_storage::Stop;
use http::HeaderMap;

use super::super::query::stop_of;
use super::error::LokiError;
use super::tenants::Tenants;
use crate::api::stream::Prepared;
use crate::api::tenant::TENANT_HEADER;
use crate::api::{ApiError, Form, Tenant};
use crate::app::App;
use crate::metrics::QueryEnd;
use crate::workers::CancelOnDrop;

/// Header that asks for labels kept apart by where they come from.
const FLAGS_HEADER: &str = "x-loki-response-encoding-flags";
const CATEGORIZE: &str = "categorize-labels";
/// Tenants of one request, at most.
const TENANTS_MAX: usize = 100;

/// A request of Loki's API.
pub struct LokiRequest {
    /// Whose streams are read; several are separated by `|` in the header.
    tenants: Vec<Tenant>,
    /// Its parameters.
    pub(super) form: Form,
    /// How labels are told.
    pub(super) categories: Categories,
}

impl<S: Sync> FromRequest<S> for LokiRequest {
    type Rejection = LokiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, LokiError> {
        let categories = categories(request.headers());
        let tenants = tenants(request.headers())?;
        let form = Form::from_request(request, state).await?;
        Ok(Self { tenants, form, categories })
    }
}

fn categories(headers: &HeaderMap) -> Categories {
    let flags = headers.get(FLAGS_HEADER).and_then(|value| value.to_str().ok());
    let apart = flags.is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == CATEGORIZE));
    if apart { Categories::Apart } else { Categories::Merged }
}

fn tenants(headers: &HeaderMap) -> Result<Vec<Tenant>, LokiError> {
    match headers.get(TENANT_HEADER).and_then(|value| value.to_str().ok()) {
        Some(names) if names.contains('|') => several(names),
        _ => Ok(vec![Tenant::from_headers(headers)?]),
    }
}

fn several(names: &str) -> Result<Vec<Tenant>, LokiError> {
    let mut names: Vec<&str> = names.split('|').filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > TENANTS_MAX {
        let count = names.len();
        return Err(LokiError::bad(format!("{count} tenants; limit is {TENANTS_MAX}")));
    }
    names.into_iter().map(|name| Ok(Tenant::parse(name.as_bytes())?)).collect()
}

impl LokiRequest {
    /// The selector `name` as matchers; none, empty and `{}` select everything.
    pub(super) fn matchers(&self, name: &str) -> Result<Vec<Matcher>, LokiError> {
        match self.form.get(name) {
            None => Ok(Vec::new()),
            Some(text) => Ok(parse_matchers(text)?),
        }
    }

    /// The tenant of a request that may have only one.
    pub(super) fn only_tenant(&self, what: &str) -> Result<&Tenant, LokiError> {
        match self.tenants.as_slice() {
            [tenant] => Ok(tenant),
            several => {
                let count = several.len();
                Err(LokiError::bad(format!("{count} tenants; {what} takes one")))
            }
        }
    }

    /// What its tenants have stored; selections in it end when `stop` says so.
    pub(super) fn source(&self, app: &App, stop: &Stop) -> Result<Tenants, LokiError> {
        let store = app.store()?;
        let reader = |tenant: &Tenant| {
            let reader = store.reader(tenant.as_str()).map_err(ApiError::from)?;
            Ok((tenant.as_str().to_owned(), reader.with_stop(Arc::clone(stop))))
        };
        let readers: Result<Vec<_>, LokiError> = self.tenants.iter().map(reader).collect();
        Ok(Tenants(readers?))
    }

    /// In whose turn the request is worked on: that of the tenant in it of whom most queries run
    /// and wait. So a busy tenant gets no more turns by being read together with others.
    pub(super) fn caller(&self, app: &App) -> Tenant {
        let busiest = app.queries.turns().busiest(&self.tenants);
        busiest.cloned().unwrap_or_else(Tenant::anonymous)
    }

    /// Runs `job` on a worker of the query pool, on what is stored when it begins.
    pub(super) async fn run(
        self,
        app: &Arc<App>,
        job: impl FnOnce(&Self, &Tenants, &Budget) -> Result<Prepared, LokiError> + Send + 'static,
    ) -> Result<Prepared, LokiError> {
        self.on_worker(app, job).await
    }

    /// As [`LokiRequest::run`], for what is not an answer yet.
    pub(super) async fn read<T: Send + 'static>(
        self,
        app: &Arc<App>,
        job: impl FnOnce(&Tenants, &Budget) -> Result<T, LokiError> + Send + 'static,
    ) -> Result<T, LokiError> {
        self.on_worker(app, |_: &Self, source: &Tenants, budget: &Budget| job(source, budget)).await
    }

    async fn on_worker<T: Send + 'static>(
        self,
        app: &Arc<App>,
        job: impl FnOnce(&Self, &Tenants, &Budget) -> Result<T, LokiError> + Send + 'static,
    ) -> Result<T, LokiError> {
        app.store()?;
        let client = CancelOnDrop::default();
        let budget = Arc::new(app.budget(app.query_limits(), client.flag()));
        let (worker_app, deadline) = (Arc::clone(app), budget.deadline());
        let caller = self.caller(app);
        let task = move |_: &mut crate::workers::Scratch| {
            let began = Instant::now();
            budget.begin();
            let source = self.source(&worker_app, &stop_of(&budget));
            let result = source.and_then(|source| job(&self, &source, &budget));
            let end = if result.is_ok() { QueryEnd::Answered } else { QueryEnd::Failed };
            worker_app.metrics.query_ended(end, began.elapsed(), budget.samples_read());
            result
        };
        let result = app.queries.run(caller.as_str(), deadline, task).await?;
        drop(client);
        result
    }
}

/// The time now in nanoseconds.
pub(super) fn now_ns(app: &App) -> i64 {
    app.clock.now().0.saturating_mul(NANOS_PER_MILLI)
}
