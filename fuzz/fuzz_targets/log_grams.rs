//! Any bytes as rows of grams: no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ephemeris_fuzz::any_grams(input));
