//! Of the catalog only the row of a block.

#[path = "../../storage/src/catalog/row.rs"]
mod row;

pub use row::{BlockId, BlockRow, Payload};
