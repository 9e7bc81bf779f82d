//! The server stores its own metrics in itself, so that it can be looked at with its own means.

use std::net::SocketAddr;
use std::sync::Arc;

use ephemeris_ingest::proto::encode_remote_write;
use ephemeris_ingest::{Buffers, remote_write};
use ephemeris_model::{
    BodyKind, Labels, METRIC_NAME, Metadata, MetricType, Sample, TimestampMs, stale_nan,
};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::api::tenant::ANONYMOUS;
use crate::app::App;
use crate::metrics::{Family, Kind};

/// Label `job` of the server's own series.
const JOB: &str = "ephemeris";
/// Metadata is sent with every such write.
const METADATA_EVERY: u64 = 20;

/// Stores the metrics for the first time.
pub async fn begin(app: &Arc<App>, address: SocketAddr) {
    if !app.config.self_metrics_interval.is_zero() {
        store(app, address, Round::Number(0)).await;
    }
}

/// Stores the metrics at each interval, until `stopping` is true; then ends the
/// series with staleness markers.
pub async fn run(app: Arc<App>, address: SocketAddr, mut stopping: watch::Receiver<bool>) {
    let interval = app.config.self_metrics_interval;
    if interval.is_zero() {
        return;
    }
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut round = 1;
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            _ = ticks.tick() => {}
        }
        store(&app, address, Round::Number(round)).await;
        round += 1;
    }
    store(&app, address, Round::Last).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Number(u64),
    /// The series end here.
    Last,
}

async fn store(app: &Arc<App>, address: SocketAddr, round: Round) {
    let worker_app = Arc::clone(app);
    let job = move |_: &mut crate::workers::Scratch| write(&worker_app, address, round);
    let result = match app.ingest.run(job).await {
        Ok(result) => result,
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = result {
        app.metrics.self_write_failures.add(1);
        tracing::warn!(error, "the server's own metrics were not stored");
    }
}

fn write(app: &App, address: SocketAddr, round: Round) -> Result<(), String> {
    let store = app.store().map_err(|error| error.message)?;
    let families = app.metric_families();
    let body = encode(&families, &address.to_string(), app.clock.now(), round);
    let mut buffers = Buffers::default();
    let limits = ephemeris_ingest::Limits::default();
    let kind = BodyKind::RemoteWrite1Plain;
    let batch = remote_write::decode(kind, &body, &limits, &mut buffers)
        .map_err(|error| error.to_string())?;
    let outcome = store.write(ANONYMOUS, &batch).map_err(|error| error.to_string())?;
    app.metrics.batch_written(&outcome);
    if outcome.rejects.is_empty() { Ok(()) } else { Err(outcome.rejects.summary()) }
}

fn encode(families: &[Family], instance: &str, now: TimestampMs, round: Round) -> Vec<u8> {
    let mut series: Vec<(Labels, [Sample; 1])> = Vec::new();
    for family in families {
        for point in &family.points {
            let name = format!("{}{}", family.name, point.suffix);
            let own = [(METRIC_NAME, name.as_str()), ("job", JOB), ("instance", instance)];
            let labels = own.into_iter().chain(point.labels.iter().map(|(n, v)| (*n, v.as_str())));
            let value = if round == Round::Last { stale_nan() } else { point.value };
            series.push((Labels::from_pairs(labels), [Sample { timestamp_ms: now.0, value }]));
        }
    }
    let series: Vec<(&Labels, &[Sample])> =
        series.iter().map(|(labels, samples)| (labels, samples.as_slice())).collect();
    let with_metadata = matches!(round, Round::Number(n) if n % METADATA_EVERY == 0);
    let metadata = families.iter().filter(|_| with_metadata).map(metadata).collect::<Vec<_>>();
    encode_remote_write(&series, &metadata)
}

fn metadata(family: &Family) -> Metadata {
    Metadata {
        metric: family.name.to_owned(),
        metric_type: match family.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        },
        help: family.help.to_owned(),
        unit: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_become_series_with_job_and_instance() {
        let families = [Family::gauge("x", "Help.", 2.5)];
        let mut buffers = Buffers::default();
        let body = encode(&families, "host:1", TimestampMs(7), Round::Number(0));
        let limits = ephemeris_ingest::Limits::default();
        let batch = remote_write::decode(BodyKind::RemoteWrite1Plain, &body, &limits, &mut buffers)
            .expect("the server can read what it writes");
        assert_eq!((batch.series.len(), batch.samples.len()), (1, 1));
        assert_eq!(batch.samples[0].value.to_bits(), 2.5_f64.to_bits());
        assert_eq!(batch.metadata[0].metric, "x");
        assert_eq!(batch.metadata[0].metric_type, MetricType::Gauge);
    }
}
