//! Any bytes as the row of a deletion of log entries: no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ephemeris_fuzz::any_log_tombstone(input));
