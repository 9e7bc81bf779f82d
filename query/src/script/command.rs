//! What `promqltest` and `logqltest` do: run files and print which of their queries gave what they
//! should. Each file gives a line `FILE passed/total`; failures come before it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Failure, Report};

/// A program that runs scripts.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Extensions of the files a directory stands for.
    pub extensions: &'static [&'static str],
    /// Runs a file, by its path and its text.
    pub run: fn(&Path, &str) -> Report,
}

impl Command {
    /// Runs the files and directories `paths`.
    ///
    /// # Returns
    /// Success if all queries of all files gave what they should.
    pub fn main(&self, paths: impl Iterator<Item = OsString>) -> ExitCode {
        let paths: Vec<PathBuf> = paths.map(PathBuf::from).collect();
        match self.run_all(&paths, &mut io::stdout().lock()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                // Nobody is there to be told if this fails.
                let _ = writeln!(io::stderr(), "{}: {error}", self.name);
                ExitCode::FAILURE
            }
        }
    }

    /// Whether all queries of all files gave what they should.
    fn run_all(&self, paths: &[PathBuf], out: &mut impl Write) -> io::Result<bool> {
        if paths.is_empty() {
            return Err(io::Error::other(format!("usage: {} PATH…", self.name)));
        }
        let mut all_passed = true;
        for path in paths {
            for file in self.files(path).map_err(|error| named(path, &error))? {
                let text = std::fs::read_to_string(&file).map_err(|error| named(&file, &error))?;
                let report = (self.run)(&file, &text);
                for failure in &report.failures {
                    print_failure(&file, failure, out)?;
                }
                writeln!(out, "{} {}/{}", file.display(), report.passed, report.total)?;
                all_passed &= report.failures.is_empty() && report.passed == report.total;
            }
        }
        Ok(all_passed)
    }

    /// The file itself, or the files of a directory in order of their names.
    fn files(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if !path.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let file = entry?.path();
            let extension = file.extension().and_then(|extension| extension.to_str());
            if extension.is_some_and(|extension| self.extensions.contains(&extension)) {
                files.push(file);
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn half_passes(_: &Path, text: &str) -> Report {
        let failure = Failure {
            line: 3,
            query: "up\nor down".to_owned(),
            problem: "wrong\nvalue".to_owned(),
            expected: "1/2".to_owned(),
            got: text.to_owned(),
        };
        Report { passed: 1, total: 2, failures: vec![failure] }
    }

    #[test]
    fn only_counts_of_files_look_like_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["b.test", "a.test", "c.txt"] {
            std::fs::write(dir.path().join(name), "got 3/4").expect("a file");
        }
        let command = Command { name: "x", extensions: &["test"], run: half_passes };
        let mut out = Vec::new();
        let passed = command.run_all(&[dir.path().to_owned()], &mut out).expect("readable");
        assert!(!passed);
        let text = String::from_utf8(out).expect("text");
        let ends =
            |line: &&str| line.rsplit_once('/').is_some_and(|(_, n)| n.parse::<u32>().is_ok());
        let counts: Vec<&str> = text.lines().filter(ends).collect();
        let place = |name: &str| format!("{} 1/2", dir.path().join(name).display());
        assert_eq!(counts, [place("a.test"), place("b.test")]);
        let error = command.run_all(&[], &mut Vec::new()).expect_err("no path");
        assert_eq!(error.to_string(), "usage: x PATH…");
    }
}
