//! Queries of death: fifty questions made to keep a server busy or to break it. Each ends within
//! its time limit with an answer or a clean error, and the server answers others as before.

use std::time::{Duration, Instant};

use ephemeris_ingest::proto::write_v1::TimeSeries;
use http::StatusCode;

#[expect(unreachable_pub, reason = "the file belongs to the benches, where it is public")]
#[path = "../../../benches/src/hostile/queries.rs"]
mod queries;

use crate::support::{TestServer, encode, minute_ms, request, seconds, series};

/// `query.timeout` of this server.
const TIMEOUT: Duration = Duration::from_millis(300);
/// How long after its time limit a query may still run: it looks at the clock now and then, and
/// the machine may be busy with other tests.
const GRACE: Duration = Duration::from_secs(4);
const SERIES: usize = 4_000;
const SAMPLES: i64 = 60;

fn data(end_ms: i64) -> Vec<TimeSeries> {
    let one = |i: usize| {
        let (id, group) = (i.to_string(), (i % 10).to_string());
        let text = "x".repeat(100) + &id;
        let labels = [("__name__", "m"), ("group", &*group), ("id", &*id), ("text", &*text)];
        let value = |k: i64| f64::from(u32::try_from(k).expect("small")) * 0.37 + i as f64;
        let samples: Vec<(i64, f64)> =
            (0..SAMPLES).map(|k| (end_ms - (SAMPLES - k) * 60_000, value(k))).collect();
        series(&labels, &samples)
    };
    (0..SERIES).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_of_death_end_in_time_and_leave_the_server_well() {
    let server = TestServer::start_with(|config| {
        config.query.timeout = TIMEOUT;
        config.query.concurrency_max = 2;
    })
    .await;
    let end_ms = minute_ms();
    let written = server.write(&request(data(end_ms))).await;
    assert_eq!(written.status, StatusCode::NO_CONTENT, "{}", written.text());

    let queries = queries::queries();
    assert!(queries.len() >= 50);
    let (mut answered, mut refused, mut late) = (0, 0, Vec::new());
    for query in &queries {
        let start = seconds(end_ms - 3_600_000);
        let range = format!("&start={start}&end={}&step=1", seconds(end_ms));
        let moment = format!("&time={}", seconds(end_ms));
        for (path, times) in [("/api/v1/query", &moment), ("/api/v1/query_range", &range)] {
            let shown: String = query.chars().take(80).collect();
            let began = Instant::now();
            // It is the query that is timed, not the sending of hundreds of megabytes.
            let form = format!("query={}{times}&limit=10", encode(query));
            let answer = server.post_form(path, &form).await;
            let took = began.elapsed();
            if took > TIMEOUT + GRACE {
                late.push(format!("{path} {shown}: took {took:?}"));
            }
            let start = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]);
            match answer.status.as_u16() {
                200 => answered += 1,
                400 | 422 | 503 => {
                    refused += 1;
                    assert!(start.contains("\"errorType\":"), "{path} {shown}: {start}");
                }
                status => panic!("{path} {shown}: {status} {start}"),
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
    assert!(answered > 20 && refused > 20, "{answered} answered, {refused} refused");
    let light = server.query("count(m)", end_ms).await.json();
    assert_eq!(light["data"]["result"][0]["value"][1], SERIES.to_string(), "{light}");
    server.stop().await;
}
