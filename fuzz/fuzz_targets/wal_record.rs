//! Any bytes as the header of a WAL file and as a record: no panic, and what can be read is written
//! as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ephemeris_fuzz::any_record(bytes));
