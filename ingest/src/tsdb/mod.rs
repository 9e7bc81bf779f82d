//! Blocks of Prometheus' storage (TSDB), for `ephemeris import`: from the files of a block to
//! remote-write 2.0 messages. Which files there are is the caller's matter.
//!
//! Source of the formats: Prometheus' `tsdb/docs/format` (`index.md`, `chunks.md`,
//! `tombstones.md`), versions as below.
//!
//! | module | holds |
//! |---|---|
//! | [`meta`] | `meta.json`: what a block says of itself (version 1) |
//! | [`index`] | the file `index` (version 2): its table of contents, series and their chunks |
//! | `symbols` | the texts of an index |
//! | [`chunks`] | a segment of `chunks/` (version 1): finds a chunk and checks it |
//! | [`xor`], [`histogram`] | what is in a chunk |
//! | [`tombstones`] | deleted ranges (version 1) |
//! | [`message`] | what was read, as a message for the store |
//! | [`window`], `bits` | reading: files piece by piece, bits |
//!
//! **Invariant**: no length or place a file states is believed before it is compared with what is
//! there and with a limit, so that damage can neither panic nor take memory without bound.

pub mod chunks;
pub mod histogram;
pub mod index;
pub mod message;
pub mod meta;
pub mod tombstones;
pub mod window;
pub mod xor;

mod bits;
mod symbols;

use std::io;

use thiserror::Error;

use crate::proto::write_v1::Histogram;

/// Why something of a block cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TsdbError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// What the file holds is not what its format says.
    #[error("damaged at byte {at}: {what}")]
    Damaged {
        /// Offset in the file, for what is in a chunk in the chunk's data.
        at: u64,
        /// What was got, and what is allowed.
        what: String,
    },
    /// A form that is not read here.
    #[error("{0}")]
    Unsupported(String),
}

/// Damage at byte `at`.
pub(crate) fn damaged(at: u64, what: impl Into<String>) -> TsdbError {
    TsdbError::Damaged { at, what: what.into() }
}

/// A sample of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// A float, bit for bit.
    Float {
        /// Milliseconds since the epoch.
        timestamp_ms: i64,
        /// Value; the staleness marker too.
        value: f64,
    },
    /// A native histogram, as remote write has it.
    Histogram(Box<Histogram>),
}

/// How many samples of a chunk are left after this one, of `left` that were thought to be: behind
/// damage there are none.
pub(crate) const fn left_after(point: &Result<Point, TsdbError>, left: u64) -> u64 {
    if point.is_ok() { left } else { 0 }
}

impl Point {
    /// Milliseconds since the epoch.
    #[must_use]
    pub fn timestamp_ms(&self) -> i64 {
        match self {
            Self::Float { timestamp_ms, .. } => *timestamp_ms,
            Self::Histogram(histogram) => histogram.timestamp,
        }
    }
}

#[cfg(test)]
mod tests;
