//! Reads the series of a selection by several threads.
//!
//! The series are cut into stripes that depend on their number alone. Each stripe is read by one
//! thread into a state of its own, and the states come back in order of stripes, so an answer does
//! not depend on the number of threads.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ephemeris_model::{SampleBuffer, SeriesSet, SourceError};

use super::Context;
use crate::promql::error::QueryError;

/// Stripes a selection is cut into at most; bounds the memory of folds.
const STRIPES_MAX: usize = 16;
/// Series in a stripe at least; fewer are not worth a thread.
const STRIPE_SERIES_MIN: usize = 64;

/// What a thread does with the series of its stripe.
pub(super) trait Visit: Send {
    /// Takes series `index` of the set with its samples.
    fn series(
        &mut self,
        set: &dyn SeriesSet,
        index: usize,
        samples: &SampleBuffer,
    ) -> Result<(), QueryError>;
}

/// The ranges of series `count` series are cut into.
pub(super) fn stripes(count: usize) -> Vec<Range<usize>> {
    let size = count.div_ceil(STRIPES_MAX).max(STRIPE_SERIES_MIN);
    (0..count).step_by(size).map(|start| start..(start + size).min(count)).collect()
}

/// Reads all series of `set`. `make` makes the state of a stripe.
pub(super) fn read_all<V: Visit>(
    context: &Context<'_>,
    set: &dyn SeriesSet,
    make: &(dyn Fn() -> V + Sync),
) -> Result<Vec<V>, QueryError> {
    context.budget.touch_series(set.len() as u64)?;
    let stripes = stripes(set.len());
    let states = in_parallel(context.options.threads, stripes.len(), &|index| {
        let mut state = make();
        let range = stripes.get(index).cloned().unwrap_or_default();
        read_stripe(context, set, range, &mut state)?;
        Ok(state)
    })?;
    context.warn(set.warnings());
    Ok(states)
}

fn read_stripe<V: Visit>(
    context: &Context<'_>,
    set: &dyn SeriesSet,
    range: Range<usize>,
    state: &mut V,
) -> Result<(), QueryError> {
    let mut buffer = SampleBuffer::default();
    let mut failure = None;
    let outcome = set.read(range, &mut buffer, &mut |index, samples| {
        context.budget.count_read(samples.len() as u64);
        let visited = context.budget.check().map_err(QueryError::from);
        visited.and_then(|()| state.series(set, index, samples)).map_err(|error| {
            failure = Some(error);
            SourceError::Canceled
        })
    });
    match (failure, outcome) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(error.into()),
        (None, Ok(())) => Ok(()),
    }
}

/// Runs `job` for `0..count` on up to `threads` threads; results in order of the numbers. The
/// first error in that order is the one reported, whichever thread was faster.
pub(super) fn in_parallel<T: Send>(
    threads: usize,
    count: usize,
    job: &(dyn Fn(usize) -> Result<T, QueryError> + Sync),
) -> Result<Vec<T>, QueryError> {
    let threads = threads.clamp(1, count.max(1));
    if threads == 1 {
        return (0..count).map(job).collect();
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<(usize, Result<T, QueryError>)>> = Mutex::new(Vec::new());
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let result = job(index);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_cover_all_series_once() {
        for count in [0, 1, 63, 64, 65, 1023, 1024, 1025, 100_000] {
            let stripes = stripes(count);
            assert!(stripes.len() <= STRIPES_MAX);
            let all: Vec<usize> = stripes.into_iter().flatten().collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn results_keep_their_order_on_any_number_of_threads() {
        for threads in [1, 2, 7] {
            let squares = in_parallel(threads, 100, &|i| Ok(i * i)).expect("no job fails");
            assert_eq!(squares, (0..100).map(|i| i * i).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_ends_the_work() {
        let fail = |i: usize| if i == 5 { Err(QueryError::execution("five")) } else { Ok(i) };
        let error = in_parallel(3, 1000, &fail).expect_err("job 5 fails");
        assert_eq!(error.to_string(), "five");
    }
}
