//! A block as the first version of the format wrote it is read by every later version.
//!
//! The file holds the values of [`super::damage::varied`], one after the other: section u8, number
//! u32, length u32, bytes. With `EPHEMERIS_WRITE_FIXTURE` set to a path the test writes such a file
//! there instead.

use super::damage::{TENANTS, values, varied};
use super::*;
use crate::encoding::Input;

const FIXTURE: &[u8] = include_bytes!("block-v1.bin");

#[test]
fn a_block_of_format_1_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let rocks = Arc::new(Rocks::open(dir.path()).expect("it opens"));
    let all = varied();
    let mut row = write_row(&rocks, 1, 0, &all);
    if let Some(path) = std::env::var_os("EPHEMERIS_WRITE_FIXTURE") {
        let mut out = Vec::new();
        for (section, number, bytes) in values(&rocks, BlockId(1)) {
            out.push(section);
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&u32::try_from(bytes.len()).expect("small").to_le_bytes());
            out.extend_from_slice(&bytes);
        }
        return std::fs::write(path, out).expect("it is written");
    }
    let mut sink = rocks.block_sink(BlockId(2)).expect("the file is created");
    let mut input = Input::new(FIXTURE);
    while !input.is_empty() {
        let (section, number) = (input.u8().expect("whole"), input.u32().expect("whole"));
        let length = input.u32().expect("whole") as usize;
        sink.put(section, number, input.take(length).expect("whole")).expect("in order");
    }
    sink.finish().expect("it is written");
    rocks.ingest(BlockId(2)).expect("it is taken in");
    row.id = BlockId(2);
    let block = Block::open(&rocks, row).expect("it is whole");
    let mut damage = Vec::new();
    for tenant in TENANTS {
        assert_eq!(everything(&block, tenant, &mut damage), expected(&all, tenant));
        let names = block.label_values(tenant, "instance", None).expect("it is whole");
        assert_eq!(names.len(), 6);
    }
    assert!(damage.is_empty(), "{damage:?}");
}
