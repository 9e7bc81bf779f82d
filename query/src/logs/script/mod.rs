//! Conformance scripts for LogQL: `load` entries, `eval` a query, say what it answers.
//!
//! The grammar is that of Loki's own test scripts, so that those run here as they are, and one form
//! more: `eval logs from … to … [limit N] [forward|backward] [interval D] [categorized] QUERY`,
//! whose expectation is a line an entry, written as in `load`, in the order of the answer. With
//! `categorized` the labels are those of the stream alone, `[metadata …]` and `[parsed …]` behind.
//!
//! | file | holds |
//! |---|---|
//! | `syntax`, `words` | text to commands |
//! | `memory` | the data: a [`LogSource`](ephemeris_model::LogSource) in memory |
//! | `run`, `compare` | evaluates; expected and got |
//! | `cases` | `.jsonl` lists of queries that are valid or not |

mod cases;
mod compare;
mod memory;
mod run;
mod syntax;
mod words;

use std::path::Path;

use crate::script::Report;

pub use cases::run_cases;
pub use memory::MemoryLogs;
pub use run::{Answered, Query, evaluate_with, run};

/// Runs a file: parse cases if its name ends in `.jsonl`, else a script.
#[must_use]
pub fn run_file(path: &Path, text: &str) -> Report {
    let is_cases = path.extension().is_some_and(|extension| extension == "jsonl");
    if is_cases { run_cases(text) } else { run(text) }
}
