//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use super::settings::SETTINGS;
use super::{Config, ConfigError, file};

const CONFIG_FLAG: &str = "config";

/// The command line, its flags made from the table of settings.
#[must_use]
pub fn command() -> Command {
    let defaults = Config::default();
    let config = Arg::new(CONFIG_FLAG)
        .long(CONFIG_FLAG)
        .value_name("FILE")
        .env("EPHEMERIS_CONFIG")
        .value_parser(clap::value_parser!(PathBuf))
        .help("File with settings, in YAML; its keys are those of the flags");
    let flags = SETTINGS.iter().map(|setting| {
        let default = (setting.show)(&defaults);
        Arg::new(setting.key)
            .long(setting.flag())
            .value_name(setting.value)
            .help(format!("{} [default: {default}]", setting.help))
    });
    let serve = Command::new("serve")
        .about("Runs the server in the foreground")
        .after_help(
            "Each flag is also a key of the file (with _ for -) and an environment variable \
             (EPHEMERIS_QUERY_SAMPLES_MAX for --query.samples-max). A flag beats the \
             environment, the environment beats the file.",
        )
        .arg(config)
        .args(flags);
    Command::new("ephemeris")
        .about("Ephemeris: a metrics and log store in one binary")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve)
        .subcommands(crate::commands::commands())
}

/// Reads the settings: defaults, then the file, the environment and the flags of `serve`.
///
/// # Errors
/// If the file cannot be read, or a value is not allowed.
pub fn settings(
    matches: &ArgMatches,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    if let Some(path) = matches.get_one::<PathBuf>(CONFIG_FLAG) {
        file::apply(&mut config, path)?;
    }
    for setting in SETTINGS {
        let variable = setting.variable();
        if let Some(value) = environment(&variable) {
            setting.apply(&mut config, &variable, &value.to_string_lossy())?;
        }
        if let Some(value) = matches.get_one::<String>(setting.key) {
            setting.apply(&mut config, &format!("--{}", setting.flag()), value)?;
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve_matches(args: &[&str]) -> ArgMatches {
        let all = ["ephemeris", "serve"].iter().chain(args);
        let matches = command().try_get_matches_from(all).expect("the flags are known");
        matches.subcommand_matches("serve").expect("serve was given").clone()
    }

    #[test]
    fn a_flag_beats_the_environment_and_that_the_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "data_dir: file\nlisten: 1.1.1.1:1\nretention: 3d\n")
            .expect("the file is written");
        let path = path.to_str().expect("the path is UTF-8");
        let matches = serve_matches(&["--config", path, "--listen", "3.3.3.3:3"]);
        let environment = |name: &str| match name {
            "EPHEMERIS_LISTEN" => Some("2.2.2.2:2".into()),
            "EPHEMERIS_DATA_DIR" => Some("environment".into()),
            _ => None,
        };
        let config = settings(&matches, environment).expect("all values are allowed");
        assert_eq!(config.listen, "3.3.3.3:3");
        assert_eq!(config.data_dir, PathBuf::from("environment"));
        assert_eq!(config.retention_ms, 3 * 24 * 3_600_000);
        assert_eq!(config.query.samples_max, 50_000_000);
    }

    #[test]
    fn a_bad_variable_is_named() {
        let environment = |name: &str| (name == "EPHEMERIS_RETENTION").then(|| "x".into());
        let error = settings(&serve_matches(&[]), environment).expect_err("not a duration");
        assert!(error.to_string().starts_with("EPHEMERIS_RETENTION: "), "{error}");
    }
}
