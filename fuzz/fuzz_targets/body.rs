//! Any bytes as a body in each compression: no panic, and never more than the limit.
#![no_main]

use ephemeris_ingest::Limits;
use ephemeris_ingest::body::{Compression, decompress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else { return };
    let all = ["gzip", "deflate", "zstd", "snappy", "lz4"];
    let compression = Compression::from_name(all[usize::from(*first) % all.len()]);
    let limits = Limits { decompressed_bytes_max: 1 << 16, ..Limits::default() };
    let mut buffer = Vec::new();
    if let Ok(message) = decompress(body, compression.expect("known"), &limits, &mut buffer) {
        assert!(message.len() <= 1 << 16);
    }
});
