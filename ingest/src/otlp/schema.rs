//! The messages of OTLP metrics and logs as tables, for reading them as JSON.

/// A message: its fields.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name in lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) is_repeated: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// Bytes in base64.
    Base64,
    /// An id in hexadecimal digits.
    Hex,
    Bool,
    /// A signed integer as varint.
    Int,
    /// An unsigned integer as varint.
    Uint,
    /// A signed integer in zigzag form.
    Sint,
    /// An unsigned integer of four bytes.
    Fixed32,
    /// An unsigned integer of eight bytes.
    Fixed,
    /// A signed integer of eight bytes.
    Sfixed,
    Double,
    /// A number or one of these names, whose numbers are their places.
    Enum(&'static [&'static str]),
    Message(&'static Message),
}

const fn one(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, is_repeated: false }
}

const fn many(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, is_repeated: true }
}

use Kind::{
    Base64, Bool, Double, Enum, Fixed, Fixed32, Hex, Int, Message as Nested, Sfixed, Sint, Text,
    Uint,
};

pub(super) static METRICS_REQUEST: Message =
    Message { fields: &[many("resourceMetrics", 1, Nested(&RESOURCE_METRICS))] };

static RESOURCE_METRICS: Message = Message {
    fields: &[
        one("resource", 1, Nested(&RESOURCE)),
        many("scopeMetrics", 2, Nested(&SCOPE_METRICS)),
        one("schemaUrl", 3, Text),
    ],
};

static RESOURCE: Message = Message { fields: &[many("attributes", 1, Nested(&KEY_VALUE))] };

static SCOPE_METRICS: Message = Message {
    fields: &[
        one("scope", 1, Nested(&SCOPE)),
        many("metrics", 2, Nested(&METRIC)),
        one("schemaUrl", 3, Text),
    ],
};

static SCOPE: Message = Message {
    fields: &[
        one("name", 1, Text),
        one("version", 2, Text),
        many("attributes", 3, Nested(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Uint),
    ],
};

static METRIC: Message = Message {
    fields: &[
        one("name", 1, Text),
        one("description", 2, Text),
        one("unit", 3, Text),
        one("gauge", 5, Nested(&GAUGE)),
        one("sum", 7, Nested(&SUM)),
        one("histogram", 9, Nested(&HISTOGRAM)),
        one("exponentialHistogram", 10, Nested(&EXPONENTIAL)),
        one("summary", 11, Nested(&SUMMARY)),
        many("metadata", 12, Nested(&KEY_VALUE)),
    ],
};

static TEMPORALITIES: [&str; 3] = [
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
];

static GAUGE: Message = Message { fields: &[many("dataPoints", 1, Nested(&NUMBER_POINT))] };

static SUM: Message = Message {
    fields: &[
        many("dataPoints", 1, Nested(&NUMBER_POINT)),
        one("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
        one("isMonotonic", 3, Bool),
    ],
};

static HISTOGRAM: Message = Message {
    fields: &[
        many("dataPoints", 1, Nested(&HISTOGRAM_POINT)),
        one("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
    ],
};

static EXPONENTIAL: Message = Message {
    fields: &[
        many("dataPoints", 1, Nested(&EXPONENTIAL_POINT)),
        one("aggregationTemporality", 2, Enum(&TEMPORALITIES)),
    ],
};

static SUMMARY: Message = Message { fields: &[many("dataPoints", 1, Nested(&SUMMARY_POINT))] };

static NUMBER_POINT: Message = Message {
    fields: &[
        one("startTimeUnixNano", 2, Fixed),
        one("timeUnixNano", 3, Fixed),
        one("asDouble", 4, Double),
        many("exemplars", 5, Nested(&EXEMPLAR)),
        one("asInt", 6, Sfixed),
        many("attributes", 7, Nested(&KEY_VALUE)),
        one("flags", 8, Uint),
    ],
};

static HISTOGRAM_POINT: Message = Message {
    fields: &[
        one("startTimeUnixNano", 2, Fixed),
        one("timeUnixNano", 3, Fixed),
        one("count", 4, Fixed),
        one("sum", 5, Double),
        many("bucketCounts", 6, Fixed),
        many("explicitBounds", 7, Double),
        many("exemplars", 8, Nested(&EXEMPLAR)),
        many("attributes", 9, Nested(&KEY_VALUE)),
        one("flags", 10, Uint),
        one("min", 11, Double),
        one("max", 12, Double),
    ],
};

static EXPONENTIAL_POINT: Message = Message {
    fields: &[
        many("attributes", 1, Nested(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Fixed),
        one("timeUnixNano", 3, Fixed),
        one("count", 4, Fixed),
        one("sum", 5, Double),
        one("scale", 6, Sint),
        one("zeroCount", 7, Fixed),
        one("positive", 8, Nested(&BUCKETS)),
        one("negative", 9, Nested(&BUCKETS)),
        one("flags", 10, Uint),
        many("exemplars", 11, Nested(&EXEMPLAR)),
        one("min", 12, Double),
        one("max", 13, Double),
        one("zeroThreshold", 14, Double),
    ],
};

static BUCKETS: Message =
    Message { fields: &[one("offset", 1, Sint), many("bucketCounts", 2, Uint)] };

static SUMMARY_POINT: Message = Message {
    fields: &[
        one("startTimeUnixNano", 2, Fixed),
        one("timeUnixNano", 3, Fixed),
        one("count", 4, Fixed),
        one("sum", 5, Double),
        many("quantileValues", 6, Nested(&QUANTILE)),
        many("attributes", 7, Nested(&KEY_VALUE)),
        one("flags", 8, Uint),
    ],
};

static QUANTILE: Message =
    Message { fields: &[one("quantile", 1, Double), one("value", 2, Double)] };

static EXEMPLAR: Message = Message {
    fields: &[
        one("timeUnixNano", 2, Fixed),
        one("asDouble", 3, Double),
        one("spanId", 4, Hex),
        one("traceId", 5, Hex),
        one("asInt", 6, Sfixed),
        many("filteredAttributes", 7, Nested(&KEY_VALUE)),
    ],
};

pub(super) static LOGS_REQUEST: Message =
    Message { fields: &[many("resourceLogs", 1, Nested(&RESOURCE_LOGS))] };

static RESOURCE_LOGS: Message = Message {
    fields: &[
        one("resource", 1, Nested(&RESOURCE)),
        many("scopeLogs", 2, Nested(&SCOPE_LOGS)),
        one("schemaUrl", 3, Text),
    ],
};

static SCOPE_LOGS: Message = Message {
    fields: &[
        one("scope", 1, Nested(&SCOPE)),
        many("logRecords", 2, Nested(&LOG_RECORD)),
        one("schemaUrl", 3, Text),
    ],
};

static LOG_RECORD: Message = Message {
    fields: &[
        one("timeUnixNano", 1, Fixed),
        one("severityNumber", 2, Enum(&SEVERITIES)),
        one("severityText", 3, Text),
        one("body", 5, Nested(&ANY_VALUE)),
        many("attributes", 6, Nested(&KEY_VALUE)),
        one("droppedAttributesCount", 7, Uint),
        one("flags", 8, Fixed32),
        one("traceId", 9, Hex),
        one("spanId", 10, Hex),
        one("observedTimeUnixNano", 11, Fixed),
        one("eventName", 12, Text),
    ],
};

static SEVERITIES: [&str; 25] = [
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];

static KEY_VALUE: Message =
    Message { fields: &[one("key", 1, Text), one("value", 2, Nested(&ANY_VALUE))] };

static ANY_VALUE: Message = Message {
    fields: &[
        one("stringValue", 1, Text),
        one("boolValue", 2, Bool),
        one("intValue", 3, Int),
        one("doubleValue", 4, Double),
        one("arrayValue", 5, Nested(&ARRAY)),
        one("kvlistValue", 6, Nested(&MAP)),
        one("bytesValue", 7, Base64),
    ],
};

static ARRAY: Message = Message { fields: &[many("values", 1, Nested(&ANY_VALUE))] };

static MAP: Message = Message { fields: &[many("values", 1, Nested(&KEY_VALUE))] };
