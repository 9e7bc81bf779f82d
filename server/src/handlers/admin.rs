//! `/api/v1/admin/tsdb/…`: snapshots and deletion. `POST` and `PUT` only, and only if the setting
//! `admin_api` is on.

use std::fs;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::selectors::{range, required_selectors};
use crate::api::json::success;
use crate::api::stream::Prepared;
use crate::api::time::format_rfc3339;
use crate::api::{ApiError, ErrorType, Form, Tenant};
use crate::app::App;
use crate::config::Switch;

/// Folder of snapshots inside the data directory.
const SNAPSHOTS: &str = "snapshots";

/// Copies the store as it stands to a folder below `snapshots` in the data directory.
///
/// # Errors
/// If the setting forbids it, or the copy fails.
pub async fn snapshot(State(app): State<Arc<App>>) -> Result<Prepared, ApiError> {
    check_allowed(&app)?;
    let store = app.store()?;
    let parent = app.config.data_dir.join(SNAPSHOTS);
    let name = snapshot_name(app.clock.now().0);
    let job = move |_: &mut crate::workers::Scratch| -> Result<Prepared, ApiError> {
        fs::create_dir_all(&parent).map_err(|error| {
            ApiError::internal(format!("cannot create {}: {error}", parent.display()))
        })?;
        let dir = parent.join(&name);
        store.snapshot(&dir)?;
        tracing::info!(path = %dir.display(), "snapshot made");
        Ok(Prepared::whole(success(&json!({"name": name}), &[])))
    };
    app.admin.run(job).await?
}

/// The moment in UTC, and something that keeps two of the same second apart.
fn snapshot_name(now_ms: i64) -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let moment: String =
        format_rfc3339(now_ms).chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{moment}Z-{:016x}", RandomState::new().hash_one(now_ms))
}

/// Deletes series in a range of time: at once for answers, on disk with the next merge.
///
/// # Errors
/// If the setting forbids it, a parameter is wrong, or the store cannot do it.
pub async fn delete_series(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Response, ApiError> {
    check_allowed(&app)?;
    let range = range(&form)?;
    let store = app.store()?;
    let job = move |_: &mut crate::workers::Scratch| -> Result<(), ApiError> {
        let selectors = required_selectors(&form)?;
        let (count, tenant) = (selectors.len(), tenant.as_str());
        store.delete_series(tenant, selectors, range)?;
        tracing::info!(tenant, selectors = count, "series deleted");
        Ok(())
    };
    app.admin.run(job).await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Removes what was deleted from disk.
///
/// # Errors
/// If the setting forbids it, or the store cannot do it.
pub async fn clean(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    check_allowed(&app)?;
    let store = app.store()?;
    let job = move |_: &mut crate::workers::Scratch| Ok(store.clean_tombstones()?);
    app.admin.run(job).await?.map_err(|error: ApiError| error)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn check_allowed(app: &App) -> Result<(), ApiError> {
    match app.config.admin_api {
        Switch::On => Ok(()),
        Switch::Off => Err(ApiError::new(ErrorType::Disabled, "admin APIs disabled (admin_api)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_snapshots_are_times_in_utc() {
        let name = snapshot_name(1_433_337_718_555);
        assert!(name.starts_with("20150603T132158Z-"), "{name}");
        assert_eq!(name.len(), "20150603T132158Z-".len() + 16);
    }
}
