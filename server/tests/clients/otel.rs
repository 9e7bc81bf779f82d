//! OpenTelemetry's own SDKs send to the server; what they recorded is queried back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::programs::{Server, clients_dir, get, start_server};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/otel/");

/// What each script records, as queries and their values; `SHOP` stands for its labels.
const RECORDED: [(&str, &str); 12] = [
    ("http_requests_total{SHOP,http_method=\"GET\"}", "6"),
    ("explicit_seconds_count{SHOP}", "6"),
    ("explicit_seconds_sum{SHOP}", "15"),
    ("explicit_seconds_bucket{SHOP,le=\"1\"}", "2"),
    ("explicit_seconds_bucket{SHOP,le=\"5\"}", "5"),
    ("explicit_seconds_bucket{SHOP,le=\"+Inf\"}", "6"),
    ("histogram_count(exponential_seconds{SHOP})", "6"),
    ("histogram_sum(exponential_seconds{SHOP})", "15"),
    ("histogram_quantile(1, exponential_seconds{SHOP}) > bool 5.9", "1"),
    // A cumulative sender exports once more when it ends.
    ("count_over_time(http_requests_total{SHOP}[5m]) >= bool 3", "1"),
    ("resets(http_requests_total{SHOP}[5m])", "0"),
    ("level_bytes{SHOP}", "-6"),
];

async fn value(server: &Server, query: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let path = format!("/api/v1/query?query={encoded}");
    let (_, body) = get(server.address, &path).await.expect("the server answers");
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    let result = &answer["data"]["result"];
    assert!(result.as_array().is_some_and(|all| all.len() == 1), "{query}: {answer}");
    result[0]["value"][1].as_str().expect("a value").to_owned()
}

fn run(command: &mut Command) {
    let output = command.output().expect("the client can be started; `make test-clients`");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

async fn check(server: &Server, protocol: &str, temporality: &str) {
    let shop = format!("job=\"{protocol}/shop\",instance=\"{temporality}\"");
    for (query, expected) in RECORDED {
        let query = query.replace("SHOP", &shop);
        assert_eq!(value(server, &query).await, expected, "{query}");
    }
}

async fn python(protocol: &str, endpoint: impl Fn(&Server) -> String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(dir.path()).await;
    let python = clients_dir().join("otel-python/bin/python");
    for temporality in ["cumulative", "delta"] {
        let script = format!("{SCRIPTS}record.py");
        run(Command::new(&python).args([&script, protocol, &endpoint(&server), temporality]));
        check(&server, protocol, temporality).await;
    }
}

fn http(address: SocketAddr) -> String {
    format!("http://{address}/v1/metrics")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_over_http() {
    python("http", |server| http(server.otlp_http)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_over_grpc() {
    python("grpc", |server| format!("http://{}", server.otlp_grpc)).await;
}

/// Names of structured metadata and their values.
type Pairs = &'static [(&'static str, &'static str)];

/// What `record_logs.py` emits, by level: the line, and attributes of its own.
const EMITTED: [(&str, &str, Pairs); 3] = [
    ("info", "started", &[]),
    ("warn", "slow", &[("took_ms", "1500"), ("http_status_code", "200")]),
    ("error", "{\"why\":\"disk is full\",\"free\":0}", &[]),
];

async fn check_logs(server: &Server, protocol: &str, language: &str) {
    for (level, line, attributes) in EMITTED {
        let query = format!(
            "{{service_name=\"shop\",service_namespace=\"{protocol}\"}} | detected_level=`{level}`"
        );
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let path = format!("/loki/api/v1/query_range?query={query}");
        let (_, body) = get(server.address, &path).await.expect("the server answers");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let result = &answer["data"]["result"];
        assert_eq!(result[0]["values"][0][1], line, "{answer}");
        assert_eq!(result.as_array().map(Vec::len), Some(1), "{answer}");
        let sdk = [("scope_name", "test"), ("telemetry_sdk_language", language)];
        for (name, value) in attributes.iter().chain(&sdk) {
            assert_eq!(result[0]["stream"][name], *value, "{name}: {answer}");
        }
    }
}

async fn python_logs(protocol: &str, endpoint: impl Fn(&Server) -> String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(dir.path()).await;
    let python = clients_dir().join("otel-python/bin/python");
    let script = format!("{SCRIPTS}record_logs.py");
    run(Command::new(&python).args([&script, protocol, &endpoint(&server)]));
    check_logs(&server, protocol, "python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_the_python_sdk_over_http() {
    python_logs("http", |server| format!("http://{}/v1/logs", server.otlp_http)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_the_python_sdk_over_grpc() {
    python_logs("grpc", |server| format!("http://{}", server.otlp_grpc)).await;
}

/// Lines of real logs, where they are there, and some that are hard on any encoding.
fn real_lines() -> String {
    let mut text =
        "caf\u{e9} \u{2028} \u{1f6f0}\n\ttabs \"quotes\" \\ back\r\n\n{\"a\": 1.50}\nlast"
            .to_owned();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/logs/");
    for name in ["loghub/OpenSSH_2k.log", "infra/journald.txt", "infra/ingester-logfmt.txt"] {
        let lines = std::fs::read(format!("{folder}{name}")).unwrap_or_default();
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&lines));
    }
    text
}

async fn python_real_logs(protocol: &str, endpoint: impl Fn(&Server) -> String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(&dir.path().join("data")).await;
    let (text, file) = (real_lines(), dir.path().join("lines"));
    std::fs::write(&file, &text).expect("it is written");
    let python = clients_dir().join("otel-python/bin/python");
    let script = format!("{SCRIPTS}record_logs.py");
    run(Command::new(&python).args([&script, protocol, &endpoint(&server)]).arg(&file));
    let query: String = form_urlencoded::byte_serialize(b"{service_name=\"shop\"}").collect();
    let path = format!("/loki/api/v1/export?query={query}&start=0");
    let (_, body) = get(server.address, &path).await.expect("the server answers");
    let body = String::from_utf8(body.to_vec()).expect("JSON is UTF-8");
    let line = |entry: &str| -> String {
        let entry: Value = serde_json::from_str(entry).expect("JSON");
        entry["line"].as_str().expect("a line").to_owned()
    };
    let stored: Vec<String> = body.lines().map(line).collect();
    let sent: Vec<&str> = text.split('\n').collect();
    assert_eq!(stored.len(), sent.len());
    for (stored, sent) in stored.iter().zip(sent) {
        assert_eq!(stored, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_logs_of_the_python_sdk_come_back_over_http() {
    python_real_logs("http", |server| format!("http://{}/v1/logs", server.otlp_http)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_logs_of_the_python_sdk_come_back_over_grpc() {
    python_real_logs("grpc", |server| format!("http://{}", server.otlp_grpc)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_sdk_in_json() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(dir.path()).await;
    let modules: PathBuf = clients_dir().join("otel-js");
    for temporality in ["cumulative", "delta"] {
        // On the main address as well.
        let url = http(if temporality == "delta" { server.address } else { server.otlp_http });
        let mut node = Command::new("node");
        node.arg(format!("{SCRIPTS}record.mjs")).arg(&modules).args([&url, temporality]);
        run(&mut node);
        check(&server, "json", temporality).await;
    }
}

/// Metrics and logs of `otel-rust`, the program beside this file.
async fn rust(protocol: &str, endpoint: impl Fn(&Server, &str) -> String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(dir.path()).await;
    let program = clients_dir().join("otel-rust/release/otel-rust");
    for temporality in ["cumulative", "delta"] {
        run(Command::new(&program).args([protocol, &endpoint(&server, "metrics"), temporality]));
        check(&server, protocol, temporality).await;
    }
    run(Command::new(&program).args([protocol, &endpoint(&server, "logs"), "logs"]));
    check_logs(&server, protocol, "rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_over_http() {
    rust("http", |server, signal| format!("http://{}/v1/{signal}", server.otlp_http)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_over_grpc() {
    rust("grpc", |server, _| format!("http://{}", server.otlp_grpc)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_told_to_the_client_of_grpc() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(dir.path()).await;
    let python = clients_dir().join("otel-python/bin/python");
    let script = format!("{SCRIPTS}reflect.py");
    run(Command::new(&python).args([&script, &server.otlp_grpc.to_string()]));
}
