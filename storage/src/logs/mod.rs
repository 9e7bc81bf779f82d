//! Logs: the entries of streams, in the head and in blocks. Who the streams are is told by the
//! same identities and the same index as for series; only the payload differs.
//!
//! | module | holds |
//! |---|---|
//! | `rows` | entries of one stream as columns, being collected or decoded |
//! | `page` | their encoded form ([format](../../../docs/formats/log-block.md)) |
//! | `digits` | digits taken out of a text and put back |
//! | `text` | lines of a page, packed: digits among them or apart |
//! | `search` | entries of a page whose lines fulfil conditions |
//! | `counts` | entries of a page by minute and level |
//! | `grams` | rows that tell which pages may hold a text |
//! | `head` | what was written since the last rotation: full pages and an open run for each stream |
//! | `write` | one request: check everything, then apply what is good |
//! | `block` | sealed blocks of pages |
//! | `deleted` | what is deleted of a log block |
//! | `merge` | pages of one stream from several places, read in order of time |

pub mod block;
pub mod counts;
pub(crate) mod deleted;
mod digits;
pub mod grams;
pub(crate) mod head;
pub(crate) mod merge;
pub mod page;
pub mod rows;
pub mod search;
pub mod text;
pub(crate) mod write;

#[cfg(test)]
mod tests;

/// Nanoseconds as milliseconds, rounded down.
pub(crate) const fn millis(ns: i64) -> ephemeris_model::TimestampMs {
    ephemeris_model::TimestampMs(ns.div_euclid(ephemeris_model::logs::NANOS_PER_MILLI))
}
