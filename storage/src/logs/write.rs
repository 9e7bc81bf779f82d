//! The way of one request with log entries into the head: check everything, then apply what is
//! good. Between the two lies the WAL, as for samples; texts of rejects are Loki's.

use ephemeris_model::{BatchEntry, BatchStream, LogBatch, LogOutcome, RejectReason, TimestampMs};

use super::head::LogHead;
use super::millis;
use crate::metrics::head::identity::{Domain, Identity};
use crate::series::TenantId;
use crate::wal::record::Verdicts;
use crate::write::{Bounds, REFUSED, refuse};

/// A request that was checked.
pub(crate) struct CheckedLogs {
    /// Ids of the streams of the batch, in order.
    ids: Vec<u32>,
    /// A bit for each refused entry, as the WAL keeps it; empty if none was refused.
    verdicts: Vec<u8>,
    pub(crate) outcome: LogOutcome,
    pub(crate) streams_created: u64,
}

impl CheckedLogs {
    /// Which entries were refused.
    pub(crate) fn verdicts(&self) -> Verdicts<'_> {
        Verdicts(&self.verdicts)
    }

    /// What is told of it.
    pub(crate) fn into_outcome(self) -> LogOutcome {
        let Self { verdicts, outcome, streams_created, .. } = self;
        LogOutcome { refused: verdicts, streams_created, ..outcome }
    }

    /// Whether nothing is left to write.
    pub(crate) const fn is_empty(&self) -> bool {
        self.outcome.entries_written == 0
    }
}

struct Check<'a> {
    identity: &'a Identity,
    tenant: (TenantId, &'a str),
    domain: Domain,
    batch: &'a LogBatch<'a>,
    bounds: &'a Bounds,
    checked: CheckedLogs,
}

/// Resolves the streams of a batch and checks its entries.
pub(crate) fn check(
    head: &LogHead,
    tenant: (TenantId, &str),
    batch: &LogBatch<'_>,
    bounds: &Bounds,
    verdicts: Verdicts<'_>,
) -> CheckedLogs {
    let identity = head.identity();
    let checked = CheckedLogs {
        ids: Vec::with_capacity(batch.streams.len()),
        verdicts: verdicts.0.to_vec(),
        outcome: LogOutcome::default(),
        streams_created: 0,
    };
    let domain = identity.domain(tenant.0, batch.kind);
    let mut check = Check { identity, tenant, domain, batch, bounds, checked };
    for stream in &batch.streams {
        let id = check.stream(stream);
        check.checked.ids.push(id);
    }
    check.checked
}

impl Check<'_> {
    /// Id of the stream, if one of its entries is good.
    fn stream(&mut self, stream: &BatchStream<'_>) -> u32 {
        let items = stream.entries.start as usize..stream.entries.end as usize;
        let (mut good, mut bytes) = (0, 0);
        for item in items.clone() {
            if self.checked.verdicts().refused(item) {
                continue;
            }
            let entry = &self.batch.entries[item];
            match self.entry(stream, entry) {
                Ok(()) => (good, bytes) = (good + 1, bytes + entry.line.len() as u64),
                Err((reason, text)) => {
                    refuse(&mut self.checked.verdicts, item);
                    self.checked.outcome.rejects.add(reason, 1, || text);
                }
            }
        }
        if good == 0 {
            return REFUSED;
        }
        match self.resolve(stream) {
            Ok(id) => {
                self.checked.outcome.entries_written += good;
                self.checked.outcome.line_bytes_written += bytes;
                id
            }
            Err((reason, text)) => {
                for item in items {
                    refuse(&mut self.checked.verdicts, item);
                }
                self.checked.outcome.rejects.add(reason, good, || text);
                REFUSED
            }
        }
    }

    fn resolve(&mut self, stream: &BatchStream<'_>) -> Result<u32, (RejectReason, String)> {
        let hash = self.identity.hash(self.domain, &stream.raw);
        if let Some(id) = self.identity.finder().find(&[hash], 0, REFUSED) {
            return Ok(id);
        }
        let pairs = stream.labels.as_ref().map_err(Clone::clone)?;
        let labels: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
        self.check_labels(stream, &labels)?;
        let limit = self.bounds.limits.active_series_max;
        let (tenant, name) = self.tenant;
        let found = self.identity.maker(tenant, limit).find_or_create(hash, &labels);
        let found = found.map_err(|(reason, text)| {
            let text = format!(
                "maximum active stream limit exceeded when trying to create stream {}, reduce the \
                 number of active streams (reduce labels or reduce label values), user: \
                 '{name}': {text}",
                shown(stream)
            );
            (reason, text)
        })?;
        self.checked.streams_created += u64::from(found.created);
        Ok(found.id)
    }

    fn check_labels(
        &self,
        stream: &BatchStream<'_>,
        labels: &[(&str, &str)],
    ) -> Result<(), (RejectReason, String)> {
        let limits = &self.bounds.limits;
        if labels.len() > limits.labels_per_series_max {
            let text = format!(
                "entry for stream '{}' has {} label names; limit {} (limits.labels_per_series_max)",
                shown(stream),
                labels.len(),
                limits.labels_per_series_max
            );
            return Err((RejectReason::TooManyLabels, text));
        }
        for (name, value) in labels {
            if name.len() > limits.label_name_bytes_max {
                let text = format!(
                    "stream '{}' has label name too long: '{name}' (limits.label_name_bytes_max)",
                    shown(stream)
                );
                return Err((RejectReason::LabelNameTooLong, text));
            }
            if value.len() > limits.label_value_bytes_max {
                let text = format!(
                    "stream '{}' has label value too long: '{name}' has {} bytes; limit {} \
                     (limits.label_value_bytes_max)",
                    shown(stream),
                    value.len(),
                    limits.label_value_bytes_max
                );
                return Err((RejectReason::LabelValueTooLong, text));
            }
        }
        Ok(())
    }

    #[inline]
    fn entry(
        &self,
        stream: &BatchStream<'_>,
        entry: &BatchEntry<'_>,
    ) -> Result<(), (RejectReason, String)> {
        let limits = &self.bounds.limits;
        let pairs = entry.metadata.start as usize..entry.metadata.end as usize;
        if !self.bounds.times.contains(millis(entry.timestamp_ns)) {
            return Err(self.refuse_time(stream, entry.timestamp_ns));
        }
        if entry.line.len() > limits.line_bytes_max {
            let text = format!(
                "max entry size '{}' bytes exceeded for stream '{}' while adding an entry with \
                 length '{}' bytes (limits.line_bytes_max)",
                limits.line_bytes_max,
                shown(stream),
                entry.line.len()
            );
            return Err((RejectReason::LineTooLong, text));
        }
        if pairs.len() > limits.metadata_pairs_max {
            let text = format!(
                "stream '{}' has too many structured metadata labels: '{}', limit: '{}' \
                 (limits.metadata_pairs_max)",
                shown(stream),
                pairs.len(),
                limits.metadata_pairs_max
            );
            return Err((RejectReason::TooMuchMetadata, text));
        }
        let bytes: usize = self.batch.metadata[pairs].iter().map(|(n, v)| n.len() + v.len()).sum();
        if bytes > limits.metadata_bytes_max {
            let text = format!(
                "stream '{}' has structured metadata too large: '{bytes}' bytes, limit: '{}' \
                 bytes (limits.metadata_bytes_max)",
                shown(stream),
                limits.metadata_bytes_max
            );
            return Err((RejectReason::MetadataTooLarge, text));
        }
        Ok(())
    }

    #[cold]
    fn refuse_time(&self, stream: &BatchStream<'_>, ns: i64) -> (RejectReason, String) {
        let oldest = self.bounds.times.start;
        if millis(ns) < oldest {
            let text = format!(
                "entry for stream '{}' has timestamp too old: {}, oldest acceptable timestamp is: \
                 {} (retention)",
                shown(stream),
                rfc3339(millis(ns)),
                rfc3339(oldest)
            );
            return (RejectReason::TooOld, text);
        }
        let text = format!(
            "entry for stream '{}' has timestamp too new: {}, more than {} ms after now",
            shown(stream),
            rfc3339(millis(ns)),
            self.bounds.limits.future_ms_max
        );
        (RejectReason::TooFarInFuture, text)
    }
}

/// Writes what was not refused to the head.
pub(crate) fn apply(head: &LogHead, batch: &LogBatch<'_>, checked: &CheckedLogs) {
    let verdicts = checked.verdicts();
    for (stream, &id) in batch.streams.iter().zip(&checked.ids) {
        if id == REFUSED {
            continue;
        }
        head.append(id, |out| {
            for item in stream.entries.start as usize..stream.entries.end as usize {
                if verdicts.is_empty() || !verdicts.refused(item) {
                    let entry = &batch.entries[item];
                    let pairs = entry.metadata.start as usize..entry.metadata.end as usize;
                    let pairs = batch.metadata[pairs].iter().map(|(n, v)| (&**n, &**v));
                    out.push(entry.timestamp_ns, entry.line, pairs);
                }
            }
        });
    }
}

/// The labels of a stream for a text.
fn shown(stream: &BatchStream<'_>) -> String {
    const SHOWN_BYTES_MAX: usize = 1024;
    let raw = &stream.raw[..stream.raw.len().min(SHOWN_BYTES_MAX)];
    String::from_utf8_lossy(raw).into_owned()
}

/// A time as RFC 3339 in UTC, to the second.
fn rfc3339(time: TimestampMs) -> String {
    let seconds = time.0.div_euclid(1000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date, by the method of Howard Hinnant's chrono algorithms.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod time_tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(rfc3339(TimestampMs(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(TimestampMs(1_709_210_096_999)), "2024-02-29T12:34:56Z");
        assert_eq!(rfc3339(TimestampMs(-1)), "1969-12-31T23:59:59Z");
    }
}
