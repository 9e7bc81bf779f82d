//! Selections that end when their caller wants nothing any more.

use std::sync::Arc;

use ephemeris_model::Matcher;
use roaring::RoaringBitmap;

use crate::error::{Error, Result};

/// Tells whether to stop.
pub type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

/// Matchers applied before it is asked whether to stop, and before writers of new series are let
/// in: each may be a pattern tested against very many values.
const MATCHERS_AT_ONCE: usize = 8;

/// The ids that satisfy all of `matchers`, of which `select` is given a few at a time.
///
/// # Errors
/// [`Error::Canceled`] if `stop` says so in between, and those of `select`.
pub(super) fn select_all(
    matchers: &[Matcher],
    stop: Option<&Stop>,
    mut select: impl FnMut(&[Matcher]) -> Result<RoaringBitmap>,
) -> Result<RoaringBitmap> {
    let (first, rest) = matchers.split_at(matchers.len().min(MATCHERS_AT_ONCE));
    let mut ids = select(first)?;
    for more in rest.chunks(MATCHERS_AT_ONCE) {
        if stop.is_some_and(|stop| stop()) {
            return Err(Error::Canceled);
        }
        if ids.is_empty() {
            break;
        }
        ids &= select(more)?;
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ephemeris_model::MatchOp;

    use super::*;

    fn matchers(count: usize) -> Vec<Matcher> {
        let one = |n: usize| Matcher::new(MatchOp::Equal, "a", n.to_string()).expect("valid");
        (0..count).map(one).collect()
    }

    #[test]
    fn all_matchers_are_applied_and_no_more_once_it_is_to_stop() {
        let applied = AtomicUsize::new(0);
        let select = |few: &[Matcher]| {
            let before = applied.fetch_add(few.len(), Ordering::Relaxed) as u32;
            Ok((before..100).collect::<RoaringBitmap>())
        };
        let found = select_all(&matchers(20), None, select).expect("nobody stops it");
        assert_eq!((applied.load(Ordering::Relaxed), found.min()), (20, Some(16)));
        applied.store(0, Ordering::Relaxed);
        let stop: Stop = Arc::new(|| true);
        assert!(matches!(select_all(&matchers(20), Some(&stop), select), Err(Error::Canceled)));
        assert_eq!(applied.load(Ordering::Relaxed), MATCHERS_AT_ONCE);
    }
}
