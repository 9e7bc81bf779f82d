//! Any bytes as the manifest, directory, label columns or dictionaries of a block, under a right
//! checksum: no panic.
#![no_main]

use std::sync::LazyLock;

use ephemeris_fuzz::{Sample, Section};
use libfuzzer_sys::fuzz_target;

static SAMPLE: LazyLock<Sample> = LazyLock::new(Sample::default);

fuzz_target!(|input: &[u8]| SAMPLE.ask(Section::Rest, input));
