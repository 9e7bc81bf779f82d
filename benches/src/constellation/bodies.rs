//! Scrapes of a constellation as remote-write bodies in files: live ones in order of scrapes, pass
//! dumps in lanes of their own.

use std::path::{Path, PathBuf};

use ephemeris_ingest::body::compress_snappy;
use ephemeris_ingest::proto::write_v1::{Label, TimeSeries};
use prost::Message as _;

use super::entities::Entity;
use super::{Arrival, Constellation};
use crate::Result;
use crate::recorded::LaneWriter;
use crate::workload::{Body, SAMPLES_PER_BODY_MAX, append_series};

/// The value that ends a series.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// A file for each connection.
    pub lanes: Vec<PathBuf>,
    /// Samples in all bodies, repeats and staleness markers included.
    pub sent_count: usize,
    /// Different samples: what a store holds, staleness markers left out.
    pub stored_count: usize,
    /// Label sets that ever appear.
    pub series_count: usize,
    /// Time of the newest sample.
    pub last_ms: i64,
}

/// An entity with the identity and encoded labels its series had last.
type Known = (Entity, Option<(i64, u64)>, Vec<Vec<u8>>);

/// What one connection sends.
struct Lane<'a> {
    constellation: &'a Constellation,
    /// The entities of this lane.
    known: Vec<Known>,
    message: Vec<u8>,
    pending: usize,
    writer: LaneWriter,
    manifest: Manifest,
}

/// Writes all scrapes to files in `dir`: `connection_count` lanes of what is live, and as many for
/// pass dumps if there are any.
///
/// # Errors
/// If a file cannot be written.
pub fn record(of: &Constellation, connection_count: usize, dir: &Path) -> Result<Manifest> {
    let mut all = Manifest::default();
    for (name, is_dump) in [("live", false), ("dump", true)] {
        let entities: Vec<Entity> =
            of.tier.entities().filter(|e| of.is_dumping(*e) == is_dump).collect();
        let per_lane = entities.len().div_ceil(connection_count.max(1)).max(1);
        for (n, chunk) in entities.chunks(per_lane).enumerate() {
            let writer = LaneWriter::create(&dir.join(format!("{name}-{n}")))?;
            let lane = Lane {
                constellation: of,
                known: chunk.iter().map(|e| (*e, None, Vec::new())).collect(),
                message: Vec::new(),
                pending: 0,
                writer,
                manifest: Manifest { last_ms: i64::MIN, ..Manifest::default() },
            };
            let part = lane.write(is_dump)?;
            all.lanes.extend(part.lanes);
            all.sent_count += part.sent_count;
            all.stored_count += part.stored_count;
            all.series_count += part.series_count;
            all.last_ms = all.last_ms.max(part.last_ms);
        }
    }
    Ok(all)
}

impl Lane<'_> {
    fn write(mut self, is_dump: bool) -> Result<Manifest> {
        let (entities, scrapes) = (self.known.len(), self.constellation.scrape_count);
        if is_dump {
            // One after the other, each with all it has.
            for at in 0..entities {
                for scrape in 0..scrapes {
                    self.scrape(at, scrape)?;
                }
            }
        } else {
            for scrape in 0..scrapes {
                for at in 0..entities {
                    self.scrape(at, scrape)?;
                }
            }
        }
        self.send()?;
        self.manifest.lanes.push(self.writer.finish()?);
        Ok(self.manifest)
    }

    fn scrape(&mut self, at: usize, number: usize) -> Result<()> {
        let entity = self.known[at].0;
        // A repeat comes before the next scrape, so series stay in order of time.
        if number > 0 && self.constellation.arrival(entity, number - 1) == Arrival::Repeated {
            self.append(at, self.constellation.scrape_ms(entity, number - 1), 0)?;
        }
        if self.constellation.arrival(entity, number) == Arrival::Missed {
            return Ok(());
        }
        self.append(at, self.constellation.scrape_ms(entity, number), 1)
    }

    /// Appends all series of an entity at a time; `counts` is 0 for a repeat.
    fn append(&mut self, at: usize, time_ms: i64, counts: usize) -> Result<()> {
        let entity = self.known[at].0;
        let metrics = entity.group.metrics();
        let identity = self.constellation.identity(entity, time_ms);
        if self.known[at].1 != Some(identity) {
            let labels = metrics.iter().map(|metric| {
                let labels = self.constellation.labels(entity, metric, time_ms);
                let labels = labels.iter().map(|(name, value)| Label::new(name, value)).collect();
                TimeSeries { labels, ..TimeSeries::default() }.encode_to_vec()
            });
            let new: Vec<Vec<u8>> = labels.collect();
            let old = std::mem::replace(&mut self.known[at].2, new);
            for (old, new) in old.iter().zip(&self.known[at].2) {
                if old != new {
                    append_series(&mut self.message, old, time_ms, f64::from_bits(STALE_BITS));
                    self.pending += 1;
                    self.manifest.sent_count += 1;
                    self.manifest.series_count += 1;
                }
            }
            self.manifest.series_count += if old.is_empty() { metrics.len() } else { 0 };
            self.known[at].1 = Some(identity);
        }
        for (metric, labels) in metrics.iter().zip(&self.known[at].2) {
            let value = self.constellation.value(entity, metric, time_ms);
            append_series(&mut self.message, labels, time_ms, value);
        }
        self.pending += metrics.len();
        self.manifest.sent_count += metrics.len();
        self.manifest.stored_count += metrics.len() * counts;
        self.manifest.last_ms = self.manifest.last_ms.max(time_ms);
        if self.pending + 64 > SAMPLES_PER_BODY_MAX { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        if self.pending > 0 {
            let bytes = compress_snappy(&self.message)?;
            self.writer.push(&Body { bytes, sample_count: self.pending })?;
        }
        self.message.clear();
        self.pending = 0;
        Ok(())
    }
}
