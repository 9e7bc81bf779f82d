//! What arrived, by protocol and tenant: for `/api/v1/status/ingest`.

use std::collections::BTreeMap;

use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_model::{LogBatch, LogOutcome, RejectReason, Rejects, WriteBatch, WriteOutcome};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Pairs of protocol and tenant that are told apart; more are counted as one.
const ENTRIES_MAX: usize = 1_000;
/// Samples of one request whose lateness is looked at.
const LATENESS_SAMPLES_MAX: usize = 64;
/// The tenant that stands for all beyond [`ENTRIES_MAX`].
const OTHERS: &str = "(others)";
/// Bytes of an example.
const EXAMPLE_BYTES_MAX: usize = 300;

/// Upper bounds of lateness: name and milliseconds.
const LATENESS: [(&str, i64); 8] = [
    ("1s", 1_000),
    ("10s", 10_000),
    ("1m", 60_000),
    ("10m", 600_000),
    ("1h", 3_600_000),
    ("6h", 6 * 3_600_000),
    ("1d", 24 * 3_600_000),
    ("+Inf", i64::MAX),
];

/// How a write came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Prometheus remote write, 1.0.
    RemoteWrite1,
    /// Prometheus remote write, 2.0.
    RemoteWrite2,
    /// OpenTelemetry.
    Otlp,
    /// Prometheus text and OpenMetrics.
    Text,
    /// Loki push.
    LokiPush,
    /// Log records of OpenTelemetry.
    OtlpLogs,
}

impl Protocol {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RemoteWrite1 => "remote_write_1",
            Self::RemoteWrite2 => "remote_write_2",
            Self::Otlp => "otlp",
            Self::Text => "text",
            Self::LokiPush => "loki_push",
            Self::OtlpLogs => "otlp_logs",
        }
    }
}

/// What arrived since the start.
#[derive(Debug, Default)]
pub struct Arrivals {
    entries: Mutex<BTreeMap<(Protocol, String), Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    requests: u64,
    samples: u64,
    histograms: u64,
    exemplars: u64,
    entries: u64,
    line_bytes: u64,
    series_created: u64,
    last_ms: i64,
    rejects: BTreeMap<&'static str, (u64, String)>,
    lateness: [u64; LATENESS.len()],
}

impl Arrivals {
    /// Counts a batch that was stored.
    pub fn add(
        &self,
        (protocol, tenant): (Protocol, &str),
        batch: &WriteBatch<'_>,
        outcome: &WriteOutcome,
        now_ms: i64,
    ) {
        let mut entries = self.entries.lock();
        let entry = entry(&mut entries, protocol, tenant);
        entry.requests += 1;
        entry.samples += outcome.samples_written;
        entry.histograms += outcome.histograms_written;
        entry.exemplars += outcome.exemplars_written;
        entry.series_created += outcome.series_created;
        entry.came(&outcome.rejects, now_ms);
        let stride = batch.samples.len() / LATENESS_SAMPLES_MAX + 1;
        for sample in batch.samples.iter().step_by(stride) {
            entry.late(now_ms.saturating_sub(sample.timestamp_ms));
        }
    }

    /// Counts log entries that were stored.
    pub fn add_logs(
        &self,
        (protocol, tenant): (Protocol, &str),
        batch: &LogBatch<'_>,
        outcome: &LogOutcome,
        now_ms: i64,
    ) {
        let mut entries = self.entries.lock();
        let entry = entry(&mut entries, protocol, tenant);
        entry.requests += 1;
        entry.entries += outcome.entries_written;
        entry.line_bytes += outcome.line_bytes_written;
        entry.series_created += outcome.streams_created;
        entry.came(&outcome.rejects, now_ms);
        let stride = batch.entries.len() / LATENESS_SAMPLES_MAX + 1;
        for line in batch.entries.iter().step_by(stride) {
            entry.late(now_ms.saturating_sub(line.timestamp_ns.div_euclid(NANOS_PER_MILLI)));
        }
    }

    /// Counts what was refused before it came to the store.
    pub fn refused(&self, (protocol, tenant): (Protocol, &str), reason: &'static str, text: &str) {
        let mut entries = self.entries.lock();
        entry(&mut entries, protocol, tenant).reject(reason, 1, text);
    }

    /// All as JSON, of `tenant` alone.
    #[must_use]
    pub fn to_json(&self, tenant: &str) -> Value {
        let entries = self.entries.lock();
        let own = entries.iter().filter(|((_, name), _)| name == tenant);
        let shown: Vec<Value> =
            own.map(|((protocol, name), e)| e.to_json(*protocol, name)).collect();
        json!({ "protocols": shown, "reasons": RejectReason::ALL.map(RejectReason::as_str) })
    }
}

fn entry<'a>(
    entries: &'a mut BTreeMap<(Protocol, String), Entry>,
    protocol: Protocol,
    tenant: &str,
) -> &'a mut Entry {
    let key = (protocol, tenant.to_owned());
    let is_known = entries.len() < ENTRIES_MAX || entries.contains_key(&key);
    entries.entry(if is_known { key } else { (protocol, OTHERS.to_owned()) }).or_default()
}

impl Entry {
    fn came(&mut self, rejects: &Rejects, now_ms: i64) {
        self.last_ms = now_ms;
        for (reason, count, text) in rejects.iter() {
            self.reject(reason.as_str(), count, text);
        }
    }

    fn late(&mut self, late_ms: i64) {
        let at = LATENESS.iter().position(|(_, bound)| late_ms <= *bound);
        self.lateness[at.unwrap_or(LATENESS.len() - 1)] += 1;
    }

    fn reject(&mut self, reason: &'static str, count: u64, text: &str) {
        let (known, example) = self.rejects.entry(reason).or_default();
        *known += count;
        text[..text.floor_char_boundary(EXAMPLE_BYTES_MAX)].clone_into(example);
    }

    fn to_json(&self, protocol: Protocol, tenant: &str) -> Value {
        let rejects = self.rejects.iter().map(|(reason, (count, example))| {
            json!({ "reason": reason, "count": count, "example": example })
        });
        let lateness = LATENESS.iter().zip(&self.lateness);
        let lateness = lateness.map(|((le, _), count)| json!({ "le": le, "count": count }));
        json!({
            "protocol": protocol.as_str(),
            "tenant": tenant,
            "requests": self.requests,
            "samples": self.samples,
            "histograms": self.histograms,
            "exemplars": self.exemplars,
            "entries": self.entries,
            "lineBytes": self.line_bytes,
            "seriesCreated": self.series_created,
            "lastReceived": crate::api::time::format_rfc3339(self.last_ms),
            "rejects": rejects.collect::<Vec<_>>(),
            "lateness": lateness.collect::<Vec<_>>(),
        })
    }
}
