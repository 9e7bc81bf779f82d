//! TLS and passwords of the web configuration.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ephemeris::web::Web;
use http::{Request, StatusCode};
use http_body_util::Full;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Answer, TestServer, WRITE_HEADERS, compress, exchange};

/// `ann` with the password `secret`.
const ANN: &str = "Basic YW5uOnNlY3JldA==";
const ANN_HASH: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(data(name)).expect("a certificate")
}

/// A directory with the certificates and `web.yml`.
fn directory(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in ["ca.pem", "server.pem", "server.key"] {
        fs::copy(data(name), dir.path().join(name)).expect("a copy");
    }
    let path = dir.path().join("web.yml");
    fs::write(&path, text).expect("a file");
    (dir, path)
}

async fn served(path: &Path) -> TestServer {
    let path = path.to_owned();
    TestServer::start_with(move |config| config.web_config_file = Some(path)).await
}

/// A connection to `address`, of a client that trusts the authority of the tests.
async fn connect(
    address: SocketAddr,
    protocol: &[u8],
    with_certificate: bool,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of the provider")
        .with_root_certificates(roots);
    let mut config = if with_certificate {
        let chain = vec![certificate("client.pem")];
        let key = PrivateKeyDer::from_pem_file(data("client.key")).expect("a key");
        builder.with_client_auth_cert(chain, key).expect("a certificate with its key")
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "localhost").body(Full::default()).expect("a valid request")
}

async fn get_encrypted(address: SocketAddr) -> Answer {
    let stream = connect(address, b"http/1.1", false).await.expect("an encrypted connection");
    exchange(stream, get("/api/v1/status/buildinfo")).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_users_get_in_on_any_address() {
    let (_dir, path) = directory(&format!(
        "basic_auth_users:\n  ann: {ANN_HASH}\nauth_excluded_paths: [/-/healthy]\n\
         http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
    ));
    let server = served(&path).await;
    let body = || Bytes::from(compress(&[]));
    let paths =
        ["/", "/api/v1/query?query=1", "/metrics", "/-/ready", "/none", "/loki/api/v1/labels"];
    for path in paths {
        let refused = server.get(path).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(refused.header("www-authenticate"), Some("Basic"));
        assert_eq!(refused.header("x-frame-options"), Some("deny"));
    }
    let (otlp, grpc) = (server.otlp_http, server.otlp_grpc);
    let grpc_path = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    for (address, path) in
        [(server.address, "/api/v1/write"), (otlp, "/v1/metrics"), (grpc, grpc_path)]
    {
        let refused = server.send_to(address, "POST", path, &WRITE_HEADERS, body()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for wrong in ["Basic YW5uOndyb25n", "Basic !", "Bearer abc", ""] {
        for _ in 0..2 {
            let headers = [("authorization", wrong)];
            let refused = server.send("GET", "/", &headers, Bytes::new()).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
        }
    }
    for _ in 0..2 {
        let headers = [("authorization", ANN)];
        let path = "/api/v1/query?query=1";
        let answer = server.send("GET", path, &headers, Bytes::new()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("x-frame-options"), Some("deny"));
    }
    assert_eq!(server.get("/-/healthy").await.status, StatusCode::OK);
    let preflight = [("origin", "http://a.example")];
    let answer = server.send("OPTIONS", "/api/v1/query", &preflight, Bytes::new()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_encrypted_on_every_address() {
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    let (_dir, path) = directory(tls);
    let server = served(&path).await;
    for address in [server.address, server.otlp_http, server.otlp_grpc] {
        let stream = connect(address, b"h2", false).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }
    assert_eq!(get_encrypted(server.address).await.status, StatusCode::OK);
    let plain = TcpStream::connect(server.address).await.unwrap();
    assert!(exchange(plain, get("/-/healthy")).await.is_err());
    server.stop().await;

    let (_dir, path) = directory(&format!("{tls}http_server_config: {{http2: false}}\n"));
    let server = served(&path).await;
    assert_eq!(get_encrypted(server.address).await.status, StatusCode::OK);
    assert!(connect(server.address, b"h2", false).await.is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_certificate_stays_outside_where_one_is_required() {
    let (_dir, path) = directory(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n\
         \u{20} client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n",
    );
    let server = served(&path).await;
    let stream = connect(server.address, b"http/1.1", true).await.unwrap();
    assert_eq!(exchange(stream, get("/-/healthy")).await.unwrap().status, StatusCode::OK);
    // With TLS 1.3 the refusal comes after the client's last word.
    let outside = match connect(server.address, b"http/1.1", false).await {
        Ok(stream) => exchange(stream, get("/-/healthy")).await.is_err(),
        Err(error) => error.kind() != ErrorKind::ConnectionRefused,
    };
    assert!(outside);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_needs_no_restart_and_a_broken_one_changes_nothing() {
    let (dir, path) =
        directory("tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    let server = served(&path).await;
    let web = server.app.web.clone().unwrap();
    let shown = || async {
        let stream = connect(server.address, b"http/1.1", false).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(shown().await, certificate("server.pem"));
    assert!(!web.look_again().unwrap());

    fs::write(dir.path().join("server.pem"), "not a certificate").unwrap();
    let error = web.look_again().unwrap_err().to_string();
    assert!(error.contains("server.pem: no certificate in it"), "{error}");
    assert_eq!(shown().await, certificate("server.pem"));

    fs::copy(data("server-renewed.pem"), dir.path().join("server.pem")).unwrap();
    let error = web.look_again().unwrap_err().to_string();
    assert!(error.contains("not with this key"), "{error}");
    fs::copy(data("server-renewed.key"), dir.path().join("server.key")).unwrap();
    assert!(web.look_again().unwrap());
    assert_eq!(shown().await, certificate("server-renewed.pem"));
    server.stop().await;
}

#[test]
fn what_cannot_be_used_is_told() {
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key";
    let cases = [
        (String::new(), "it is empty"),
        ("users: {}".to_owned(), "unknown field `users`"),
        (format!("{tls}, cipher_suites: []}}"), "unknown field `cipher_suites`"),
        (format!("{tls}, min_version: TLS10}}"), "unknown variant `TLS10`"),
        (format!("{tls}, min_version: TLS13, max_version: TLS12}}"), "min_version is above"),
        (format!("{tls}, client_auth_type: RequireAnyClientCert}}"), "unknown variant"),
        (format!("{tls}, client_auth_type: VerifyClientCertIfGiven}}"), "client_ca_file must say"),
        (format!("{tls}, client_ca_file: ca.pem}}"), "does not ask for"),
        (
            "tls_server_config: {cert_file: a.pem, key_file: server.key}".to_owned(),
            "a.pem: no cert",
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: ca.pem}".to_owned(),
            "no private key",
        ),
        ("tls_server_config: {cert_file: server.pem}".to_owned(), "missing field `key_file`"),
        ("basic_auth_users: {ann: secret}".to_owned(), "is no bcrypt hash"),
        ("http_server_config: {headers: {'a b': c}}".to_owned(), "is no header"),
    ];
    for (text, expected) in cases {
        let (_dir, path) = directory(&text);
        let error = Web::open(&path).err().unwrap_or_else(|| panic!("{text} is taken")).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = Web::open(Path::new("none/web.yml")).err().unwrap().to_string();
    assert!(error.starts_with("none/web.yml: "), "{error}");
}
