//! The engine of Ephemeris: write-ahead log, head, blocks, index and catalog.

mod cache;
pub mod catalog;
mod clock;
mod config;
pub mod encoding;
pub mod envelope;
pub mod error;
mod faults;
pub mod index;
pub mod maintenance;
pub mod metrics;
mod plain;
pub mod rocks;
pub mod series;
mod stats;
mod store;
mod wal;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{Background, Durability, StoreConfig};
pub use error::{Error, ErrorKind, Result};
pub use stats::StoreStats;
pub use store::{Reader, Store};
