//! `ephemeris-benches`: measures the server that was built with it.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use ephemeris_benches::report::Report;
use ephemeris_benches::side_by_side::{
    self, WithInstalled, load::Scenario, output::Comparison, protocol::Protocol,
};
use ephemeris_benches::workload::{Shape, Size};
use ephemeris_benches::{
    BenchError, Result, bombs, cardinality, celestrak, churn, codecs, crash, decode, hostile, logs,
    protocols, quick, refresh, scale,
};

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
    /// Send a workload to Ephemeris and to its peers, one after the other, and report ratios.
    SideBySide(SideBySideArgs),
    /// Plot the ratios of several scenarios, from reports that `side-by-side --json` wrote.
    Ratios {
        /// The reports.
        #[arg(required = true, value_name = "FILE")]
        reports: Vec<PathBuf>,
        /// Where the plot is written to.
        #[arg(long, value_name = "FILE")]
        svg: PathBuf,
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
    /// Push log entries, ask questions about them, report what both cost.
    Logs {
        #[command(flatten)]
        entries: EntryArgs,
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
    /// Ask how the cost of a series grows with their number, of each server, and plot it.
    Cardinality {
        /// Numbers of series.
        #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000,10000000")]
        series: Vec<u64>,
        /// Write the plot.
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
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
    /// Encode and decode each kind of series with each codec, in this process, and compare.
    Codecs {
        /// Series of each generated kind.
        #[arg(long, default_value_t = 64)]
        series: usize,
        /// Samples of each: a day at 15 s, or 240 for an hour.
        #[arg(long, default_value_t = 5760)]
        samples: usize,
        /// Orbital elements as well: CSV, or CSV in a zstd frame (`.zst`).
        #[arg(long, value_name = "FILE")]
        elements: Option<PathBuf>,
    },
    /// Decode the bodies of a workload in this process, on one thread.
    Decode {
        #[command(flatten)]
        workload: WorkloadArgs,
    },
    /// Send bodies that are larger than they look and see that each is refused at once.
    Bombs {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Ask queries of death and see that each ends in time and that a light query stays light.
    Hostile {
        /// Series they are about.
        #[arg(long, default_value_t = 20_000)]
        series: usize,
        /// Queries of death at the same time.
        #[arg(long, default_value_t = 2)]
        at_a_time: usize,
        /// Their time limit, in milliseconds.
        #[arg(long, default_value_t = 2_000)]
        timeout_ms: u64,
        /// How many times as long the light query may take, at its median and its p99.
        #[arg(long, default_value_t = 3.0)]
        ratio_max: f64,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Refresh a panel with each scrape, with answers that are kept and without.
    Refresh {
        /// Series of the panel.
        #[arg(long, default_value_t = 6_400)]
        series: usize,
        /// Refreshes.
        #[arg(long, default_value_t = 100)]
        refreshes: usize,
        /// Scrapes from step to step of the panel, and from refresh to refresh.
        #[arg(long, default_value_t = 1)]
        scrapes: usize,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Send the same samples by every protocol and report the CPU they cost the server.
    Protocols {
        #[command(flatten)]
        workload: WorkloadArgs,
        #[command(flatten)]
        server: ServerArgs,
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
struct EntryArgs {
    /// Number of entries.
    #[arg(long, default_value_t = 1_000_000)]
    lines_count: usize,
    /// A directory with files of lines, each file a family; built-in templates without.
    #[arg(long, value_name = "DIR")]
    lines: Option<PathBuf>,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Minutes the entries are spread over, up to now.
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// Decides all lines.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct SideBySideArgs {
    /// What is sent: steady, wide, query-storm, restart, churn-1, churn-10, churn-100, handover,
    /// pass-dump, panels or hour.
    #[arg(long, default_value = "steady")]
    scenario: String,
    /// What the bodies are written in: rw1 or rw2 (remote write) or otlp. A peer that does not
    /// take it is left out.
    #[arg(long, default_value = "rw1")]
    protocol: String,
    /// Share of the scenario's series.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Runs of each server; medians are reported.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Decides all values.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A peer as NAME=PATH, NAME beginning with prometheus or victoria-metrics; may come several
    /// times.
    #[arg(long = "peer", value_name = "NAME=PATH")]
    peers: Vec<String>,
    /// Leave out peers that are installed but not named.
    #[arg(long)]
    named_only: bool,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write a plot of the ratios, named after the scenario, into this directory.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
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

impl EntryArgs {
    /// Whole minutes up to the one that runs, so that windows of a minute are filled.
    fn shape(&self) -> Result<logs::Shape> {
        const MINUTE_NS: i64 = 60_000_000_000;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ns = now.ok().and_then(|d| i64::try_from(d.as_nanos()).ok());
        let Some(now_ns) = now_ns else {
            return Err(BenchError("the clock is not set".to_owned()));
        };
        let end_ns = now_ns / MINUTE_NS * MINUTE_NS;
        Ok(logs::Shape {
            entry_count: self.lines_count,
            connection_count: self.connections,
            start_ns: end_ns - i64::from(self.minutes.max(1)) * MINUTE_NS,
            end_ns,
            seed: self.seed,
        })
    }
}

impl SideBySideArgs {
    #[expect(clippy::print_stderr, reason = "progress, beside the report")]
    fn run(self) -> Result<Comparison> {
        let options = side_by_side::Options {
            scenario: Scenario::named(&self.scenario)?,
            protocol: Protocol::named(&self.protocol)?,
            scale: self.scale,
            runs: self.runs,
            connections: self.connections,
            seed: self.seed,
            binary: self.server.binary,
            server_flags: self.server.flags,
            peers: self.peers,
            with_installed: if self.named_only { WithInstalled::No } else { WithInstalled::Yes },
        };
        let comparison = side_by_side::run(&options, &|doing| eprintln!("{doing}"))?;
        if let Some(path) = &self.json {
            fs::write(path, format!("{:#}\n", comparison.json()))?;
        }
        if let Some(path) = &self.markdown {
            fs::write(path, comparison.markdown())?;
        }
        if let Some(dir) = &self.svg {
            fs::create_dir_all(dir)?;
            fs::write(dir.join(format!("{}.svg", self.scenario)), comparison.svg())?;
        }
        Ok(comparison)
    }
}

#[expect(clippy::print_stderr, reason = "progress, beside the report")]
fn cardinality(options: &cardinality::Options, svg: Option<PathBuf>) -> Result<String> {
    let costs = cardinality::run(options, &|doing| eprintln!("{doing}"))?;
    if let Some(path) = svg {
        fs::write(path, cardinality::svg(&costs))?;
    }
    Ok(cardinality::markdown(&costs))
}

fn run(command: Command) -> Result<String> {
    let report: Result<Report> = match command {
        Command::Codecs { series, samples, elements } => {
            return codecs::run(&codecs::Options { series, samples, elements });
        }
        Command::SideBySide(arguments) => return Ok(arguments.run()?.to_string()),
        Command::Ratios { reports, svg } => {
            fs::write(svg, side_by_side::ratios::svg(&reports)?)?;
            return Ok(String::new());
        }
        Command::Cardinality { series, svg, server } => {
            return cardinality(
                &cardinality::Options { series, binary: server.binary, server_flags: server.flags },
                svg,
            );
        }
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
        Command::Logs { entries, server } => logs::run(&logs::Options {
            shape: entries.shape()?,
            lines: entries.lines,
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
        Command::Bombs { server } => bombs::run(&bombs::Options {
            binary: server.binary,
            server_flags: server.flags,
            time_max: Duration::from_millis(100),
        }),
        Command::Hostile { series, at_a_time, timeout_ms, ratio_max, server } => {
            hostile::run(&hostile::Options {
                series,
                at_a_time,
                timeout: Duration::from_millis(timeout_ms),
                ratio_max,
                binary: server.binary,
                server_flags: server.flags,
            })
        }
        Command::Refresh { series, refreshes, scrapes, server } => {
            refresh::run(&refresh::Options {
                series,
                refreshes,
                scrapes,
                binary: server.binary,
                server_flags: server.flags,
            })
        }
        Command::Protocols { workload, server } => protocols::run(&protocols::Options {
            shape: workload.shape()?,
            binary: server.binary,
            server_flags: server.flags,
        }),
    };
    Ok(report?.to_string())
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
