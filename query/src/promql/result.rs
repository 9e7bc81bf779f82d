//! What a query answers.

use std::sync::Arc;
use std::time::Duration;

use ephemeris_model::{FloatHistogram, Labels};

use super::annotations::Annotations;
use super::exec::batch::Point;
use super::explain::Explanation;

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value.
    pub value: AnswerValue,
    /// Warnings and infos about the query.
    pub annotations: Annotations,
    /// What the answer lacks because stored data is damaged.
    pub source_warnings: Vec<String>,
    /// What the query took.
    pub stats: QueryStats,
}

/// The value of an answer.
#[derive(Clone, Debug)]
pub enum AnswerValue {
    /// One number.
    Scalar {
        /// When it was evaluated, in milliseconds since the epoch.
        at_ms: i64,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// When it was evaluated, in milliseconds since the epoch.
        at_ms: i64,
        /// The text.
        text: String,
    },
    /// One sample a series, all at the time of evaluation. The order is that of `sort`, `topk`
    /// and their kind where the query asks for one; else by labels.
    Vector {
        /// When it was evaluated, in milliseconds since the epoch.
        at_ms: i64,
        /// The samples.
        samples: Vec<VectorSample>,
    },
    /// Samples over time, sorted by labels; no series is empty. The answer to a range query, and
    /// to an instant query for a range vector.
    Matrix(Vec<MatrixSeries>),
}

/// One sample of an instant vector.
#[derive(Clone, Debug)]
pub struct VectorSample {
    /// Labels of its series.
    pub labels: Labels,
    /// Its value.
    pub point: Point,
}

/// One series of a matrix.
#[derive(Clone, Debug)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// Time and value of its float samples, by time.
    pub floats: Vec<(i64, f64)>,
    /// Time and value of its histogram samples, by time.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// What a query took.
#[derive(Clone, Debug, Default)]
pub struct QueryStats {
    /// Series touched by all selectors.
    pub series: u64,
    /// Samples read from the source.
    pub samples_read: u64,
    /// Samples looked at, counted at each step that looks at them.
    pub samples_queryable: u64,
    /// Samples held in memory at the peak.
    pub samples_peak: u64,
    /// Planning.
    pub prepare: Duration,
    /// Selecting, reading, computing, sorting.
    pub evaluate: Duration,
    /// All of it.
    pub total: Duration,
    /// What each operator did, if that was asked for.
    pub explanation: Option<Explanation>,
}
