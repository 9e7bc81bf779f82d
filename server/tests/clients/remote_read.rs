//! A real Prometheus answers queries from the server's data, by remote read.

use serde_json::Value;

use crate::programs::{
    free_address, get, start_prometheus, start_server, wait_for_own_metrics, wait_ready,
};

#[tokio::test(flavor = "multi_thread")]
async fn another_prometheus_reads_from_the_server() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start_server(&dir.path().join("data")).await;
    wait_for_own_metrics(&server).await;
    let config = format!(
        "remote_read:\n  - url: http://{}/api/v1/read\n    read_recent: true\n",
        server.address
    );
    let address = free_address();
    let _prometheus = start_prometheus(dir.path(), &config, address);
    wait_ready(address, "/-/ready").await;

    // Values that stay the same, a second after the first of them was stored.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("the clock is after 1970").as_secs() + 1;
    for query in ["ephemeris_build_info", "sum({__name__=~\".*_info\"})"] {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let path = format!("/api/v1/query?query={query}&time={now}");
        let mut answers = Vec::new();
        for address in [address, server.address] {
            let (status, body) = get(address, &path).await.expect("an answer");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(status, 200, "{query}: {body}");
            assert_ne!(body["data"]["result"], serde_json::json!([]), "{query}");
            answers.push(body["data"]["result"].clone());
        }
        assert_eq!(answers[0], answers[1], "{query}");
    }
}
