//! `logqltest PATH…`: runs LogQL scripts and says which of their queries gave what they should.
//!
//! A path is a script, a list of parse cases, or a directory, which stands for its `*.logqltest`
//! and `*.jsonl` files. Each file gives a line `FILE passed/total`; failures come before it. The
//! exit status is 1 if anything failed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ephemeris_query::logs::script;
use ephemeris_query::script::Failure;

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut out = io::stdout().lock();
    match run_all(&paths, &mut out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "logqltest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all queries of all files gave what they should.
fn run_all(paths: &[PathBuf], out: &mut impl Write) -> io::Result<bool> {
    if paths.is_empty() {
        return Err(io::Error::other("usage: logqltest PATH…"));
    }
    let mut all_passed = true;
    for path in paths {
        for file in files(path).map_err(|error| named(path, &error))? {
            let text = std::fs::read_to_string(&file).map_err(|error| named(&file, &error))?;
            let is_cases = file.extension().is_some_and(|extension| extension == "jsonl");
            let report = if is_cases { script::run_cases(&text) } else { script::run(&text) };
            for failure in &report.failures {
                print_failure(&file, failure, out)?;
            }
            writeln!(out, "{} {}/{}", file.display(), report.passed, report.total)?;
            all_passed &= report.failures.is_empty() && report.passed == report.total;
        }
    }
    Ok(all_passed)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The file itself, or the scripts and cases of a directory in order of their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        if file.extension().is_some_and(|e| e == "logqltest" || e == "jsonl") {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Every line ends in a quote or a colon, so that none looks like the count of a file.
fn print_failure(file: &Path, failure: &Failure, out: &mut impl Write) -> io::Result<()> {
    let problem = failure.problem.replace('\n', " ");
    writeln!(out, "{}:{}: `{problem}`", file.display(), failure.line)?;
    if failure.query.is_empty() {
        return Ok(());
    }
    let query = ("query", &failure.query);
    for (title, text) in [query, ("expected", &failure.expected), ("got", &failure.got)] {
        writeln!(out, "  {title}:")?;
        for line in text.lines() {
            writeln!(out, "    `{line}`")?;
        }
    }
    Ok(())
}
