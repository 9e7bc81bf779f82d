//! Seeded streams of entries, as push bodies ready to send: each body holds entries of one stream.

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::push::{Entry, Pair, PushRequest, Stream, Timestamp};
use prost::Message as _;

use super::lines::{Family, Random};
use crate::workload::Body;
use crate::{Result, fail};

/// Hosts of a family, each a stream.
const HOSTS: usize = 20;
/// Entries in one body.
const ENTRIES_PER_BODY: usize = 2_000;

/// How large a workload is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of entries.
    pub entry_count: usize,
    /// Connections, each with its own streams.
    pub connection_count: usize,
    /// Time of the first entry, nanoseconds since the epoch.
    pub start_ns: i64,
    /// First nanosecond behind the last entry.
    pub end_ns: i64,
    /// Decides all lines.
    pub seed: u64,
}

/// Bodies ready to send, and what is in them.
#[derive(Debug)]
pub struct Workload {
    /// Bodies of each connection, in order.
    pub lanes: Vec<Vec<Body>>,
    /// Number of entries in all bodies.
    pub entry_count: usize,
    /// Number of streams.
    pub stream_count: usize,
    /// All lines, each with a newline behind it.
    pub text: Vec<u8>,
    /// A family with `level=` in its lines.
    pub logfmt_job: Option<String>,
    /// A family of JSON objects, and a field of them that is a number.
    pub json_job: Option<(String, String)>,
    /// The range of time.
    pub range_ns: (i64, i64),
}

impl Workload {
    /// Generates all bodies.
    ///
    /// # Errors
    /// If a body is too large, or there is no entry.
    pub(super) fn generate(shape: &Shape, families: &[Family]) -> Result<Self> {
        let stream_count = families.len() * HOSTS;
        let per_stream = shape.entry_count.div_ceil(stream_count.max(1));
        if per_stream == 0 || shape.start_ns >= shape.end_ns {
            return fail("a workload needs entries and a range of time");
        }
        let lane_count = shape.connection_count.clamp(1, stream_count);
        let mut lanes: Vec<Vec<Body>> = Vec::new();
        lanes.resize_with(lane_count, Vec::new);
        let mut random = Random(shape.seed);
        let mut text = Vec::new();
        let mut entry_count = 0;
        // All streams move forward in time together, as they would.
        for first in (0..per_stream).step_by(ENTRIES_PER_BODY) {
            for stream in 0..stream_count {
                let family = &families[stream / HOSTS];
                let places = first..(first + ENTRIES_PER_BODY).min(per_stream);
                let count = places.len();
                let times = places.map(|at| time_of(shape, per_stream, at, stream));
                let entries = times.map(|ns| entry(ns, family, &mut random, &mut text)).collect();
                let labels =
                    format!("{{host=\"host-{:02}\",job=\"{}\"}}", stream % HOSTS, family.job);
                let stream_message = Stream { labels: labels.into_bytes(), entries, hash: 0 };
                let message = PushRequest { streams: vec![stream_message] }.encode_to_vec();
                let body = Body { bytes: compress_snappy(&message)?, sample_count: count };
                lanes[stream % lane_count].push(body);
                entry_count += count;
            }
        }
        let logfmt = families.iter().find(|f| f.lines.iter().any(|l| l.contains(" level=")));
        let json = families.iter().find_map(|f| Some((f.job.clone(), number_field(f)?)));
        Ok(Self {
            lanes,
            entry_count,
            stream_count,
            text,
            logfmt_job: logfmt.map(|family| family.job.clone()),
            json_job: json,
            range_ns: (shape.start_ns, shape.end_ns),
        })
    }
}

/// Entries of a stream are spread evenly; streams are shifted so that no two times are equal.
fn time_of(shape: &Shape, per_stream: usize, at: usize, stream: usize) -> i64 {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let step = (shape.end_ns - shape.start_ns) / number(per_stream).saturating_add(1);
    shape.start_ns + step.saturating_mul(number(at)) + number(stream) % step.max(1)
}

fn entry(ns: i64, family: &Family, random: &mut Random, text: &mut Vec<u8>) -> Entry {
    let start = text.len();
    random.redraw(&family.lines[random.clone().below(family.lines.len())], text);
    random.next();
    let line = text[start..].to_vec();
    text.push(b'\n');
    let trace = format!("{:016x}{:016x}", random.next(), random.next());
    let nanos = i32::try_from(ns.rem_euclid(1_000_000_000)).unwrap_or(0);
    Entry {
        timestamp: Some(Timestamp { seconds: ns.div_euclid(1_000_000_000), nanos }),
        line,
        structured_metadata: vec![Pair::new("trace_id", &trace)],
    }
}

/// The first field that is a number, if the lines are JSON objects.
fn number_field(family: &Family) -> Option<String> {
    let object: serde_json::Value = serde_json::from_str(family.lines.first()?).ok()?;
    let field = object.as_object()?.iter().find(|(_, value)| value.is_number());
    field.map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::super::lines::built_in;
    use super::*;

    #[test]
    fn a_workload_holds_what_it_says() {
        let shape = Shape {
            entry_count: 5_000,
            connection_count: 3,
            start_ns: 1_000_000_000_000,
            end_ns: 2_000_000_000_000,
            seed: 1,
        };
        let families = built_in(1);
        let workload = Workload::generate(&shape, &families).expect("small");
        let counted: usize = workload.lanes.iter().flatten().map(|body| body.sample_count).sum();
        assert_eq!((counted, workload.entry_count, workload.stream_count), (5_000, 5_000, 200));
        assert_eq!(workload.text.iter().filter(|&&b| b == b'\n').count(), 5_000);
        assert_eq!(workload.logfmt_job.as_deref(), Some("gateway"));
        assert_eq!(workload.json_job, Some(("billing".to_owned(), "size".to_owned())));
    }
}
