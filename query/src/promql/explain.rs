//! What the operators of a query did: a tree of them with series, samples, pages, bytes and time,
//! and the samples looked at by each step. Kept only for a query that asks for it
//! ([`EngineOptions::explain`](super::engine::EngineOptions::explain)).
//!
//! Operators run one after the other and begin and end like brackets, so what is open is a stack;
//! threads inside an operator do not touch it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ephemeris_model::ReadStats;

/// Operators told of one query at most; the others run untold.
const OPERATORS_MAX: usize = 1000;
/// Bytes of the text of an operator at most.
const DETAIL_BYTES_MAX: usize = 300;

/// What one operator did.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// What it is, in a word: `read`, `aggregate`, `join`, …
    pub name: &'static str,
    /// What it is exactly, near to PromQL.
    pub detail: String,
    /// Series it gave; series it read, for `read`.
    pub series: u64,
    /// Samples it read from the store, without those of the operators below.
    pub samples_read: u64,
    /// What it read of the store beside that, likewise.
    pub read: ReadStats,
    /// From its begin to its end, with the operators below.
    pub took: Duration,
    /// The operators it took series from.
    pub below: Vec<Self>,
}

/// What a query did, if it was asked to tell.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The operators; more than one if numbers of a scalar query come from several vectors.
    pub operators: Vec<Operator>,
    /// Operators left out because there are too many.
    pub left_out: u64,
    /// Time of each step and the samples looked at for it.
    pub samples_per_step: Vec<(i64, u64)>,
}

/// Takes down what operators do.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<(Operator, Instant)>,
    done: Vec<Operator>,
    count: usize,
    left_out: u64,
    per_step: Vec<u64>,
}

impl Trace {
    /// An operator begins.
    ///
    /// # Returns
    /// Whether it is told of, and so must be [closed](Trace::close).
    pub(crate) fn open(&self, name: &'static str, detail: impl FnOnce() -> String) -> bool {
        let mut state = self.lock();
        if state.count >= OPERATORS_MAX {
            state.left_out += 1;
            return false;
        }
        state.count += 1;
        let mut detail = detail();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        state.open.push((Operator { name, detail, ..Operator::default() }, Instant::now()));
        true
    }

    /// The operator that began last ends, and gave so many series.
    pub(crate) fn close(&self, series: Option<u64>) {
        let mut state = self.lock();
        let Some((mut operator, began)) = state.open.pop() else { return };
        operator.took = began.elapsed();
        operator.series = series.unwrap_or(operator.series);
        match state.open.last_mut() {
            Some((above, _)) => above.below.push(operator),
            None => state.done.push(operator),
        }
    }

    /// The operator that runs read this.
    pub(crate) fn add_read(&self, series: u64, samples: u64, read: ReadStats) {
        let mut state = self.lock();
        if let Some((operator, _)) = state.open.last_mut() {
            operator.series += series;
            operator.samples_read += samples;
            operator.read += read;
        }
    }

    /// Adds to the samples looked at by each step.
    pub(crate) fn add_steps(&self, steps: impl Iterator<Item = u64>) {
        let mut state = self.lock();
        for (at, samples) in steps.enumerate() {
            match state.per_step.get_mut(at) {
                Some(sum) => *sum += samples,
                None => state.per_step.push(samples),
            }
        }
    }

    /// What was taken down of a query with steps at `times`.
    pub(crate) fn finish(self, times: impl Iterator<Item = i64>) -> Explanation {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let per_step = state.per_step.into_iter().chain(std::iter::repeat(0));
        Explanation {
            operators: state.done,
            left_out: state.left_out,
            samples_per_step: times.zip(per_step).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_nest_and_too_many_are_counted() {
        let trace = Trace::default();
        assert!(trace.open("aggregate", || "é".repeat(200)));
        assert!(trace.open("read", || "up".to_owned()));
        let read = ReadStats { pages: 1, bytes: 100 };
        trace.add_read(3, 40, read);
        trace.close(None);
        trace.add_steps([1, 2].into_iter());
        trace.add_steps([10, 20].into_iter());
        for _ in 2..OPERATORS_MAX {
            assert!(trace.open("set", String::new));
            trace.close(Some(1));
        }
        assert!(!trace.open("set", String::new));
        trace.close(Some(2));
        let told = trace.finish([0, 1000, 2000].into_iter());
        assert_eq!((told.operators.len(), told.left_out), (1, 1));
        let top = &told.operators[0];
        assert_eq!((top.series, top.below.len(), top.detail.len()), (2, OPERATORS_MAX - 1, 300));
        let below = &top.below[0];
        assert_eq!((below.series, below.samples_read, below.read), (3, 40, read));
        assert_eq!(told.samples_per_step, [(0, 11), (1000, 22), (2000, 0)]);
    }
}
