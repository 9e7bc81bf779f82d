//! The part of a crash run that pushes log lines: live ones, late ones, and requests sent twice.
//!
//! A line and its metadata follow from its stream and time, as the values of samples do.

use std::collections::HashMap;
use std::fmt::Write as _;

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::push::{Entry, Pair, PushRequest, Stream, Timestamp};
use prost::Message as _;
use serde_json::Value;

use super::{Found, Random};
use crate::client::Client;
use crate::{Result, fail};

/// Streams of the writer.
const STREAMS: u64 = 5;
/// Entries of a live request, in one stream.
const ENTRIES: u64 = 20;
const SECOND: i64 = 1_000_000_000;
/// Late entries lie up to this far back, in seconds.
const LATE_SECONDS: u64 = 3 * 86_400;

/// What the writer of logs knows.
#[derive(Clone, Debug)]
pub(super) struct LogLane {
    random: Random,
    /// The time of the next live entry, in nanoseconds.
    live_at: i64,
    /// Whether an entry was acknowledged, by stream and time.
    ledger: HashMap<(u64, i64), bool>,
    /// The last request, to be repeated.
    last: Vec<(u64, i64)>,
}

impl LogLane {
    /// A writer whose live entries begin at `seconds` since the epoch.
    pub(super) fn new(seed: u64, seconds: i64) -> Self {
        let (ledger, last) = (HashMap::new(), Vec::new());
        Self { random: Random(seed), live_at: seconds * SECOND, ledger, last }
    }

    /// How many entries were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.ledger.values().map(|acked| u64::from(*acked)).sum()
    }

    /// Sends one request; false if the connection is gone.
    pub(super) fn write(&mut self, client: &mut Client) -> bool {
        let entries = match self.random.below(10) {
            0 if !self.last.is_empty() => self.last.clone(),
            1 | 2 => self.late(),
            _ => self.live(),
        };
        for entry in &entries {
            self.ledger.entry(*entry).or_insert(false);
        }
        let Ok(answer) = client.push("/loki/api/v1/push", &body(&entries)) else { return false };
        if answer.status == 204 {
            self.ledger.extend(entries.iter().map(|entry| (*entry, true)));
        }
        self.last = entries;
        answer.status == 204 || answer.status == 503
    }

    fn live(&mut self) -> Vec<(u64, i64)> {
        let stream = self.random.below(STREAMS);
        let mut next = || {
            self.live_at += 1 + i64::try_from(self.random.below(50_000_000)).unwrap_or(0);
            (stream, self.live_at)
        };
        (0..ENTRIES).map(|_| next()).collect()
    }

    fn late(&mut self) -> Vec<(u64, i64)> {
        let count = 1 + self.random.below(ENTRIES);
        let mut one = || {
            let back = i64::try_from(self.random.below(LATE_SECONDS)).unwrap_or(0) * SECOND;
            (self.random.below(STREAMS), self.live_at - back)
        };
        (0..count).map(|_| one()).collect()
    }

    /// Reads everything back.
    pub(super) fn compare(&self, client: &mut Client) -> Result<Found> {
        let mut found = Found::default();
        let mut missing = self.acknowledged();
        for stream in 0..STREAMS {
            let query = format!("%7Bapp%3D%22crash%22%2Cstream%3D%22{stream}%22%7D");
            let end = self.live_at + SECOND;
            let path = format!("/loki/api/v1/export?query={query}&start=0&end={end}");
            let answer = client.get(&path)?;
            if answer.status != 200 {
                return fail(format!("export: {} {}", answer.status, answer.excerpt()));
            }
            let mut previous = i64::MIN;
            for line in answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let got: Value = serde_json::from_slice(line)
                    .map_err(|error| crate::BenchError(format!("a line of an export: {error}")))?;
                let Some(at) = got["timestamp"].as_str().and_then(|text| text.parse().ok()) else {
                    return fail(format!("a line of an export is {got}"));
                };
                found.present += 1;
                let (text, trace) = content(stream, at);
                let is_right = got["line"] == *text && got["structuredMetadata"]["trace"] == *trace;
                // Times of a stream are all different, so one that comes again is doubled.
                found.altered += u64::from(!is_right || at <= previous);
                previous = at;
                match self.ledger.get(&(stream, at)) {
                    Some(true) => missing = missing.saturating_sub(1),
                    Some(false) => {}
                    None => found.unknown += 1,
                }
            }
        }
        found.lost = missing;
        Ok(found)
    }
}

/// The one line an entry can have, and its trace id.
fn content(stream: u64, at: i64) -> (String, String) {
    let mut random = Random(stream << 56 ^ at.unsigned_abs());
    let mut line = format!("level=info at={at} stream={stream} words=");
    for _ in 0..random.below(12) {
        let _ = write!(line, "{:x} ", random.below(1 << 20));
    }
    (line, format!("{:016x}", random.next()))
}

fn body(entries: &[(u64, i64)]) -> Vec<u8> {
    let one = |(stream, at): &(u64, i64)| {
        let (line, trace) = content(*stream, *at);
        let nanos = i32::try_from(at.rem_euclid(SECOND)).unwrap_or(0);
        let entry = Entry {
            timestamp: Some(Timestamp { seconds: at.div_euclid(SECOND), nanos }),
            line: line.into_bytes(),
            structured_metadata: vec![Pair::new("trace", &trace)],
        };
        let labels = format!("{{app=\"crash\",stream=\"{stream}\"}}").into_bytes();
        Stream { labels, entries: vec![entry], hash: 0 }
    };
    let request = PushRequest { streams: entries.iter().map(one).collect() };
    compress_snappy(&request.encode_to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_repeated_holds_the_same_lines() {
        let mut lane = LogLane::new(7, 1_790_000_000);
        let live = lane.live();
        assert_eq!(live.len() as u64, ENTRIES);
        assert_eq!(body(&live), body(&live));
        assert_ne!(content(1, 5), content(2, 5));
        assert_ne!(content(1, 5), content(1, 6));
    }
}
