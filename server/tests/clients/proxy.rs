//! A proxy between the agent and the server. It keeps a ledger of every sample the server
//! acknowledged, and stays in its place while the server is killed and comes back elsewhere.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ephemeris_ingest::proto::write_v1::WriteRequest;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpListener;

use crate::programs::send;

/// Label set to timestamp to bits of the value.
pub(crate) type Ledger = BTreeMap<BTreeMap<String, String>, BTreeMap<i64, u64>>;

#[derive(Default)]
struct State {
    server: Option<SocketAddr>,
    ledger: Ledger,
}

/// The running proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// Starts to listen; there is no server behind it yet, so requests get 502.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let proxy = Self { address, state: Arc::default() };
        let shared = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| proxy.forward(request));
                    let io = TokioIo::new(stream);
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(io, service).await;
                });
            }
        });
        proxy
    }

    /// From now on requests go to `server`.
    pub(crate) fn point_to(&self, server: Option<SocketAddr>) {
        self.state.lock().expect("no thread panicked").server = server;
    }

    /// What the server acknowledged so far.
    pub(crate) fn ledger(&self) -> Ledger {
        self.state.lock().expect("no thread panicked").ledger.clone()
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let server = self.state.lock().expect("no thread panicked").server;
        let (parts, body) = request.into_parts();
        let is_write = parts.uri.path() == "/api/v1/write";
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return Ok(bad_gateway());
        };
        let Some(server) = server else { return Ok(bad_gateway()) };
        match send(server, Request::from_parts(parts, Full::new(body.clone()))).await {
            Ok((status, answer)) => {
                if is_write && status.is_success() {
                    self.record(&body);
                }
                let mut response = Response::new(Full::new(answer));
                *response.status_mut() = status;
                Ok(response)
            }
            Err(_) => Ok(bad_gateway()),
        }
    }

    fn record(&self, body: &[u8]) {
        let message = snap::raw::Decoder::new().decompress_vec(body).expect("an agent's own body");
        let request = WriteRequest::decode(&message[..]).expect("an agent's own message");
        let ledger = &mut self.state.lock().expect("no thread panicked").ledger;
        for series in request.timeseries {
            let text = |bytes| String::from_utf8(bytes).expect("an agent's labels are UTF-8");
            let labels = series.labels.into_iter().map(|l| (text(l.name), text(l.value))).collect();
            let samples = ledger.entry(labels).or_default();
            let values = series.samples.iter();
            samples.extend(values.map(|s| (s.timestamp, s.value.unwrap_or(0.0).to_bits())));
        }
    }
}

fn bad_gateway() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
