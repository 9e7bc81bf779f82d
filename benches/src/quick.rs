//! Sends a workload to a server, asks for it back, and reports what it cost.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::client::Client;
use crate::query;
use crate::report::{Report, grouped, megabytes, quantile};
use crate::send::{Sent, send};
use crate::server::{Server, directory_bytes, written_bytes};
use crate::workload::{self, JOB, Shape, Workload};
use crate::{Result, fail};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The workload.
    pub shape: Shape,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for the server.
    pub server_flags: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
struct Figures {
    sent: Sent,
    cpu_s: f64,
    cpu_settled_s: f64,
    memory_peak: u64,
    memory_final: u64,
    disk_bytes: u64,
    written_bytes: u64,
    probe_samples: usize,
}

/// Measures with a server and a data directory of its own; both are gone afterwards.
///
/// # Errors
/// If the server fails, refuses a body, or does not give back what was sent.
pub fn run(options: &Options) -> Result<Report> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let workload = Workload::generate(&options.shape)?;
    let dir = tempfile::tempdir()?;
    let data_dir = dir.path().join("data");
    let written_before = written_bytes()?;
    let server = Server::start(&binary, &data_dir, &options.server_flags)?;
    let cpu_start = server.cpu_seconds()?;
    let mut figures =
        Figures { sent: send(server.address(), &workload.lanes)?, ..Figures::default() };
    figures.cpu_s = server.cpu_seconds()? - cpu_start;
    let memory = server.memory()?;
    (figures.memory_peak, figures.memory_final) = (memory.peak, memory.now);
    figures.probe_samples = verify(server.address(), &workload, &options.shape)?;
    let cpu_before_stop = server.cpu_seconds()?;
    // Queries are not part of the cost of a sample, settling is.
    let cpu_total = server.stop()?;
    figures.cpu_settled_s = figures.cpu_s + (cpu_total - cpu_before_stop);
    // This process itself has written nothing meanwhile.
    figures.written_bytes = written_bytes()?.saturating_sub(written_before);
    figures.disk_bytes = directory_bytes(&data_dir)?;
    Ok(report(&workload, &figures))
}

/// Checks the number of series and samples, and a few series value by value. Gives the number of
/// samples compared.
///
/// # Errors
/// If anything differs.
pub fn verify(address: SocketAddr, workload: &Workload, shape: &Shape) -> Result<usize> {
    let mut client = Client::connect(address)?;
    let end_ms = workload.last_ms;
    // Left-open, and all scrapes of the last satellite lie inside.
    let range_ms = end_ms - shape.start_ms + 1;
    let all = format!("count({{job=\"{JOB}\",__name__!=\"target_info\"}})");
    let series = query::single(&mut client, &all, end_ms)?;
    let mut samples = 0.0;
    for metric in workload::metric_names() {
        // One by one, since without their names series of two metrics may be the same.
        let expression = format!("sum(count_over_time({metric}{{job=\"{JOB}\"}}[{range_ms}ms]))");
        samples += query::single(&mut client, &expression, end_ms)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let expected = (workload.series_count as f64, workload.sample_count as f64);
    if (series, samples) != expected {
        return fail(format!("{series} series and {samples} samples came back of {expected:?}"));
    }
    let mut compared = 0;
    for probe in &workload.probes {
        let name = probe.labels.metric_name().unwrap_or_default();
        let satellite = probe.labels.get("satellite").unwrap_or_default();
        let expression = format!("{name}{{satellite=\"{satellite}\"}}[{range_ms}ms]");
        let answered = query::instant(&mut client, &expression, end_ms)?;
        let [answered] = answered.as_slice() else {
            return fail(format!("query {expression}: {} series, expected one", answered.len()));
        };
        let bits = |samples: &[(i64, f64)]| -> Vec<(i64, u64)> {
            samples.iter().map(|(time, value)| (*time, value.to_bits())).collect()
        };
        if answered.labels != probe.labels || bits(&answered.samples) != bits(&probe.samples) {
            return fail(format!("{expression} did not come back as it was sent"));
        }
        compared += probe.samples.len();
    }
    Ok(compared)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn report(workload: &Workload, figures: &Figures) -> Report {
    let samples = workload.sample_count as f64;
    let elapsed = figures.sent.elapsed.as_secs_f64();
    let per_sample = |seconds: f64| format!("{:.3} µs", seconds * 1e6 / samples);
    let latency = |share| quantile(&figures.sent.latencies_ms, share);
    let mut report = Report::default();
    report
        .add("series", grouped(workload.series_count as u64))
        .add("label bytes per series", (workload.label_bytes / workload.series_count).to_string())
        .add("samples", grouped(workload.sample_count as u64))
        .add("connections", workload.lanes.len().to_string())
        .add("bytes sent per sample", format!("{:.2}", workload.body_bytes() as f64 / samples))
        .add("sent in", format!("{elapsed:.2} s"))
        .add("samples per second", grouped((samples / elapsed) as u64))
        .add("server CPU per sample, to the last answer", per_sample(figures.cpu_s))
        .add("server CPU per sample, with settling", per_sample(figures.cpu_settled_s))
        .add(
            "write latency p50 / p99 / max",
            format!("{:.1} / {:.1} / {:.1} ms", latency(0.5), latency(0.99), latency(1.0)),
        )
        .add("writes sent again", figures.sent.retry_count.to_string())
        .add("memory, peak", megabytes(figures.memory_peak))
        .add("memory, final", megabytes(figures.memory_final))
        .add("on disk after settling", megabytes(figures.disk_bytes))
        .add("bytes per sample on disk", format!("{:.3}", figures.disk_bytes as f64 / samples))
        .add(
            "bytes per sample written in all, WAL included",
            format!("{:.2}", figures.written_bytes as f64 / samples),
        )
        .add(
            "write amplification: written over kept",
            format!("{:.1}", figures.written_bytes as f64 / figures.disk_bytes.max(1) as f64),
        )
        .add("samples counted by a query", grouped(workload.sample_count as u64))
        .add("samples compared bit for bit", grouped(figures.probe_samples as u64));
    report
}
