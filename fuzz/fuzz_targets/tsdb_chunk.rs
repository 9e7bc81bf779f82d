//! Any bytes as a chunk of a Prometheus block: no panic, and no more samples than it tells of.
#![no_main]

use ephemeris_ingest::tsdb::chunks::{Points, Segment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((encoding, data)) = input.split_first() else { return };
    if let Ok(points) = Points::new(encoding % 4, data) {
        assert!(points.take(70_000).count() <= usize::from(u16::MAX));
    }
    let mut file = vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
    file.extend(input);
    if let Ok(mut segment) = Segment::open(file)
        && let Ok(points) = segment.chunk(8)
    {
        let _ = points.count();
    }
});
