//! The programs under test and the programs that test them, as child processes.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a program may take to come up on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A child process that is killed when the test ends, however it ends.
pub(crate) struct Program {
    child: Child,
}

impl Program {
    /// Kills the process as `kill -9` does and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends the process with SIGTERM and returns its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "could not signal {pid}");
        self.child.wait().expect("the child was started here").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running `ephemeris serve` and its address.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    /// Where it takes OTLP over HTTP.
    pub(crate) otlp_http: SocketAddr,
    /// Where it takes OTLP over gRPC.
    pub(crate) otlp_grpc: SocketAddr,
}

/// Starts the server on `data_dir` and waits until it is ready.
pub(crate) async fn start_server(data_dir: &Path) -> Server {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ephemeris"))
        .args(["serve", "--listen", "127.0.0.1:0", "--otlp-http-listen", "127.0.0.1:0"])
        .args(["--otlp-grpc-listen", "127.0.0.1:0", "--self-metrics-interval", "1s"])
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server binary was built for this test");
    let stderr = child.stderr.take().expect("stderr is piped");
    let program = Program { child };
    let (sender, addresses) = mpsc::channel();
    std::thread::spawn(move || {
        // Read to the end, so that the server never blocks on a full pipe.
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = listen_address(&line) {
                let _ = sender.send(address);
            }
        }
    });
    let next = || addresses.recv_timeout(START_TIMEOUT).expect("the server logs its addresses");
    let (address, otlp_http, otlp_grpc) = (next(), next(), next());
    wait_ready(address, "/-/ready").await;
    Server { program, address, otlp_http, otlp_grpc }
}

/// The address in a log line that says where the server listens: for the API, for OTLP over HTTP,
/// for OTLP over gRPC, in this order.
fn listen_address(line: &str) -> Option<SocketAddr> {
    if !line.contains("listening") {
        return None;
    }
    let start = line.find("127.0.0.1:")?;
    let text: String =
        line[start..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    text.parse().ok()
}

/// Waits until `path` answers 200.
pub(crate) async fn wait_ready(address: SocketAddr, path: &str) {
    let started = Instant::now();
    loop {
        if let Ok((StatusCode::OK, _)) = get(address, path).await {
            return;
        }
        assert!(started.elapsed() < START_TIMEOUT, "{address}{path} does not answer 200");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the server has stored its own metrics, which it does right after it got ready.
pub(crate) async fn wait_for_own_metrics(server: &Server) {
    let started = Instant::now();
    loop {
        let path = "/api/v1/query?query=ephemeris_build_info";
        let (_, body) = get(server.address, path).await.expect("the server answers");
        if String::from_utf8_lossy(&body).contains("\"value\"") {
            return;
        }
        assert!(started.elapsed() < START_TIMEOUT, "no own metrics are stored");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A port nobody listens on at the moment.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a bound socket has an address")
}

/// Where `make test-clients` puts what it installs.
pub(crate) fn clients_dir() -> PathBuf {
    std::env::var_os("EPHEMERIS_TEST_CLIENTS").map_or_else(
        || {
            let home = std::env::var_os("HOME").unwrap_or_default();
            PathBuf::from(home).join(".cache/ephemeris/clients")
        },
        PathBuf::from,
    )
}

/// A program of the Prometheus package: the one on PATH, else the one the Makefile unpacked.
pub(crate) fn client_program(name: &str) -> PathBuf {
    let cache = Some(clients_dir());
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path)
        .chain(cache.map(|dir| dir.join("usr/bin")))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is missing; `make test-clients` provides it"))
}

/// Starts Prometheus in agent mode with this configuration.
pub(crate) fn start_agent(dir: &Path, config: &str, address: SocketAddr) -> Program {
    let config_file = dir.join("agent.yml");
    std::fs::write(&config_file, config).expect("the directory is writable");
    let child = Command::new(client_program("prometheus"))
        .arg("--enable-feature=agent")
        .arg(format!("--config.file={}", config_file.display()))
        .arg(format!("--storage.agent.path={}", dir.join("agent").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=warn")
        .stdin(Stdio::null())
        .spawn()
        .expect("prometheus can be started");
    Program { child }
}

/// Starts Prometheus with a store of its own and this configuration.
pub(crate) fn start_prometheus(dir: &Path, config: &str, address: SocketAddr) -> Program {
    start_prometheus_with(dir, config, address, &[])
}

/// The same, with more flags.
pub(crate) fn start_prometheus_with(
    dir: &Path,
    config: &str,
    address: SocketAddr,
    flags: &[&str],
) -> Program {
    let config_file = dir.join("prometheus.yml");
    std::fs::write(&config_file, config).expect("the directory is writable");
    let child = Command::new(client_program("prometheus"))
        .arg(format!("--config.file={}", config_file.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("prometheus").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=warn")
        .args(flags)
        .stdin(Stdio::null())
        .spawn()
        .expect("prometheus can be started");
    Program { child }
}

/// `GET path`: status and body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(StatusCode, Bytes), String> {
    let request = Request::get(path).header("host", address.to_string());
    send(address, request.body(Full::default()).map_err(|e| e.to_string())?).await
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), String> {
    let text = |e: &dyn std::error::Error| e.to_string();
    let stream = TcpStream::connect(address).await.map_err(|e| text(&e))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| text(&e))?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|e| text(&e))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|e| text(&e))?;
    Ok((status, body.to_bytes()))
}
