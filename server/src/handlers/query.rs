//! `/api/v1/query` and `/api/v1/query_range`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use ephemeris_model::TimestampMs;
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::annotations::Severity;
use ephemeris_query::promql::ast::{Expr, ValueType};
use ephemeris_query::promql::engine::{Engine, EngineOptions, RangeQuery};
use ephemeris_query::promql::error::QueryError;
use ephemeris_query::promql::light::is_light;
use ephemeris_query::promql::parse::parse;
use ephemeris_query::promql::reach::reach;
use ephemeris_query::promql::result::Answer;
use ephemeris_storage::{ReadLimits, Stop, Store};
use http::HeaderMap;

use crate::active::{ActiveQuery, Origin};
use crate::api::answer::{AnswerPieces, TRUNCATED, truncate};
use crate::api::error::ErrorType;
use crate::api::stats::{AnswerStats, StatsDetail};
use crate::api::stream::{Keeping, Prepared};
use crate::api::{ApiError, Form, Tenant};
use crate::app::App;
use crate::at_once::{AtOnce, Exceeded, READS};
use crate::metrics::QueryEnd;
use crate::reuse::Asked;
use crate::workers::CancelOnDrop;

/// Most points of a series in the answer to a range query, as in Prometheus.
const POINTS_MAX: i64 = 11_000;
/// A query that takes longer is logged.
const SLOW: Duration = Duration::from_secs(10);
/// Bytes of a slow query's text that are logged.
const LOGGED_TEXT_BYTES: usize = 1000;

/// Evaluates a query at one moment.
///
/// # Errors
/// If a parameter is wrong or the query fails.
pub async fn instant(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    headers: HeaderMap,
    form: Form,
) -> Result<Prepared, ApiError> {
    let at = form.time("time")?.unwrap_or_else(|| app.clock.now());
    let request = QueryRequest::new(&app, &form, Origin::from_headers(&headers))?;
    request.run(&app, tenant, Times::Instant(at)).await
}

/// Evaluates a query at each step of a range.
///
/// # Errors
/// If a parameter is wrong or the query fails.
pub async fn range(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    headers: HeaderMap,
    form: Form,
) -> Result<Prepared, ApiError> {
    let range = range_of(&form)?;
    let request = QueryRequest::new(&app, &form, Origin::from_headers(&headers))?;
    request.run(&app, tenant, Times::Range(range)).await
}

fn range_of(form: &Form) -> Result<RangeQuery, ApiError> {
    let start = form.required_time("start")?;
    let end = form.required_time("end")?;
    if end < start {
        let cause = "end timestamp must not be before start time";
        return Err(ApiError::parameter("end", cause));
    }
    let step = form.get("step").unwrap_or_default();
    let step_ms = crate::api::time::parse_duration(step)
        .map_err(|cause| ApiError::parameter("step", cause))?;
    if step_ms <= 0 {
        let cause = "zero or negative query resolution step widths are not accepted. \
                     Try a positive integer";
        return Err(ApiError::parameter("step", cause));
    }
    if (end - start) / step_ms > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. \
             Try decreasing the query resolution (?step=XX)",
        ));
    }
    Ok(RangeQuery { start, end, step_ms })
}

#[derive(Clone, Copy)]
enum Times {
    Instant(TimestampMs),
    Range(RangeQuery),
}

impl Times {
    /// How many milliseconds from the first to the last, and how many there are.
    fn extent(self) -> (i64, i64) {
        match self {
            Self::Instant(_) => (0, 1),
            Self::Range(RangeQuery { start, end, step_ms }) => {
                let span = end.0.saturating_sub(start.0);
                (span, (span / step_ms.max(1)).saturating_add(1))
            }
        }
    }
}

/// What answers a query: the server, its store, and whose data.
type Data<'a> = (&'a App, &'a Store, &'a str);

/// What both kinds of query share.
struct QueryRequest {
    text: String,
    limit: Option<usize>,
    detail: StatsDetail,
    /// About the request itself.
    warning: Option<String>,
    limits: BudgetLimits,
    engine: Engine,
    origin: Origin,
}

impl QueryRequest {
    fn new(app: &App, form: &Form, origin: Origin) -> Result<Self, ApiError> {
        let settings = &app.config.query;
        let asked = form.duration_ms("timeout")?;
        let timeout = asked.map_or(settings.timeout, |ms| {
            Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(settings.timeout)
        });
        let (detail, warning) = StatsDetail::from_parameter(form.get("stats"));
        let mut options =
            EngineOptions { explain: detail == StatsDetail::All, ..app.engine.options().clone() };
        if let Some(lookback_ms) = form.duration_ms("lookback_delta")?.filter(|ms| *ms > 0) {
            options.lookback_ms = lookback_ms;
        }
        Ok(Self {
            text: form.get("query").unwrap_or_default().to_owned(),
            limit: form.limit("limit")?,
            detail,
            warning,
            limits: BudgetLimits { timeout, ..app.query_limits() },
            engine: Engine::new(options),
            origin,
        })
    }

    /// How the query is listed while it runs.
    fn listed(&self, tenant: &Tenant, times: Times, budget: &Arc<Budget>) -> ActiveQuery {
        let (start, end, step_ms) = match times {
            Times::Instant(at) => (at, at, 0),
            Times::Range(range) => (range.start, range.end, range.step_ms),
        };
        ActiveQuery {
            text: self.text.clone(),
            tenant: tenant.as_str().to_owned(),
            start_ms: start.0,
            end_ms: end.0,
            step_ms,
            origin: self.origin.clone(),
            began: Instant::now(),
            budget: Arc::clone(budget),
        }
    }

    /// Runs the query on a worker. The budget's time begins now, so waiting counts.
    async fn run(self, app: &Arc<App>, tenant: Tenant, times: Times) -> Result<Prepared, ApiError> {
        let store = app.store()?;
        let client = CancelOnDrop::default();
        let budget = Arc::new(app.budget(self.limits, client.flag()));
        let (asked, deadline) = (Instant::now(), budget.deadline());
        let listed = app.active.enter(self.listed(&tenant, times, &budget));
        let turn = app.queries.turn(tenant.as_str(), deadline).await?;
        if let Some(answer) = self.at_once((app, &store, tenant.as_str()), times, asked) {
            return Ok(answer);
        }
        let worker_app = Arc::clone(app);
        let job = move |_: &mut crate::workers::Scratch| {
            let (began, queued) = (Instant::now(), asked.elapsed());
            budget.begin();
            let data = (&*worker_app, &*store, tenant.as_str());
            let result = self.parsed(&budget).and_then(|expr| {
                self.evaluate(data, (&expr, times), ReadLimits::default(), &budget)
            });
            let result = result.map(|answer| self.prepare(answer, queued, &budget));
            self.note_end(&worker_app, result.as_ref().err(), began.elapsed(), &budget);
            drop(listed);
            result
        };
        let result = app.queries.run_in(turn, job).await?;
        drop(client);
        result
    }

    /// The answer to a light query, computed here and now; none if it is to be left to a worker,
    /// errors included.
    fn at_once(&self, data: Data<'_>, times: Times, asked: Instant) -> Option<Prepared> {
        let (app, ..) = data;
        let (span_ms, steps) = times.extent();
        let permit = app.at_once.permit(&self.text, (span_ms, steps))?;
        let began = Instant::now();
        let expr = parse(&self.text).ok().filter(is_light)?;
        let reach = reach(&expr, self.engine.options())?;
        if !AtOnce::is_short(span_ms, reach) {
            return None;
        }
        let budget = app.budget(permit.limits(self.limits), Arc::default());
        let budget = Arc::new(budget);
        budget.begin();
        // A panic is met again, and counted, by the worker.
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let answer = self.evaluate(data, (&expr, times), READS, &budget)?;
            Ok::<_, ApiError>(self.prepare(answer, began - asked, &budget))
        }));
        let answer = match evaluated {
            Ok(Ok(answer)) => answer,
            Ok(Err(error))
                if matches!(error.error_type, ErrorType::Timeout | ErrorType::Canceled) =>
            {
                permit.exceeded(Exceeded::Time);
                return None;
            }
            _ => {
                permit.exceeded(Exceeded::Other);
                return None;
            }
        };
        permit.answered();
        self.note_end(app, None, began.elapsed(), &budget);
        Some(answer)
    }

    fn parsed(&self, budget: &Budget) -> Result<Expr, ApiError> {
        budget.check().map_err(QueryError::from)?;
        parse(&self.text).map_err(|error| ApiError::parameter("query", error))
    }

    /// The answer, of which no selector may read more than `reads`.
    fn evaluate(
        &self,
        (app, store, tenant): Data<'_>,
        (expr, times): (&Expr, Times),
        reads: ReadLimits,
        budget: &Arc<Budget>,
    ) -> Result<Answer, ApiError> {
        // Before the reader, so that the reader has all changes up to this one.
        let seen = store.changes_seen();
        // It is made here, so that the answer has all that was acknowledged before.
        let reader = store.reader(tenant)?.with_stop(stop_of(budget));
        let reader = &reader.with_limits(reads);
        let (engine, query) = (&self.engine, &*self.text);
        let answer = match times {
            Times::Instant(at) => engine.instant(reader, query, expr, at, budget),
            Times::Range(range) => {
                check_range_type(expr)?;
                let asked =
                    Asked { store, tenant, seen, reader, engine, query, expr, range, budget };
                match self.detail {
                    StatsDetail::None => app.reuse.range(&asked),
                    // What it takes to answer is asked for, too.
                    StatsDetail::Sums | StatsDetail::All => asked.compute(),
                }
            }
        };
        Ok(answer?)
    }

    /// Writes the first piece of the answer. What is held for the rest of it stays held till then.
    fn prepare(&self, mut answer: Answer, queued: Duration, budget: &Arc<Budget>) -> Prepared {
        let mut warnings = answer.annotations.render(Severity::Warning, &self.text);
        warnings.append(&mut answer.source_warnings);
        warnings.extend(self.warning.clone());
        if truncate(&mut answer.value, self.limit) {
            warnings.push(TRUNCATED.to_owned());
        }
        let infos = answer.annotations.render(Severity::Info, &self.text);
        let stats = AnswerStats { query: answer.stats, queued, detail: self.detail };
        let pieces = AnswerPieces::new(answer.value, &stats, &warnings, &infos);
        Prepared::new(Keeping::new(pieces, Arc::clone(budget)))
    }

    /// Counts the end of the query; a slow one is logged with where it came from.
    fn note_end(&self, app: &App, error: Option<&ApiError>, took: Duration, budget: &Budget) {
        let text = &self.text;
        let end = end_of(error);
        app.metrics.query_ended(end, took, budget.samples_read());
        if took >= SLOW {
            let mut length = text.len().min(LOGGED_TEXT_BYTES);
            while !text.is_char_boundary(length) {
                length -= 1;
            }
            tracing::warn!(
                query = &text[..length],
                duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                samples_read = budget.samples_read(),
                series = budget.series_touched(),
                dashboard = self.origin.dashboard,
                panel = self.origin.panel,
                end = ?end,
                "slow query"
            );
        }
    }
}

/// Stops what reads for a query when that may not go on.
pub(super) fn stop_of(budget: &Arc<Budget>) -> Stop {
    let budget = Arc::clone(budget);
    Arc::new(move || budget.check().is_err())
}

/// How a query ended that failed with `error`, if it did.
pub(super) fn end_of(error: Option<&ApiError>) -> QueryEnd {
    match error.map(|error| error.error_type) {
        None => QueryEnd::Answered,
        Some(ErrorType::Canceled) => QueryEnd::Canceled,
        Some(ErrorType::Timeout) => QueryEnd::TimedOut,
        Some(_) => QueryEnd::Failed,
    }
}

fn check_range_type(expr: &Expr) -> Result<(), ApiError> {
    let got = match expr.value_type() {
        ValueType::Scalar | ValueType::InstantVector => return Ok(()),
        ValueType::String => "string",
        ValueType::RangeVector => "range vector",
    };
    let cause = format!(
        "invalid expression type {got:?} for range query, must be Scalar or instant Vector"
    );
    Err(ApiError::parameter("query", cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        range_of(&Form::new(b"", url.as_bytes())).expect_err("a parameter is wrong").message
    }

    #[test]
    fn ranges_are_checked_as_prometheus_does() {
        let ok = range_of(&Form::new(b"", b"start=0&end=11000&step=1")).expect("11,001 points");
        assert_eq!((ok.end.0, ok.step_ms), (11_000_000, 1000));
        let resolution = "exceeded maximum resolution of 11,000 points per timeseries. \
                          Try decreasing the query resolution (?step=XX)";
        assert_eq!(error("start=0&end=11001&step=1"), resolution);
        assert_eq!(
            error("start=2&end=1&step=1"),
            "invalid parameter \"end\": end timestamp must not be before start time"
        );
        assert_eq!(
            error("start=1&end=2&step=0"),
            "invalid parameter \"step\": zero or negative query resolution step widths are not \
             accepted. Try a positive integer"
        );
        assert_eq!(
            error("end=2&step=0"),
            "invalid parameter \"start\": cannot parse \"\" to a valid timestamp"
        );
        assert_eq!(
            error("start=1&end=2"),
            "invalid parameter \"step\": cannot parse \"\" to a valid duration"
        );
    }

    #[test]
    fn times_at_the_end_of_the_scale_do_not_overflow() {
        assert!(error("start=-1e300&end=1e300&step=1").contains("11,000 points"));
    }
}
