//! Range queries answered from what was kept of earlier ones: the same answers as computed anew,
//! whatever is written, deleted, sealed and merged in between.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ephemeris_ingest::proto::write_v1::{BucketSpan, Count, Label, TimeSeries, ZeroCount};
use ephemeris_ingest::proto::write_v2::Histogram;
use ephemeris_model::TimestampMs;
use ephemeris_storage::ManualClock;
use http::StatusCode;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{TestServer, encode, request, seconds, series};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// When the clocks of these tests begin, not on a step.
const BEGIN: i64 = 1_800_000_000_000 + 7 * 1000;
const RETENTION: i64 = 2 * HOUR;

/// Queries of a dashboard, their steps and how long a time they show.
const PANELS: &[(&str, i64, i64)] = &[
    ("c_total", 15_000, 30 * MINUTE),
    ("sum(c_total)", 15_000, 30 * MINUTE),
    ("sum by (g) (rate(c_total[5m]))", 15_000, 30 * MINUTE),
    ("increase(c_total[20m])", MINUTE, 100 * MINUTE),
    ("max_over_time(c_total[10m:1m])", MINUTE, 60 * MINUTE),
    ("c_total offset 10m", 30_000, 40 * MINUTE),
    ("c_total offset -3m", 30_000, 40 * MINUTE),
    ("c_total - on (i) d_total or vector(1)", 15_000, 20 * MINUTE),
    ("absent(d_total{i=\"1\"})", 15_000, 30 * MINUTE),
    ("count(c_total) by (g) * time()", MINUTE, 60 * MINUTE),
    ("h", MINUTE, 30 * MINUTE),
    ("histogram_quantile(0.9, rate(h[10m]))", MINUTE, 60 * MINUTE),
    ("rate(d_total[5m]) > bool 0", 15_000, 30 * MINUTE),
    ("topk(1, c_total)", 15_000, 30 * MINUTE),
    ("c_total - c_total @ end()", 15_000, 30 * MINUTE),
    ("sum(rate(c_total[5m]))", 15_000, 30 * MINUTE),
    ("avg(rate(d_total[5m])) / count(c_total)", 15_000, 30 * MINUTE),
];
/// Those of them that add more than two floats that are no integers: their last bits depend on the
/// order of series, which depends on the range.
const LAST_BITS: &[usize] = &[15, 16];

#[derive(Clone, Debug)]
enum Step {
    /// The clock moves on, by seconds.
    Wait(i64),
    /// All series get a sample at about the time of the clock.
    Scrape,
    /// A sample, a marker or a histogram of one series, so many seconds ago, on a step.
    Late(u8, i64, i32),
    /// Deletes a series between two times, in seconds ago.
    Delete(u8, i64, i64),
    Clean,
    Seal,
    Maintain,
    /// A panel is refreshed.
    Refresh(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ago = || prop_oneof![0..300_i64, 0..7200_i64];
    let step = prop_oneof![
        4 => prop_oneof![5..90_i64, 5..90_i64, 5..90_i64, 60..3000_i64].prop_map(Step::Wait),
        6 => Just(Step::Scrape),
        3 => (0..10_u8, ago(), -1..40_i32).prop_map(|(s, a, v)| Step::Late(s, a, v)),
        1 => (0..10_u8, ago(), 0..1200_i64).prop_map(|(s, a, l)| Step::Delete(s, a, l)),
        1 => Just(Step::Seal),
        1 => prop_oneof![Just(Step::Clean), Just(Step::Maintain)],
        12 => (0..PANELS.len()).prop_map(Step::Refresh),
    ];
    proptest::collection::vec(step, 20..120)
}

/// Series 0 to 3 are `c_total`, 4 to 7 are `d_total`, the others are of histograms.
fn series_of(number: u8, at: i64, value: i32) -> TimeSeries {
    let (index, group) = ((number % 4).to_string(), (number % 2).to_string());
    let name = ["c_total", "d_total", "h"][usize::from(number / 4)];
    let labels = [("__name__", name), ("g", &*group), ("i", &*index)];
    if number < 8 {
        let value = if value < 0 { ephemeris_model::stale_nan() } else { f64::from(value) };
        return series(&labels, &[(at, value)]);
    }
    let count = f64::from(value.max(0));
    let histogram = Histogram {
        count: Some(Count::Float(2.0 * count)),
        sum: Some(3.0 * count),
        zero_count: Some(ZeroCount::Float(0.0)),
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_counts: vec![count, count],
        timestamp: at,
        ..Histogram::default()
    };
    let labels = labels.iter().map(|(name, value)| Label::new(*name, *value)).collect();
    TimeSeries { labels, histograms: vec![histogram], ..TimeSeries::default() }
}

struct Dashboard {
    server: TestServer,
    clock: Arc<ManualClock>,
    now: i64,
    scrapes: i32,
}

impl Dashboard {
    async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(TimestampMs(BEGIN)));
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = TestServer::start_at(dir, Arc::<ManualClock>::clone(&clock), |config| {
            config.retention_ms = RETENTION;
            config.query.reuse_bytes_max = 32 << 20;
        });
        Self { server: server.await, clock, now: BEGIN, scrapes: 0 }
    }

    async fn write(&self, series: Vec<TimeSeries>) {
        let answer = self.server.write(&request(series)).await;
        let old = answer.status == StatusCode::BAD_REQUEST && answer.text().contains("older than");
        assert!(answer.status == StatusCode::NO_CONTENT || old, "{}", answer.text());
    }

    async fn take(&mut self, step: &Step) {
        let store = self.server.app.store().expect("it is open");
        match *step {
            Step::Wait(seconds) => {
                self.now += 1000 * seconds;
                self.clock.move_to(TimestampMs(self.now));
            }
            Step::Scrape => {
                self.scrapes += 1;
                let value = self.scrapes * 3 % 1000;
                let at = |number: u8| self.now - 100 * i64::from(number);
                self.write((0..10).map(|n| series_of(n, at(n), value + i32::from(n))).collect())
                    .await;
            }
            Step::Late(number, ago, value) => {
                let at = (self.now - 1000 * ago).div_euclid(15_000) * 15_000;
                self.write(vec![series_of(number, at, value)]).await;
            }
            Step::Delete(number, ago, length) => {
                let name = ["c_total", "d_total", "h"][usize::from(number / 4)];
                let from = self.now - 1000 * ago;
                let form = format!(
                    "match[]={name}{{i=\"{}\"}}&start={}&end={}",
                    number % 4,
                    seconds(from),
                    seconds(from + 1000 * length)
                );
                let gone = self.server.post_form("/api/v1/admin/tsdb/delete_series", &form).await;
                assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text());
            }
            Step::Clean => store.clean_tombstones().expect("the disk is well"),
            Step::Seal => store.seal().expect("the disk is well"),
            Step::Maintain => store.maintain().expect("the disk is well"),
            Step::Refresh(panel) => self.refresh(panel).await,
        }
    }

    /// The two answers to a panel: as it comes, and computed anew.
    async fn answers(&self, panel: usize) -> (Value, Value) {
        let (query, step, length) = PANELS[panel];
        let end = self.now.div_euclid(step) * step;
        let mut path = format!("/api/v1/query_range?query={}", encode(query));
        let start = end - length;
        let _ = write!(path, "&start={}&end={}&step={}", seconds(start), seconds(end), step / 1000);
        let part = |answer: Value| answer["data"]["result"].clone();
        let usual = self.server.get(&path).await;
        assert_eq!(usual.status, StatusCode::OK, "{}", usual.text());
        path.push_str("&stats=true");
        (part(usual.json()), part(self.server.get(&path).await.json()))
    }

    async fn refresh(&self, panel: usize) {
        let (mut usual, mut anew) = self.answers(panel).await;
        if LAST_BITS.contains(&panel) {
            let points = usual.as_array_mut().into_iter().flatten();
            let others = anew.as_array_mut().into_iter().flatten();
            points.zip(others).for_each(|(one, other)| same_last_bits(one, other));
        }
        assert_eq!(usual, anew, "{:?} at {}", PANELS[panel], self.now);
    }

    fn reused(&self) -> (u64, u64, u64) {
        let counts = self.server.app.reuse.counts();
        (counts.hits.get(), counts.misses.get(), counts.steps_reused.get())
    }
}

/// Makes values of `one` those of `other` where they are the same but for the last bits.
fn same_last_bits(one: &mut Value, other: &Value) {
    let values = one["values"].as_array_mut().into_iter().flatten();
    for (point, other) in values.zip(other["values"].as_array().into_iter().flatten()) {
        let number = |point: &Value| point[1].as_str().and_then(|text| text.parse::<f64>().ok());
        let (Some(a), Some(b)) = (number(point), number(other)) else { continue };
        if (a - b).abs() <= 1e-14 * a.abs().max(b.abs()) {
            point[1] = other[1].clone();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("threads can be started")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..Default::default() })]

    #[test]
    fn answers_are_those_computed_anew(steps in steps()) {
        runtime().block_on(async {
            let mut dashboard = Dashboard::start().await;
            for step in &steps {
                dashboard.take(step).await;
            }
            for panel in (0..PANELS.len()).chain(0..PANELS.len()) {
                dashboard.refresh(panel).await;
            }
            let (hits, ..) = dashboard.reused();
            assert!(hits >= 13, "all but two panels are answered again at once");
            dashboard.server.stop().await;
        });
    }
}

#[test]
fn a_refresh_computes_the_new_steps_only() {
    runtime().block_on(async {
        let mut dashboard = Dashboard::start().await;
        for _ in 0..240 {
            dashboard.take(&Step::Scrape).await;
            dashboard.take(&Step::Wait(15)).await;
        }
        dashboard.refresh(0).await;
        assert_eq!(dashboard.reused(), (0, 1, 0));
        // A minute of steps may change at once, and a step comes with each refresh.
        for refresh in 1..=10 {
            dashboard.take(&Step::Scrape).await;
            dashboard.take(&Step::Wait(15)).await;
            dashboard.refresh(0).await;
            let (hits, misses, steps) = dashboard.reused();
            assert_eq!((hits, misses), (refresh, 1));
            assert!(steps >= refresh * 110, "{steps} of 121 steps a refresh, {refresh} refreshes");
        }
        // Late, in the middle: what is left is less than half.
        dashboard.take(&Step::Late(0, 15 * 60, 999_999)).await;
        let (usual, anew) = dashboard.answers(0).await;
        assert_eq!(usual, anew);
        assert!(usual.to_string().contains("\"999999\""), "the late sample is there");
        assert_eq!(dashboard.reused().1, 2);
        dashboard.server.stop().await;
    });
}

/// Writers of late samples see what they wrote in the very next answer, while others write and fill
/// what is kept.
#[test]
fn what_was_acknowledged_is_in_the_next_answer() {
    runtime().block_on(async {
        let mut dashboard = Dashboard::start().await;
        dashboard.take(&Step::Wait(1800)).await;
        let dashboard = Arc::new(dashboard);
        let next = Arc::new(AtomicI64::new(0));
        let writers = (0..4_i64).map(|writer| {
            let (dashboard, next) = (Arc::clone(&dashboard), Arc::clone(&next));
            tokio::spawn(async move {
                for round in 0..60_i64 {
                    let number = next.fetch_add(1, Ordering::Relaxed) + 1;
                    let end = dashboard.now.div_euclid(15_000) * 15_000;
                    // Each time of a series is written once.
                    let at = end - (round * 7 % 60 + 1) * 15_000;
                    let label = writer.to_string();
                    let labels = [("__name__", "c_total"), ("i", &*label)];
                    let value = f64::from(u32::try_from(number).expect("small"));
                    dashboard.write(vec![series(&labels, &[(at, value)])]).await;
                    let (usual, _) = dashboard.answers(0).await;
                    let ours = usual.as_array().expect("a matrix").iter();
                    let ours = ours.filter(|one| one["metric"]["i"] == *label);
                    let points: Vec<&Value> =
                        ours.flat_map(|one| one["values"].as_array().expect("points")).collect();
                    let (time, value) = (seconds(at), number.to_string());
                    let found = points.iter().any(|point| {
                        let told = point[0].to_string();
                        told == time && point[1].as_str() == Some(&value)
                    });
                    assert!(found, "{number} at {at} is missing in {points:?}");
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("it finds what it wrote");
        }
        dashboard.refresh(0).await;
        assert!(dashboard.reused().0 > 0, "something was reused");
        let dashboard = Arc::into_inner(dashboard).expect("all others ended");
        dashboard.server.stop().await;
    });
}

#[tokio::test]
async fn a_step_beyond_all_times_is_refused_and_a_long_one_answers_alike_each_time() {
    let server = TestServer::start().await;
    let now = server.app.clock.now().0;
    let samples = [(now - 2000, 19.0), (now - 1000, 20.0)];
    server.write(&request(vec![series(&[("__name__", "m")], &samples)])).await;
    let at = seconds(now);
    let path = |step: &str| format!("/api/v1/query_range?query=m&start={at}&end={at}&step={step}");
    let refused = server.get(&path("9223372036854775807ms")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text());
    let first = server.get(&path("291y")).await.text();
    assert!(first.contains("\"20\""), "{first}");
    for _ in 0..3 {
        assert_eq!(server.get(&path("291y")).await.text(), first);
    }
    server.stop().await;
}
