//! The servers that are compared: where they are found, how they are started, what their answers to
//! a write promise.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::Server;
use crate::{BenchError, Result, fail};

/// Which kind of server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This one.
    Ephemeris,
    /// Prometheus as a receiver of remote write.
    Prometheus,
    /// Single-node VictoriaMetrics.
    VictoriaMetrics,
}

/// A server that takes part.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What it is called in the report; begins with its kind.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its program.
    pub binary: PathBuf,
    /// More flags for it.
    pub flags: Vec<String>,
}

impl Kind {
    const PEERS: [Self; 2] = [Self::Prometheus, Self::VictoriaMetrics];

    /// The name of the kind and of its program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ephemeris => "ephemeris",
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// What is on disk when a write is answered.
    #[must_use]
    pub const fn durability(self) -> &'static str {
        match self {
            Self::Ephemeris => "fsynced before the answer",
            Self::Prometheus => "in the WAL before the answer, not fsynced",
            Self::VictoriaMetrics => "in memory at the answer, in files some seconds later",
        }
    }
}

impl Peer {
    /// From `NAME=PATH`, where NAME begins with `prometheus` or `victoria-metrics`.
    ///
    /// # Errors
    /// If the name is of neither kind.
    pub fn parse(text: &str) -> Result<Self> {
        let kind = Kind::PEERS.into_iter().find(|kind| text.starts_with(kind.name()));
        match (text.split_once('='), kind) {
            (Some((name, path)), Some(kind)) => {
                let binary = PathBuf::from(path);
                Ok(Self { name: name.to_owned(), kind, binary, flags: Vec::new() })
            }
            _ => fail(format!(
                "peer is {text:?}; write NAME=PATH, NAME beginning with prometheus or \
                 victoria-metrics"
            )),
        }
    }

    /// Peers that are installed: on PATH, or where `benches/install-peers` puts them.
    #[must_use]
    pub fn installed() -> Vec<Self> {
        let cache = std::env::var_os("EPHEMERIS_TEST_CLIENTS").map_or_else(
            || {
                let home = std::env::var_os("HOME").unwrap_or_default();
                PathBuf::from(home).join(".cache/ephemeris/clients")
            },
            PathBuf::from,
        );
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs: Vec<_> = std::env::split_paths(&path).chain([cache.join("usr/bin")]).collect();
        let found = Kind::PEERS.into_iter().filter_map(|kind| {
            let mut places = dirs.iter().map(|dir| dir.join(kind.name()));
            let binary = places.find(|path| path.is_file())?;
            Some(Self { name: kind.name().to_owned(), kind, binary, flags: Vec::new() })
        });
        found.collect()
    }

    /// Starts it on `dir` and waits until it is ready. A later start on the same directory finds
    /// the data of the one before.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(&self, dir: &Path) -> Result<Server> {
        fs::create_dir_all(dir)?;
        match self.kind {
            Kind::Ephemeris => {
                let mut flags = vec!["--self-metrics-interval".to_owned(), "0s".to_owned()];
                // As with the peers, so that work is measured.
                flags.extend(["--query.reuse-bytes-max".to_owned(), "0".to_owned()]);
                flags.extend(self.flags.iter().cloned());
                Server::start(&self.binary, dir, &flags)
            }
            Kind::Prometheus => {
                let address = free_address()?;
                Server::start_other(self.prometheus(dir, address)?, address, "/-/ready")
            }
            Kind::VictoriaMetrics => {
                let address = free_address()?;
                Server::start_other(self.victoria_metrics(dir, address), address, "/health")
            }
        }
    }

    /// No scrapes, so no metrics of its own; late samples are taken as far back as a pass dump may
    /// be late.
    fn prometheus(&self, dir: &Path, address: SocketAddr) -> Result<Command> {
        let config = dir.join("prometheus.yml");
        fs::write(&config, "storage:\n  tsdb:\n    out_of_order_time_window: 3h\n")?;
        let mut command = Command::new(&self.binary);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=30d"])
            .args(["--query.timeout=5m", "--query.max-samples=500000000", "--log.level=error"])
            .args(&self.flags);
        Ok(command)
    }

    /// Limits raised so that every query is answered; no cached answers, so that work is measured;
    /// the newest samples show in answers.
    fn victoria_metrics(&self, dir: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg(format!("-storageDataPath={}", dir.display()))
            .arg(format!("-httpListenAddr={address}"))
            .args(["-retentionPeriod=1", "-search.maxUniqueTimeseries=20000000"])
            .args(["-search.latencyOffset=1s", "-search.disableCache"])
            .args(["-search.maxQueryDuration=5m", "-loggerLevel=ERROR"])
            .args(&self.flags);
        command
    }

    /// What the program says it is.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn version(&self) -> Result<String> {
        let flag = if self.kind == Kind::VictoriaMetrics { "-version" } else { "--version" };
        let output = Command::new(&self.binary)
            .arg(flag)
            .output()
            .map_err(|e| BenchError(format!("{}: {e}", self.binary.display())))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().next().unwrap_or_default().split(" (").next();
        match line.unwrap_or_default().trim() {
            "" => self.debian_version(),
            said => Ok(said.to_owned()),
        }
    }

    /// Debian's VictoriaMetrics does not know its own version; the package does.
    fn debian_version(&self) -> Result<String> {
        let doc = self.binary.parent().and_then(Path::parent);
        let doc = doc.map(|usr| usr.join("share/doc").join(self.kind.name()));
        let known = doc.is_some_and(|doc| doc.join("changelog.Debian.gz").is_file());
        let place = if known { "Debian's build" } else { "a build without version" };
        let policy =
            Command::new("dpkg-query").args(["-W", "-f", "${Version}", self.kind.name()]).output();
        let installed = policy.ok().filter(|o| known && o.status.success());
        let number = installed.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        Ok(number.map_or_else(|| place.to_owned(), |number| format!("{place} {number}")))
    }
}

/// A port nobody listens on at the moment.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_peer_has_the_kind_its_name_begins_with() {
        let peer = Peer::parse("victoria-metrics-new=/x/vm").expect("valid");
        assert_eq!(
            (peer.kind, peer.name.as_str()),
            (Kind::VictoriaMetrics, "victoria-metrics-new")
        );
        assert_eq!(peer.binary, Path::new("/x/vm"));
        assert!(Peer::parse("influx=/x").is_err() && Peer::parse("prometheus").is_err());
    }
}
