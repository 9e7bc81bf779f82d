//! `/api/v1/series`, `/api/v1/labels` and `/api/v1/label/<name>/values`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use ephemeris_model::{Labels, Matcher, Select, Source, TimeRange};
use ephemeris_query::budget::Budget;
use ephemeris_query::promql::error::QueryError;
use ephemeris_storage::Reader;

use super::query::stop_of;
use super::selectors::{range, required_selectors, selectors};
use crate::api::answer::TRUNCATED;
use crate::api::json::{write_labels, write_string};
use crate::api::stream::{ListPieces, Prepared};
use crate::api::{ApiError, ErrorType, Form, Tenant};
use crate::app::App;
use crate::workers::CancelOnDrop;

/// Lists label sets.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn series(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Prepared, ApiError> {
    let range = range(&form)?;
    let limit = form.limit("limit")?;
    let series_max = app.config.query.series_max;
    on_reader(&app, tenant, move |reader| {
        let selectors = required_selectors(&form)?;
        let (found, mut warnings) = find_series(reader, selectors, range, series_max)?;
        let mut list: Vec<Labels> = found.into_iter().collect();
        truncate(&mut list, limit, &mut warnings);
        let write = |out: &mut Vec<u8>, labels: Labels| write_labels(out, &labels);
        Ok(Prepared::new(ListPieces::new(list.into_iter(), write, &warnings)))
    })
    .await
}

/// Lists label names.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn names(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Prepared, ApiError> {
    let range = range(&form)?;
    let limit = form.limit("limit")?;
    on_reader(&app, tenant, move |reader| {
        let names = reader.label_names(&selectors(&form)?, range)?;
        Ok(string_list(names, limit, reader.warnings()))
    })
    .await
}

/// Lists the values of a label.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn values(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    tenant: Tenant,
    form: Form,
) -> Result<Prepared, ApiError> {
    let Path(name) = name.map_err(|error| {
        ApiError::bad_data(format!("invalid label name: {}", error.body_text()))
    })?;
    let name = unescape_name(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let range = range(&form)?;
    let limit = form.limit("limit")?;
    on_reader(&app, tenant, move |reader| {
        let values = reader.label_values(&name, &selectors(&form)?, range)?;
        Ok(string_list(values, limit, reader.warnings()))
    })
    .await
}

/// Runs `job` with the data of `tenant` on a worker of the pool that answers lists.
///
/// # Errors
/// If the store is not open, too many wait, or what `job` returns.
pub async fn on_reader<T: Send + 'static>(
    app: &Arc<App>,
    tenant: Tenant,
    job: impl FnOnce(&Reader) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let store = app.store()?;
    let client = CancelOnDrop::default();
    let budget = Arc::new(Budget::with_cancel(app.query_limits(), client.flag()));
    let job = move |_: &mut crate::workers::Scratch| {
        let reader = store.reader(tenant.as_str())?.with_stop(stop_of(&budget));
        job(&reader).map_err(|error| match budget.check() {
            // The store does not know why it was to stop.
            Err(why) if error.error_type == ErrorType::Canceled => QueryError::from(why).into(),
            _ => error,
        })
    };
    let result = app.admin.run(job).await?;
    drop(client);
    result
}

fn find_series(
    reader: &Reader,
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    series_max: u64,
) -> Result<(BTreeSet<Labels>, Vec<String>), ApiError> {
    let (mut found, mut warnings) = (BTreeSet::new(), Vec::new());
    for matchers in selectors {
        let set = reader.select(&Select { matchers, range })?;
        let total = (found.len() + set.len()) as u64;
        if total > series_max {
            return Err(ApiError::new(
                ErrorType::Execution,
                format!("{total} series selected; limit is {series_max} (query.series_max)"),
            ));
        }
        found.extend((0..set.len()).map(|index| set.labels(index)));
        warnings.extend(set.warnings());
    }
    Ok((found, warnings))
}

fn truncate<T>(list: &mut Vec<T>, limit: Option<usize>, warnings: &mut Vec<String>) {
    if limit.is_some_and(|limit| list.len() > limit) {
        list.truncate(limit.unwrap_or(0));
        warnings.push(TRUNCATED.to_owned());
    }
}

fn string_list(mut list: Vec<String>, limit: Option<usize>, mut warnings: Vec<String>) -> Prepared {
    truncate(&mut list, limit, &mut warnings);
    let write = |out: &mut Vec<u8>, text: String| write_string(out, &text);
    Prepared::new(ListPieces::new(list.into_iter(), write, &warnings))
}

/// Undoes the escaping of names for paths: `U__http_2e_code` stands for `http.code`, a doubled
/// underscore for one. A name that is not escaped, or wrongly, stands for itself.
fn unescape_name(name: &str) -> String {
    name.strip_prefix("U__").and_then(unescape_rest).unwrap_or_else(|| name.to_owned())
}

fn unescape_rest(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find('_')?;
        if end == 0 {
            out.push('_');
        } else {
            let code = u32::from_str_radix(&rest[..end], 16).ok()?;
            out.push(char::from_u32(code)?);
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_stand_for_others() {
        let cases = [
            ("job", "job"),
            ("U__service_2e_name", "service.name"),
            ("U__a__b", "a_b"),
            ("U___1f600_", "😀"),
            ("U__no_zz_", "U__no_zz_"),
            ("U__open_2e", "U__open_2e"),
            ("U__d_d800_", "U__d_d800_"),
            ("U__", ""),
            ("__name__", "__name__"),
        ];
        for (escaped, name) in cases {
            assert_eq!(unescape_name(escaped), name);
        }
    }
}
