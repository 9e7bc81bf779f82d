//! Ephemeris and its peers, one after the other on loopback, given the same recorded bodies and
//! asked the same queries. The report names what each promises when it answers a write, and
//! compares answers with Prometheus'.
//!
//! | module | holds |
//! |---|---|
//! | [`peer`] | the servers and their command lines |
//! | [`load`] | what is sent and asked in a scenario |
//! | [`protocol`] | what bodies are written in, and who takes it |
//! | [`panels`] | the queries of the constellation dashboard |
//! | [`measure`] | one run of one server |
//! | [`questions`] | timed queries, compared answers |
//! | [`figures`] | what is measured; medians, spreads, ratios |
//! | [`output`] | table, markdown, JSON, SVG |
//! | [`ratios`] | several scenarios in one plot |

use std::path::PathBuf;

use crate::query::Answered;
use crate::server::Server;
use crate::{Result, fail};
use figures::Summary;
use load::{Load, Scenario};
use measure::Run;
use output::Comparison;
use peer::{Kind, Peer};
use protocol::Protocol;
use questions::Difference;

pub mod figures;
pub mod load;
pub mod measure;
pub mod output;
pub mod panels;
pub mod peer;
pub mod protocol;
pub mod questions;
pub mod ratios;

/// What to compare.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is sent.
    pub scenario: Scenario,
    /// What the bodies are written in; a peer that does not take it is left out.
    pub protocol: Protocol,
    /// Share of the scenario's series, above 0.
    pub scale: f64,
    /// Runs of each server.
    pub runs: usize,
    /// Connections.
    pub connections: usize,
    /// Decides all values.
    pub seed: u64,
    /// The server; the one built with this binary if none.
    pub binary: Option<PathBuf>,
    /// More flags for it.
    pub server_flags: Vec<String>,
    /// Peers by name and path.
    pub peers: Vec<String>,
    /// Whether peers that are installed take part as well.
    pub with_installed: WithInstalled,
}

/// Whether peers found on this machine take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithInstalled {
    /// They do.
    Yes,
    /// Only those that are named.
    No,
}

/// Measures all, run after run, so that a change of the machine's load meets all alike; each run
/// begins with the next server, so that none always comes first.
/// `progress` is told what is being done.
///
/// # Errors
/// If a server fails. A body refused by a peer is counted and reported.
pub fn run(options: &Options, progress: &dyn Fn(&str)) -> Result<Comparison> {
    let mut peers = peers(options)?;
    for at in (0..peers.len()).rev() {
        let dir = tempfile::tempdir()?;
        if !options.protocol.is_taken_by(&peers[at], dir.path())? {
            progress(&format!("{} does not take {}", peers[at].name, options.protocol.name()));
            peers.remove(at);
        }
    }
    let bodies = tempfile::tempdir()?;
    progress(&format!("writing the bodies of {}", options.scenario.name()));
    let load = Load::record(options, bodies.path())?;
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); peers.len()];
    for number in 1..=options.runs.max(1) {
        for turn in 0..peers.len() {
            let at = (number - 1 + turn) % peers.len();
            progress(&format!("run {number}: {}", peers[at].name));
            runs[at].push(measure::run(&peers[at], &load)?);
        }
    }
    let servers = peers.into_iter().zip(&runs).map(|(peer, runs)| {
        Ok(output::Participant {
            version: peer.version()?,
            summary: Summary::of(runs.iter().map(|run| &run.figures)),
            refusal: runs.iter().find_map(|run| run.refusal.clone()),
            peer,
            differences: Vec::new(),
        })
    });
    let mut servers = servers.collect::<Result<Vec<_>>>()?;
    let answers: Vec<&[Vec<Answered>]> =
        runs.iter().map(|runs| runs.last().map_or(&[][..], |run| &run.answers)).collect();
    if let Some(reference) = servers.iter().position(|s| s.peer.kind == Kind::Prometheus) {
        for (server, answers_of) in servers.iter_mut().zip(&answers) {
            let pairs = answers_of.iter().zip(answers[reference]);
            server.differences =
                pairs.map(|(ours, theirs)| Difference::between(ours, theirs)).collect();
        }
    }
    Ok(Comparison::new(options, &load, servers))
}

fn peers(options: &Options) -> Result<Vec<Peer>> {
    if !(options.scale > 0.0 && options.scale <= 100.0) {
        return fail(format!("scale is {}; it lies above 0 and at most at 100", options.scale));
    }
    let binary = options.binary.clone().map_or_else(Server::default_binary, Ok)?;
    let flags = options.server_flags.clone();
    let mut peers =
        vec![Peer { name: "ephemeris".to_owned(), kind: Kind::Ephemeris, binary, flags }];
    for named in &options.peers {
        peers.push(Peer::parse(named)?);
    }
    if options.with_installed == WithInstalled::Yes {
        let installed = Peer::installed();
        peers.extend(installed.into_iter().filter(|p| {
            !options.peers.iter().any(|named| named.split('=').next() == Some(p.name.as_str()))
        }));
    }
    Ok(peers)
}
