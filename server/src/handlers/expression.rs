//! `/api/v1/format_query` and `/api/v1/parse_query`: expressions looked at, not evaluated.

use std::sync::Arc;

use axum::extract::State;
use ephemeris_query::promql::ast::Expr;
use ephemeris_query::promql::parse::parse as parse_text;
use ephemeris_query::promql::print::prettify;

use super::tree::{self, SHOWN_BYTES_MAX};
use crate::api::json::{success, success_within};
use crate::api::stream::Prepared;
use crate::api::{ApiError, Form};
use crate::app::App;
use crate::workers::Scratch;

/// The query, laid out for people.
///
/// # Errors
/// If it cannot be parsed, or is too long when laid out.
pub async fn format(State(app): State<Arc<App>>, form: Form) -> Result<Prepared, ApiError> {
    on_tree(&app, form, |expr| {
        let text = prettify(expr).map_err(|error| ApiError::parameter("query", error))?;
        Ok(success(&text, &[]))
    })
    .await
}

/// The syntax tree of the query.
///
/// # Errors
/// If it cannot be parsed, or its tree is too deep or too large to be shown.
pub async fn parse(State(app): State<Arc<App>>, form: Form) -> Result<Prepared, ApiError> {
    on_tree(&app, form, |expr| {
        success_within(SHOWN_BYTES_MAX, &tree::shown(expr)?).ok_or_else(|| {
            let text =
                format!("the tree takes more than {SHOWN_BYTES_MAX} bytes, which is the limit");
            ApiError::parameter("query", text)
        })
    })
    .await
}

/// Parses the parameter `query` where a long text holds up nobody.
async fn on_tree(
    app: &App,
    form: Form,
    show: impl FnOnce(&Expr) -> Result<Vec<u8>, ApiError> + Send + 'static,
) -> Result<Prepared, ApiError> {
    let job = move |_: &mut Scratch| {
        let text = form.get("query").unwrap_or_default();
        let expr = parse_text(text).map_err(|error| ApiError::parameter("query", error))?;
        Ok(Prepared::whole(show(&expr)?))
    };
    app.admin.run(job).await?
}
