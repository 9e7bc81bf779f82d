//! What each operator of PromQL costs over 1,000 series of 240 samples (of buckets 10,000), at 240
//! steps, with the threads of the machine; and the same query over head and block.

use std::sync::Arc;

use criterion::Criterion;
use ephemeris_ingest::Limits;
use ephemeris_ingest::decoder::Decoder;
use ephemeris_ingest::proto::encode_remote_write;
use ephemeris_ingest::remote_write::{self, Buffers};
use ephemeris_model::{BodyKind, Labels, Sample, TimestampMs};
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::engine::{Engine, RangeQuery};
use ephemeris_query::promql::parse::parse;
use ephemeris_storage::{Background, Durability, ManualClock, Reader, Store, StoreConfig};

const START_MS: i64 = 1_780_000_000_000;
const STEP_MS: i64 = 15_000;
const SCRAPES: i64 = 240;
const INSTANCES: u32 = 1_000;
const BOUNDS: [&str; 10] =
    ["0.1", "0.2", "0.4", "0.8", "1.6", "3.2", "6.4", "12.8", "25.6", "+Inf"];

/// Each operator by itself where that is possible.
const QUERIES: [(&str, &str); 22] = [
    ("selector", "volts"),
    ("rate", "rate(packets_total[5m])"),
    ("increase", "increase(packets_total[5m])"),
    ("irate", "irate(packets_total[5m])"),
    ("delta", "delta(volts[5m])"),
    ("deriv", "deriv(volts[5m])"),
    ("sum_over_time", "sum_over_time(volts[5m])"),
    ("max_over_time", "max_over_time(volts[5m])"),
    ("stddev_over_time", "stddev_over_time(volts[5m])"),
    ("quantile_over_time", "quantile_over_time(0.95, volts[5m])"),
    ("median_over_time", "quantile_over_time(0.5, volts[5m])"),
    ("sum", "sum(volts)"),
    ("sum_by", "sum by (plane) (volts)"),
    ("sum_without", "sum without (instance) (volts)"),
    ("quantile", "quantile(0.9, volts)"),
    ("topk", "topk(10, volts)"),
    ("count_values", "count_values(\"value\", floor(volts))"),
    ("with_number", "volts * 2 > 50"),
    ("one_to_one", "volts / on (instance) packets_total"),
    ("many_to_one", "packets_total * on (plane) group_left () sum by (plane) (volts)"),
    ("histogram_quantile", "histogram_quantile(0.9, rate(seconds_bucket[5m]))"),
    ("subquery", "max_over_time(sum(rate(packets_total[1m]))[5m:30s])"),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path());
    let reader = store.reader("t").expect("a reader");
    let mut group = criterion.benchmark_group("operators");
    group.sample_size(20);
    for (name, query) in QUERIES {
        group.bench_function(name, |b| b.iter(|| ask(&reader, query)));
    }
    group.finish();
    let mut group = criterion.benchmark_group("instant");
    for (name, query) in [("count", "count({job=\"bus\"})"), ("topk", "topk(10, volts)")] {
        group.bench_function(name, |b| b.iter(|| ask_at_end(&reader, query)));
    }
    group.finish();
    store.seal().expect("it is sealed");
    let reader = store.reader("t").expect("a reader");
    let mut group = criterion.benchmark_group("operators_on_a_block");
    group.sample_size(20);
    for (name, query) in QUERIES.into_iter().take(2) {
        group.bench_function(name, |b| b.iter(|| ask(&reader, query)));
    }
    group.finish();
    criterion.final_summary();
}

/// Asks at each scrape but those of the first five minutes.
fn ask(reader: &Reader, query: &str) {
    let range = RangeQuery {
        start: TimestampMs(START_MS + 300_000),
        end: TimestampMs(START_MS + 300_000 + (SCRAPES - 1) * STEP_MS),
        step_ms: STEP_MS,
    };
    let expr = parse(query).expect("a query");
    let budget = Budget::new(BudgetLimits::default());
    let answer = Engine::default().range(reader, query, &expr, range, &budget);
    answer.expect("an answer");
}

fn ask_at_end(reader: &Reader, query: &str) {
    let expr = parse(query).expect("a query");
    let budget = Budget::new(BudgetLimits::default());
    let at = TimestampMs(START_MS + SCRAPES * STEP_MS);
    Engine::default().instant(reader, query, &expr, at, &budget).expect("an answer");
}

/// A counter, a gauge and buckets of each instance.
fn store(dir: &std::path::Path) -> Store {
    let mut config = StoreConfig::new(dir.join("data"));
    config.background = Background::Caller;
    config.durability = Durability::Buffered;
    let clock = ManualClock::new(TimestampMs(START_MS + 2 * SCRAPES * STEP_MS));
    let store = Store::open(config, Arc::new(Decoder::default()), Arc::new(clock));
    let store = store.expect("the store opens");
    let series: Vec<(Labels, u32, u32)> = (0..INSTANCES).flat_map(series_of).collect();
    let mut buffers = Buffers::default();
    for scrape in 0..SCRAPES {
        let sample = |(_, instance, kind): &(Labels, u32, u32)| {
            let at = START_MS + scrape * STEP_MS + i64::from(*instance);
            [Sample { timestamp_ms: at, value: value(*instance, *kind, scrape) }]
        };
        let samples: Vec<[Sample; 1]> = series.iter().map(sample).collect();
        for (series, samples) in series.chunks(4_000).zip(samples.chunks(4_000)) {
            let pairs: Vec<(&Labels, &[Sample])> =
                series.iter().zip(samples).map(|((labels, ..), one)| (labels, &one[..])).collect();
            let body = encode_remote_write(&pairs, &[]);
            let kind = BodyKind::RemoteWrite1Plain;
            let batch = remote_write::decode(kind, &body, &Limits::default(), &mut buffers);
            store.write("t", &batch.expect("a batch")).expect("it is written");
        }
    }
    store
}

/// Labels, instance and kind: 0 the counter, 1 the gauge, 2 and on the buckets.
fn series_of(instance: u32) -> Vec<(Labels, u32, u32)> {
    let plane = format!("p{}", instance % 72);
    let name = format!("s-{instance:04}");
    let common = [("job", "bus"), ("plane", &plane), ("instance", &name)];
    let labels = |metric, more: &[(&str, &str)]| {
        let named = [("__name__", metric)];
        Labels::from_pairs(common.iter().chain(&named).chain(more).copied())
    };
    let buckets = BOUNDS
        .iter()
        .zip(2..)
        .map(|(bound, kind)| (labels("seconds_bucket", &[("le", *bound)]), instance, kind));
    let plain = [(labels("packets_total", &[]), instance, 0), (labels("volts", &[]), instance, 1)];
    plain.into_iter().chain(buckets).collect()
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn value(instance: u32, kind: u32, scrape: i64) -> f64 {
    let noise = (i64::from(instance) * 7919 + scrape * 104_729) % 97;
    match kind {
        0 => (scrape * 500 + noise) as f64,
        1 => (2_800 + noise) as f64 / 100.0,
        bound => (scrape * 10 * i64::from(bound)) as f64,
    }
}
