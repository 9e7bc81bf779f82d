//! The decoders of the storage engine without RocksDB, which takes ten minutes to build and would
//! not be fuzzed anyway: its modules are taken in as they are, over a store in memory.
//!
//! [`Sample`] is a whole block; a target changes one value of it, seals that with a right checksum,
//! and asks the block everything. Nothing may panic, and only what is damaged may be missing.

#![allow(dead_code, unfulfilled_lint_expectations, unused_imports)]

mod batch;
mod block;
mod catalog;
mod logs_parts;
mod rocks;
mod wal;

#[path = "../../storage/src/cache.rs"]
mod cache;
#[path = "../../storage/src/encoding.rs"]
mod encoding;
#[path = "../../storage/src/envelope.rs"]
mod envelope;
#[path = "../../storage/src/error.rs"]
mod error;
#[path = "../../storage/src/index/mod.rs"]
mod index;
#[path = "../../storage/src/logs/mod.rs"]
mod logs;
#[path = "../../storage/src/metrics/mod.rs"]
mod metrics;
#[path = "../../storage/src/series.rs"]
mod series;
#[path = "../../storage/src/strings/mod.rs"]
mod strings;
#[path = "../../storage/src/write.rs"]
mod write;

pub use batch::shown;
pub use block::{Sample, Section};
pub use catalog::any_log_tombstone;
pub use logs_parts::{any_counts, any_grams, any_lines};
pub use wal::any_record;
