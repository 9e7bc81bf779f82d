//! Connections: slow clients, large heads, large answers, HTTP/2, calls from browsers.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{TestServer, compress, minute_ms, request, seconds, series};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_come_take_no_room() {
    let server = TestServer::start_with(|config| config.http.bodies_bytes_max = 1 << 20).await;
    let mut slow = Vec::new();
    for path in ["/api/v1/write", "/api/v1/read", "/loki/api/v1/push"] {
        let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\nab");
        stream.write_all(head.as_bytes()).await.expect("the connection holds");
        slow.push(stream);
    }
    let all = 1024;
    let taken = async {
        while server.app.body_room.available_permits() != all - slow.len() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, taken).await.expect("each takes a KiB, a remote read too");
    let batch = request(vec![series(&[("__name__", "x")], &[(minute_ms(), 1.0)])]);
    assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    drop(slow);
    let given_back = async {
        while server.app.body_room.available_permits() != all {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, given_back).await.expect("their room comes back");
    server.stop().await;
}

/// Reads until the server closes the connection.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    assert!(read.is_ok(), "the server does not close the connection");
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads the head of one answer and its body of stated length.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        let read = timeout(PATIENCE, stream.read_exact(&mut byte)).await;
        read.expect("the server answers").expect("the connection holds");
        text.push(char::from(byte[0]));
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a stated length").parse().expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("the body is whole");
    text + &String::from_utf8_lossy(&body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server =
        TestServer::start_with(|c| c.http.header_timeout = Duration::from_millis(200)).await;
    let mut silent = TcpStream::connect(server.address).await.expect("a connection");
    let mut half = TcpStream::connect(server.address).await.expect("a connection");
    half.write_all(b"GET / HTTP/1.1\r\nHost:").await.expect("a part of a head is sent");
    assert_eq!(read_to_end(&mut silent).await, "");
    assert_eq!(read_to_end(&mut half).await, "");

    // A byte at a time gains no more time.
    let (mut reader, mut writer) =
        TcpStream::connect(server.address).await.expect("a connection").into_split();
    let dripping = tokio::spawn(async move {
        let _ = writer.write_all(b"GET / HTTP/1.1\r\nX: ").await;
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, reader.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "a dripping head keeps the connection");
    dripping.abort();
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("ephemeris_http_header_timeouts_total 3\n"), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_lie_idle_longer_than_a_head_may_take() {
    let server =
        TestServer::start_with(|c| c.http.header_timeout = Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    for _ in 0..2 {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        assert!(read_answer(&mut stream).await.ends_with("Ephemeris is Healthy.\n"));
        // That time passes is what is tested here.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_at_last() {
    let server = TestServer::start_with(|c| c.http.idle_timeout = Duration::from_millis(300)).await;
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(read_to_end(&mut stream).await, "");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up() {
    let server = TestServer::start_with(|c| c.http.body_timeout = Duration::from_millis(100)).await;
    for path in ["/api/v1/write", "/api/v1/query"] {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        let kind = if path.ends_with("write") {
            "application/x-protobuf"
        } else {
            "application/x-www-form-urlencoded"
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 99\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        if path.ends_with("write") {
            assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 408 "));
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200 << 10));
    // The server may close before all of it is sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    let text = String::from_utf8_lossy(&text);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 "), "{text}");
    assert_eq!(server.get("/-/healthy").await.status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_not_waited_for_with_expect() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\
                Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 415 "));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unstated_length_is_taken() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let batch = request(vec![series(&[("__name__", "x")], &[(at, 1.0)])]);
    let body = compress(&batch.encode_to_vec());
    let mut message =
        b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for part in body.chunks(7) {
        message.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        message.extend_from_slice(part);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(
        b"0\r\n\r\nGET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    stream.write_all(&message).await.expect("sent");
    let answers = read_to_end(&mut stream).await;
    assert!(answers.starts_with("HTTP/1.1 204 No Content"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 OK"), "the request behind it is lost: {answers}");
    assert_eq!(server.query("x", at).await.json()["data"]["result"][0]["value"][1], "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait() {
    let server = TestServer::start_with(|c| c.http.connections_max = 1).await;
    let mut first = TcpStream::connect(server.address).await.expect("a connection");
    let ask = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";
    // The client that found the server ready may still be leaving.
    first.write_all(ask).await.expect("sent");
    assert!(read_answer(&mut first).await.starts_with("HTTP/1.1 200 OK"));
    let mut second = TcpStream::connect(server.address).await.expect("the system takes it");
    second.write_all(ask).await.expect("sent");
    let mut byte = [0];
    let early = timeout(Duration::from_millis(100), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second connection was served beside the first");
    drop(first);
    assert!(read_answer(&mut second).await.starts_with("HTTP/1.1 200 OK"));
    drop(second);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_works_with_prior_knowledge() {
    let server = TestServer::start().await;
    let stream = TcpStream::connect(server.address).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2 is spoken");
    tokio::spawn(connection);
    for _ in 0..3 {
        let ask = Request::get(format!("http://{}/api/v1/query?query=1&time=1", server.address))
            .body(Empty::<Bytes>::new())
            .expect("a valid request");
        let answer = sender.send_request(ask).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
        assert!(body.starts_with(br#"{"status":"success""#));
    }
    drop(sender);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_comes_whole() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let names: Vec<String> = (0..300).map(|i| format!("s{i:03}")).collect();
    let all = names.iter().map(|n| series(&[("__name__", "x"), ("n", n)], &[(at, 1.5)])).collect();
    assert_eq!(server.write(&request(all)).await.status, StatusCode::NO_CONTENT);
    let (start, end) = (seconds(at), seconds(at + 200_000));
    let path = format!("/api/v1/query_range?query=x&start={start}&end={end}&step=1");
    let answer = server.get(&path).await;
    assert!(answer.body.len() > 1 << 20, "{} bytes", answer.body.len());
    let json = answer.json();
    let result = json["data"]["result"].as_array().expect("a matrix");
    assert_eq!(result.len(), 300);
    for (series, name) in result.iter().zip(&names) {
        assert_eq!(series["metric"]["n"], name.as_str());
        assert_eq!(series["values"].as_array().map(Vec::len), Some(201));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_call_from_allowed_origins() {
    let server = TestServer::start_with(|c| c.http.cors_origins = "http://a.example".into()).await;
    let from = |origin: &'static str| [("origin", origin)];
    let answer =
        server.send("OPTIONS", "/api/v1/query", &from("http://a.example"), Bytes::new()).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://a.example"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
    let answer =
        server.send("GET", "/api/v1/labels", &from("http://b.example"), Bytes::new()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_have_an_id() {
    let server = TestServer::start().await;
    let given = [("x-request-id", "abc-1")];
    let answer = server.send("GET", "/-/healthy", &given, Bytes::new()).await;
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    let made = server.get("/-/healthy").await;
    assert!(made.header("x-request-id").is_some_and(|id| id.len() > 10));
    server.stop().await;
}
