//! A server in this process on a free port, and a small client for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ephemeris::app::{App, Phase};
use ephemeris::config::Config;
use ephemeris::server::{Server, ServerError};
use ephemeris_ingest::proto::write_v1::{Label, Sample, TimeSeries, WriteRequest};
use ephemeris_storage::{Clock, SystemClock};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use prost::Message;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server in this process; it is shut down by [`TestServer::stop`].
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) app: Arc<App>,
    end: oneshot::Sender<()>,
    done: JoinHandle<Result<(), ServerError>>,
}

/// What the server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl TestServer {
    /// With defaults, but for its address, its directory and its own metrics, which are off.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary directory"), change).await
    }

    /// With what a server before left in `dir`.
    pub(crate) async fn start_in(dir: tempfile::TempDir, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_at(dir, Arc::new(SystemClock), change).await
    }

    /// With a clock of one's own.
    pub(crate) async fn start_at(
        dir: tempfile::TempDir,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config {
            data_dir: dir.path().join("data"),
            listen: "127.0.0.1:0".to_owned(),
            otlp_http_listen: "127.0.0.1:0".to_owned(),
            otlp_grpc_listen: "127.0.0.1:0".to_owned(),
            self_metrics_interval: Duration::ZERO,
            ..Config::default()
        };
        change(&mut config);
        let server = Server::start_at(config, clock).await.expect("the server starts");
        let (address, app) = (server.address(), Arc::clone(server.app()));
        let otlp_http = server.otlp_http_address().expect("it listens for OTLP over HTTP");
        let otlp_grpc = server.otlp_grpc_address().expect("it listens for OTLP over gRPC");
        let (end, ended) = oneshot::channel::<()>();
        let done = tokio::spawn(server.run(async {
            let _ = ended.await;
        }));
        let server = Self { address, otlp_http, otlp_grpc, dir, app, end, done };
        while server.app.phase() != Phase::Ready {
            tokio::task::yield_now().await;
        }
        server
    }

    /// Shuts the server down and returns its directory.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        let _ = self.end.send(());
        let result = self.done.await.expect("the server does not panic");
        result.expect("the server shuts down well");
        self.dir
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Bytes::new()).await
    }

    pub(crate) async fn post_form(&self, path: &str, form: &str) -> Answer {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[kind], Bytes::copy_from_slice(form.as_bytes())).await
    }

    /// `GET /api/v1/query` at a time in milliseconds.
    pub(crate) async fn query(&self, query: &str, at_ms: i64) -> Answer {
        let query = encode(query);
        self.get(&format!("/api/v1/query?query={query}&time={}", seconds(at_ms))).await
    }

    /// Sends a remote-write 1.0 message.
    pub(crate) async fn write(&self, request: &WriteRequest) -> Answer {
        self.write_body(compress(&request.encode_to_vec())).await
    }

    /// Sends a body as remote write 1.0.
    pub(crate) async fn write_body(&self, body: Vec<u8>) -> Answer {
        self.send("POST", "/api/v1/write", &WRITE_HEADERS, body.into()).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        self.send_to(self.address, method, path, headers, body).await
    }

    /// Sends to one of the server's addresses.
    pub(crate) async fn send_to(
        &self,
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a valid request");
        let stream = TcpStream::connect(address).await.expect("the server listens");
        exchange(stream, request).await.expect("the server answers")
    }
}

/// Sends one request over a connection of HTTP/1.1.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    drop(sender);
    connection.abort();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// Headers of remote write 1.0.
pub(crate) const WRITE_HEADERS: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// Headers of remote write 2.0.
pub(crate) const WRITE2_HEADERS: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "2.0.0"),
];

pub(crate) fn compress(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("a small message")
}

/// A series with float samples.
pub(crate) fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(name, value)| Label::new(*name, *value)).collect(),
        samples: samples.iter().map(|(at, value)| Sample::new(*at, *value)).collect(),
        ..TimeSeries::default()
    }
}

pub(crate) fn request(timeseries: Vec<TimeSeries>) -> WriteRequest {
    WriteRequest { timeseries, metadata: Vec::new() }
}

/// The last full minute, so that expected answers can be spelled out.
pub(crate) fn minute_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    let seconds = i64::try_from(now.as_secs()).expect("the clock is before the year 292 billion");
    (seconds / 60 - 1) * 60_000
}

/// A time as a parameter or an answer has it.
pub(crate) fn seconds(ms: i64) -> String {
    if ms % 1000 == 0 { (ms / 1000).to_string() } else { format!("{}.{:03}", ms / 1000, ms % 1000) }
}

/// Percent-encodes a parameter.
pub(crate) fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
