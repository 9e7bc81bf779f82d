//! Writes, queries and lists do not starve each other; a query ends when its client leaves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ephemeris::config::QueryConfig;
use http::StatusCode;
use tokio::task::JoinSet;

use crate::support::{Answer, TestServer, encode, minute_ms, request, seconds, series};

/// Takes far longer than any test: windows of an hour, each walked through anew, a day of them,
/// twenty a second.
const HEAVY: &str = "max_over_time(double_exponential_smoothing(x[1h], 0.5, 0.5)[1d:50ms])";

/// A server whose `query.concurrency_max` is `concurrency`, with a series for [`HEAVY`].
async fn with_series(concurrency: usize, queue: usize) -> (Arc<TestServer>, i64) {
    with_series_and(|query| {
        query.concurrency_max = concurrency;
        query.queue_max = queue;
    })
    .await
}

/// A server with other settings of queries, with a series for [`HEAVY`].
async fn with_series_and(change: impl FnOnce(&mut QueryConfig)) -> (Arc<TestServer>, i64) {
    let server = TestServer::start_with(|config| change(&mut config.query)).await;
    let at = minute_ms();
    let day: Vec<(i64, f64)> = (0..86_400_u32)
        .rev()
        .map(|i| (at - i64::from(i) * 1000, f64::from(i.wrapping_mul(2_654_435_761) >> 8)))
        .collect();
    for part in day.chunks(10_000) {
        let batch = request(vec![series(&[("__name__", "x")], part)]);
        assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    }
    (Arc::new(server), at)
}

fn running(server: &TestServer) -> u64 {
    server.app.queries.counts().running.load(Ordering::Relaxed)
}

async fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "{what} was not reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heavy_query_delays_no_write_and_ends_with_its_client() {
    let (server, at) = with_series(2, 10).await;
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        let server = Arc::clone(&server);
        clients.spawn(async move { server.query(HEAVY, at).await.status });
    }
    wait_until("running queries", || running(&server) == 2).await;

    let batch = request(vec![series(&[("__name__", "y")], &[(at, 1.0)])]);
    assert_eq!(server.write(&batch).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get("/api/v1/labels").await.status, StatusCode::OK);
    assert_eq!(server.get("/metrics").await.status, StatusCode::OK);
    assert_eq!(running(&server), 2, "the queries were to run all the time");

    clients.shutdown().await;
    wait_until("an end of the queries", || running(&server) == 0).await;
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("ephemeris_queries_total{result=\"canceled\"} 2\n"), "{metrics}");
    Arc::into_inner(server).expect("no client is left").stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_queries_are_told_to_come_back() {
    let (server, at) = with_series(1, 1).await;
    let mut clients = JoinSet::new();
    for waiting in [0, 1] {
        let asking = Arc::clone(&server);
        clients.spawn(async move { asking.query(HEAVY, at).await.status });
        wait_until("a query and one that waits", || {
            running(&server) == 1 && server.app.queries.queued() == waiting
        })
        .await;
    }
    let refused = server.query("x", at).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), Some("5"));
    let text = "too many queries wait for their turn; limit is 1 (query.queue_max)";
    assert_eq!(refused.json()["error"], text);
    assert_eq!(refused.json()["errorType"], "unavailable");
    clients.shutdown().await;
    wait_until("an end of the queries", || running(&server) == 0).await;
    Arc::into_inner(server).expect("no client is left").stop().await;
}

/// Asks as `tenant`.
async fn ask(server: &TestServer, tenant: &str, query: &str, at: i64) -> Answer {
    let path = format!("/api/v1/query?query={}&time={}", encode(query), seconds(at));
    server.send("GET", &path, &[("x-scope-orgid", tenant)], Bytes::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_many_queries_leaves_turns_to_others() {
    let (server, at) = with_series_and(|query| {
        query.concurrency_max = 3;
        query.tenant_concurrency_max = 2;
        query.tenant_queue_max = 2;
        query.queue_wait_max = Duration::from_secs(3600);
    })
    .await;
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let asking = Arc::clone(&server);
        clients.spawn(async move { asking.query(HEAVY, at).await.status });
    }
    wait_until("two queries and two that wait", || {
        running(&server) == 2 && server.app.queries.queued() == 2
    })
    .await;
    // Another tenant is served at once, this one is told which limit it met.
    let other = ask(&server, "other", "vector(1)", at).await;
    assert_eq!(other.status, StatusCode::OK, "{}", other.text());
    let refused = server.query("x", at).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = "too many queries of this tenant wait for their turn; limit is 2 \
                (query.tenant_queue_max)";
    assert_eq!(refused.json()["error"], text);
    let metrics = server.get("/metrics").await.text();
    for line in [
        "ephemeris_query_refused_total{reason=\"tenant_queue\"} 1\n",
        "ephemeris_pool_queued{pool=\"query\"} 2\n",
        "ephemeris_pool_refused_total{pool=\"query\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    // Whoever leaves the line has left it at once, and the memory of those who ran is given back.
    clients.shutdown().await;
    wait_until("an empty line", || server.app.queries.queued() == 0).await;
    wait_until("an end of the queries", || running(&server) == 0).await;
    assert_eq!(server.app.query_memory.held(), 0);
    Arc::into_inner(server).expect("no client is left").stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_waits_for_its_turn_no_longer_than_allowed() {
    let (server, at) = with_series_and(|query| {
        query.concurrency_max = 1;
        query.queue_wait_max = Duration::from_millis(20);
    })
    .await;
    let mut clients = JoinSet::new();
    let asking = Arc::clone(&server);
    clients.spawn(async move { asking.query(HEAVY, at).await.status });
    wait_until("a running query", || running(&server) == 1).await;
    let late = server.query("x", at).await;
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = "query waited 20 ms for its turn, which is the limit (query.queue_wait_max); \
                at most 1 run at a time (query.concurrency_max)";
    assert_eq!(late.json()["error"], text);
    assert_eq!(late.header("retry-after"), Some("5"));
    let path = format!("/api/v1/query?query=x&time={}&timeout=1ms", seconds(at));
    let late = server.get(&path).await;
    assert_eq!(late.json()["errorType"], "timeout", "{}", late.text());
    assert_eq!(late.json()["error"], "query timed out in query queue");
    clients.shutdown().await;
    wait_until("an end of the queries", || running(&server) == 0).await;
    Arc::into_inner(server).expect("no client is left").stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_at_its_timeout() {
    let (server, at) = with_series(1, 1).await;
    let path = format!("/api/v1/query?query={}&time={}&timeout=50ms", encode(HEAVY), seconds(at));
    let answer = server.get(&path).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["errorType"], "timeout");
    assert_eq!(answer.json()["error"], "query timed out in query execution");
    let short = format!("{path}&limit=1").replace("50ms", "0.05");
    assert_eq!(server.get(&short).await.json()["errorType"], "timeout");
    Arc::into_inner(server).expect("no client is left").stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_over_its_limits_fails_with_the_setting() {
    let server = TestServer::start_with(|config| {
        config.query.samples_max = 10;
        config.query.series_max = 3;
    })
    .await;
    let at = minute_ms();
    let names = ["a", "b", "c", "d"];
    let all = names.map(|name| series(&[("__name__", "x"), ("n", name)], &[(at, 1.0)]));
    assert_eq!(server.write(&request(all.to_vec())).await.status, StatusCode::NO_CONTENT);
    let answer = server.query("x", at).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["errorType"], "execution");
    let text = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("limit is 3 (query.series_max)"), "{text}");
    let (start, end) = (seconds(at), seconds(at + 60_000));
    let path = format!("/api/v1/query_range?query=x{{n=\"a\"}}&start={start}&end={end}&step=1");
    let answer =
        server.get(&path.replace('{', "%7B").replace('}', "%7D").replace('"', "%22")).await;
    let text = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("too many samples into memory"), "{text}");
    let answer = server.get("/api/v1/series?match[]=x").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    server.stop().await;
}
