//! Sends log entries to a server, asks questions about them, and reports what both cost; beside
//! it, in the same run, what `zstd -dc | grep -c` over the same lines takes.
//!
//! | module | holds |
//! |---|---|
//! | `lines` | families of lines: files with their digits redrawn, or built-in templates |
//! | `workload` | seeded streams of entries, as bodies ready to send |
//! | `questions` | the queries, and how long each takes |
//! | `floor` | the same lines, compressed and searched by plain tools |

mod floor;
mod lines;
mod questions;
mod workload;

use std::path::PathBuf;

use crate::report::{Report, grouped, megabytes, quantile};
use crate::send::{Way, send_by};
use crate::server::{Server, directory_bytes};
use crate::{Result, fail};
pub use workload::{Shape, Workload};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The workload.
    pub shape: Shape,
    /// A directory with files of lines; built-in templates if none.
    pub lines: Option<PathBuf>,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for the server.
    pub server_flags: Vec<String>,
}

/// Measures with a server and a data directory of its own; both are gone afterwards.
///
/// # Errors
/// If the server fails, refuses a body, or does not give back what was sent.
pub fn run(options: &Options) -> Result<Report> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let families = match &options.lines {
        Some(dir) => lines::from_files(dir)?,
        None => lines::built_in(options.shape.seed),
    };
    let dir = tempfile::tempdir()?;
    let workload = Workload::generate(&options.shape, &families)?;
    let data_dir = dir.path().join("data");
    let server = Server::start(&binary, &data_dir, &options.server_flags)?;
    let cpu_start = server.cpu_seconds()?;
    let lanes: Vec<_> = workload.lanes.iter().map(Vec::as_slice).collect();
    let sent = send_by(Way::LOKI_PUSH, server.address(), &lanes)?;
    let cpu_s = server.cpu_seconds()? - cpu_start;
    let memory = server.memory()?;
    // A stop seals; questions are asked of what lies on disk.
    let cpu_settled_s = server.stop()? - cpu_start;
    let disk_bytes = directory_bytes(&data_dir)?;
    let server = Server::start(&binary, &data_dir, &options.server_flags)?;
    let counted = questions::count_all(server.address(), &workload)?;
    if counted != workload.entry_count as u64 {
        return fail(format!("{counted} entries came back of {}", workload.entry_count));
    }
    let timings = questions::ask_all(server.address(), &workload, options.shape.seed)?;
    let memory_asked = server.memory()?;
    server.stop()?;
    let floor = floor::measure(dir.path(), &workload, options.shape.seed)?;

    let mut report = Report::default();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (lines, raw, disk) =
        (workload.entry_count as f64, workload.text.len() as f64, disk_bytes as f64);
    let elapsed = sent.elapsed.as_secs_f64();
    let per_line = |seconds: f64| format!("{:.3} µs", seconds * 1e6 / lines);
    let latency = |share| quantile(&sent.latencies_ms, share);
    report
        .add("families", families.iter().map(|f| &*f.job).collect::<Vec<_>>().join(" "))
        .add("streams", workload.stream_count.to_string())
        .add("lines", grouped(workload.entry_count as u64))
        .add("bytes of a line", format!("{:.0} (and a trace id of 32 digits)", raw / lines));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
    report.add("lines per second", grouped((lines / elapsed) as u64));
    report
        .add("server CPU per line, to the last answer", per_line(cpu_s))
        .add("server CPU per line, with settling", per_line(cpu_settled_s))
        .add(
            "push latency p50 / p99 / max",
            format!("{:.1} / {:.1} / {:.1} ms", latency(0.5), latency(0.99), latency(1.0)),
        )
        .add("memory, peak while pushing", megabytes(memory.peak))
        .add("memory, peak while asking", megabytes(memory_asked.peak))
        .add("on disk after settling", megabytes(disk_bytes))
        .add("bytes per line on disk", format!("{:.1}", disk / lines))
        .add("ratio to raw lines", format!("{:.3}", disk / raw));
    timings.iter().for_each(|timing| timing.show(&mut report));
    floor.show(&mut report);
    Ok(report)
}
