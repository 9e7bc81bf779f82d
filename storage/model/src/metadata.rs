//! What is told about a metric beside its samples: type, help and unit; and exemplars.

use crate::labels::Labels;

/// Type of a metric, as OpenMetrics and remote write name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MetricType {
    /// Not told.
    #[default]
    Unknown = 0,
    /// Only rises, but for resets.
    Counter = 1,
    /// Goes up and down.
    Gauge = 2,
    /// Cumulative distribution in buckets.
    Histogram = 3,
    /// Distribution of current values.
    GaugeHistogram = 4,
    /// Quantiles computed by the client.
    Summary = 5,
    /// Constant 1 with information in its labels.
    Info = 6,
    /// One of several states, each a boolean.
    StateSet = 7,
}

impl MetricType {
    /// Every type, in order of the remote-write 1.0 numbers.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Counter,
        Self::Gauge,
        Self::Histogram,
        Self::GaugeHistogram,
        Self::Summary,
        Self::Info,
        Self::StateSet,
    ];

    /// The type with this remote-write 1.0 number; unknown numbers are [`Self::Unknown`].
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied()).unwrap_or_default()
    }

    /// Name in the HTTP API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// Type, help and unit of the metric family `metric`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// Name of the metric family.
    pub metric: String,
    /// Its type.
    pub metric_type: MetricType,
    /// Explanation for people; may be empty.
    pub help: String,
    /// Unit; may be empty.
    pub unit: String,
}

/// A sample with labels of its own, as a rule the id of a trace.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// Labels of the exemplar, not of its series.
    pub labels: Labels,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The observed value.
    pub value: f64,
}
