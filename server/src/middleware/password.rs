//! Asks for name and password where the web configuration has users, and sets its headers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
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
    let allowed = if needs_none { Some(true) } else { is_user(&app, &rules, header).await };
    let mut response = match allowed {
        Some(true) => next.run(request).await,
        Some(false) => {
            let mut refused = (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
            refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            refused
        }
        None => {
            let text = "too many passwords wait to be checked; try again\n";
            let mut refused = (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
            refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            refused
        }
    };
    for (name, value) in &rules.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// `None` if too many wait to be told.
async fn is_user(app: &App, rules: &Arc<Rules>, header: Option<HeaderValue>) -> Option<bool> {
    let Some(header) = header else { return Some(false) };
    if let Some(known) = rules.users.known(header.as_bytes()) {
        return Some(known);
    }
    // One at a time, so that guessing takes one core at most; who was checked before does not wait.
    let _waiting = app.password_queue.try_acquire().ok()?;
    let turn = Arc::clone(&app.password_turn).acquire_owned().await.ok()?;
    if let Some(known) = rules.users.known(header.as_bytes()) {
        return Some(known);
    }
    let rules = Arc::clone(rules);
    let check = move || {
        // Kept until the end, also if the client does not wait for it.
        let _turn = turn;
        rules.users.check(header.as_bytes())
    };
    Some(tokio::task::spawn_blocking(check).await.unwrap_or(false))
}
