//! Any bytes as a page of a block (values, histograms, exemplars, log entries, times), under a
//! right checksum: no panic.
#![no_main]

use std::sync::LazyLock;

use ephemeris_fuzz::{Sample, Section};
use libfuzzer_sys::fuzz_target;

static SAMPLE: LazyLock<Sample> = LazyLock::new(Sample::default);

fuzz_target!(|input: &[u8]| SAMPLE.ask(Section::Pages, input));
