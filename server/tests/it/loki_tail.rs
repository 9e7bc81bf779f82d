//! `tail`, with a WebSocket client.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::support::{TestServer, encode, minute_ms};

const API: &str = "/loki/api/v1";

struct Client {
    socket: WebSocketStream<TcpStream>,
    pings: usize,
}

impl Client {
    async fn open(server: &TestServer, query: &str, headers: &[(&'static str, &str)]) -> Self {
        let socket = Self::try_open(server, query, headers).await.expect("the tail opens");
        Self { socket, pings: 0 }
    }

    async fn try_open(
        server: &TestServer,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<WebSocketStream<TcpStream>, Box<Error>> {
        let url = format!("ws://{}{API}/tail?{query}", server.address);
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(server.address).await.expect("the server listens");
        Ok(tokio_tungstenite::client_async(request, stream).await?.0)
    }

    /// The next frame with entries, or `None` if the server closes the tail.
    async fn frame(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), self.socket.next()).await;
            match next.expect("something comes").expect("no end without a close").expect("sound") {
                Message::Text(text) => {
                    return Some(serde_json::from_str(&text).expect("a frame is JSON"));
                }
                Message::Ping(_) => self.pings += 1,
                Message::Close(_) => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next `count` entries: time, line.
    async fn lines(&mut self, count: usize) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        while lines.len() < count {
            let frame = self.frame().await.expect("the tail goes on");
            for stream in frame["streams"].as_array().expect("streams") {
                for value in stream["values"].as_array().expect("values") {
                    let text = |at: usize| value[at].as_str().expect("a text").to_owned();
                    lines.push((text(0), text(1)));
                }
            }
        }
        lines
    }
}

async fn push(server: &TestServer, tenant: &str, app: &str, lines: &[(i64, &str)]) {
    let values: Vec<Value> = lines.iter().map(|(at, line)| json!([at.to_string(), line])).collect();
    let body = json!({"streams": [{"stream": {"app": app}, "values": values}]});
    let headers = [("content-type", "application/json"), ("x-scope-orgid", tenant)];
    let body = Bytes::from(body.to_string());
    let answer = server.send("POST", &format!("{API}/push"), &headers, body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
}

#[tokio::test]
async fn a_tail_sends_what_is_stored_and_then_what_comes_late_lines_too() {
    let server = TestServer::start().await;
    let now = minute_ms() * 1_000_000;
    let stored = [(now - 3, "keep three"), (now - 2, "keep two"), (now - 1, "keep one")];
    push(&server, "t", "a", &stored).await;
    let query = format!("query={}&limit=2", encode("{app=\"a\"} |= \"keep\""));
    let mut client = Client::open(&server, &query, &[("x-scope-orgid", "t")]).await;
    let line = |at: i64, text: &str| (at.to_string(), text.to_owned());
    assert_eq!(client.lines(2).await, [line(now - 2, "keep two"), line(now - 1, "keep one")]);
    push(&server, "t", "b", &[(now, "keep: another stream")]).await;
    push(&server, "u", "a", &[(now, "keep: another tenant")]).await;
    push(&server, "t", "a", &[(now, "drop this"), (now, "keep new")]).await;
    assert_eq!(client.lines(1).await, [line(now, "keep new")]);
    // Sent again, and a line that is hours late.
    let late = now - 7_200_000_000_000;
    push(&server, "t", "a", &[(now - 1, "keep one"), (late, "keep late")]).await;
    assert_eq!(client.lines(1).await, [line(late, "keep late")]);
    assert!(client.pings > 0, "the server asks whether the client is there");
    client.socket.close(None).await.expect("it closes");
    while server.app.tails.counts().open > 0 {
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn labels_of_a_frame_are_told_apart_if_asked_for() {
    let server = TestServer::start().await;
    let query = format!("query={}&delay_for=1", encode("{app=\"a\"} | logfmt"));
    let flags = ("x-loki-response-encoding-flags", "categorize-labels");
    let mut client = Client::open(&server, &query, &[flags]).await;
    let now = minute_ms() * 1_000_000;
    push(&server, "anonymous", "a", &[(now + 1, "n=2")]).await;
    push(&server, "anonymous", "a", &[(now, "n=1")]).await;
    let frame = client.frame().await.expect("a frame");
    let apart =
        |n: &str| json!({"structuredMetadata": {"detected_level": "unknown"}, "parsed": {"n": n}});
    assert_eq!(
        frame,
        json!({
            "streams": [{
                "stream": {"app": "a", "service_name": "a"},
                "values": [
                    [now.to_string(), "n=1", apart("1")],
                    [(now + 1).to_string(), "n=2", apart("2")],
                ],
            }],
            "encodingFlags": ["categorize-labels"],
        }),
        "what came within the delay is in order of time"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_slow_client_is_told_what_it_missed() {
    let server = TestServer::start().await;
    let query = format!("query={}&delay_for=2", encode("{app=\"a\"}"));
    let mut client = Client::open(&server, &query, &[]).await;
    let now = minute_ms() * 1_000_000;
    // Three times what may wait for a client, within the delay.
    let line = "x".repeat(200_000);
    for at in 0..60 {
        push(&server, "anonymous", "a", &[(now + at, &line)]).await;
    }
    let (mut got, mut dropped) = (0, 0);
    while got + dropped < 60 {
        let frame = client.frame().await.expect("the tail goes on");
        for stream in frame["streams"].as_array().expect("streams") {
            got += stream["values"].as_array().expect("values").len();
        }
        for entry in frame["dropped_entries"].as_array().into_iter().flatten() {
            assert_eq!(entry["labels"], json!({"app": "a", "service_name": "a"}));
            assert!(entry["timestamp"].is_string());
            dropped += 1;
        }
    }
    assert!(got > 0 && dropped > 0, "{got} came, {dropped} were dropped");
    server.stop().await;
}

#[tokio::test]
async fn tails_are_bounded_and_end_with_the_server() {
    let server = TestServer::start_with(|config| config.query.tails_max = 1).await;
    let query = format!("query={}", encode("{app=\"a\"}"));
    let mut client = Client::open(&server, &query, &[]).await;
    let refused = |error: Error| match error {
        Error::Http(answer) => {
            let text = answer.body().clone().unwrap_or_default();
            (answer.status(), String::from_utf8_lossy(&text).into_owned())
        }
        other => panic!("{other}"),
    };
    let error = Client::try_open(&server, &query, &[]).await.expect_err("one is the limit");
    let (status, text) = refused(*error);
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.starts_with("max concurrent tail requests limit exceeded"), "{text}");
    for (query, want) in [
        ("query=x", "parse error"),
        ("query=vector(1)", "tail takes a log query"),
        ("query=%7Ba%3D%22b%22%7D&delay_for=6", "delay_for is 6; it can't be greater than 5"),
    ] {
        let error = Client::try_open(&server, query, &[]).await.expect_err("it is refused");
        let (status, text) = refused(*error);
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(text.starts_with(want), "{query}: {text}");
    }
    let answer = server.get(&format!("{API}/tail?{query}")).await;
    assert!(answer.status.is_client_error(), "a request that is no WebSocket: {}", answer.status);
    let (stopped, end) = tokio::join!(server.stop(), client.frame());
    drop(stopped);
    assert_eq!(end, None, "the server says that it stops");
}

#[tokio::test]
async fn pages_of_strangers_open_no_tail_where_origins_are_listed() {
    let only = |config: &mut ephemeris::config::Config| {
        config.http.cors_origins = "http://grafana.example".to_owned();
    };
    let server = TestServer::start_with(only).await;
    let query = format!("query={}", encode("{app=\"a\"}"));
    let strange = [("origin", "http://evil.example")];
    let error = Client::try_open(&server, &query, &strange).await.expect_err("it is refused");
    assert!(matches!(*error, Error::Http(answer) if answer.status() == StatusCode::FORBIDDEN));
    let own = format!("http://{}", server.address);
    for origin in ["http://grafana.example", &own] {
        let mut client = Client::open(&server, &query, &[("origin", origin)]).await;
        client.socket.send(Message::Pong(Bytes::new())).await.expect("it is open");
    }
    server.stop().await;
}
