//! What a sample costs the server by each protocol: the same samples, a server of its own for each.

use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::quick::verify;
use crate::report::Report;
use crate::send::{Translate, Way, send_by};
use crate::server::Server;
use crate::workload::{Body, Shape, Workload};
use crate::{Result, fail, translate};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The workload. Its first scrape, which makes the series, is not counted.
    pub shape: Shape,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for the server.
    pub server_flags: Vec<String>,
}

const fn otlp(translate: Translate) -> Way {
    Way { translate: Some(translate), ..Way::OTLP }
}

/// Every protocol with its name; the first is what others are compared with.
const WAYS: [(&str, Way); 4] = [
    ("remote write 1.0", Way::REMOTE_WRITE_1),
    ("remote write 2.0", Way { translate: Some(translate::remote_write_2), ..Way::REMOTE_WRITE_2 }),
    ("OTLP, one resource", otlp(translate::otlp_by_metric)),
    ("OTLP, a resource for each instance", otlp(translate::otlp_by_instance)),
];

/// Sends the workload by each protocol and reports what a sample cost the server.
///
/// # Errors
/// If a server fails, refuses a body, or does not give back what was sent.
pub fn run(options: &Options) -> Result<Report> {
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let workload = Workload::generate(&options.shape)?;
    let mut report = Report::default();
    let mut first = None;
    for (name, way) in WAYS {
        let cost_us = measure(way, &workload, options, &binary)?;
        let ratio = cost_us / *first.get_or_insert(cost_us);
        report.add(name, format!("{cost_us:.3} µs of CPU a sample, {ratio:.2} of the first"));
    }
    Ok(report)
}

/// Microseconds of the server's CPU for a sample of a series that is known.
fn measure(way: Way, workload: &Workload, options: &Options, binary: &Path) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(binary, &dir.path().join("data"), &options.server_flags)?;
    let scrapes = options.shape.scrape_count.max(2);
    let split = |lane: &'_ Vec<Body>| lane.len() / scrapes;
    let first: Vec<&[Body]> = workload.lanes.iter().map(|l| &l[..split(l)]).collect();
    let rest: Vec<&[Body]> = workload.lanes.iter().map(|l| &l[split(l)..]).collect();
    send_by(way, server.address(), &first)?;
    let before = server.cpu_seconds()?;
    let sent = send_by(way, server.address(), &rest)?;
    let cpu_s = server.cpu_seconds()? - before;
    verify(server.address(), workload, &options.shape)?;
    if way.path == Way::OTLP.path && !has_target_info(&server)? {
        return fail("no target_info came of the resources");
    }
    server.stop()?;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    Ok(cpu_s * 1e6 / sent.sample_count as f64)
}

fn has_target_info(server: &Server) -> Result<bool> {
    let query = [("match[]", "target_info")];
    let answer = Client::connect(server.address())?.form("/api/v1/series", &query)?;
    Ok(answer.status == 200 && answer.excerpt().contains("target_info"))
}
