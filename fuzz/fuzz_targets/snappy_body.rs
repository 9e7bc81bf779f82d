//! Any bytes as a compressed body: no panic, and no more memory than the limits allow.
#![no_main]

use ephemeris_ingest::remote_write::{Buffers, decode};
use ephemeris_ingest::{Limits, body};
use ephemeris_model::BodyKind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { decompressed_bytes_max: 1 << 20, ..Limits::default() };
    let mut buffer = Vec::new();
    if let Ok(message) = body::decompress_snappy(bytes, &limits, &mut buffer) {
        assert!(message.len() <= limits.decompressed_bytes_max);
    }
    assert!(buffer.len() <= limits.decompressed_bytes_max);
    for kind in [BodyKind::RemoteWrite1, BodyKind::RemoteWrite2, BodyKind::RemoteWrite1Plain] {
        let _ = decode(kind, bytes, &limits, &mut Buffers::default());
    }
});
