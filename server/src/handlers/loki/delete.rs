//! `delete`: deletion of log entries, the list of what was asked for, and how it is taken back.

use std::sync::Arc;

use axum::extract::State;
use ephemeris_model::NanoRange;
use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_query::logs::deletion::deletion;
use ephemeris_storage::{LogDeletion, LogDeletionStatus, Store};
use http::StatusCode;
use serde_json::{Value, json};

use super::error::LokiError;
use super::params::parse_ns;
use super::request::{LokiRequest, now_ns};
use crate::api::stream::Prepared;
use crate::api::time::parse_duration;
use crate::api::{ApiError, Form};
use crate::app::App;
use crate::config::Switch;
use crate::config::value::format_duration_ms;

/// Deletes the entries of a query between two times, both inclusive.
///
/// # Errors
/// If a parameter is wrong, deletion is not allowed, or the store cannot do it.
pub async fn create(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<StatusCode, LokiError> {
    check_allowed(&app)?;
    let range = range(&request.form, now_ns(&app))?;
    let tenant = request.only_tenant("a deletion")?.as_str().to_owned();
    let query = request.form.get("query").filter(|query| !query.is_empty());
    let query = query.ok_or_else(|| LokiError::bad("query not set"))?.to_owned();
    let store = app.store()?;
    let job = move |_: &mut crate::workers::Scratch| -> Result<(), LokiError> {
        let (matchers, filters) = deletion(&query)?;
        let deletion = LogDeletion { query, matchers, filters, range };
        let id = store.delete_logs(&tenant, deletion).map_err(ApiError::from)?;
        tracing::info!(tenant, request_id = shown(id), "log entries deleted");
        Ok(())
    };
    app.admin.run(job).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists what was asked for.
///
/// # Errors
/// If the store is not open.
pub async fn list(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let tenant = request.only_tenant("the list of deletions")?;
    let all = app.store()?.log_deletions(tenant.as_str());
    let body = Value::Array(all.iter().map(as_json).collect());
    Ok(Prepared::whole(format!("{body}\n").into_bytes()))
}

/// Takes a deletion back.
///
/// # Errors
/// If it is not known, or too old and not forced.
pub async fn cancel(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<StatusCode, LokiError> {
    check_allowed(&app)?;
    let tenant = request.only_tenant("a deletion")?.as_str().to_owned();
    let id = request.form.get("request_id").unwrap_or_default().to_owned();
    let force = request.form.get("force") == Some("true");
    let (store, now) = (app.store()?, app.clock.now().0);
    let cancel_ms = app.config.log_delete_cancel_ms;
    let job = move |_: &mut crate::workers::Scratch| -> Result<(), LokiError> {
        let found = find(&store, &tenant, &id)?;
        if !force {
            check_open(&found, now, cancel_ms)?;
        }
        store.cancel_log_deletion(&tenant, found.id).map_err(ApiError::from)?;
        tracing::info!(tenant, request_id = shown(found.id), "deletion of log entries taken back");
        Ok(())
    };
    app.admin.run(job).await??;
    Ok(StatusCode::NO_CONTENT)
}

fn find(store: &Store, tenant: &str, id: &str) -> Result<LogDeletionStatus, LokiError> {
    let found = store.log_deletions(tenant).into_iter().find(|one| shown(one.id) == id);
    found.ok_or_else(|| {
        LokiError::new(StatusCode::NOT_FOUND, "could not find delete request with given id")
    })
}

/// Whether a deletion may still be taken back.
fn check_open(found: &LogDeletionStatus, now: i64, cancel_ms: i64) -> Result<(), LokiError> {
    if found.blocks > 0 && found.blocks_left == 0 {
        return Err(LokiError::bad(
            "deletion of request which is in process or already processed is not allowed",
        ));
    }
    if found.created.0.saturating_add(cancel_ms) <= now {
        return Err(LokiError::bad(format!(
            "deletion of request past the deadline of {} since its creation is not allowed \
             (log_delete_cancel)",
            format_duration_ms(cancel_ms.unsigned_abs())
        )));
    }
    Ok(())
}

fn check_allowed(app: &App) -> Result<(), LokiError> {
    match app.config.admin_api {
        Switch::On => Ok(()),
        Switch::Off => {
            let text = "deletion is not available for this tenant (admin_api)";
            Err(LokiError::new(StatusCode::FORBIDDEN, text))
        }
    }
}

/// An id as it is told.
fn shown(id: u64) -> String {
    format!("{id:016x}")
}

fn as_json(one: &LogDeletionStatus) -> Value {
    json!({
        "request_id": shown(one.id),
        "start_time": seconds(one.range.start.div_euclid(NANOS_PER_MILLI)),
        "end_time": seconds((one.range.end - 1).div_euclid(NANOS_PER_MILLI)),
        "query": one.query,
        "status": if one.blocks_left > 0 { "received" } else { "processed" },
        "created_at": seconds(one.created.0),
    })
}

/// Milliseconds as seconds, with decimals only where there are some.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of years are exact")]
fn seconds(ms: i64) -> Value {
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

/// From `start` to `end`, which is now without one; both inclusive.
fn range(form: &Form, now_ns: i64) -> Result<NanoRange, LokiError> {
    let time = |name: &str| {
        let text = form.get(name).filter(|text| !text.is_empty());
        let parse = |text: &str| {
            let wrong = || {
                LokiError::bad(format!(
                    "invalid {name} time: require unix seconds or RFC3339 format"
                ))
            };
            parse_ns(text).ok_or_else(wrong)
        };
        text.map(parse).transpose()
    };
    let start = time("start")?.ok_or_else(|| LokiError::bad("start time not set"))?;
    let now_last = now_ns.saturating_add(NANOS_PER_MILLI - 1);
    let end = time("end")?.unwrap_or(now_last);
    if end > now_last {
        return Err(LokiError::bad("deletes in the future are not allowed"));
    }
    if start > end {
        return Err(LokiError::bad("start time can't be greater than end time"));
    }
    // Loki cuts a deletion into parts of this length; here it is one, of any length.
    let interval = form.get("max_interval").filter(|text| !text.is_empty()).map(parse_duration);
    interval
        .transpose()
        .map_err(|_| LokiError::bad("invalid max_interval: valid time units are 's', 'm', 'h'"))?;
    Ok(NanoRange { start, end: end.saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_their_end_and_lie_in_the_past() {
        let parse = |url: &str| range(&Form::new(b"", url.as_bytes()), 100_000_000_000);
        let told = |url: &str| parse(url).err().map(|error| error.text().to_owned());
        let found = parse("start=5&end=7").expect("a range");
        assert_eq!(found, NanoRange { start: 5_000_000_000, end: 7_000_000_001 });
        assert_eq!(parse("start=5").expect("until now").end, 100_001_000_000);
        assert_eq!(parse("start=5&max_interval=24h").expect("one part").start, 5_000_000_000);
        for (url, text) in [
            ("end=7", "start time not set"),
            ("start=x", "invalid start time: require unix seconds or RFC3339 format"),
            ("start=5&end=y", "invalid end time: require unix seconds or RFC3339 format"),
            ("start=5&end=101", "deletes in the future are not allowed"),
            ("start=7&end=5", "start time can't be greater than end time"),
            ("start=5&max_interval=q", "invalid max_interval: valid time units are 's', 'm', 'h'"),
        ] {
            assert_eq!(told(url).as_deref(), Some(text), "{url}");
        }
    }

    #[test]
    fn times_have_decimals_only_where_there_are_some() {
        assert_eq!(seconds(5000).to_string(), "5");
        assert_eq!(seconds(1_700_000_000_123).to_string(), "1700000000.123");
    }
}
