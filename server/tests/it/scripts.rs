//! Prometheus' scripts once more, over blocks: the data of each script go through the decoder, the
//! WAL and the head, are sealed, and are read back from disk.
//!
//! `server/tests/promqltest-passes.txt` says how many queries pass; write it anew with
//! `EPHEMERIS_UPDATE_PASSES=1`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use ephemeris_ingest::proto::write_v1::{BucketSpan, Count, ZeroCount};
use ephemeris_ingest::proto::write_v2::{Histogram, Request, Sample, SymbolTable, TimeSeries};
use ephemeris_ingest::{Buffers, Decoder, Limits, remote_write};
use ephemeris_model::{BodyKind, FloatHistogram, Labels, Source, Span, TimestampMs};
use ephemeris_query::script::{MemorySource, Report, StoredSample, StoredValue, run_over};
use ephemeris_storage::{Background, Clock, ManualClock, Store, StoreConfig};
use prost::Message;

/// A hundred years.
const CENTURY_MS: i64 = 100 * 365 * 86_400_000;

fn store_in(dir: &Path) -> Store {
    let mut config = StoreConfig::new(dir);
    config.retention_ms = 2 * CENTURY_MS;
    config.background = Background::Caller;
    // The scripts' time begins in 1970.
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(TimestampMs(CENTURY_MS)));
    Store::open(config, Arc::new(Decoder::default()), clock).expect("the store opens")
}

fn histogram(sample: &StoredSample, h: &FloatHistogram) -> Histogram {
    let spans = |spans: &[Span]| {
        spans.iter().map(|s| BucketSpan { offset: s.offset, length: s.length }).collect()
    };
    Histogram {
        count: Some(Count::Float(h.count)),
        sum: Some(h.sum),
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: Some(ZeroCount::Float(h.zero_count)),
        negative_spans: spans(&h.negative_spans),
        negative_counts: h.negative_buckets.clone(),
        positive_spans: spans(&h.positive_spans),
        positive_counts: h.positive_buckets.clone(),
        reset_hint: h.reset_hint as i32,
        timestamp: sample.timestamp_ms,
        custom_values: h.custom_values.clone(),
        start_timestamp: sample.start_ms,
        ..Histogram::default()
    }
}

fn message(symbols: &mut SymbolTable, labels: &Labels, samples: &[StoredSample]) -> TimeSeries {
    let labels_refs = symbols.labels_refs(labels.iter());
    let mut series = TimeSeries { labels_refs, ..TimeSeries::default() };
    for sample in samples {
        match &sample.value {
            StoredValue::Float(value) => series.samples.push(Sample {
                value: Some(*value),
                timestamp: sample.timestamp_ms,
                start_timestamp: sample.start_ms,
            }),
            StoredValue::Histogram(h) => series.histograms.push(histogram(sample, h)),
        }
    }
    series
}

/// Writes the data as `tenant`, seals them, and gives a reader.
fn sealed(store: &Store, tenant: &str, data: &MemorySource) -> Result<Box<dyn Source>, String> {
    let mut symbols = SymbolTable::default();
    let timeseries = data.series().map(|(l, s)| message(&mut symbols, l, s)).collect();
    let request = Request { symbols: symbols.into_symbols(), timeseries };
    let body = ephemeris_ingest::body::compress_snappy(&request.encode_to_vec());
    let body = body.map_err(|error| error.to_string())?;
    let mut buffers = Buffers::default();
    let limits = Limits::default();
    let batch = remote_write::decode(BodyKind::RemoteWrite2, &body, &limits, &mut buffers);
    let batch = batch.map_err(|error| error.to_string())?;
    // A series without a name is refused, as remote write demands; queries that need it fail.
    store.write(tenant, &batch).map_err(|error| error.to_string())?;
    store.seal().map_err(|error| error.to_string())?;
    Ok(Box::new(store.reader(tenant).map_err(|error| error.to_string())?))
}

fn run(text: &str) -> Report {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = store_in(dir.path());
    let mut loads = 0;
    let report = run_over(text, &mut |data| {
        loads += 1;
        sealed(&store, &format!("load-{loads}"), data)
    });
    store.close(std::time::Duration::ZERO).expect("the store closes");
    report
}

#[test]
fn prometheus_scripts_pass_over_blocks_as_before() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = home.join("../../shared/promqltest");
    // The scripts lie outside the repository; our own run over memory only.
    let Ok(entries) = std::fs::read_dir(&folder) else { return };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("the folder can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".test"))
        .collect();
    names.sort_unstable();
    let (mut found, mut details) = (String::new(), String::new());
    for name in names {
        let report = run(&std::fs::read_to_string(folder.join(&name)).expect("a script"));
        let _ = writeln!(found, "{name} {}/{}", report.passed, report.total);
        for failure in &report.failures {
            let _ =
                writeln!(details, "{name}:{}: {} {}", failure.line, failure.problem, failure.query);
            let _ = writeln!(details, "  expected {}\n  got {}", failure.expected, failure.got);
        }
    }
    let passes = home.join("tests/promqltest-passes.txt");
    if std::env::var_os("EPHEMERIS_UPDATE_PASSES").is_some() {
        std::fs::write(&passes, &found).expect("the list can be written");
        return;
    }
    let before = std::fs::read_to_string(&passes).expect("the list is in the repository");
    assert_eq!(found, before, "{details}");
}
