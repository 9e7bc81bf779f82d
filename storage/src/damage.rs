//! Damage of the WAL in words, and the times of which samples may be missing.

use ephemeris_model::{TimeRange, TimestampMs};

use crate::wal::replay::WalDamage;

/// Samples may be this much older than their time of arrival, as a rule.
const DELAY_MS: i64 = 60 * 60 * 1000;

/// What a part of the WAL that could not be read means for answers.
pub(crate) fn of_wal(damage: &WalDamage) -> (TimeRange, String) {
    let (before, after) = match damage.received {
        (None, None) => (TimestampMs::MIN, TimestampMs::MAX),
        (Some(before), None) => (before, before + 2 * DELAY_MS),
        (None, Some(after)) => (after + -2 * DELAY_MS, after),
        (Some(before), Some(after)) => (before, after),
    };
    let text = format!(
        "{} bytes of the WAL could not be read ({} at byte {}: {}); samples received between \
         {before} and {after} (ms) may be missing",
        damage.bytes,
        damage.path.file_name().unwrap_or_default().display(),
        damage.offset,
        damage.cause,
    );
    (TimeRange::inclusive(before + -DELAY_MS, after + DELAY_MS), text)
}
