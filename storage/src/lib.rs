//! The engine of Ephemeris: write-ahead log, head, blocks, index and catalog.

mod cache;
pub mod catalog;
mod clock;
mod config;
mod damage;
pub mod encoding;
pub mod envelope;
pub mod error;
mod faults;
pub mod index;
pub mod maintenance;
pub mod metrics;
mod open;
mod reader;
pub mod rocks;
pub mod series;
mod snapshot;
mod stats;
mod store;
mod version;
mod wal;
mod write;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{Background, Durability, StoreConfig};
pub use error::{Error, ErrorKind, Result};
pub use reader::Reader;
pub use stats::StoreStats;
pub use store::Store;

#[cfg(test)]
mod tests;
