//! `prometheus.WriteRequest` and the messages in it.

use prost::{Message, Oneof};

/// A remote-write 1.0 request.
#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    /// Series with their samples.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// Metadata of metric families.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

/// A series.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// Its labels.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Its float samples.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Its exemplars.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    /// Its native histograms.
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}

/// A label.
#[derive(Clone, PartialEq, Message)]
pub struct Label {
    /// Name.
    #[prost(bytes = "vec", tag = "1")]
    pub name: Vec<u8>,
    /// Value.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl Label {
    /// A label with this name and value.
    #[must_use]
    pub fn new(name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A float sample.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// Value; 0 if it is not sent. Optional, since `prost` would take −0 for 0 and not send it.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

impl Sample {
    /// A sample with this time and value.
    #[must_use]
    pub const fn new(timestamp_ms: i64, value: f64) -> Self {
        Self { value: Some(value), timestamp: timestamp_ms }
    }
}

/// An exemplar.
#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    /// Labels of its own.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Value; optional for the same reason as the value of a [`Sample`].
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// Metadata of a metric family.
#[derive(Clone, PartialEq, Message)]
pub struct MetricMetadata {
    /// Number of the type.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    /// Name of the family.
    #[prost(bytes = "vec", tag = "2")]
    pub metric_family_name: Vec<u8>,
    /// Help text.
    #[prost(bytes = "vec", tag = "4")]
    pub help: Vec<u8>,
    /// Unit.
    #[prost(bytes = "vec", tag = "5")]
    pub unit: Vec<u8>,
}

/// A native histogram; remote write 2.0 has the same message, with a start timestamp.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// Number of observations; says whether the histogram is an integer or a float one.
    #[prost(oneof = "Count", tags = "1, 2")]
    pub count: Option<Count>,
    /// Sum of observations; optional for the same reason as the value of a [`Sample`].
    #[prost(double, optional, tag = "3")]
    pub sum: Option<f64>,
    /// Resolution.
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    /// Width of the zero bucket.
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    pub zero_count: Option<ZeroCount>,
    /// Where negative buckets lie.
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    /// Negative buckets of an integer histogram, each as difference to the one before.
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    /// Negative buckets of a float histogram.
    #[prost(double, repeated, tag = "10")]
    pub negative_counts: Vec<f64>,
    /// Where positive buckets lie.
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    /// Positive buckets of an integer histogram, each as difference to the one before.
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    /// Positive buckets of a float histogram.
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    /// Number of the reset hint.
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    /// Bounds of custom buckets.
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
    /// Start timestamp, 0 = unknown; remote write 2.0 only.
    #[prost(int64, tag = "17")]
    pub start_timestamp: i64,
}

/// Number of observations of a histogram.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum Count {
    /// An integer histogram.
    #[prost(uint64, tag = "1")]
    Integer(u64),
    /// A float histogram.
    #[prost(double, tag = "2")]
    Float(f64),
}

/// Observations in the zero bucket.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum ZeroCount {
    /// Of an integer histogram.
    #[prost(uint64, tag = "6")]
    Integer(u64),
    /// Of a float histogram.
    #[prost(double, tag = "7")]
    Float(f64),
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct BucketSpan {
    /// Gap to the span before, or index of the first bucket.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// Number of buckets.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}
