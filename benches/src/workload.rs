//! Seeded series and their samples, as remote-write bodies ready to send: satellites of a
//! constellation, 16 metrics each, 7 to 9 labels and about 190 label bytes a series, one timestamp
//! per satellite and scrape.
//!
//! The same shape and seed give the same values; only times move with the start.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::thread;

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::write_v1::{Label, TimeSeries};
use ephemeris_model::Labels;
use prost::Message as _;

use crate::recorded::LaneWriter;
use crate::{BenchError, Result};
use metrics::{METRICS, Metric, ValueState};

mod metrics;

pub(crate) use metrics::{columns, mix};

/// The `job` label of every series.
pub const JOB: &str = "telemetry";

/// Samples in one body, as senders are configured for high rates.
pub(crate) const SAMPLES_PER_BODY_MAX: usize = 5_000;

/// Satellites in one plane.
const SATELLITES_PER_PLANE: usize = 50;

/// Every so many series one is recorded for comparison.
const PROBE_EVERY: usize = 4_999;

/// How large a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of series, rounded up to whole satellites of 16.
    pub series_count: usize,
    /// Samples of each series.
    pub scrape_count: usize,
    /// Connections, each with its own satellites.
    pub connection_count: usize,
    /// Milliseconds from scrape to scrape.
    pub interval_ms: i64,
    /// Time of the first scrape.
    pub start_ms: i64,
    /// Decides all values.
    pub seed: u64,
}

/// A named shape: series and scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// For tests.
    Tiny,
    /// Under a minute.
    Quick,
    /// Many samples of series that stay.
    Steady,
    /// Many series.
    Wide,
}

impl Size {
    /// The size with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "tiny" => Some(Self::Tiny),
            "quick" => Some(Self::Quick),
            "steady" => Some(Self::Steady),
            "wide" => Some(Self::Wide),
            _ => None,
        }
    }

    /// Series and scrapes.
    #[must_use]
    pub const fn counts(self) -> (usize, usize) {
        match self {
            Self::Tiny => (1_600, 10),
            Self::Quick => (100_000, 60),
            Self::Steady => (102_400, 240),
            Self::Wide => (2_000_384, 6),
        }
    }
}

impl Shape {
    /// The first moment from `time_ms` on at which no satellite is scraped, if there is one in a
    /// second: at such steps it makes no difference whether windows hold their beginning.
    #[must_use]
    pub fn quiet_ms(&self, time_ms: i64) -> i64 {
        let interval_ms = self.interval_ms.max(1);
        let satellites = 0..self.series_count.div_ceil(METRICS.len());
        let phases: HashSet<i64> = satellites
            .map(|s| (self.start_ms + phase_ms(s, self)).rem_euclid(interval_ms))
            .collect();
        let mut moments = time_ms..time_ms + 1000;
        moments.find(|t| !phases.contains(&t.rem_euclid(interval_ms))).unwrap_or(time_ms)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Body {
    /// A remote-write 1.0 message in snappy block format.
    pub bytes: Vec<u8>,
    /// Samples in it.
    pub sample_count: usize,
}

/// A series recorded while it was generated.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its labels.
    pub labels: Labels,
    /// All its samples: time and value.
    pub samples: Vec<(i64, f64)>,
}

/// What to send, and what must come back.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Bodies per connection, in order.
    pub lanes: Vec<Vec<Body>>,
    /// Series recorded for comparison.
    pub probes: Vec<Probe>,
    /// Number of series.
    pub series_count: usize,
    /// Number of samples.
    pub sample_count: usize,
    /// Bytes of labels over all series, as encoded.
    pub label_bytes: usize,
    /// Time of the last sample of all.
    pub last_ms: i64,
}

impl Workload {
    /// Generates and encodes all bodies, one thread per connection.
    ///
    /// # Errors
    /// If a body cannot be compressed.
    pub fn generate(shape: &Shape) -> Result<Self> {
        Self::generate_to(shape, None).map(|(workload, _)| workload)
    }

    /// The same, with the bodies written to files in `dir`, one for each connection, instead of
    /// kept in memory.
    ///
    /// # Errors
    /// If a body cannot be compressed or a file not be written.
    pub fn record(shape: &Shape, dir: &Path) -> Result<(Self, Vec<PathBuf>)> {
        Self::generate_to(shape, Some(dir))
    }

    fn generate_to(shape: &Shape, dir: Option<&Path>) -> Result<(Self, Vec<PathBuf>)> {
        let satellite_count = shape.series_count.div_ceil(METRICS.len()).max(1);
        let lane_count = shape.connection_count.clamp(1, satellite_count);
        let per_lane = satellite_count.div_ceil(lane_count);
        let lanes: Vec<Result<Lane>> = thread::scope(|scope| {
            let handles: Vec<_> = (0..satellite_count)
                .step_by(per_lane)
                .map(|first| {
                    let last = (first + per_lane).min(satellite_count);
                    scope.spawn(move || {
                        let mut lane = Lane::new(shape, first..last);
                        if let Some(dir) = dir {
                            let path = dir.join(format!("lane-{first}"));
                            lane.bodies = Bodies::Written(LaneWriter::create(&path)?);
                        }
                        lane.encode(shape)
                    })
                })
                .collect();
            let joined = handles.into_iter().map(|handle| {
                handle.join().map_err(|_| BenchError("a generator thread failed".to_owned()))?
            });
            joined.collect()
        });
        let mut workload = Self {
            lanes: Vec::new(),
            probes: Vec::new(),
            series_count: satellite_count * METRICS.len(),
            sample_count: satellite_count * METRICS.len() * shape.scrape_count,
            label_bytes: 0,
            last_ms: i64::MIN,
        };
        let mut paths = Vec::new();
        for lane in lanes {
            let lane = lane?;
            match lane.bodies {
                Bodies::Kept(bodies) => workload.lanes.push(bodies),
                Bodies::Written(writer) => paths.push(writer.finish()?),
            }
            workload.probes.extend(lane.probes.into_iter().map(|(_, probe)| probe));
            workload.label_bytes += lane.label_bytes;
            workload.last_ms = workload.last_ms.max(lane.last_ms);
        }
        Ok((workload, paths))
    }

    /// Bytes of all bodies.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.lanes.iter().flatten().map(|body| body.bytes.len()).sum()
    }
}

/// Names of all metrics of a workload.
pub fn metric_names() -> impl Iterator<Item = &'static str> {
    METRICS.iter().map(|metric| metric.name)
}

/// A series being generated.
struct Series {
    metric: &'static Metric,
    /// The `labels` fields of its message.
    labels: Vec<u8>,
    state: ValueState,
}

/// Where the bodies of a connection go.
enum Bodies {
    Kept(Vec<Body>),
    Written(LaneWriter),
}

/// What one connection sends.
struct Lane {
    satellites: std::ops::Range<usize>,
    series: Vec<Series>,
    bodies: Bodies,
    /// With the number of its series in the lane, ascending.
    probes: Vec<(usize, Probe)>,
    label_bytes: usize,
    last_ms: i64,
}

impl Lane {
    fn new(shape: &Shape, satellites: std::ops::Range<usize>) -> Self {
        let mut lane = Self {
            satellites: satellites.clone(),
            series: Vec::with_capacity(satellites.len() * METRICS.len()),
            bodies: Bodies::Kept(Vec::new()),
            probes: Vec::new(),
            label_bytes: 0,
            last_ms: i64::MIN,
        };
        for satellite in satellites {
            for (m, metric) in METRICS.iter().enumerate() {
                let labels = labels(satellite, metric);
                let number = satellite * METRICS.len() + m;
                if number.is_multiple_of(PROBE_EVERY) {
                    let probe = Probe { labels: labels.clone(), samples: Vec::new() };
                    lane.probes.push((lane.series.len(), probe));
                }
                let message = TimeSeries {
                    labels: labels.iter().map(|(name, value)| Label::new(name, value)).collect(),
                    ..TimeSeries::default()
                };
                let state = ValueState::new(shape.seed, number);
                let labels = message.encode_to_vec();
                lane.label_bytes += labels.len();
                lane.series.push(Series { metric, labels, state });
            }
        }
        lane
    }

    fn encode(mut self, shape: &Shape) -> Result<Self> {
        let per_body = (SAMPLES_PER_BODY_MAX / METRICS.len()).max(1);
        let mut message = Vec::new();
        for scrape in 0..shape.scrape_count {
            for first in self.satellites.clone().step_by(per_body) {
                let last = (first + per_body).min(self.satellites.end);
                message.clear();
                for satellite in first..last {
                    self.append_satellite(&mut message, satellite, shape, scrape);
                }
                let bytes = compress_snappy(&message)?;
                let sample_count = (last - first) * METRICS.len();
                let body = Body { bytes, sample_count };
                match &mut self.bodies {
                    Bodies::Kept(bodies) => bodies.push(body),
                    Bodies::Written(writer) => writer.push(&body)?,
                }
            }
        }
        Ok(self)
    }

    /// Appends one sample of each series of a satellite.
    fn append_satellite(
        &mut self,
        message: &mut Vec<u8>,
        satellite: usize,
        shape: &Shape,
        scrape: usize,
    ) {
        let phase = phase_ms(satellite, shape);
        let elapsed = i64::try_from(scrape).unwrap_or(i64::MAX).saturating_mul(shape.interval_ms);
        let timestamp = shape.start_ms.saturating_add(elapsed).saturating_add(phase);
        self.last_ms = self.last_ms.max(timestamp);
        let base = (satellite - self.satellites.start) * METRICS.len();
        for (offset, series) in self.series[base..base + METRICS.len()].iter_mut().enumerate() {
            let value = series.state.next(series.metric.kind, scrape);
            append_series(message, &series.labels, timestamp, value);
            let number = base + offset;
            if let Ok(at) = self.probes.binary_search_by_key(&number, |(n, _)| *n) {
                self.probes[at].1.samples.push((timestamp, value));
            }
        }
    }
}

/// When in the interval a satellite is scraped; spread evenly, as Prometheus does.
fn phase_ms(satellite: usize, shape: &Shape) -> i64 {
    let spread = mix(shape.seed ^ satellite as u64) % shape.interval_ms.max(1).unsigned_abs();
    i64::try_from(spread).unwrap_or(0)
}

/// Appends a series with one sample to a remote-write 1.0 message; `labels` are its encoded labels.
pub(crate) fn append_series(message: &mut Vec<u8>, labels: &[u8], timestamp: i64, value: f64) {
    let mut sample = [0; 19];
    sample[0] = 0x09;
    sample[1..9].copy_from_slice(&value.to_le_bytes());
    sample[9] = 0x10;
    let mut rest = &mut sample[10..];
    let before = rest.len();
    prost::encoding::encode_varint(timestamp.cast_unsigned(), &mut rest);
    let length = 10 + before - rest.len();
    message.push(0x0a);
    prost::encoding::encode_varint((labels.len() + 2 + length) as u64, message);
    message.extend_from_slice(labels);
    message.push(0x12);
    prost::encoding::encode_varint(length as u64, message);
    message.extend_from_slice(&sample[..length]);
}

/// The labels of one metric of one satellite.
fn labels(satellite: usize, metric: &Metric) -> Labels {
    let plane = satellite / SATELLITES_PER_PLANE;
    let shell = ["550-53", "570-70", "560-97"][plane % 3];
    let mut pairs = vec![
        ("__name__", metric.name.to_owned()),
        ("constellation", "aurora".to_owned()),
        ("instance", format!("sat-{satellite:06}.bus:9100")),
        ("job", JOB.to_owned()),
        ("plane", format!("p{plane:04}")),
        ("satellite", format!("A-{satellite:06}")),
        ("shell", shell.to_owned()),
    ];
    pairs.extend(metric.extra_labels.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Labels::from_pairs(pairs)
}

#[cfg(test)]
mod tests;
