//! Of the catalog only rows: of blocks, and of deletions of log entries.

#[path = "../../storage/src/catalog/log_tombstone.rs"]
mod log_tombstone;
#[path = "../../storage/src/catalog/parts.rs"]
mod parts;
#[path = "../../storage/src/catalog/row.rs"]
mod row;

pub use log_tombstone::LogTombstone;
pub use row::{BlockId, BlockRow, Payload};

/// Any bytes as the row of a deletion: no panic, and a row that is read is written as it was read.
pub fn any_log_tombstone(input: &[u8]) {
    if let Ok(row) = LogTombstone::decode(input) {
        assert_eq!(LogTombstone::decode(&row.encode()), Ok(row));
    }
}
