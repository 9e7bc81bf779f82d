//! Any bytes as lines with their digits apart: no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ephemeris_fuzz::any_lines(input));
