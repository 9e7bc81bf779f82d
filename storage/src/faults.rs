//! Places where tests make the disk fail or the process end. Elsewhere they do nothing.

use crate::disk::Space;
use crate::error::Result;

/// A place that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// After a WAL file was created, before its header is written.
    WalCreate,
    /// Before a write to the WAL.
    WalWrite,
    /// Before a sync of the WAL.
    WalSync,
    /// After the WAL file of a new generation is there, before the generation is.
    SealRotating,
    /// After the open generation ended, before its first block is begun.
    SealBegun,
    /// After a block of a seal was written, before the next is finished.
    SealBlockWritten,
    /// After the blocks of a seal were written, before they are ingested.
    SealWritten,
    /// After a block of a seal was ingested, before the next is.
    SealBlockIngested,
    /// After they were ingested, before the catalog knows them.
    SealIngested,
    /// After the catalog knows them, before they are opened.
    SealCommitted,
    /// After they are in the version, before the WAL is deleted.
    SealShown,
    /// After a merged block was written, before it is ingested.
    MergeWritten,
    /// After a merged block was ingested, before the catalog knows it.
    MergeIngested,
    /// After the catalog knows it, before it is opened.
    MergeCommitted,
    /// After the catalog forgot blocks past the retention, before the version does.
    DropCommitted,
    /// Before the file of a block that is gone is deleted.
    DropFile,
    /// After it was.
    DropFileDone,
    /// After a deletion sealed the head, before there is a tombstone.
    DeleteSealed,
    /// After the catalog has the tombstones, before the version does.
    DeleteCommitted,
    /// After the catalog was written in RocksDB, before its copy is.
    CatalogWritten,
}

#[cfg(test)]
impl Place {
    /// All of them.
    pub(crate) const ALL: [Self; 20] = [
        Self::WalCreate,
        Self::WalWrite,
        Self::WalSync,
        Self::SealRotating,
        Self::SealBegun,
        Self::SealBlockWritten,
        Self::SealWritten,
        Self::SealBlockIngested,
        Self::SealIngested,
        Self::SealCommitted,
        Self::SealShown,
        Self::MergeWritten,
        Self::MergeIngested,
        Self::MergeCommitted,
        Self::DropCommitted,
        Self::DropFile,
        Self::DropFileDone,
        Self::DeleteSealed,
        Self::DeleteCommitted,
        Self::CatalogWritten,
    ];
}

/// The places that fail; none outside of tests.
#[derive(Default)]
pub(crate) struct Faults {
    #[cfg(test)]
    armed: parking_lot::Mutex<Option<(Place, std::io::ErrorKind)>>,
    #[cfg(test)]
    hits: std::sync::atomic::AtomicU64,
    #[cfg(test)]
    space: parking_lot::Mutex<Option<Space>>,
}

#[cfg(test)]
impl Faults {
    /// Fails if `place` is armed.
    pub(crate) fn pass(&self, place: Place) -> Result<()> {
        match *self.armed.lock() {
            Some((armed, kind)) if armed == place => {
                self.hits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Err(crate::error::Error::io(format!("injected at {place:?}"), kind.into()))
            }
            _ => Ok(()),
        }
    }

    /// Makes `place` fail from now on.
    pub(crate) fn arm(&self, place: Place, kind: std::io::ErrorKind) {
        *self.armed.lock() = Some((place, kind));
    }

    /// Makes nothing fail any more.
    pub(crate) fn disarm(&self) {
        *self.armed.lock() = None;
    }

    /// How often an armed place was met.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The room the disk is said to have, in place of what it has.
    pub(crate) fn space(&self) -> Option<Space> {
        *self.space.lock()
    }

    /// Says how much room the disk has.
    pub(crate) fn set_space(&self, space: Space) {
        *self.space.lock() = Some(space);
    }
}

#[cfg(not(test))]
#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the one for tests")]
impl Faults {
    /// Does nothing.
    #[inline]
    pub(crate) fn pass(&self, _place: Place) -> Result<()> {
        Ok(())
    }

    /// Nothing but what the disk has.
    #[inline]
    pub(crate) fn space(&self) -> Option<Space> {
        None
    }
}
