//! The columns operators hand to each other: the values of some series at every step of a query.

use std::sync::Arc;

use ephemeris_model::{FloatHistogram, Labels, is_stale, stale_nan};

/// "No sample at this step". The staleness marker is never visible to a query, so its bits are
/// free to say so; arithmetic on it gives another NaN, so test before computing.
pub const ABSENT: f64 = stale_nan();

/// One sample of an evaluated series.
#[derive(Clone, Debug)]
pub enum Point {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// One series at every step of the query.
#[derive(Clone, Debug)]
pub struct StepSeries {
    /// Its labels; `__name__` still among them if `drop_name` is set.
    pub labels: Labels,
    /// The metric name is to be removed at the end ("delayed name removal"); until then it stays
    /// visible to `label_replace`, `by (__name__)` and matching.
    pub drop_name: bool,
    /// One float per step, or [`ABSENT`].
    pub values: Vec<f64>,
    /// One histogram per step, or empty if the series has none. Where there is a histogram the
    /// float is [`ABSENT`].
    pub histograms: Vec<Option<Arc<FloatHistogram>>>,
}

impl StepSeries {
    /// A series without a sample at any of `step_count` steps.
    #[must_use]
    pub fn absent(labels: Labels, step_count: usize) -> Self {
        Self { labels, drop_name: false, values: vec![ABSENT; step_count], histograms: Vec::new() }
    }

    /// The sample at `step`.
    #[must_use]
    pub fn point(&self, step: usize) -> Option<Point> {
        if let Some(Some(histogram)) = self.histograms.get(step) {
            return Some(Point::Histogram(Arc::clone(histogram)));
        }
        let value = self.values[step];
        (!is_stale(value)).then_some(Point::Float(value))
    }

    /// Puts `point` at `step`, in place of what is there.
    pub fn set(&mut self, step: usize, point: Option<Point>) {
        self.values[step] = ABSENT;
        if let Some(slot) = self.histograms.get_mut(step) {
            *slot = None;
        }
        match point {
            None => {}
            Some(Point::Float(value)) => self.values[step] = value,
            Some(Point::Histogram(histogram)) => {
                if self.histograms.is_empty() {
                    self.histograms.resize(self.values.len(), None);
                }
                self.histograms[step] = Some(histogram);
            }
        }
    }

    /// Whether no step has a sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(|v| is_stale(*v)) && self.histograms.iter().all(Option::is_none)
    }
}
