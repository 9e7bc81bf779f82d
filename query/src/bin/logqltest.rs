//! `logqltest PATH…`: runs LogQL scripts and says which of their queries gave what they should.
//!
//! A path is a script, a list of parse cases, or a directory, which stands for its `*.logqltest`
//! and `*.jsonl` files. Each file gives a line `FILE passed/total`; failures come before it. The
//! exit status is 1 if anything failed.

use std::process::ExitCode;

use ephemeris_query::logs::script::run_file;
use ephemeris_query::script::Command;

fn main() -> ExitCode {
    let command = Command { name: "logqltest", extensions: &["logqltest", "jsonl"], run: run_file };
    command.main(std::env::args_os().skip(1))
}
