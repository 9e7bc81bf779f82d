//! What arrived, by protocol, tenant and sender: for `/api/v1/status/ingest`, and in sum by protocol for
//! [`crate::metrics`].

use std::collections::BTreeMap;

use ephemeris_model::logs::NANOS_PER_MILLI;
use ephemeris_model::{LogBatch, LogOutcome, RejectReason, Rejects, WriteBatch, WriteOutcome};
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::{Value, json};

use self::senders::Senders;
pub use self::senders::Sent;

mod senders;

/// Pairs of protocol and tenant that are told apart; more are counted as one.
const ENTRIES_MAX: usize = 1_000;
/// Samples of one request whose lateness is looked at.
const LATENESS_SAMPLES_MAX: usize = 64;
/// The tenant that stands for all beyond [`ENTRIES_MAX`].
const OTHERS: &str = "(others)";
/// Bytes of an example.
const EXAMPLE_BYTES_MAX: usize = 300;

/// Upper bounds of lateness: name and milliseconds.
pub(crate) const LATENESS: [(&str, i64); 8] = [
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
#[repr(u8)]
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
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::RemoteWrite1,
        Self::RemoteWrite2,
        Self::Otlp,
        Self::Text,
        Self::LokiPush,
        Self::OtlpLogs,
    ];

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
pub(crate) struct Entry {
    requests: u64,
    pub(crate) samples: u64,
    pub(crate) histograms: u64,
    pub(crate) exemplars: u64,
    pub(crate) entries: u64,
    line_bytes: u64,
    series_created: u64,
    deduplicated: u64,
    senders: Senders,
    last_ms: i64,
    /// Count and newest example by reason.
    pub(crate) rejects: BTreeMap<&'static str, (u64, String)>,
    /// Of some samples, by [`LATENESS`]; not cumulative.
    pub(crate) lateness: [u64; LATENESS.len()],
    /// Of the same samples in sum.
    pub(crate) late_ms: u64,
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

    /// Counts a request of the sender that `headers` name: what became of its items, or `None` if
    /// it failed as a whole.
    pub fn sent(
        &self,
        (protocol, tenant): (Protocol, &str),
        headers: &HeaderMap,
        sent: Option<Sent>,
        now_ms: i64,
    ) {
        let mut entries = self.entries.lock();
        let entry = entry(&mut entries, protocol, tenant);
        entry.senders.add(headers, sent, now_ms);
        entry.last_ms = now_ms;
    }

    /// Counts what was refused before it came to the store.
    pub fn refused(&self, (protocol, tenant): (Protocol, &str), reason: &'static str, text: &str) {
        let mut entries = self.entries.lock();
        entry(&mut entries, protocol, tenant).reject(reason, 1, text);
    }

    /// Counts a request of which nothing is left for the store.
    pub fn came(&self, (protocol, tenant): (Protocol, &str), now_ms: i64) {
        let mut entries = self.entries.lock();
        let entry = entry(&mut entries, protocol, tenant);
        entry.requests += 1;
        entry.last_ms = now_ms;
    }

    /// Counts items of a replica that was not the chosen one.
    pub fn deduplicated(&self, (protocol, tenant): (Protocol, &str), items: u64, now_ms: i64) {
        let mut entries = self.entries.lock();
        let entry = entry(&mut entries, protocol, tenant);
        entry.deduplicated += items;
        entry.last_ms = now_ms;
    }

    /// Counts rejects of items that never came to the store.
    pub fn rejected(&self, (protocol, tenant): (Protocol, &str), rejects: &Rejects, now_ms: i64) {
        let mut entries = self.entries.lock();
        entry(&mut entries, protocol, tenant).came(rejects, now_ms);
    }

    /// The sums over all tenants of each protocol, those without anything too.
    pub(crate) fn by_protocol(&self) -> BTreeMap<Protocol, Entry> {
        let mut sums: BTreeMap<Protocol, Entry> =
            Protocol::ALL.map(|protocol| (protocol, Entry::default())).into();
        for ((protocol, _), entry) in &*self.entries.lock() {
            sums.entry(*protocol).or_default().sum(entry);
        }
        sums
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
        self.late_ms = self.late_ms.saturating_add(u64::try_from(late_ms).unwrap_or(0));
    }

    /// Adds the numbers of another; the examples are not needed in a sum.
    fn sum(&mut self, other: &Self) {
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
        self.entries += other.entries;
        for (reason, (count, _)) in &other.rejects {
            self.rejects.entry(reason).or_default().0 += count;
        }
        for (sum, count) in self.lateness.iter_mut().zip(&other.lateness) {
            *sum += count;
        }
        self.late_ms = self.late_ms.saturating_add(other.late_ms);
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
            "deduplicated": self.deduplicated,
            "senders": self.senders.to_json(),
            "lastReceived": crate::api::time::format_rfc3339(self.last_ms),
            "rejects": rejects.collect::<Vec<_>>(),
            "lateness": lateness.collect::<Vec<_>>(),
        })
    }
}
