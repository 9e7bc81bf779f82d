//! `ephemeris verify`: checks everything.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ephemeris_storage::verify::verify;

use super::{CommandError, Progress, note};

/// Checks a data directory and says what is wrong, one problem a line.
pub(super) fn run(dir: &Path) -> Result<ExitCode, CommandError> {
    let decoder = ephemeris_ingest::Decoder::default();
    let mut progress = Progress::new();
    let found = verify(dir, &decoder, &mut |step| progress.tell(|| format!("checking {step}")))?;
    found.remarks.iter().for_each(|remark| note(remark));
    let mut out = io::stdout().lock();
    for problem in &found.problems {
        writeln!(out, "{problem}")?;
    }
    writeln!(
        out,
        "{} problems; {} blocks, {} values, {} series, {} samples, {} WAL records checked",
        found.problems.len(),
        found.blocks,
        found.values,
        found.series,
        found.samples,
        found.wal_records
    )?;
    Ok(if found.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
