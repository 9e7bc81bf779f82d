//! `ephemeris inspect`: what is in a data directory.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ephemeris_storage::inspect::{BlockParts, Inspected, section_name};

use super::CommandError;
use crate::api::time::format_rfc3339;

/// Lists all blocks, or shows the parts of one.
pub(super) fn run(dir: &Path, block: Option<u32>) -> Result<ExitCode, CommandError> {
    let inspected = Inspected::open(dir)?;
    let mut out = io::stdout().lock();
    match block {
        Some(number) => show(&inspected.block(number)?, &mut out)?,
        None => list(&inspected, &mut out)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn ratio(bytes: u64, samples: u64) -> f64 {
    bytes as f64 / samples.max(1) as f64
}

fn list(inspected: &Inspected, out: &mut impl Write) -> io::Result<()> {
    let blocks = inspected.blocks();
    writeln!(
        out,
        "{:>8}  {:<10} {:>5} {:>10} {:>12} {:>12} {:>8}",
        "block", "day", "level", "series", "samples", "bytes", "B/sample"
    )?;
    let (mut bytes, mut samples) = (0, 0);
    for row in &blocks {
        let day: String = format_rfc3339(row.range.start.0).chars().take(10).collect();
        writeln!(
            out,
            "{:>8}  {day:<10} {:>5} {:>10} {:>12} {:>12} {:>8.3}",
            row.id.0,
            row.level,
            row.series_count,
            row.sample_count,
            row.bytes,
            ratio(row.bytes, row.sample_count)
        )?;
        bytes += row.bytes;
        samples += row.sample_count;
    }
    let all = blocks.len();
    writeln!(
        out,
        "{all} blocks, {samples} samples, {bytes} bytes, {:.3} B/sample",
        ratio(bytes, samples)
    )
}

fn show(parts: &BlockParts, out: &mut impl Write) -> io::Result<()> {
    let BlockParts { row, manifest, .. } = parts;
    let samples = row.sample_count;
    writeln!(out, "block        {}", row.id.0)?;
    let time = |at: i64| format_rfc3339(at);
    writeln!(out, "partition    {} to {}", time(row.range.start.0), time(row.range.end.0))?;
    writeln!(out, "times        {} to {}", time(row.min_time.0), time(row.max_time.0))?;
    writeln!(out, "level        {}", row.level)?;
    writeln!(out, "series       {}", row.series_count)?;
    writeln!(out, "samples      {samples} ({} histograms)", manifest.histogram_count)?;
    writeln!(out, "bytes        {} ({:.3} a sample)", row.bytes, ratio(row.bytes, samples))?;
    writeln!(out, "value pages  {}", manifest.value_page_count)?;
    writeln!(out, "time vectors {}", manifest.time_vector_count)?;
    writeln!(out, "tombstones   {}", parts.tombstones)?;
    if let Some(damage) = &parts.damage {
        writeln!(out, "damage       {damage}")?;
    }
    writeln!(
        out,
        "\n{:<14} {:>8} {:>12} {:>10} {:>8}",
        "section", "values", "bytes", "largest", "B/sample"
    )?;
    for (&number, size) in &parts.sections {
        writeln!(
            out,
            "{:<14} {:>8} {:>12} {:>10} {:>8.3}",
            section_name(number),
            size.values,
            size.bytes,
            size.largest,
            ratio(size.bytes, samples)
        )?;
    }
    writeln!(out, "\n{:<24} {:>10}", "tenant", "series")?;
    for (name, series) in &parts.tenants {
        writeln!(out, "{name:<24} {series:>10}")?;
    }
    Ok(())
}
