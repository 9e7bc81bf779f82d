//! Threads that work on a query for long give way to those that have just begun: their priority is
//! lowered, so that the scheduler of the system lets short queries and writes pass. It can only be
//! lowered, so such a thread ends with its query and another takes its place
//! ([`crate::workers`]).

use std::cell::Cell;

/// Niceness of a thread that gives way: about a third of the weight of the others. Less would let a
/// busy machine keep it from noticing that its time is up.
const NICENESS: i32 = 5;

thread_local! {
    static LOWERED: Cell<bool> = const { Cell::new(false) };
}

/// Lowers the priority of this thread, once.
pub fn lower() {
    if LOWERED.replace(true) {
        return;
    }
    // On Linux niceness belongs to a thread. If the system refuses, the query runs on as it did.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
}

/// Whether the priority of this thread was lowered.
#[must_use]
pub fn is_lowered() -> bool {
    LOWERED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(Some(rustix::thread::gettid())).expect("own thread")
    }

    #[test]
    fn only_the_thread_itself_gives_way() {
        let before = niceness();
        let inside = std::thread::spawn(|| {
            lower();
            lower();
            (is_lowered(), niceness())
        });
        assert_eq!(inside.join().expect("no panic"), (true, NICENESS.max(before)));
        assert_eq!((is_lowered(), niceness()), (false, before));
    }
}
