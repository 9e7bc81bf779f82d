//! Conformance scripts for PromQL: `load` data, `eval` a query, `expect` its answer.
//!
//! The grammar is that of Prometheus' own test scripts, so that those run here as they are. The
//! data of a script lie in [`MemorySource`], which behaves as a store does towards the engine.
//!
//! | file | holds |
//! |---|---|
//! | `syntax`, `series`, `histogram` | text to commands: blocks, series lines, histogram literals |
//! | `memory`, `classic` | the data: a [`Source`](ephemeris_model::Source) in memory, and the
//!   native histograms `load_with_nhcb` makes of classic ones |
//! | `run` | evaluates, also as range query and with `@` |
//! | `compare` | expected and got |
//! | `command` | what `promqltest` and `logqltest` do |

mod classic;
mod command;
mod compare;
mod histogram;
mod memory;
mod pin;
mod run;
mod series;
mod syntax;

#[cfg(test)]
mod tests;

pub use command::Command;
pub use memory::{MemorySource, StoredSample, StoredValue};
pub use run::{Failure, MakeSource, Report, run, run_over};
pub use series::{SeriesLine, Value, parse_series};
