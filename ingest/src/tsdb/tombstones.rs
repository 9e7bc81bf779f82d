//! The file `tombstones` of a block: ranges of time that were deleted, by series.

use std::collections::HashMap;

use super::window::Fields;
use super::{TsdbError, damaged};

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones {
    /// By series; first and last time, both deleted.
    ranges: HashMap<u64, Vec<(i64, i64)>>,
}

impl Tombstones {
    /// Reads the file.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(file: &[u8]) -> Result<Self, TsdbError> {
        let mut fields = Fields::new(file, 0);
        let magic = fields.be32("magic")?;
        if magic != MAGIC {
            return Err(damaged(
                0,
                format!("magic is {magic:08x}, that of tombstones {MAGIC:08x}"),
            ));
        }
        match fields.bytes(1, "version")? {
            [VERSION] => {}
            other => {
                let what = format!("tombstones have version {other:?}, only {VERSION} is read");
                return Err(TsdbError::Unsupported(what));
            }
        }
        let stones = (file.len() as u64).saturating_sub(fields.at()).checked_sub(4);
        let stones = stones.ok_or_else(|| damaged(fields.at(), "the checksum is cut off"))?;
        let at = fields.at();
        let content = fields.bytes(stones, "tombstones")?;
        let (sum, stated) = (crc32c::crc32c(content), fields.be32("checksum")?);
        if sum != stated {
            let what = format!("checksum is {sum:08x}, the file says {stated:08x}");
            return Err(damaged(at, what));
        }
        let (mut stones, mut found) = (Fields::new(content, at), Self::default());
        while !stones.is_at_end() {
            let series = stones.uvarint("series of a tombstone")?;
            let range = (stones.varint("first time")?, stones.varint("last time")?);
            found.ranges.entry(series).or_default().push(range);
        }
        Ok(found)
    }

    /// The deleted ranges of a series: first and last time, both deleted.
    #[must_use]
    pub fn of(&self, series: u64) -> &[(i64, i64)] {
        self.ranges.get(&series).map(Vec::as_slice).unwrap_or_default()
    }
}
