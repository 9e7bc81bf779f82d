//! Any bytes as counts of entries, of a page or a group: no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ephemeris_fuzz::any_counts(input));
