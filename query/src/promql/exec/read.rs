//! Reads the series of a selection by several threads.
//!
//! The series are cut into stripes that depend on their number alone. Each stripe is read by one
//! thread into a state of its own, and the states are joined in order of stripes, so an answer does
//! not depend on the number of threads.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// What several threads make a part of each.
pub(super) trait Absorb: Send + Sized {
    /// Takes in what the stripe after those of `self` gave.
    fn absorb(&mut self, next: Self) -> Result<(), QueryError>;
}

/// Which samples of a series are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    Newest,
}

/// Reads all series of `set`. `make` makes the state of a stripe; the states are joined in order
/// of stripes as soon as they can be. None if there is no series.
pub(super) fn read_all<V: Visit, R: Absorb>(
    context: &Context<'_>,
    (set, wanted): (&dyn SeriesSet, Wanted),
    make: &(dyn Fn() -> V + Sync),
    close: &(dyn Fn(V) -> R + Sync),
) -> Result<Option<R>, QueryError> {
    context.budget.touch_series(set.len() as u64)?;
    let read_before = context.budget.samples_read();
    let stripes = stripes(set.len());
    let result = in_parallel(context.options.threads, stripes.len(), &|index| {
        let mut state = make();
        let range = stripes.get(index).cloned().unwrap_or_default();
        read_stripe(context, (set, wanted), range, &mut state)?;
        Ok(close(state))
    })?;
    context.warn(set.warnings());
    if let Some(trace) = &context.trace {
        let samples = context.budget.samples_read().saturating_sub(read_before);
        trace.add_read(set.len() as u64, samples, set.read_stats());
    }
    Ok(result)
}

fn read_stripe<V: Visit>(
    context: &Context<'_>,
    (set, wanted): (&dyn SeriesSet, Wanted),
    range: Range<usize>,
    state: &mut V,
) -> Result<(), QueryError> {
    let mut buffer = SampleBuffer::default();
    let mut failure = None;
    let mut visit = |index: usize, samples: &SampleBuffer| {
        context.budget.count_read(samples.len() as u64);
        let visited = context.budget.check().map_err(QueryError::from);
        visited.and_then(|()| state.series(set, index, samples)).map_err(|error| {
            failure = Some(error);
            SourceError::Canceled
        })
    };
    let outcome = match wanted {
        Wanted::All => set.read(range, &mut buffer, &mut visit),
        Wanted::Newest => set.read_newest(range, &mut buffer, &mut visit),
    };
    match (failure, outcome) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(error.into()),
        (None, Ok(())) => Ok(()),
    }
}

/// Results of jobs, joined in order of their numbers.
struct Joined<R> {
    all: Option<R>,
    /// The number of the next result to join.
    next: usize,
    /// Results that came before their turn.
    early: BTreeMap<usize, R>,
    /// A thread is joining results.
    busy: bool,
    /// The first error, by number.
    error: Option<(usize, QueryError)>,
}

/// Runs `job` for `0..count` on up to `threads` threads and joins the results in order of the
/// numbers, each as soon as those before it are there, so that few wait in memory.
pub(super) fn in_parallel<R: Absorb>(
    threads: usize,
    count: usize,
    job: &(dyn Fn(usize) -> Result<R, QueryError> + Sync),
) -> Result<Option<R>, QueryError> {
    let joined = Joined { all: None, next: 0, early: BTreeMap::new(), busy: false, error: None };
    let joined = Mutex::new(joined);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let outcome = job(index).and_then(|result| join(&joined, index, result));
            if let Err(error) = outcome {
                failed.store(true, Ordering::Relaxed);
                let mut joined = lock(&joined);
                if joined.error.as_ref().is_none_or(|(first, _)| index < *first) {
                    joined.error = Some((index, error));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, count.max(1)) {
            scope.spawn(work);
        }
        work();
    });
    let joined = joined.into_inner().unwrap_or_else(PoisonError::into_inner);
    match joined.error {
        Some((_, error)) => Err(error),
        None => Ok(joined.all),
    }
}

/// Adds a result and joins all whose turn it is, without holding the lock meanwhile.
fn join<R: Absorb>(joined: &Mutex<Joined<R>>, index: usize, result: R) -> Result<(), QueryError> {
    let mut state = lock(joined);
    state.early.insert(index, result);
    if state.busy {
        return Ok(());
    }
    loop {
        let turn = state.next;
        let Some(next) = state.early.remove(&turn) else { return Ok(()) };
        state.next += 1;
        let Some(mut all) = state.all.take() else {
            state.all = Some(next);
            continue;
        };
        state.busy = true;
        drop(state);
        let outcome = all.absorb(next);
        state = lock(joined);
        state.busy = false;
        state.all = Some(all);
        outcome?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    impl Absorb for Vec<usize> {
        fn absorb(&mut self, next: Self) -> Result<(), QueryError> {
            self.extend(next);
            Ok(())
        }
    }

    #[test]
    fn results_keep_their_order_on_any_number_of_threads() {
        for threads in [1, 2, 7] {
            let squares = in_parallel(threads, 100, &|i| Ok(vec![i * i])).expect("no job fails");
            assert_eq!(squares, Some((0..100).map(|i| i * i).collect::<Vec<_>>()));
        }
        assert_eq!(in_parallel(3, 0, &|i| Ok(vec![i])).expect("no job at all"), None);
    }

    #[test]
    fn an_error_ends_the_work() {
        let fail = |i: usize| {
            if i == 5 { Err(QueryError::execution("five")) } else { Ok(vec![i]) }
        };
        let error = in_parallel(3, 1000, &fail).expect_err("job 5 fails");
        assert_eq!(error.to_string(), "five");
    }
}
