//! What the store costs: codecs of columns, series resolved and appended, series made, selected and
//! counted.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use ephemeris_benches::workload::{Body, Shape, Workload};
use ephemeris_ingest::Limits;
use ephemeris_ingest::decoder::Decoder;
use ephemeris_ingest::remote_write::{self, Buffers};
use ephemeris_model::{
    BodyKind, MatchOp, Matcher, Select, SeriesCount, Source as _, TimeRange, TimestampMs,
};
use ephemeris_storage::encoding::Input;
use ephemeris_storage::metrics::codec::{floats, times};
use ephemeris_storage::{Background, Durability, ManualClock, Store, StoreConfig};

const START_MS: i64 = 1_780_000_000_000;
const INTERVAL_MS: i64 = 15_000;
const SERIES: usize = 16_000;
const SCRAPES: usize = 40;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    codecs(&mut criterion);
    writes(&mut criterion);
    selections(&mut criterion);
    criterion.final_summary();
}

/// Columns of 240 values of each shape the workload has.
fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codecs");
    group.throughput(Throughput::Elements(240));
    let counter = (0..240).map(|i| f64::from(i * 37 + i % 7)).collect();
    let decimal = (0..240).map(|i| f64::from(2_800 + (i * 7919) % 41) / 100.0).collect();
    let full = (0..240).map(|i| (f64::from(i) * 0.37).sin()).collect();
    let shapes: [(&str, Vec<f64>); 3] =
        [("counter", counter), ("decimal", decimal), ("full", full)];
    for (name, values) in shapes {
        let mut bytes = Vec::new();
        group.bench_function(format!("encode_{name}"), |b| {
            b.iter(|| {
                bytes.clear();
                floats::encode(&values, &mut bytes);
                bytes.len()
            });
        });
        let mut decoded = Vec::new();
        group.bench_function(format!("decode_{name}"), |b| {
            b.iter(|| {
                decoded.clear();
                floats::decode(&mut Input::new(&bytes), 240, 0..240, &mut decoded).expect("values");
                decoded.len()
            });
        });
    }
    let timestamps: Vec<i64> = (0..240).map(|i| START_MS + INTERVAL_MS * i + i % 3).collect();
    let (mut bytes, mut decoded) = (Vec::new(), Vec::new());
    times::encode(&timestamps, &mut bytes);
    group.bench_function("decode_times", |b| {
        b.iter(|| times::decode(&bytes, 240, &mut decoded).expect("times"));
    });
    group.finish();
}

/// A store that is gone with its directory.
struct Temporary {
    store: Store,
    _dir: tempfile::TempDir,
}

impl Temporary {
    fn open() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = StoreConfig::new(dir.path().join("data"));
        config.background = Background::Caller;
        config.durability = Durability::Buffered;
        let clock = ManualClock::new(TimestampMs(START_MS + 60 * 60 * 1000));
        let store = Store::open(config, Arc::new(Decoder::default()), Arc::new(clock));
        Self { store: store.expect("the store opens"), _dir: dir }
    }

    fn write(&self, bodies: &[Body]) {
        let mut buffers = Buffers::default();
        for body in bodies {
            let kind = BodyKind::RemoteWrite1;
            let batch = remote_write::decode(kind, &body.bytes, &Limits::default(), &mut buffers);
            self.store.write("t", &batch.expect("a batch")).expect("it is written");
        }
    }
}

fn bodies(series_count: usize, scrape_count: usize) -> Vec<Body> {
    let shape = Shape {
        series_count,
        scrape_count,
        connection_count: 1,
        interval_ms: INTERVAL_MS,
        start_ms: START_MS,
        seed: 1,
    };
    Workload::generate(&shape).expect("a workload is generated").lanes.remove(0)
}

/// Bodies of series that are known, which are resolved, logged and appended, and of new series.
fn writes(criterion: &mut Criterion) {
    let all = bodies(SERIES, SCRAPES);
    let (first, rest) = all.split_at(all.len() / SCRAPES);
    let mut group = criterion.benchmark_group("writes");
    group.sample_size(10);
    group.throughput(Throughput::Elements((SERIES * (SCRAPES - 1)) as u64));
    group.bench_function("known_series", |b| {
        let opened = || {
            let opened = Temporary::open();
            opened.write(first);
            opened
        };
        b.iter_batched_ref(opened, |opened| opened.write(rest), BatchSize::PerIteration);
    });
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("new_series", |b| {
        b.iter_batched_ref(Temporary::open, |opened| opened.write(first), BatchSize::PerIteration);
    });
    group.finish();
}

/// Posting lists, joined label sets, and series counted without their samples; in the head, then in
/// a block.
fn selections(criterion: &mut Criterion) {
    let opened = Temporary::open();
    opened.write(&bodies(SERIES, SCRAPES));
    let matcher = |op, name, value| Matcher::new(op, name, value).expect("a matcher");
    let one_metric = vec![matcher(MatchOp::Equal, "__name__", "satellite_bus_voltage_volts")];
    let pattern = vec![matcher(MatchOp::Regex, "satellite", "A-0001.*")];
    let end = TimestampMs(START_MS + SCRAPES as i64 * INTERVAL_MS);
    let window = SeriesCount::window_before(end, 300_000);
    let job = vec![matcher(MatchOp::Equal, "job", "telemetry")];
    let count = SeriesCount { matchers: job, window, by: Vec::new() };
    for part in ["head", "block"] {
        if part == "block" {
            opened.store.seal().expect("it is sealed");
        }
        let reader = opened.store.reader("t").expect("a reader");
        let mut group = criterion.benchmark_group(format!("select_{part}"));
        for (name, matchers) in [("one_metric", &one_metric), ("pattern", &pattern)] {
            let select = Select { matchers: matchers.clone(), range: TimeRange::ALL };
            group.bench_function(name, |b| {
                b.iter(|| reader.select(&select).expect("series").len());
            });
        }
        group.throughput(Throughput::Elements(SERIES as u64));
        group.bench_function("count", |b| {
            b.iter(|| black_box(reader.count_series(&count).expect("an answer")).is_some());
        });
        group.finish();
    }
}
