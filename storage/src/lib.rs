//! The engine of Ephemeris: write-ahead log, head, blocks, index and catalog.

mod clock;
mod config;
pub mod encoding;
pub mod error;
mod plain;
pub mod series;
mod stats;
mod store;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{Background, Durability, StoreConfig};
pub use error::{Error, ErrorKind, Result};
pub use stats::StoreStats;
pub use store::{Reader, Store};
