//! Queries of death: fifty questions made to keep a server busy or to break it. Each ends within
//! its time limit with an answer or a clean error, and the server answers others as before.

use std::time::{Duration, Instant};

use ephemeris_ingest::proto::write_v1::TimeSeries;
use http::StatusCode;

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

/// Queries by what they attack.
fn queries() -> Vec<String> {
    let chain = |operator: &str, count: usize| vec!["m"; count].join(operator);
    let nested = |open: &str, close: &str, count: usize| {
        format!("{}m{}", open.repeat(count), close.repeat(count))
    };
    let mut all: Vec<String> = [
        // Many steps of subqueries, and subqueries in them.
        "max_over_time(m[10y:1s])",
        "count_over_time(m[100y:1ms])",
        "sum_over_time(sum_over_time(m[1h:1s])[1h:1s])",
        "max_over_time(max_over_time(max_over_time(m[1d:1s])[1d:1s])[1d:1s])",
        "sum_over_time(vector(1)[1000y:1ms])",
        "quantile_over_time(0.5, m[1h:1s])",
        "mad_over_time(m[1h:1s])",
        "deriv(rate(m[1h:1s])[1h:1s])",
        "absent_over_time(nothing[100y:1ms])",
        "m[1h:1ms]",
        "m[100y]",
        // Joins of everything with everything.
        "m * on () group_left () m",
        "m + on (group) group_left () m",
        "m == on () m",
        "count(m and on () m)",
        "m unless on (id) label_replace(m, \"id\", \"$1$1\", \"id\", \"(.*)\")",
        "m * on (id) group_left (text) m",
        "(m or m * 2) or on (nothing) m",
        "sum(m * on (id) m * on (id) m * on (id) m * on (id) m)",
        // Aggregations with many groups and large answers.
        "topk(1e9, m)",
        "bottomk(1e18, m[1h:1m] @ end())",
        "topk by (id) (1000, m)",
        "quantile by (id) (0.5, m)",
        "count_values(\"text\", m)",
        "count_values by (id, text) (\"v\", m * time())",
        "limitk(1e15, m)",
        "limit_ratio(0.999, m)",
        "sort_by_label(m, \"text\", \"id\")",
        "sort(m * on (id) m)",
        "stddev by (id, text) (m)",
        "histogram_quantile(0.9, label_replace(m, \"le\", \"$1\", \"id\", \"(.*)\"))",
        "info(m)",
        // Labels that grow, patterns that are dear.
        "label_replace(m, \"text\", \"$1$1$1$1$1$1$1$1\", \"text\", \"(.*)\")",
        "label_join(label_join(m, \"a\", \"-\", \"text\", \"text\", \"text\"), \"b\", \"\", \"a\", \"a\", \"a\")",
        "label_replace(m, \"a\", \"$1\", \"text\", \"(x+x+)+y\")",
        "{text=~\"(x+x+)+y\"}",
        "{__name__=~\".*\", text=~\".*x.*x.*x.*x.*x.*[0-9]{3,}.*\"}",
        "{__name__=~\".+\"}",
        "{text=~\"((a{0,100}){0,100}){0,100}\"}",
        "{text!~\"(?i:(x|X|y|Y)*z)\", __name__!=\"\"}",
        // Numbers at the end of the scale.
        "m offset 290y",
        "m offset -290y",
        "m @ 9e15",
        "predict_linear(m[1h], 1e308)",
        "sum(m) ^ m ^ m ^ m",
        "round(m, 5e-324)",
    ]
    .map(str::to_owned)
    .to_vec();
    // Long and deep texts.
    all.extend([
        nested("(", ")", 10_000),
        nested("-", "", 10_000),
        nested("sum(", ")", 10_000),
        nested("abs(", ")", 200),
        nested("max_over_time(", "[1h:1m])", 60),
        nested("(", "", 50_000),
        chain(" + ", 50_000),
        chain(" or ", 200),
        chain(" * on (id) ", 200),
        format!(
            "m{{id=~\"{}\"}}",
            (0..10_000).map(|i| i.to_string()).collect::<Vec<_>>().join("|")
        ),
        format!("m{{{}}}", vec!["text=~\".*x.*\""; 900].join(",")),
        format!("m{{text=\"{}\"}}", "x".repeat(200_000)),
        format!("{}1", "1 + ".repeat(100_000)),
        "\"".to_owned() + &"\\x41".repeat(50_000),
    ]);
    all
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

    let queries = queries();
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
