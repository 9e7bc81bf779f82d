//! A real agent writes while the server is killed: nothing acknowledged is lost, doubled or changed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ephemeris_model::is_stale;

use crate::programs::{free_address, get, start_agent, start_server, wait_ready};
use crate::proxy::{Ledger, Proxy};

/// How often the server is killed.
const KILLS: usize = 5;
/// How much must be acknowledged between two kills.
const SAMPLES_BETWEEN_KILLS: usize = 1_000;
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn five_kills_lose_and_double_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let proxy = Proxy::start().await;
    let mut server = start_server(&data_dir).await;
    proxy.point_to(Some(server.address));
    let agent_address = free_address();
    let mut agent = start_agent(dir.path(), &config(agent_address, proxy.address), agent_address);
    wait_ready(agent_address, "/-/ready").await;

    for _ in 0..KILLS {
        wait_for_more(&proxy).await;
        server.program.kill();
        proxy.point_to(None);
        server = start_server(&data_dir).await;
        proxy.point_to(Some(server.address));
    }
    wait_for_more(&proxy).await;
    agent.terminate();

    let ledger = proxy.ledger();
    for job in ["prometheus", "ephemeris"] {
        let of_job =
            |labels: &BTreeMap<String, String>| labels.get("job").map(String::as_str) == Some(job);
        assert!(ledger.keys().any(of_job), "nothing of job {job} was acknowledged");
    }
    compare(&ledger, server.address).await;
    assert_eq!(server.program.terminate(), Some(0), "a clean end after SIGTERM");

    // Once more from disk alone, after the heads were sealed.
    let server = start_server(&data_dir).await;
    compare(&ledger, server.address).await;
}

fn config(agent: SocketAddr, proxy: SocketAddr) -> String {
    format!(
        r#"
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: prometheus
    static_configs: [{{ targets: ["{agent}"] }}]
  - job_name: ephemeris
    static_configs: [{{ targets: ["{proxy}"] }}]
remote_write:
  - url: http://{proxy}/api/v1/write
    queue_config: {{ batch_send_deadline: 500ms, max_backoff: 200ms }}
"#
    )
}

fn sample_count(ledger: &Ledger) -> usize {
    ledger.values().map(BTreeMap::len).sum()
}

async fn wait_for_more(proxy: &Proxy) {
    let wanted = sample_count(&proxy.ledger()) + SAMPLES_BETWEEN_KILLS;
    let started = Instant::now();
    while sample_count(&proxy.ledger()) < wanted {
        assert!(started.elapsed() < STEP_TIMEOUT, "the agent's samples are not acknowledged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every acknowledged sample is in the answer once, with its value; nothing else is at its time.
async fn compare(ledger: &Ledger, server: SocketAddr) {
    let mut stored = read_all(server).await;
    let mut lost = 0_usize;
    let mut altered = 0_usize;
    for (labels, samples) in ledger {
        let found = stored.remove(labels).unwrap_or_default();
        for (at, bits) in samples {
            let acknowledged = f64::from_bits(*bits);
            match found.get(at) {
                // A staleness marker shows as the absence of a sample.
                None if is_stale(acknowledged) => {}
                None => lost += 1,
                Some(value) if value.to_bits() == *bits => {}
                Some(value) if value.is_nan() && acknowledged.is_nan() => {}
                Some(_) => altered += 1,
            }
        }
    }
    assert_eq!((lost, altered), (0, 0), "lost and altered, of {}", sample_count(ledger));
}

type Stored = BTreeMap<BTreeMap<String, String>, BTreeMap<i64, f64>>;

async fn read_all(server: SocketAddr) -> Stored {
    let query = "/api/v1/query?query=%7Bjob%3D~%22prometheus%7Cephemeris%22%7D%5B1h%5D";
    let (status, body) = get(server, query).await.expect("the server answers");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let answer: serde_json::Value = serde_json::from_slice(&body).expect("the answer is JSON");
    let series = answer["data"]["result"].as_array().expect("a matrix has a list of series");
    let mut stored = Stored::new();
    for one in series {
        let labels = serde_json::from_value(one["metric"].clone()).expect("labels are texts");
        let mut samples = BTreeMap::new();
        let pairs = one["values"].as_array().expect("a series has values");
        for pair in pairs {
            let seconds = pair[0].as_f64().expect("a time is a number");
            let value: f64 = pair[1].as_str().and_then(|v| v.parse().ok()).expect("a value");
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
            let at = (seconds * 1000.0).round() as i64;
            assert_eq!(samples.insert(at, value), None, "two samples at {at} of {one}");
        }
        let doubled = stored.insert(labels, samples);
        assert!(doubled.is_none(), "a series comes twice: {}", one["metric"]);
    }
    stored
}
