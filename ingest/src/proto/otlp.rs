//! `ExportMetricsServiceRequest` of OTLP and the messages in it.

use prost::{Message, Oneof};

/// A request.
#[derive(Clone, PartialEq, Message)]
pub struct MetricsRequest {
    /// Metrics by resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// The metrics of a resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceMetrics {
    /// Who measured.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Metrics by scope.
    #[prost(message, repeated, tag = "2")]
    pub scope_metrics: Vec<ScopeMetrics>,
    /// Schema of the resource.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// A resource.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// What describes it.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// The metrics of a scope.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeMetrics {
    /// The library that measured.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// Its metrics.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    /// Schema of the metrics.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// A scope.
#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    /// Name of a library.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// What describes it.
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
}

/// An attribute.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Its key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

impl KeyValue {
    /// An attribute whose value is a text.
    #[must_use]
    pub fn text(key: &str, value: &str) -> Self {
        let value = AnyValue { value: Some(any_value::Value::String(value.to_owned())) };
        Self { key: key.to_owned(), value: Some(value) }
    }
}

/// A value of any kind.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// The value; none is allowed.
    #[prost(oneof = "any_value::Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<any_value::Value>,
}

/// What a value may be.
pub mod any_value {
    use super::{ArrayValue, KeyValueList, Oneof};

    /// One of them.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Value {
        /// A text.
        #[prost(string, tag = "1")]
        String(String),
        /// True or false.
        #[prost(bool, tag = "2")]
        Bool(bool),
        /// An integer.
        #[prost(int64, tag = "3")]
        Int(i64),
        /// A float.
        #[prost(double, tag = "4")]
        Double(f64),
        /// A list.
        #[prost(message, tag = "5")]
        Array(ArrayValue),
        /// A map.
        #[prost(message, tag = "6")]
        Map(KeyValueList),
        /// Bytes.
        #[prost(bytes, tag = "7")]
        Bytes(Vec<u8>),
    }
}

/// A list of values.
#[derive(Clone, PartialEq, Message)]
pub struct ArrayValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// A map of values.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValueList {
    /// Its entries.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// A metric.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[prost(string, tag = "2")]
    pub description: String,
    /// Its unit, in UCUM.
    #[prost(string, tag = "3")]
    pub unit: String,
    /// What describes it further.
    #[prost(message, repeated, tag = "12")]
    pub metadata: Vec<KeyValue>,
    /// Its points.
    #[prost(oneof = "metric::Data", tags = "5, 7, 9, 10, 11")]
    pub data: Option<metric::Data>,
}

/// What a metric may hold.
pub mod metric {
    use super::{ExponentialHistogram, Gauge, Histogram, Oneof, Sum, Summary};

    /// One of them.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Data {
        /// Values that are not added.
        #[prost(message, tag = "5")]
        Gauge(Gauge),
        /// Values that are.
        #[prost(message, tag = "7")]
        Sum(Sum),
        /// Histograms with explicit bounds.
        #[prost(message, tag = "9")]
        Histogram(Histogram),
        /// Histograms with exponential bounds.
        #[prost(message, tag = "10")]
        Exponential(ExponentialHistogram),
        /// Summaries.
        #[prost(message, tag = "11")]
        Summary(Summary),
    }
}

/// A gauge.
#[derive(Clone, PartialEq, Message)]
pub struct Gauge {
    /// Its points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberPoint>,
}

/// A sum.
#[derive(Clone, PartialEq, Message)]
pub struct Sum {
    /// Its points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberPoint>,
    /// 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
    /// Whether it only grows.
    #[prost(bool, tag = "3")]
    pub is_monotonic: bool,
}

/// A histogram with explicit bounds.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// Its points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<HistogramPoint>,
    /// 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
}

/// A histogram with exponential bounds.
#[derive(Clone, PartialEq, Message)]
pub struct ExponentialHistogram {
    /// Its points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<ExponentialPoint>,
    /// 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
}

/// A summary.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// Its points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<SummaryPoint>,
}

/// A point with a number.
#[derive(Clone, PartialEq, Message)]
pub struct NumberPoint {
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// Exemplars.
    #[prost(message, repeated, tag = "5")]
    pub exemplars: Vec<Exemplar>,
    /// Its attributes.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    /// Bit 1: no recorded value.
    #[prost(uint32, tag = "8")]
    pub flags: u32,
    /// The number.
    #[prost(oneof = "number::Value", tags = "4, 6")]
    pub value: Option<number::Value>,
}

/// What a number may be.
pub mod number {
    use super::Oneof;

    /// One of them.
    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Value {
        /// A float.
        #[prost(double, tag = "4")]
        Double(f64),
        /// An integer.
        #[prost(sfixed64, tag = "6")]
        Int(i64),
    }
}

/// A point with a histogram of explicit bounds.
#[derive(Clone, PartialEq, Message)]
pub struct HistogramPoint {
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// Values in all buckets.
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    /// Their sum.
    #[prost(double, optional, tag = "5")]
    pub sum: Option<f64>,
    /// Values in each bucket.
    #[prost(fixed64, repeated, tag = "6")]
    pub bucket_counts: Vec<u64>,
    /// Upper bounds of all buckets but the last.
    #[prost(double, repeated, tag = "7")]
    pub explicit_bounds: Vec<f64>,
    /// Exemplars.
    #[prost(message, repeated, tag = "8")]
    pub exemplars: Vec<Exemplar>,
    /// Its attributes.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// Bit 1: no recorded value.
    #[prost(uint32, tag = "10")]
    pub flags: u32,
}

/// A point with a histogram of exponential bounds.
#[derive(Clone, PartialEq, Message)]
pub struct ExponentialPoint {
    /// Its attributes.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// Values in all buckets.
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    /// Their sum.
    #[prost(double, optional, tag = "5")]
    pub sum: Option<f64>,
    /// Bounds are powers of 2^(2^-scale).
    #[prost(sint32, tag = "6")]
    pub scale: i32,
    /// Values near zero.
    #[prost(fixed64, tag = "7")]
    pub zero_count: u64,
    /// Buckets above zero.
    #[prost(message, optional, tag = "8")]
    pub positive: Option<Buckets>,
    /// Buckets below zero.
    #[prost(message, optional, tag = "9")]
    pub negative: Option<Buckets>,
    /// Bit 1: no recorded value.
    #[prost(uint32, tag = "10")]
    pub flags: u32,
    /// Exemplars.
    #[prost(message, repeated, tag = "11")]
    pub exemplars: Vec<Exemplar>,
    /// How near zero.
    #[prost(double, tag = "14")]
    pub zero_threshold: f64,
}

/// Neighbouring exponential buckets.
#[derive(Clone, PartialEq, Message)]
pub struct Buckets {
    /// Number of the first.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// Values in each.
    #[prost(uint64, repeated, tag = "2")]
    pub bucket_counts: Vec<u64>,
}

/// A point with a summary.
#[derive(Clone, PartialEq, Message)]
pub struct SummaryPoint {
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// Values seen.
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    /// Their sum.
    #[prost(double, tag = "5")]
    pub sum: f64,
    /// Quantiles.
    #[prost(message, repeated, tag = "6")]
    pub quantile_values: Vec<Quantile>,
    /// Its attributes.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    /// Bit 1: no recorded value.
    #[prost(uint32, tag = "8")]
    pub flags: u32,
}

/// A quantile.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Quantile {
    /// From 0 to 1.
    #[prost(double, tag = "1")]
    pub quantile: f64,
    /// The value.
    #[prost(double, tag = "2")]
    pub value: f64,
}

/// An exemplar.
#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "2")]
    pub time_unix_nano: u64,
    /// Id of a span.
    #[prost(bytes = "vec", tag = "4")]
    pub span_id: Vec<u8>,
    /// Id of a trace.
    #[prost(bytes = "vec", tag = "5")]
    pub trace_id: Vec<u8>,
    /// Attributes that the point does not have.
    #[prost(message, repeated, tag = "7")]
    pub filtered_attributes: Vec<KeyValue>,
    /// The value.
    #[prost(oneof = "exemplar::Value", tags = "3, 6")]
    pub value: Option<exemplar::Value>,
}

/// What the value of an exemplar may be.
pub mod exemplar {
    use super::Oneof;

    /// One of them.
    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Value {
        /// A float.
        #[prost(double, tag = "3")]
        Double(f64),
        /// An integer.
        #[prost(sfixed64, tag = "6")]
        Int(i64),
    }
}
