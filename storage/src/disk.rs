//! Room on the disk: how much is left, and how much of it is kept in reserve.
//!
//! Below the reserve writes are refused, so that there is room left to seal what was acknowledged.
//! Retention, deletion or the operator make room; writing goes on by itself then.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::store::Inner;

/// The reserve is a hundredth of the disk, within these bounds.
const AUTO_BYTES: std::ops::RangeInclusive<u64> = 256 << 20..=5 << 30;

/// How much of the disk is kept in reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskReserve {
    /// A hundredth of the disk, at least 256 MiB and at most 5 GiB.
    #[default]
    Auto,
    /// So many bytes; 0 for none.
    Bytes(u64),
}

impl DiskReserve {
    /// The reserve on a disk of this size.
    #[must_use]
    pub fn bytes(self, disk_bytes: u64) -> u64 {
        match self {
            Self::Auto => (disk_bytes / 100).clamp(*AUTO_BYTES.start(), *AUTO_BYTES.end()),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Size of a disk and what is free of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
}

impl Space {
    /// Of the disk `dir` lies on; what only root may use is not free.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(Self {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

/// What was measured last.
#[derive(Default)]
pub(crate) struct DiskState {
    pub(crate) free_bytes: AtomicU64,
    pub(crate) reserve_bytes: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl Inner {
    /// Looks how much room there is.
    pub(crate) fn measure_disk(&self) {
        let space = match self.faults.space() {
            Some(space) => Ok(space),
            None => Space::of(&self.config.data_dir),
        };
        let space = match space {
            Ok(space) => space,
            Err(error) => {
                tracing::warn!(%error, "the room on the disk cannot be measured");
                return;
            }
        };
        let reserve = self.config.disk_reserve.bytes(space.total_bytes);
        let was_short = self.is_disk_short();
        self.disk.reserve_bytes.store(reserve, Ordering::Relaxed);
        self.disk.free_bytes.store(space.free_bytes, Ordering::Relaxed);
        match (was_short, self.is_disk_short()) {
            (false, true) => tracing::error!(
                free_bytes = space.free_bytes,
                reserve_bytes = reserve,
                "the disk is nearly full; writes are refused until there is room again"
            ),
            (true, false) => tracing::info!(
                free_bytes = space.free_bytes,
                "there is room on the disk again; writes are accepted"
            ),
            _ => {}
        }
    }

    /// Whether less than the reserve is free.
    pub(crate) fn is_disk_short(&self) -> bool {
        let disk = &self.disk;
        disk.free_bytes.load(Ordering::Relaxed) < disk.reserve_bytes.load(Ordering::Relaxed)
    }

    /// Refuses a write while the disk is nearly full.
    pub(crate) fn check_disk(&self) -> Result<()> {
        if !self.is_disk_short() {
            return Ok(());
        }
        self.disk.refused.fetch_add(1, Ordering::Relaxed);
        Err(Error::Busy(format!(
            "the disk is nearly full: {} bytes are free; {} are kept in reserve (disk_reserve)",
            self.disk.free_bytes.load(Ordering::Relaxed),
            self.disk.reserve_bytes.load(Ordering::Relaxed),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_a_share_within_bounds() {
        assert_eq!(DiskReserve::Auto.bytes(1 << 30), 256 << 20);
        assert_eq!(DiskReserve::Auto.bytes(100 << 30), 1 << 30);
        assert_eq!(DiskReserve::Auto.bytes(100 << 40), 5 << 30);
        assert_eq!(DiskReserve::Bytes(7).bytes(1 << 40), 7);
        let space = Space::of(Path::new("/")).expect("the root is there");
        assert!(space.free_bytes <= space.total_bytes && space.total_bytes > 0);
    }
}
