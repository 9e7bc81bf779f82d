//! OTLP over gRPC, spoken by a client of a few lines.

use std::io::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::otlp::{gauge, protobuf, request};
use crate::support::{TestServer, minute_ms};

const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Headers and trailers.
    meta: HeaderMap,
    pub(crate) message: Bytes,
}

impl Reply {
    pub(crate) fn meta(&self, name: &str) -> &str {
        self.meta.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub(crate) async fn call(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    frame: Vec<u8>,
) -> Reply {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a fresh connection");
    let connection = tokio::spawn(connection);
    let mut request = Request::post(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .header("te", "trailers")
        .body(Full::new(Bytes::from(frame)))
        .expect("a valid request");
    let response = sender.send_request(request).await.expect("the server answers");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("the answer is whole");
    let mut meta = parts.headers;
    meta.extend(body.trailers().cloned().unwrap_or_default());
    connection.abort();
    Reply { status: parts.status, meta, message: body.to_bytes() }
}

pub(crate) fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short");
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

pub(crate) const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test(flavor = "multi_thread")]
async fn a_call_stores_points_plain_and_compressed() {
    let server = TestServer::start().await;
    let at = minute_ms();
    let message = protobuf(&request(&gauge("plain", at, 1.0)));
    let reply = call(server.otlp_grpc, EXPORT, &[GRPC], frame(0, &message)).await;
    assert_eq!((reply.status, reply.meta("grpc-status")), (StatusCode::OK, "0"));
    assert_eq!(reply.message, &[0; 5][..], "an empty response");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&protobuf(&request(&gauge("gzip", at, 2.0)))).expect("memory");
    let gzip = frame(1, &gzip.finish().expect("memory"));
    let reply = call(server.otlp_grpc, EXPORT, &[GRPC, ("grpc-encoding", "gzip")], gzip).await;
    assert_eq!(reply.meta("grpc-status"), "0");
    for (name, value) in [("plain", "1"), ("gzip", "2")] {
        let answer = server.query(name, at).await.json();
        assert_eq!(answer["data"]["result"][0]["value"][1], value, "{name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_tells_what_it_refused() {
    let server = TestServer::start_with(|c| c.bodies.decompressed_bytes_max = 1 << 10).await;
    let message = protobuf(&request(&gauge("@", minute_ms(), 1.0)));
    let reply = call(server.otlp_grpc, EXPORT, &[GRPC], frame(0, &message)).await;
    assert_eq!(reply.meta("grpc-status"), "0");
    let text = String::from_utf8_lossy(&reply.message).into_owned();
    assert!(text.contains("name of metric has no usable character"), "{text:?}");

    let reply = call(server.otlp_grpc, EXPORT, &[GRPC], frame(0, b"\x07")).await;
    assert_eq!((reply.status, reply.meta("grpc-status")), (StatusCode::OK, "3"));
    assert!(reply.meta("grpc-message").contains("malformed message"));
    let reply = call(server.otlp_grpc, EXPORT, &[GRPC], b"\0\0".to_vec()).await;
    assert_eq!(reply.meta("grpc-status"), "3");
    let reply = call(server.otlp_grpc, EXPORT, &[GRPC], frame(0, &[0; 2000])).await;
    assert_eq!(reply.meta("grpc-status"), "8", "too large");
    let headers = [GRPC, ("grpc-encoding", "br")];
    let reply = call(server.otlp_grpc, EXPORT, &headers, frame(0, b"")).await;
    assert_eq!(reply.meta("grpc-status"), "12");
    let reply = call(server.otlp_grpc, "/no.Such/Method", &[GRPC], frame(0, b"")).await;
    assert_eq!(reply.meta("grpc-status"), "12");
    let headers = [("content-type", "application/json")];
    let reply = call(server.otlp_grpc, EXPORT, &headers, b"{}".to_vec()).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_can_be_asked_for() {
    let server = TestServer::start().await;
    let check = "/grpc.health.v1.Health/Check";
    let reply = call(server.otlp_grpc, check, &[GRPC], frame(0, b"")).await;
    assert_eq!(reply.meta("grpc-status"), "0");
    assert_eq!(&reply.message[..], b"\0\0\0\0\x02\x08\x01");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_can_be_asked_for_each_service() {
    let server = TestServer::start().await;
    let check = "/grpc.health.v1.Health/Check";
    let ask = |name: &str| {
        let length = u8::try_from(name.len()).expect("short");
        frame(0, &[&[0x0a, length][..], name.as_bytes()].concat())
    };
    let metrics = ask("opentelemetry.proto.collector.metrics.v1.MetricsService");
    let reply = call(server.otlp_grpc, check, &[GRPC], metrics).await;
    assert_eq!(&reply.message[..], b"\0\0\0\0\x02\x08\x01");
    let reply = call(server.otlp_grpc, check, &[GRPC], ask("no.Such")).await;
    assert_eq!(reply.meta("grpc-status"), "5", "not found");
    let reply = call(server.otlp_grpc, check, &[GRPC], frame(0, b"\x0a\x05x")).await;
    assert_eq!(reply.meta("grpc-status"), "3");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_can_be_asked_about() {
    let server = TestServer::start().await;
    let info =
        |version: &str| format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
    let list = frame(0, b"\x3a\x00");
    let symbol = b"opentelemetry.proto.collector.logs.v1.LogsService";
    let of_logs =
        frame(0, &[&[0x22, u8::try_from(symbol.len()).expect("short")], &symbol[..]].concat());
    for version in ["v1", "v1alpha"] {
        // Two requests of one conversation, two answers.
        let both = [&list[..], &of_logs].concat();
        let reply = call(server.otlp_grpc, &info(version), &[GRPC], both).await;
        assert_eq!((reply.status, reply.meta("grpc-status")), (StatusCode::OK, "0"));
        let first = u32::from_be_bytes(reply.message[1..5].try_into().expect("a length"));
        let (first, second) = reply.message[5..].split_at(usize::try_from(first).expect("short"));
        let text = String::from_utf8_lossy(first);
        assert!(text.contains("opentelemetry.proto.collector.metrics.v1.MetricsService"), "{text}");
        let text = String::from_utf8_lossy(second);
        for file in ["collector/logs/v1/logs_service.proto", "resource/v1/resource.proto"] {
            assert!(text.contains(file), "{file} is not in {text}");
        }
    }
    for (bad, code) in [
        (frame(0, b"\x22\x05x"), "3"),
        (frame(1, b"\x3a\x00"), "12"),
        (frame(0, &[0; 20_000]), "8"),
        (b"\0\0\0".to_vec(), "3"),
    ] {
        let reply = call(server.otlp_grpc, &info("v1"), &[GRPC], bad).await;
        assert_eq!(reply.meta("grpc-status"), code);
    }
    let headers = [("content-type", "application/json")];
    let reply = call(server.otlp_grpc, &info("v1"), &headers, Vec::new()).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    server.stop().await;
}
