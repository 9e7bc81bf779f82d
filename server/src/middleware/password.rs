//! Asks for name and password where the web configuration has users, and sets its headers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::app::App;
use crate::web::Rules;

/// Lets a request pass that is from a user, or needs none.
pub async fn password(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(web) = &app.web else { return next.run(request).await };
    let rules = web.rules();
    let needs_none =
        rules.users.is_empty() || rules.open_paths.iter().any(|path| path == request.uri().path());
    let header = request.headers().get(AUTHORIZATION).cloned();
    let mut response = if needs_none || is_user(&app, &rules, header).await {
        next.run(request).await
    } else {
        let mut refused = (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
        refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        refused
    };
    for (name, value) in &rules.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

async fn is_user(app: &App, rules: &Arc<Rules>, header: Option<HeaderValue>) -> bool {
    let Some(header) = header else { return false };
    if let Some(known) = rules.users.known(header.as_bytes()) {
        return known;
    }
    // One at a time, so that guessing takes one core at most; who was checked before does not wait.
    let Ok(turn) = app.password_turn.acquire().await else { return false };
    if let Some(known) = rules.users.known(header.as_bytes()) {
        return known;
    }
    let rules = Arc::clone(rules);
    let checked = tokio::task::spawn_blocking(move || rules.users.check(header.as_bytes())).await;
    drop(turn);
    checked.unwrap_or(false)
}
