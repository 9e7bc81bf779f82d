//! Any bytes as a request about services over gRPC, or about their health: no panic.
#![no_main]

use ephemeris_ingest::reflection;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: &[u8]| {
    let _ = reflection::answer(request);
    let _ = reflection::health_service(request);
});
