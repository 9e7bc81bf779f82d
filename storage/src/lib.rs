//! The engine of Ephemeris: write-ahead log, head, blocks, index and catalog.
//!
//! | module | holds |
//! |---|---|
//! | `store` | the façade: [`Store`]: open, write, reader, close |
//! | `open` | opening: lock, catalog, blocks, replay of the WAL |
//! | `write` | one request: check everything, then apply what is good |
//! | `wal` | requests that are acknowledged and not in blocks yet ([format](../../docs/formats/wal.md)) |
//! | `metrics::head` | identities of series; generations of samples |
//! | [`metrics::block`] | sealed blocks: writer and reader ([format](../../docs/formats/block.md)) |
//! | [`metrics::codec`], [`metrics::samples`] | encodings of columns; samples of a series and the rule for conflicts |
//! | [`logs`] | log entries: pages, their place in the head and in blocks ([format](../../docs/formats/log-block.md)) |
//! | [`index`] | the index of a block: dictionaries, posting lists, label columns |
//! | [`catalog`] | which blocks exist, tenants, metadata ([format](../../docs/formats/catalog.md)) |
//! | `version` | what a reader sees: open generation, sealing generation, blocks |
//! | `reader` | [`Reader`]: a version of one tenant, behind the seam to queries |
//! | [`maintenance`] | seal, merge, retention, deletion, and the threads that run them |
//! | `changes` | which times changed since when, so that answers computed before can be reused |
//! | `deleted` | what tombstones delete of a block |
//! | `snapshot`, `damage` | copies of a running store; damage of the WAL in words |
//! | `disk` | room on the disk and the reserve of it |
//! | [`verify`], [`inspect`] | a data directory nobody has open: checked, looked at |
//! | [`rocks`] | the only place that names RocksDB; builds and parses every key |
//!
//! # Write path
//! [`Store::write`] pins the open generation, then: `write::check` resolves each series by a hash of
//! its raw label bytes (`Identity::finder`; only a miss reads labels, validates and interns them, in groups) and
//! holds times against the bounds; `Wal::append` makes the body durable, many requests to one sync;
//! `write::apply` appends to the chunks. Only then is the request acknowledged.
//!
//! # Seal
//! A generation ends by bytes, by age or at shutdown. `rotate` puts a new one with a new WAL file in
//! its place; the old one is written series by series, in `series::series_order`, to one block for
//! each day it touches; the files are ingested; one synced write to the catalog makes the blocks
//! exist and the WAL file obsolete; the version is swapped; the WAL file is deleted.
//!
//! # Read path
//! [`Store::reader`] takes the current version. `Reader::select` asks each part of it, blocks and
//! generations, for the series that satisfy the matchers, joins them by label set, and reads their
//! samples in batches, joined by the conflict rule.
//!
//! # Invariants
//! - What is acknowledged is in a WAL file that is synced, or in a block with a row in the catalog.
//! - A request lies in the WAL file of the generation that has its samples (`Inner::open` is held
//!   shared from one to the other; rotation takes it exclusively).
//! - Generations finish in order: one at a time is sealed, and the catalog's newest finished
//!   generation vouches for all before it.
//! - Each sample of a version is in one of its parts, or the same sample in several, which the
//!   conflict rule makes one.
//! - Nothing reaches the WAL that replay could refuse: all is checked before, and replay obeys the
//!   stored verdicts in place of limits.
//! - Ids of the head mean something only with their `Identity`, ids of a block only in it. Neither
//!   ever changes meaning.
//! - There is no transaction over several requests, and no order of writes: the conflict rule gives
//!   the same result in any order.
//!
//! # Lock order
//! `Work::merging`, then `Work::sealing`, then `Work::wal_files`, then `Inner::open`, then
//! `Inner::version`; a lock may be left out, never taken before one of those. In the head: the index
//! of a tenant, then the table of hashes; the lock of an extent is held alone. The WAL's own lock
//! and that of `Work::sealed` are leaves.
//!
//! When you add something to a request, also give it a bit in the verdicts (`write::items`), a place
//! in [`metrics::samples::SeriesSamples`] or beside it, and a column in the block.

mod cache;
pub mod catalog;
mod changes;
mod clock;
mod config;
mod damage;
mod deleted;
mod disk;
pub mod encoding;
pub mod envelope;
pub mod error;
mod faults;
pub mod index;
pub mod inspect;
pub mod logs;
pub mod maintenance;
pub mod metrics;
mod open;
mod reader;
pub mod rocks;
pub mod series;
mod snapshot;
mod stats;
mod store;
mod strings;
pub mod verify;
mod version;
mod wal;
mod write;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{Background, Durability, StoreConfig};
pub use disk::DiskReserve;
pub use error::{Error, ErrorKind, Result};
pub use maintenance::{LogDeletion, LogDeletionStatus};
pub use reader::{ReadLimits, Reader, Stop};
pub use stats::StoreStats;
pub use store::Store;

#[cfg(test)]
mod tests;
