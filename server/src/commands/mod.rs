//! Commands beside `serve`, for a data directory no server has open: check it, look at it, take data
//! out of it and bring data in.

mod export;
mod import;
mod inspect;
mod openmetrics;
mod tsdb;
mod verify;
mod writer;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command};
use ephemeris_model::SourceError;
use ephemeris_storage::{Background, Store, StoreConfig, SystemClock};
use thiserror::Error;

use crate::api::tenant::ANONYMOUS;
use crate::config::value::parse_duration_ms;

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Characters of a full bar.
const BAR_WIDTH: u64 = 40;

/// Why a command failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The store says so.
    #[error(transparent)]
    Store(#[from] ephemeris_storage::Error),
    /// Reading the store failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What was given cannot be used.
    #[error("{0}")]
    Invalid(String),
}

/// The commands, for the command line.
#[must_use]
pub fn commands() -> [Command; 4] {
    let verify = Command::new("verify")
        .about("Checks everything in a data directory; exits with 1 if something is wrong")
        .arg(data_dir());
    let inspect = Command::new("inspect")
        .about("Lists the blocks of a data directory, or shows what is in one of them")
        .arg(data_dir())
        .arg(value("block", "N", "Number of the block to show"));
    let export = Command::new("export")
        .about("Writes the samples of a data directory as text to standard output")
        .arg(data_dir())
        .arg(tenant())
        .arg(value("match", "SELECTOR", "Series to export, as in PromQL [default: all]"))
        .arg(value("start", "TIME", "First time, in seconds since 1970 or RFC 3339"))
        .arg(value("end", "TIME", "Last time"))
        .arg(
            value("format", "FORMAT", "How the samples are written")
                .value_parser(["jsonl", "openmetrics"])
                .default_value("jsonl"),
        );
    let import = Command::new("import")
        .about("Stores the samples of an OpenMetrics text, or of Prometheus TSDB blocks")
        .arg(data_dir())
        .arg(tenant())
        .arg(
            value("retention", "DURATION", "Samples older than this are refused, as by serve")
                .default_value("400d"),
        )
        .arg(
            Arg::new("file")
                .value_name("PATH")
                .required(true)
                .value_parser(clap::value_parser!(PathBuf))
                .help("The text, - is standard input; a block, or a directory of blocks"),
        );
    [verify, inspect, export, import]
}

/// Runs the command `name`.
///
/// # Errors
/// If it fails.
pub fn run(name: &str, matches: &ArgMatches) -> Result<ExitCode, CommandError> {
    match name {
        "verify" => verify::run(&dir(matches)),
        "inspect" => inspect::run(&dir(matches), number(matches, "block")?),
        "export" => export::run(&dir(matches), &export::Wanted::from_matches(matches)?),
        "import" => {
            let text = matches.get_one::<String>("retention").map_or("400d", String::as_str);
            let retention_ms = parse_duration_ms(text).map_err(CommandError::Invalid)?;
            let store = open(dir(matches), retention_ms)?;
            let file = matches.get_one::<PathBuf>("file").cloned().unwrap_or_default();
            if file.is_dir() {
                return tsdb::run(&store, tenant_of(matches), &file);
            }
            import::run(&store, tenant_of(matches), &file)
        }
        other => Err(CommandError::Invalid(format!("there is no command {other:?}"))),
    }
}

fn data_dir() -> Arg {
    Arg::new("data-dir")
        .long("data-dir")
        .value_name("DIR")
        .default_value("./data")
        .value_parser(clap::value_parser!(PathBuf))
        .help("The data directory")
}

fn tenant() -> Arg {
    value("tenant", "NAME", "Whose data").default_value(ANONYMOUS)
}

fn value(name: &'static str, shape: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(shape).help(help).action(ArgAction::Set)
}

fn dir(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>("data-dir").cloned().unwrap_or_default()
}

fn tenant_of(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("tenant").map_or(ANONYMOUS, String::as_str)
}

fn number(matches: &ArgMatches, name: &str) -> Result<Option<u32>, CommandError> {
    let Some(text) = matches.get_one::<String>(name) else { return Ok(None) };
    let invalid = |_| CommandError::Invalid(format!("--{name}: {text:?} is no whole number"));
    text.parse().map(Some).map_err(invalid)
}

/// Opens a store whose background work is done by the caller.
fn open(dir: PathBuf, retention_ms: i64) -> Result<Store, CommandError> {
    let mut config = StoreConfig::new(dir);
    config.retention_ms = retention_ms;
    config.background = Background::Caller;
    let decoder = Arc::new(ephemeris_ingest::Decoder::default());
    Ok(Store::open(config, decoder, Arc::new(SystemClock))?)
}

/// Tells on standard error how far a command is, where somebody looks.
struct Progress {
    last: Instant,
    /// Whether a bar can be drawn there, over the one before.
    draws: bool,
    is_drawn: bool,
}

impl Progress {
    fn new() -> Self {
        let draws = io::stderr().is_terminal();
        Self { last: Instant::now(), draws, is_drawn: false }
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        if self.last.elapsed() >= PROGRESS_EVERY {
            self.last = Instant::now();
            note(&text());
        }
    }

    /// Tells how much of all is done: on a terminal with a bar, else with a line.
    fn share(&mut self, done: u64, all: u64, text: impl FnOnce() -> String) {
        if self.last.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.last = Instant::now();
        let percent = (done.saturating_mul(100) / all.max(1)).min(100);
        if self.draws {
            let filled = "#".repeat((percent * BAR_WIDTH / 100) as usize);
            let width = BAR_WIDTH as usize;
            // That nobody sees it is no reason to stop.
            let _ = write!(io::stderr(), "\r\x1b[K[{filled:.<width$}] {percent}%, {}", text());
            self.is_drawn = true;
        } else {
            note(&format!("{percent}%, {}", text()));
        }
    }

    /// Takes the bar away, so that a line can be written.
    fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// A line on standard error. That nobody reads it is no reason to stop.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
