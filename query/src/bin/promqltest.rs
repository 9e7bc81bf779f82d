//! `promqltest PATH…`: runs PromQL scripts and says which of their queries gave what they should.
//!
//! A path is a script or a directory, which stands for its `*.test` files. Each script gives a
//! line `FILE passed/total`; failures come before it. The exit status is 1 if any query failed.

use std::process::ExitCode;

use ephemeris_query::script::{Command, run};

fn main() -> ExitCode {
    let command =
        Command { name: "promqltest", extensions: &["test"], run: |_, script| run(script) };
    command.main(std::env::args_os().skip(1))
}
