//! Places where tests make the disk fail or the process end. Elsewhere they do nothing.

use crate::error::Result;

/// A place that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// After a WAL file was created, before its header is written.
    WalCreate,
    /// Before a write to the WAL.
    WalWrite,
    /// Before a sync of the WAL.
    WalSync,
    /// After the blocks of a seal were written, before they are ingested.
    SealWritten,
    /// After they were ingested, before the catalog knows them.
    SealIngested,
    /// After the catalog knows them, before the WAL is deleted.
    SealCommitted,
    /// After a merged block was ingested, before the catalog knows it.
    MergeIngested,
}

/// The places that fail; none outside of tests.
#[derive(Default)]
pub(crate) struct Faults {
    #[cfg(test)]
    armed: parking_lot::Mutex<Option<(Place, std::io::ErrorKind)>>,
}

impl Faults {
    /// Fails if `place` is armed.
    #[cfg(test)]
    pub(crate) fn pass(&self, place: Place) -> Result<()> {
        match *self.armed.lock() {
            Some((armed, kind)) if armed == place => {
                Err(crate::error::Error::io(format!("injected at {place:?}"), kind.into()))
            }
            _ => Ok(()),
        }
    }

    /// Does nothing.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the one for tests")]
    #[inline]
    pub(crate) fn pass(&self, _place: Place) -> Result<()> {
        Ok(())
    }

    /// Makes `place` fail from now on.
    #[cfg(test)]
    pub(crate) fn arm(&self, place: Place, kind: std::io::ErrorKind) {
        *self.armed.lock() = Some((place, kind));
    }

    /// Makes nothing fail any more.
    #[cfg(test)]
    pub(crate) fn disarm(&self) {
        *self.armed.lock() = None;
    }
}
