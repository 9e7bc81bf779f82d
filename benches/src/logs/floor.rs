//! What plain tools need for the same lines: `zstd -3`, and `zstd -dc | grep -c`. A machine that is
//! busy is busy for both, so the two are compared in one run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::questions::needles_of;
use super::workload::Workload;
use crate::report::{Report, megabytes};
use crate::{BenchError, Result, fail};

/// As `zstd` compresses unless told otherwise.
const LEVEL: i32 = 3;

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Floor {
    compressed_bytes: u64,
    /// The search tool, and the milliseconds it needed.
    search: (&'static str, f64),
}

impl Floor {
    pub(super) fn show(&self, report: &mut Report) {
        let (tool, ms) = self.search;
        report
            .add("floor: lines by zstd -3", megabytes(self.compressed_bytes))
            .add(format!("floor: zstd -dc | {tool} -c -F a needle"), format!("{ms:.1} ms"));
    }
}

/// Compresses the lines into `dir` and searches them.
///
/// # Errors
/// If there is no `zstd`, or the search does not find what is there.
pub(super) fn measure(dir: &Path, workload: &Workload, seed: u64) -> Result<Floor> {
    let path = dir.join("lines.zst");
    let compressed = zstd::bulk::compress(&workload.text, LEVEL)?;
    fs::write(&path, &compressed)?;
    let Some((needle, expected)) = needles_of(workload, seed).into_iter().next() else {
        return fail("no substring of the lines is rare; give more or other lines");
    };
    let has_rg = Command::new("rg").arg("--version").stdout(Stdio::null()).status().is_ok();
    let tool = if has_rg { "rg" } else { "grep" };
    let started = Instant::now();
    let mut unzip = Command::new("zstd")
        .args(["-dc", "--no-progress"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| BenchError(format!("zstd: {e}")))?;
    let Some(lines) = unzip.stdout.take() else { return fail("zstd has no output") };
    let found = Command::new(tool)
        .args(["-a", "-c", "-F", "-e", &needle])
        .stdin(lines)
        .output()
        .map_err(|e| BenchError(format!("{tool}: {e}")))?;
    unzip.wait()?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let counted = String::from_utf8_lossy(&found.stdout).trim().parse::<usize>();
    if counted != Ok(expected) {
        return fail(format!("{tool} finds {counted:?} lines with {needle:?} of {expected}"));
    }
    Ok(Floor { compressed_bytes: compressed.len() as u64, search: (tool, ms) })
}
