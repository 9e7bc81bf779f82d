//! What a sample or an entry costs on its way in: decompression, decoders, translation.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ephemeris_benches::translate;
use ephemeris_benches::workload::{Shape, Workload};
use ephemeris_ingest::Limits;
use ephemeris_ingest::proto::push::{Entry, PushRequest, Stream, Timestamp};
use ephemeris_ingest::remote_write::{v1, v2};
use ephemeris_ingest::{body, loki, otlp};
use ephemeris_model::BodyKind;
use prost::Message as _;

/// A body of up to 5,000 samples as agents send them.
fn first_body() -> Vec<u8> {
    let shape = Shape {
        series_count: 4_800,
        scrape_count: 1,
        connection_count: 1,
        interval_ms: 15_000,
        start_ms: 1_780_000_000_000,
        seed: 1,
    };
    let workload = Workload::generate(&shape).expect("a workload is generated");
    workload.lanes.into_iter().flatten().next().expect("it has a body").bytes
}

/// 2,000 lines of one stream.
fn push() -> Vec<u8> {
    let entry = |n: i32| Entry {
        timestamp: Some(Timestamp { seconds: 1_780_000_000, nanos: n }),
        line: format!("level=info msg=\"request {n} answered\" status=200 took={}ms", n % 97)
            .into(),
        structured_metadata: Vec::new(),
    };
    let stream = Stream {
        labels: br#"{job="gateway", instance="g-1"}"#.to_vec(),
        entries: (0..2_000).map(entry).collect(),
        hash: 0,
    };
    PushRequest { streams: vec![stream] }.encode_to_vec()
}

/// A store without totals: the workload has no deltas.
struct Nothing;

impl otlp::Stored for Nothing {
    fn newest(&self, _: &[(&str, &str)]) -> Result<Option<otlp::StoredSample>, String> {
        Ok(None)
    }

    fn holds(&self, _: &[(&str, &str)], _: i64) -> Result<bool, String> {
        Ok(false)
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let limits = Limits::default();
    let body_1 = first_body();
    let body_2 = translate::remote_write_2(&body_1).expect("it is translated");
    let (mut buffer_1, mut buffer_2) = (Vec::new(), Vec::new());
    let message_1 = body::decompress_snappy(&body_1, &limits, &mut buffer_1).expect("snappy");
    let message_2 = body::decompress_snappy(&body_2, &limits, &mut buffer_2).expect("snappy");

    let mut group = criterion.benchmark_group("ways_in");
    let batch = v1::decode(BodyKind::RemoteWrite1, &body_1, message_1, &limits).expect("a batch");
    group.throughput(Throughput::Elements(batch.samples.len() as u64));
    let mut buffer = Vec::new();
    group.bench_function("snappy", |b| {
        b.iter(|| body::decompress_snappy(&body_1, &limits, &mut buffer).map(<[u8]>::len));
    });
    group.bench_function("remote_write_1", |b| {
        let kind = BodyKind::RemoteWrite1;
        b.iter(|| v1::decode(kind, &body_1, message_1, &limits).map(|batch| batch.samples.len()));
    });
    let mut labels = Vec::new();
    group.bench_function("remote_write_2", |b| {
        b.iter(|| {
            let batch =
                v2::decode(BodyKind::RemoteWrite2, &body_2, message_2, &limits, &mut labels);
            batch.map(|batch| batch.samples.len())
        });
    });
    let request = translate::otlp_by_instance(&body_1).expect("it is translated");
    let (options, totals) = (otlp::Options::default(), otlp::Accumulator::new(1000));
    let mut cache = otlp::Cache::default();
    group.bench_function("otlp", |b| {
        b.iter(|| {
            let mut session = totals.session("t", &Nothing);
            black_box(
                otlp::translate(&request, &options, &limits, &mut session, &mut cache, None)
                    .expect("points"),
            )
        });
    });
    let message = push();
    group.throughput(Throughput::Elements(2_000));
    group.bench_function("loki", |b| {
        let kind = BodyKind::LokiPushPlain;
        b.iter(|| {
            let batch = loki::push::decode(kind, &message, &message, &limits);
            black_box(batch.expect("entries"));
        });
    });
    group.finish();
    criterion.final_summary();
}
