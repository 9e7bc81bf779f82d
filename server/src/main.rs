//! The binary: reads the settings, sets up logging, runs the server; or one of the other commands.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::ArgMatches;
use ephemeris::commands;
use ephemeris::config::{Config, command};
use ephemeris::memory;
use ephemeris::server::{Server, ServerError};
use ephemeris::shutdown;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_pages_small();
    let matches = command::command().get_matches();
    let serve = match matches.subcommand() {
        Some(("serve", serve)) => serve,
        Some((name, matches)) => return run_command(name, matches),
        None => return ExitCode::FAILURE,
    };
    let config = match command::settings(serve, |name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string()),
    };
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Keeps the kernel from giving out memory in pages of 2 MiB. The allocator asks for them, and a
/// page of which a few kilobytes are used is cleared and held whole: twice the memory, and a sixth
/// of the CPU of writing.
fn keep_pages_small() {
    // Where this cannot be set, memory is used as before.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// What the store tells meanwhile goes to standard error, if it is worth a warning.
fn run_command(name: &str, matches: &ArgMatches) -> ExitCode {
    let filter = EnvFilter::new("warn");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    commands::run(name, matches).unwrap_or_else(|error| fail(&error.to_string()))
}

fn run(config: Config) -> Result<(), ServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_park(|| {
            memory::release();
        })
        .build()?;
    let result = runtime.block_on(async {
        let end = shutdown::requested()?;
        Server::start(config).await?.run(end).await
    });
    // Connections and queries that outlived the grace are not waited for.
    runtime.shutdown_background();
    result
}

#[expect(clippy::print_stderr, reason = "the last word of a command, or before there is a log")]
fn fail(error: &str) -> ExitCode {
    eprintln!("ephemeris: {error}");
    ExitCode::FAILURE
}
