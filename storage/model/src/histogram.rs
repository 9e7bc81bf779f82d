//! Native histograms: [`Histogram`] as it is received and stored, exactly, and
//! [`FloatHistogram`] as PromQL computes with it.
//!
//! Rules: Prometheus native histogram specification; field meanings as in remote write 2.0.

/// Schema number of histograms with custom bucket bounds (NHCB).
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Gap to the bucket after the previous span; for the first span the index of its first bucket.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// What a sender says about a reset since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CounterResetHint {
    /// Nothing is known; compare with the sample before.
    #[default]
    Unknown = 0,
    /// The counter was reset.
    Reset = 1,
    /// The counter was not reset.
    NotReset = 2,
    /// The histogram is a gauge; resets do not apply.
    Gauge = 3,
}

impl CounterResetHint {
    /// The hint with this wire number; unknown numbers are [`Self::Unknown`].
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Reset,
            2 => Self::NotReset,
            3 => Self::Gauge,
            _ => Self::Unknown,
        }
    }
}

/// Counts of a histogram: integers or floats, kept as they came.
#[derive(Clone, Debug, PartialEq)]
pub enum HistogramCounts {
    /// An integer histogram. Buckets are absolute counts, already summed up from wire deltas.
    Integer {
        /// Number of observations.
        count: u64,
        /// Observations in the zero bucket.
        zero_count: u64,
        /// Positive buckets, in order of spans.
        positive: Vec<i64>,
        /// Negative buckets, in order of spans.
        negative: Vec<i64>,
    },
    /// A float histogram.
    Float {
        /// Number of observations.
        count: f64,
        /// Observations in the zero bucket.
        zero_count: f64,
        /// Positive buckets, in order of spans.
        positive: Vec<f64>,
        /// Negative buckets, in order of spans.
        negative: Vec<f64>,
    },
}

/// A native histogram as received and stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Resolution: −4 to 8 exponential, −53 custom bounds.
    pub schema: i32,
    /// Sum of observations. The staleness marker here marks the whole sample as one.
    pub sum: f64,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Reset hint.
    pub reset_hint: CounterResetHint,
    /// Where the positive buckets lie.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets lie.
    pub negative_spans: Vec<Span>,
    /// Upper bounds of custom buckets, ascending, without +Inf; empty for exponential schemas.
    pub custom_values: Vec<f64>,
    /// The counts.
    pub counts: HistogramCounts,
}

/// A native histogram with float counts, the only form PromQL computes with.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FloatHistogram {
    /// Resolution: −4 to 8 exponential, −53 custom bounds.
    pub schema: i32,
    /// Number of observations.
    pub count: f64,
    /// Sum of observations.
    pub sum: f64,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Reset hint.
    pub reset_hint: CounterResetHint,
    /// Where the positive buckets lie.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets lie.
    pub negative_spans: Vec<Span>,
    /// Absolute counts of positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Absolute counts of negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, ascending, without +Inf.
    pub custom_values: Vec<f64>,
}

impl From<&Histogram> for FloatHistogram {
    #[expect(clippy::cast_precision_loss, reason = "PromQL computes with floats by definition")]
    fn from(h: &Histogram) -> Self {
        let (count, zero_count, positive_buckets, negative_buckets) = match &h.counts {
            HistogramCounts::Integer { count, zero_count, positive, negative } => (
                *count as f64,
                *zero_count as f64,
                positive.iter().map(|&n| n as f64).collect(),
                negative.iter().map(|&n| n as f64).collect(),
            ),
            HistogramCounts::Float { count, zero_count, positive, negative } => {
                (*count, *zero_count, positive.clone(), negative.clone())
            }
        };
        Self {
            schema: h.schema,
            count,
            sum: h.sum,
            zero_threshold: h.zero_threshold,
            zero_count,
            reset_hint: h.reset_hint,
            positive_spans: h.positive_spans.clone(),
            negative_spans: h.negative_spans.clone(),
            positive_buckets,
            negative_buckets,
            custom_values: h.custom_values.clone(),
        }
    }
}
