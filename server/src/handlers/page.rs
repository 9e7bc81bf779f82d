//! `/`: a page to ask and look around with. All of it is in the binary and asks nobody else, so that
//! it works where there is no other network.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, StatusCode};

/// A file of the page.
struct File {
    name: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        [$(File { name: $name, text: include_str!(concat!("../../page/", $name)) }),+]
    };
}

const INDEX: &str = include_str!("../../page/index.html");
const FILES: [File; 13] = files![
    "api.js",
    "app.js",
    "arrivals.js",
    "complete.js",
    "dom.js",
    "graph.js",
    "icon.svg",
    "logs.js",
    "metrics.js",
    "queries.js",
    "series.js",
    "style.css",
    "time.js",
];

/// Only what this server gives may run, and only this server is asked; nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page itself.
pub async fn index() -> Response {
    file("text/html; charset=utf-8", INDEX)
}

/// A file the page is made of.
pub async fn part(Path(name): Path<String>) -> Response {
    let Some(found) = FILES.iter().find(|file| file.name == name) else {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "image/svg+xml",
    };
    file(kind, found.text)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    // Asked for anew each time: they are small, and an upgrade must not meet an old half.
    let headers: [(HeaderName, &str); 3] =
        [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, text).into_response()
}
