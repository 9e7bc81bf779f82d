//! What a thread reads of pages of values, counted for queries that ask what they cost. Kept by
//! thread, so that reading needs no counter handed down to it.

use std::cell::Cell;

use ephemeris_model::ReadStats;

thread_local! {
    static TOUCHED: Cell<ReadStats> = const { Cell::new(ReadStats { pages: 0, bytes: 0 }) };
}

/// This thread opened a page of so many bytes.
pub(super) fn page(bytes: usize) {
    TOUCHED.with(|touched| {
        let mut sum = touched.get();
        sum += ReadStats { pages: 1, bytes: bytes as u64 };
        touched.set(sum);
    });
}

/// What this thread opened since it was asked last.
pub(crate) fn take() -> ReadStats {
    TOUCHED.take()
}
