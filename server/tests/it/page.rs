//! The page at `/`: everything it needs comes from this server.

use std::collections::BTreeSet;

use http::StatusCode;

use crate::support::TestServer;

/// What stands between quotes in `text` after one of `marks`.
fn quoted_after(text: &str, marks: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for mark in marks {
        for rest in text.split(mark).skip(1) {
            found.insert(rest.split('"').next().unwrap_or_default().to_owned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_the_page_is_served() {
    let server = TestServer::start().await;
    let index = server.get("/").await;
    assert_eq!(index.status, StatusCode::OK);
    assert_eq!(index.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(server.get("/graph?g0.expr=up").await.text(), index.text());

    let mut wanted = quoted_after(&index.text(), &["src=\"/page/", "href=\"/page/"]);
    let mut seen = BTreeSet::new();
    while let Some(name) = wanted.pop_first() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let part = server.get(&format!("/page/{name}")).await;
        assert_eq!(part.status, StatusCode::OK, "{name}");
        let kind = match name.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(part.headers["content-type"], kind, "{name}");
        wanted.extend(quoted_after(&part.text(), &["from \"./"]));
    }
    // A file that nothing asks for would be a leftover, one that is missing a blank page.
    let names: BTreeSet<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "index.html")
        .collect();
    assert_eq!(seen, names);
    assert_eq!(server.get("/page/none.js").await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/page/..%2findex.html").await.status, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_page_comes_from_elsewhere() {
    let server = TestServer::start().await;
    let index = server.get("/").await;
    let policy = index.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"), "{}", path.display());
        // Labels and lines are anybody's text: none of it is ever read as markup.
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!text.contains(way), "{}: {way}", path.display());
        }
    }
    server.stop().await;
}
