//! Series of user terminals, as many as wanted: each has a terminal label of its own, and six labels
//! it shares with others. They are generated when they are sent, since ten millions do not fit
//! beside a server.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::write_v1::{Label, Sample, TimeSeries, WriteRequest};
use prost::Message as _;

use crate::workload::Body;
use crate::{BenchError, Result};

/// Name of the metric.
pub const METRIC: &str = "terminal_snr_db";
/// The label that every series has of its own.
pub const LABEL: &str = "terminal";
/// Terminals with this in their label are asked for: one of so many.
pub const RARE: &str = ".*beef.*";
/// A prefix one terminal of 256 has.
const PREFIX: &str = "ut-00";

/// The value of [`LABEL`] of a terminal: 16 hexadecimal digits that say nothing (splitmix64).
#[must_use]
pub fn name(terminal: u64) -> String {
    let mut mixed = terminal.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    format!("ut-{:016x}", mixed ^ (mixed >> 31))
}

/// How many of the first `count` terminals [`RARE`] matches.
#[must_use]
pub fn rare_count(count: u64) -> usize {
    (0..count).filter(|terminal| name(*terminal).contains("beef")).count()
}

/// A selector of one terminal in 256, and how many of the first `count` it matches.
#[must_use]
pub fn some(count: u64) -> (String, usize) {
    let matching = (0..count).filter(|terminal| name(*terminal).starts_with(PREFIX)).count();
    (format!("{METRIC}{{{LABEL}=~\"{PREFIX}.*\"}}"), matching)
}

/// A request with one sample of each terminal.
///
/// # Errors
/// If it cannot be compressed.
pub fn body(terminals: Range<u64>, time_ms: i64) -> Result<Body> {
    let sample_count = usize::try_from(terminals.end - terminals.start).unwrap_or(0);
    let timeseries = terminals.map(|terminal| TimeSeries {
        labels: vec![
            Label::new("__name__", METRIC),
            Label::new("beam", (terminal % 16).to_string()),
            Label::new("gateway", format!("gw-{:03}", terminal / 1_000 % 200)),
            Label::new("instance", format!("collector-{:02}:9100", terminal / 1_000 % 40)),
            Label::new("job", "terminals"),
            Label::new("region", format!("region-{}", terminal / 1_000 % 9)),
            Label::new(LABEL, name(terminal)),
        ],
        samples: vec![Sample { value: Some(value(terminal, time_ms)), timestamp: time_ms }],
        ..TimeSeries::default()
    });
    let request = WriteRequest { timeseries: timeseries.collect(), metadata: Vec::new() };
    let bytes = compress_snappy(&request.encode_to_vec())?;
    Ok(Body { bytes, sample_count })
}

/// A signal-to-noise ratio in tenths of a decibel.
fn value(terminal: u64, time_ms: i64) -> f64 {
    let mixed = terminal.wrapping_mul(2_654_435_761) ^ (time_ms.unsigned_abs() / 1000);
    f64::from(u8::try_from(mixed % 200).unwrap_or(0)) / 10.0
}

/// Milliseconds since the epoch.
///
/// # Errors
/// If the clock is before 1970.
pub fn now_ms() -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let now = now.and_then(|now| i64::try_from(now.as_millis()).ok());
    now.ok_or_else(|| BenchError("the clock is before 1970".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_counts_are_theirs() {
        let names: std::collections::BTreeSet<String> = (0..100_000).map(name).collect();
        assert_eq!(names.len(), 100_000);
        let rare = names.iter().filter(|name| name.contains("beef")).count();
        assert_eq!(rare_count(100_000), rare);
        assert!(rare > 0, "some names have it");
        let (selector, count) = some(100_000);
        assert_eq!(selector, "terminal_snr_db{terminal=~\"ut-00.*\"}");
        assert_eq!(count, names.iter().filter(|name| name.starts_with("ut-00")).count());
        assert!((300..500).contains(&count), "{count}");
        assert_eq!(body(5..25, 1_000).expect("small").sample_count, 20);
    }
}
