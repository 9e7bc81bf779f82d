//! `ephemeris-benches`: measures the server that was built with it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use ephemeris_benches::report::Report;
use ephemeris_benches::workload::{Shape, Size};
use ephemeris_benches::{BenchError, Result, celestrak, churn, crash, decode, quick, scale};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Ephemeris.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send a workload over HTTP, ask for it back, report what it cost.
    Quick {
        #[command(flatten)]
        workload: WorkloadArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Send orbital elements in order of arrival and compare what comes back bit for bit.
    Celestrak {
        /// The elements: CSV, or CSV in a zstd frame (`.zst`).
        path: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Kill the server again and again under a mixed load and compare what is left.
    Crash {
        /// How often the server dies.
        #[arg(long, default_value_t = 200)]
        cycles: usize,
        /// Decides the load and the moments of death.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Each time, also drop what was not synced, as a power cut does (needs `cc`).
        #[arg(long)]
        power_cut: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Write very many series, kill the server, and search a label with as many values.
    Scale {
        /// Number of series.
        #[arg(long, default_value_t = 1_000_000)]
        series: u64,
        /// Samples of each.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Write new series all the time; fails if a write does, or if memory does not return.
    Churn {
        /// New series in a minute.
        #[arg(long, default_value_t = 1_000_000)]
        per_minute: u64,
        /// For how long.
        #[arg(long, default_value_t = 5)]
        minutes: u64,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Decode the bodies of a workload in this process, on one thread.
    Decode {
        #[command(flatten)]
        workload: WorkloadArgs,
    },
}

#[derive(Args)]
struct WorkloadArgs {
    /// A named size: tiny, quick, steady or wide.
    #[arg(long, default_value = "quick", value_parser = parse_size)]
    size: Size,
    /// Number of series, instead of the size's.
    #[arg(long)]
    series: Option<usize>,
    /// Samples of each series, instead of the size's.
    #[arg(long)]
    scrapes: Option<usize>,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Seconds from scrape to scrape.
    #[arg(long, default_value_t = 15)]
    interval: u32,
    /// Decides all values.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct ServerArgs {
    /// The server; default is the `ephemeris` beside this program.
    #[arg(long = "server", value_name = "PATH")]
    binary: Option<PathBuf>,
    /// A flag handed on to `ephemeris serve`; may come several times.
    #[arg(long = "server-flag", value_name = "FLAG", allow_hyphen_values = true)]
    flags: Vec<String>,
}

fn parse_size(name: &str) -> std::result::Result<Size, String> {
    Size::named(name).ok_or_else(|| format!("{name:?} is none of tiny, quick, steady, wide"))
}

impl WorkloadArgs {
    /// The last scrape lies just before now, so that a server takes all of them.
    fn shape(&self) -> Result<Shape> {
        let (series_count, scrape_count) = self.size.counts();
        let (series_count, scrape_count) =
            (self.series.unwrap_or(series_count), self.scrapes.unwrap_or(scrape_count));
        let interval_ms = i64::from(self.interval.max(1)) * 1000;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.ok().and_then(|d| i64::try_from(d.as_millis()).ok());
        let length_ms = i64::try_from(scrape_count).ok().and_then(|n| n.checked_mul(interval_ms));
        let start_ms = now_ms.zip(length_ms).and_then(|(now, length)| now.checked_sub(length));
        let Some(start_ms) = start_ms else {
            return Err(BenchError("so many scrapes do not fit into time".to_owned()));
        };
        Ok(Shape {
            series_count,
            scrape_count,
            connection_count: self.connections,
            interval_ms,
            start_ms,
            seed: self.seed,
        })
    }
}

fn run(command: Command) -> Result<Report> {
    match command {
        Command::Quick { workload, server } => quick::run(&quick::Options {
            shape: workload.shape()?,
            binary: server.binary,
            server_flags: server.flags,
        }),
        Command::Celestrak { path, server } => celestrak::run(&path, server.binary, &server.flags),
        Command::Crash { cycles, seed, power_cut, server } => crash::run(&crash::Options {
            cycles,
            seed,
            power_cut,
            binary: server.binary,
            server_flags: server.flags,
        }),
        Command::Scale { series, rounds, server } => scale::run(&scale::Options {
            series,
            rounds,
            binary: server.binary,
            server_flags: server.flags,
        }),
        Command::Churn { per_minute, minutes, server } => churn::run(&churn::Options {
            per_minute,
            minutes,
            binary: server.binary,
            server_flags: server.flags,
        }),
        Command::Decode { workload } => decode::run(&workload.shape()?),
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the program is for")]
fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
