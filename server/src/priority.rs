//! Threads that work on a query for long give way to those that have just begun. Once the query is
//! no short one any more, they ask the scheduler every half millisecond whether somebody waits:
//! it would let them run for a tick or two, 4 ms each, and a short query waits for a processor three
//! times, in the socket thread, in the worker, and for its answer. Later their priority is lowered,
//! so that the scheduler of the system lets short queries and writes pass. It can only be
//! lowered, so such a thread ends with its query and another takes its place, started by a thread
//! that never gave way, since priority is inherited ([`crate::workers`]).

use std::cell::Cell;
use std::time::{Duration, Instant};

use ephemeris_query::budget::Ran;

/// What a thread that gives way adds to its niceness: about a third of the weight of the others.
/// Less would let a busy machine keep it from noticing that its time is up.
const NICENESS: i32 = 5;
/// Niceness of the lowest priority.
const NICENESS_MAX: i32 = 19;

/// How long a thread works before it lets others pass.
const SLICE: Duration = Duration::from_micros(500);

thread_local! {
    static LOWERED: Cell<bool> = const { Cell::new(false) };
    static YIELDED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Gives way as befits a query that has run so long. To be called again and again.
pub fn give_way(ran: Ran) {
    if ran == Ran::Long {
        lower();
    }
    let now = Instant::now();
    if YIELDED.get().is_none_or(|last| now.saturating_duration_since(last) >= SLICE) {
        std::thread::yield_now();
        YIELDED.set(Some(Instant::now()));
    }
}

/// Lowers the priority of this thread, once.
pub fn lower() {
    if LOWERED.replace(true) {
        return;
    }
    // On Linux niceness belongs to a thread. If the system refuses, the query runs on as it did.
    let lowered = niceness().saturating_add(NICENESS).min(NICENESS_MAX);
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), lowered);
}

/// Niceness of this thread; 0, what most have, if the system does not tell.
pub(crate) fn niceness() -> i32 {
    rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap_or(0)
}

/// Whether the priority of this thread was lowered.
#[must_use]
pub fn is_lowered() -> bool {
    LOWERED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_itself_gives_way() {
        let before = niceness();
        let inside = std::thread::spawn(|| {
            lower();
            lower();
            (is_lowered(), niceness())
        });
        assert_eq!(inside.join().expect("no panic"), (true, (before + NICENESS).min(NICENESS_MAX)));
        assert_eq!((is_lowered(), niceness()), (false, before));
    }
}
