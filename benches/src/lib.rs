//! Workloads and measurements for Ephemeris. The server is measured as it is run: as a process of
//! its own, over HTTP.
//!
//! | module | holds |
//! |---|---|
//! | [`workload`] | seeded series and their samples, as bodies ready to send |
//! | [`constellation`] | a fleet whose every sample can be computed again |
//! | [`quick`] | sends a workload, asks for it back, reports |
//! | [`side_by_side`] | sends a workload to Ephemeris and to its peers, reports ratios |
//! | [`celestrak`] | real orbital elements in order of arrival, compared bit for bit |
//! | [`crash`] | kills the server under load and compares what is left |
//! | [`logs`] | pushes log entries, asks questions about them, reports |
//! | [`power_cut`] | a data directory as a power cut leaves it |
//! | [`scale`] | very many active series: memory, rates, restart, search |
//! | [`cardinality`] | how cost grows with the number of series, beside peers |
//! | [`churn`] | new series all the time |
//! | [`codecs`] | bytes and speed of each codec on each kind of series |
//! | [`decode`] | decoding alone, in this process |
//! | [`hostile`] | queries of death beside a light one |
//! | [`refresh`] | a dashboard that refreshes, and queries of one series |
//! | [`bombs`] | bodies that are larger than they look |
//! | [`protocols`] | what a sample costs the server by each protocol |
//! | [`translate`] | a workload's samples in the messages of other protocols |
//! | [`terminals`] | series of as many terminals as wanted |
//! | [`server`] | a server process: start, readiness, CPU and memory, end |
//! | [`client`] | HTTP over one connection |
//! | [`query`] | instant queries over HTTP, answers as samples |
//! | [`recorded`] | bodies in files, one for each connection |
//! | [`send`] | sends lanes of bodies, one connection each |
//! | [`report`] | plain tables |

pub mod bombs;
pub mod cardinality;
pub mod celestrak;
pub mod churn;
pub mod codecs;
pub mod constellation;
pub mod crash;
pub mod decode;
pub mod hostile;
pub mod logs;
pub mod power_cut;
pub mod protocols;
pub mod quick;
pub mod refresh;
pub mod scale;
pub mod side_by_side;
pub mod translate;
pub mod workload;

pub mod client;
pub mod query;
pub mod recorded;
pub mod report;
pub mod send;
pub mod server;
pub mod terminals;

use std::fmt;

/// Why a measurement could not be made, in words.
#[derive(Debug)]
pub struct BenchError(pub String);

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BenchError {}

impl From<std::io::Error> for BenchError {
    fn from(e: std::io::Error) -> Self {
        Self(e.to_string())
    }
}

impl From<ephemeris_ingest::IngestError> for BenchError {
    fn from(e: ephemeris_ingest::IngestError) -> Self {
        Self(e.to_string())
    }
}

/// The result of all that measures.
pub type Result<T> = std::result::Result<T, BenchError>;

/// An error with this text.
pub(crate) fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(BenchError(text.into()))
}
