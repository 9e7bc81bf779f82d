//! Memory given back to the operating system.
//!
//! The allocator keeps what is freed with the thread that asked for it. A thread that has nothing
//! to do would hold what another one freed for it, so after a seal every thread that rests gives
//! back what it has: workers and socket threads call [`release`].

// Linked in any case: it is the allocator of the binary.
use mimalloc as _;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A thread that has had nothing to do for so long asks whether there is memory to give back.
pub const REST: Duration = Duration::from_secs(5);

/// How often much memory was freed.
static FREED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What of [`FREED`] this thread has seen.
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// Much memory was freed: threads that rest give it back, this one at once.
pub fn freed() {
    FREED.fetch_add(1, Ordering::Relaxed);
    release();
}

/// Gives back what was freed of this thread's memory, if much was freed since it last did. Answers
/// whether there was reason to.
pub fn release() -> bool {
    let freed = FREED.load(Ordering::Relaxed);
    // A thread that ends has nothing to give back any more.
    let seen = SEEN.try_with(|seen| seen.replace(freed)).unwrap_or(freed);
    if seen != freed {
        collect();
    }
    seen != freed
}

#[expect(unsafe_code, reason = "the allocator is told so by a foreign function only")]
fn collect() {
    unsafe extern "C" {
        // SAFETY: declared so in mimalloc.h. It takes no pointers, and may be called from any
        // thread at any time, also where another allocator is in use.
        safe fn mi_collect(force: bool);
    }
    mi_collect(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_is_told_once() {
        freed();
        // Other tests may free memory at the same time, but none does it all the time.
        assert!((0..1000).any(|_| !release()), "there is an end to it");
        let other = std::thread::spawn(|| (release(), (0..1000).any(|_| !release())));
        assert_eq!(other.join().expect("it ends"), (true, true));
    }
}
