//! Builds and parses every key of RocksDB. Numbers in keys are big-endian, so keys sort by number.

use crate::catalog::BlockId;
use crate::series::TenantId;

/// Bytes of a key in family `blocks`.
pub const BLOCK_KEY_BYTES: usize = 9;

/// A key in family `blocks`: block id, section, number.
#[must_use]
pub fn block_key(block: BlockId, section: u8, number: u32) -> [u8; BLOCK_KEY_BYTES] {
    let mut key = [0; BLOCK_KEY_BYTES];
    key[..4].copy_from_slice(&block.0.to_be_bytes());
    key[4] = section;
    key[5..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The block a key of family `blocks` belongs to; `None` if it is no such key.
#[must_use]
pub fn block_of_key(key: &[u8]) -> Option<BlockId> {
    if key.len() != BLOCK_KEY_BYTES {
        return None;
    }
    key.first_chunk::<4>().map(|id| BlockId(u32::from_be_bytes(*id)))
}

/// Section and number of a key of `block`; `None` if it is none.
#[must_use]
pub fn parse_block_key(block: BlockId, key: &[u8]) -> Option<(u8, u32)> {
    let (section, number) = key.strip_prefix(&block.0.to_be_bytes())?.split_first()?;
    Some((*section, u32::from_be_bytes(number.try_into().ok()?)))
}

/// Kinds of rows in family `catalog`: the first byte of the key. Never reused.
pub mod row {
    /// Format version of the data directory.
    pub const FORMAT: u8 = 1;
    /// A tenant by name.
    pub const TENANT: u8 = 2;
    /// A block.
    pub const BLOCK: u8 = 3;
    /// A WAL generation whose samples are all in blocks.
    pub const GENERATION: u8 = 4;
    /// Metadata of a metric family.
    pub const METADATA: u8 = 5;
    /// A deleted range of series.
    pub const TOMBSTONE: u8 = 6;
    /// Damage found in a block.
    pub const DAMAGE: u8 = 7;
    /// The first block id that was never used.
    pub const NEXT_BLOCK: u8 = 8;
    /// A part of the WAL, or a block, that could not be read.
    pub const NOTE: u8 = 9;
    /// How often the catalog was written.
    pub const SEQUENCE: u8 = 10;
    /// All kinds that have a copy beside RocksDB: all but metadata, which is told again.
    pub const COPIED: [u8; 9] =
        [FORMAT, TENANT, BLOCK, GENERATION, TOMBSTONE, DAMAGE, NEXT_BLOCK, NOTE, SEQUENCE];
}

/// Key of the only row of a kind.
#[must_use]
pub const fn single_key(kind: u8) -> [u8; 1] {
    [kind]
}

/// Key of a tenant's row.
#[must_use]
pub fn tenant_key(name: &str) -> Vec<u8> {
    [&[row::TENANT], name.as_bytes()].concat()
}

/// Key of a row numbered by block.
#[must_use]
pub fn numbered_key(kind: u8, block: BlockId) -> [u8; 5] {
    let [a, b, c, d] = block.0.to_be_bytes();
    [kind, a, b, c, d]
}

/// Key of a tombstone's row.
#[must_use]
pub fn tombstone_key(number: u32) -> [u8; 5] {
    numbered_key(row::TOMBSTONE, BlockId(number))
}

/// Number of a tombstone's key.
#[must_use]
pub fn parse_tombstone_key(key: &[u8]) -> Option<u32> {
    parse_numbered_key(row::TOMBSTONE, key).map(|id| id.0)
}

/// Key of a finished WAL generation's row.
#[must_use]
pub fn generation_key(generation: u64) -> [u8; 9] {
    let mut key = [row::GENERATION; 9];
    key[1..].copy_from_slice(&generation.to_be_bytes());
    key
}

/// Key of the metadata of a metric family.
#[must_use]
pub fn metadata_key(tenant: TenantId, metric: &str) -> Vec<u8> {
    [&[row::METADATA], &tenant.0.to_be_bytes()[..], metric.as_bytes()].concat()
}

/// Tenant and metric family of a metadata key.
#[must_use]
pub fn parse_metadata_key(key: &[u8]) -> Option<(TenantId, &str)> {
    let (tenant, metric) = key.strip_prefix(&[row::METADATA])?.split_first_chunk::<4>()?;
    Some((TenantId(u32::from_be_bytes(*tenant)), std::str::from_utf8(metric).ok()?))
}

/// Name of a tenant's key.
#[must_use]
pub fn parse_tenant_key(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(&[row::TENANT])?).ok()
}

/// Block of a key that is numbered by block.
#[must_use]
pub fn parse_numbered_key(kind: u8, key: &[u8]) -> Option<BlockId> {
    let id: [u8; 4] = key.strip_prefix(&[kind])?.try_into().ok()?;
    Some(BlockId(u32::from_be_bytes(id)))
}

/// Generation of a generation's key.
#[must_use]
pub fn parse_generation_key(key: &[u8]) -> Option<u64> {
    let number: [u8; 8] = key.strip_prefix(&[row::GENERATION])?.try_into().ok()?;
    Some(u64::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_number_and_parse_back() {
        assert!(block_key(BlockId(1), 11, 0) < block_key(BlockId(2), 1, 0));
        assert!(block_key(BlockId(1), 1, 255) < block_key(BlockId(1), 1, 256));
        assert_eq!(block_of_key(&block_key(BlockId(7), 3, 9)), Some(BlockId(7)));
        assert_eq!(block_of_key(b"short"), None);
        assert_eq!(parse_block_key(BlockId(7), &block_key(BlockId(7), 3, 9)), Some((3, 9)));
        assert_eq!(parse_block_key(BlockId(6), &block_key(BlockId(7), 3, 9)), None);
        assert_eq!(parse_generation_key(&generation_key(1 << 40)), Some(1 << 40));
        assert_eq!(parse_tenant_key(&tenant_key("a")), Some("a"));
        let key = metadata_key(TenantId(3), "up");
        assert_eq!(parse_metadata_key(&key), Some((TenantId(3), "up")));
        let key = numbered_key(row::BLOCK, BlockId(9));
        assert_eq!(parse_numbered_key(row::BLOCK, &key), Some(BlockId(9)));
        assert_eq!(parse_numbered_key(row::DAMAGE, &key), None);
    }
}
