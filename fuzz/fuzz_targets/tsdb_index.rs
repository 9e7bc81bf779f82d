//! Any bytes as the index of a Prometheus block: no panic, and reading ends.
#![no_main]

use ephemeris_ingest::tsdb::index::Index;
use ephemeris_ingest::tsdb::meta::Meta;
use ephemeris_ingest::tsdb::tombstones::Tombstones;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = Meta::read(input);
    let _ = Tombstones::read(input);
    let file = sealed(input);
    // Each step takes sixteen bytes at least.
    let mut left = file.len() / 16 + 1;
    let Ok(mut index) = Index::open(file) else { return };
    while index.next().is_some() {
        left = left.checked_sub(1).expect("more series than there is room for");
    }
});

/// The input with head and checksums put right, which chance would not find: symbols behind the
/// head, then series, then the contents.
fn sealed(input: &[u8]) -> Vec<u8> {
    let mut file = vec![0xba, 0xaa, 0xd7, 0x00, 2];
    let split = input.first().map_or(0, |n| usize::from(*n)).min(input.len());
    let (symbols, series) = input.split_at(split);
    let length = u32::try_from(symbols.len()).unwrap_or(0);
    file.extend(length.to_be_bytes());
    file.extend(symbols);
    file.extend(crc32c::crc32c(symbols).to_be_bytes());
    let start = file.len() as u64;
    for entry in series.split(|byte| *byte == 0xff) {
        file.resize(file.len().next_multiple_of(16), 0);
        let entry = &entry[..entry.len().min(127)];
        file.push(entry.len() as u8);
        file.extend(entry);
        file.extend(crc32c::crc32c(entry).to_be_bytes());
    }
    let mut contents = Vec::new();
    for place in [5, start, file.len() as u64, 0, 0, 0] {
        contents.extend(place.to_be_bytes());
    }
    let sum = crc32c::crc32c(&contents);
    file.extend(contents);
    file.extend(sum.to_be_bytes());
    file
}
