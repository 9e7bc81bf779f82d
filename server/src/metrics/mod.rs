//! The server's own metrics: a few atomics, read out as families of samples. They are served at
//! `/metrics` and stored in the store itself.
//!
//! Labels come from closed sets: route templates, statuses, reasons, pools. When a metric is added,
//! add it to `docs/metrics.md` too; a test compares.

pub mod family;
mod http;
mod process;
mod received;
mod store;
pub mod text;

use std::time::Duration;

use ephemeris_model::{RejectReason, Rejects, WriteOutcome};
use ephemeris_storage::StoreStats;

pub use self::family::{Counter, Family, Gauge, Histogram, Kind};
pub use self::http::HttpMetrics;
use self::received::Received;
use crate::arrivals::{Arrivals, Protocol};
use crate::at_once::AtOnce;
use crate::pairs::Pairs;
use crate::reuse::Reuse;
use crate::tails::Tails;
use crate::translations::Translations;
use crate::turns::TurnCounts;

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteEnd {
    /// All of it is stored.
    Stored,
    /// A part of it is stored, the rest was refused.
    Partial,
    /// None of it, and it never will be: the request is at fault.
    Invalid,
    /// None of it now; the sender may try again.
    Busy,
}

impl WriteEnd {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Stored, "stored"),
        (Self::Partial, "partial"),
        (Self::Invalid, "invalid"),
        (Self::Busy, "busy"),
    ];
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryEnd {
    /// With an answer.
    Answered,
    /// With an error of the query.
    Failed,
    /// Because its client went away.
    Canceled,
    /// Because it took too long.
    TimedOut,
}

impl QueryEnd {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Answered, "answered"),
        (Self::Failed, "failed"),
        (Self::Canceled, "canceled"),
        (Self::TimedOut, "timed_out"),
    ];
}

/// All metrics of the server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests and connections.
    pub http: HttpMetrics,
    received: Received,
    writes: [Counter; 4],
    rejects: [Counter; RejectReason::ALL.len()],
    samples: Counter,
    histograms: Counter,
    exemplars: Counter,
    points_refused: Counter,
    body_bytes: Counter,
    write_seconds: Histogram,
    queries: [Counter; 4],
    query_seconds: Histogram,
    query_samples: Counter,
    /// Writes refused because their tenant sent too much in too short a time.
    pub rate_limited: Counter,
    /// Times the server could not store its own metrics.
    pub self_write_failures: Counter,
}

impl Metrics {
    /// Counts one write request and how long it took.
    pub fn write_ended(&self, protocol: Protocol, end: WriteEnd, took: Duration) {
        self.received.ended(protocol, end);
        self.writes[end as usize].add(1);
        self.write_seconds.observe(took);
    }

    /// Counts the bytes of a body as received.
    pub fn body_read(&self, protocol: Protocol, received: usize) {
        self.received.read(protocol, received as u64);
        self.body_bytes.add(received as u64);
    }

    /// Counts what became of a batch.
    pub fn batch_written(&self, outcome: &WriteOutcome) {
        self.samples.add(outcome.samples_written);
        self.histograms.add(outcome.histograms_written);
        self.exemplars.add(outcome.exemplars_written);
        self.rejected(&outcome.rejects);
    }

    /// Counts data points of OTLP that were refused, for whatever reason.
    pub fn points_refused(&self, count: u64) {
        self.points_refused.add(count);
    }

    /// Counts what was refused.
    pub fn rejected(&self, rejects: &Rejects) {
        for (reason, count, _) in rejects.iter() {
            if let Some(at) = RejectReason::ALL.iter().position(|r| *r == reason) {
                self.rejects[at].add(count);
            }
        }
    }

    /// Counts one query, how long it took and how many samples it read.
    pub fn query_ended(&self, end: QueryEnd, took: Duration, samples_read: u64) {
        self.queries[end as usize].add(1);
        self.query_seconds.observe(took);
        self.query_samples.add(samples_read);
    }

    /// All families as they stand.
    #[must_use]
    pub fn families(&self, context: &Context<'_>) -> Vec<Family> {
        let mut out = vec![build_info()];
        self.ingest_families(&mut out);
        self.received.families(context.arrivals, &mut out);
        pair_families(&mut out, context.pairs);
        self.query_families(&mut out);
        self.http.families(&mut out);
        pool_families(&mut out, context.pools);
        turn_families(&mut out, context.turns);
        if let Some(stats) = context.store {
            store::families(&mut out, stats);
        }
        out.push(Family::gauge(
            "ephemeris_memory_budget_bytes",
            "Memory the store may plan with.",
            count(context.memory_budget_bytes),
        ));
        let tails = context.tails.counts();
        out.push(Family::gauge(
            "ephemeris_tails",
            "Live tails of logs that are open.",
            count(tails.open),
        ));
        out.push(Family::counter(
            "ephemeris_tail_dropped_entries_total",
            "Entries of tailed streams that were left out because the client was too slow.",
            tails.dropped,
        ));
        reuse_families(&mut out, context.reuse);
        out.push(Family::gauge(
            "ephemeris_otlp_cache_bytes",
            "Bytes of what translation of OTLP metrics remembers (otlp.cache_bytes_max).",
            count(context.translations.bytes() as u64),
        ));
        let (answered, given_up) = context.at_once.counts();
        out.push(Family::counters(
            "ephemeris_query_at_once_total",
            "Light queries answered without a worker, and those that were not light after all.",
            ("result", &[("answered", answered), ("given_up", given_up)]),
        ));
        process::families(&mut out);
        out.sort_by_key(|family| family.name);
        out
    }

    fn ingest_families(&self, out: &mut Vec<Family>) {
        let writes = WriteEnd::ALL.map(|(end, name)| (name, &self.writes[end as usize]));
        out.push(Family::counters(
            "ephemeris_ingest_requests_total",
            "Write requests, by how they ended.",
            ("result", &writes),
        ));
        let reasons = RejectReason::ALL.iter().zip(&self.rejects);
        let rejects: Vec<_> = reasons.map(|(reason, count)| (reason.as_str(), count)).collect();
        out.push(Family::counters(
            "ephemeris_ingest_rejected_total",
            "Samples, series, exemplars and metadata refused, by reason.",
            ("reason", &rejects),
        ));
        let counters = [
            ("ephemeris_ingest_samples_total", "Float samples written.", &self.samples),
            ("ephemeris_ingest_histograms_total", "Native histograms written.", &self.histograms),
            ("ephemeris_ingest_exemplars_total", "Exemplars written.", &self.exemplars),
            (
                "ephemeris_ingest_rate_limited_total",
                "Writes refused because their tenant sent too much in too short a time.",
                &self.rate_limited,
            ),
            (
                "ephemeris_otlp_rejected_points_total",
                "Data points of OTLP that were refused.",
                &self.points_refused,
            ),
            ("ephemeris_ingest_body_bytes_total", "Bytes of bodies received.", &self.body_bytes),
            (
                "ephemeris_self_write_failures_total",
                "Times the server could not store its own metrics.",
                &self.self_write_failures,
            ),
        ];
        out.extend(counters.map(|(name, help, counter)| Family::counter(name, help, counter)));
        out.push(self.write_seconds.family(
            "ephemeris_ingest_request_duration_seconds",
            "Time from the end of the body to the answer of a write, its sync included.",
        ));
    }

    fn query_families(&self, out: &mut Vec<Family>) {
        let queries = QueryEnd::ALL.map(|(end, name)| (name, &self.queries[end as usize]));
        out.push(Family::counters(
            "ephemeris_queries_total",
            "PromQL queries, by how they ended.",
            ("result", &queries),
        ));
        out.push(Family::counter(
            "ephemeris_query_samples_read_total",
            "Samples read by queries.",
            &self.query_samples,
        ));
        out.push(
            self.query_seconds
                .family("ephemeris_query_duration_seconds", "Time queries ran, without waiting."),
        );
    }
}

/// What is read beside the metrics themselves.
pub struct Context<'a> {
    /// The worker pools and their names.
    pub pools: &'a [(&'static str, PoolNumbers)],
    /// What became of queries that wanted a turn.
    pub turns: &'a TurnCounts,
    /// Numbers of the store, once it is open.
    pub store: Option<&'a StoreStats>,
    /// Who tails.
    pub tails: &'a Tails,
    /// Answers that may be reused.
    pub reuse: &'a Reuse,
    /// What translation of OTLP remembers.
    pub translations: &'a Translations,
    /// Light queries.
    pub at_once: &'a AtOnce,
    /// What arrived.
    pub arrivals: &'a Arrivals,
    /// Agents that send the same.
    pub pairs: &'a Pairs,
    /// The memory budget of the store.
    pub memory_budget_bytes: u64,
}

/// Numbers of a pool of workers at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolNumbers {
    /// Jobs worked on.
    pub running: u64,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs refused so far.
    pub refused: u64,
    /// Jobs that panicked so far.
    pub panicked: u64,
}

fn build_info() -> Family {
    let mut family =
        Family::gauge("ephemeris_build_info", "Always 1; the version is a label.", 1.0);
    for point in &mut family.points {
        point.labels.push(("version", env!("CARGO_PKG_VERSION").to_owned()));
    }
    family
}

fn reuse_families(out: &mut Vec<Family>, reuse: &Reuse) {
    let counts = reuse.counts();
    out.push(Family::counters(
        "ephemeris_query_reuse_total",
        "Range queries whose answers may be kept: served in part at least by an answer that was \
         kept, or not.",
        ("result", &[("hit", counts.hits), ("miss", counts.misses)]),
    ));
    out.push(Family::counter(
        "ephemeris_query_reuse_steps_total",
        "Steps of range queries taken from answers that were kept.",
        counts.steps_reused,
    ));
    out.push(Family::gauge(
        "ephemeris_query_reuse_bytes",
        "Bytes of answers that are kept.",
        count(counts.bytes),
    ));
}

fn pair_families(out: &mut Vec<Family>, pairs: &Pairs) {
    out.push(Family::counter(
        "ephemeris_ha_deduplicated_total",
        "Samples, histograms and exemplars, or points of OTLP, of replicas that were not the \
         chosen ones (ha.tenants).",
        &pairs.deduplicated,
    ));
    out.push(Family::counter(
        "ephemeris_ha_elections_total",
        "Times a replica was chosen in a cluster of agents.",
        &pairs.elections,
    ));
    out.push(Family::gauge(
        "ephemeris_ha_clusters",
        "Clusters of agents in which a replica is chosen.",
        count(pairs.clusters()),
    ));
}

fn pool_families(out: &mut Vec<Family>, pools: &[(&'static str, PoolNumbers)]) {
    let label = |read: &dyn Fn(&PoolNumbers) -> u64| -> Vec<(&'static str, f64)> {
        pools.iter().map(|(name, pool)| (*name, count(read(pool)))).collect()
    };
    let running = label(&|pool| pool.running);
    let queued = label(&|pool| pool.queued);
    let refused = label(&|pool| pool.refused);
    let panicked = label(&|pool| pool.panicked);
    let families = [
        ("ephemeris_pool_running", "Requests worked on now.", Kind::Gauge, running),
        ("ephemeris_pool_queued", "Requests that wait for a worker.", Kind::Gauge, queued),
        (
            "ephemeris_pool_refused_total",
            "Requests refused because too many waited.",
            Kind::Counter,
            refused,
        ),
        (
            "ephemeris_pool_panics_total",
            "Requests that panicked; each is a bug.",
            Kind::Counter,
            panicked,
        ),
    ];
    out.extend(
        families
            .map(|(name, help, kind, values)| Family::labeled((name, help, kind), "pool", values)),
    );
}

fn turn_families(out: &mut Vec<Family>, turns: &TurnCounts) {
    out.push(Family::counters(
        "ephemeris_query_refused_total",
        "Queries refused because too many waited, or because they waited too long, by reason.",
        ("reason", &turns.refused()),
    ));
    out.push(
        turns.waited.family("ephemeris_query_wait_seconds", "Time queries waited for their turn."),
    );
}

/// A count as the value of a sample.
#[expect(clippy::cast_precision_loss, reason = "values of samples are floats")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_sorted_and_counted() {
        let metrics = Metrics::default();
        metrics.write_ended(Protocol::Otlp, WriteEnd::Partial, Duration::from_millis(3));
        metrics.body_read(Protocol::Text, 70);
        let mut rejects = Rejects::default();
        rejects.add(RejectReason::TooOld, 4, || "old".to_owned());
        metrics.batch_written(&WriteOutcome { samples_written: 7, rejects, ..Default::default() });
        let stats = StoreStats::default();
        let tails = Tails::new(1);
        let arrivals = Arrivals::default();
        arrivals.deduplicated((Protocol::RemoteWrite1, "t"), 1, 0);
        arrivals.refused((Protocol::RemoteWrite1, "t"), "rate_limited", "too much");
        arrivals.refused((Protocol::RemoteWrite1, "u"), "rate_limited", "too much");
        let turns = TurnCounts::default();
        let context = Context {
            pools: &[],
            turns: &turns,
            store: Some(&stats),
            tails: &tails,
            reuse: &Reuse::new(0),
            translations: &Translations::new(0, 1),
            at_once: &AtOnce::new(0),
            arrivals: &arrivals,
            pairs: &Pairs::new(crate::pairs::PairConfig::default()),
            memory_budget_bytes: 1,
        };
        let families = metrics.families(&context);
        assert!(families.is_sorted_by_key(|family| family.name));
        let mut out = Vec::new();
        text::write(&mut out, &families);
        let text = String::from_utf8(out).expect("the exposition is UTF-8");
        for line in [
            "ephemeris_build_info{version=\"0.1.0\"} 1\n",
            "ephemeris_ingest_requests_total{result=\"partial\"} 1\n",
            "ephemeris_received_requests_total{protocol=\"otlp\",result=\"partial\"} 1\n",
            "ephemeris_received_requests_total{protocol=\"text\",result=\"partial\"} 0\n",
            "ephemeris_received_bytes_total{protocol=\"text\"} 70\n",
            "ephemeris_received_rejects_total{protocol=\"remote_write_1\",reason=\"rate_limited\"} 2\n",
            "ephemeris_ingest_rejected_total{reason=\"too_old\"} 4\n",
            "ephemeris_ingest_samples_total 7\n",
            "ephemeris_ingest_request_duration_seconds_count 1\n",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
