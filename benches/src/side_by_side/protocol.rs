//! The protocol bodies go by, and which peers take it: asked of each, since it depends on the
//! version.

use std::path::{Path, PathBuf};

use ephemeris_ingest::body;
use ephemeris_ingest::proto::write_v2;
use prost::Message as _;

use super::peer::{Kind, Peer};
use crate::client::Client;
use crate::recorded::{LaneReader, LaneWriter};
use crate::send::{Translate, Way};
use crate::workload::Body;
use crate::{Result, fail, translate};

/// What bodies are written in. Every server that takes part gets the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Remote write 1.0.
    RemoteWrite1,
    /// Remote write 2.0.
    RemoteWrite2,
    /// OTLP over HTTP in protobuf, a resource for each instance, not compressed.
    Otlp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RemoteWrite1, Self::RemoteWrite2, Self::Otlp];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RemoteWrite1 => "rw1",
            Self::RemoteWrite2 => "rw2",
            Self::Otlp => "otlp",
        }
    }

    /// The protocol with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|protocol| protocol.name() == name) {
            Some(protocol) => Ok(protocol),
            None => {
                let names = Self::ALL.map(Self::name).join(", ");
                fail(format!("protocol is {name:?}; there are {names}"))
            }
        }
    }

    /// How recorded bodies go to a server of this kind.
    #[must_use]
    pub const fn way(self, kind: Kind) -> Way {
        match (self, kind) {
            (Self::RemoteWrite1, _) => Way::REMOTE_WRITE_1,
            (Self::RemoteWrite2, _) => Way::REMOTE_WRITE_2,
            (Self::Otlp, Kind::Ephemeris) => Way::OTLP,
            (Self::Otlp, Kind::Prometheus) => Way { path: "/api/v1/otlp/v1/metrics", ..Way::OTLP },
            (Self::Otlp, Kind::VictoriaMetrics) => {
                Way { path: "/opentelemetry/v1/metrics", ..Way::OTLP }
            }
        }
    }

    const fn translate(self) -> Option<Translate> {
        match self {
            Self::RemoteWrite1 => None,
            Self::RemoteWrite2 => Some(translate::remote_write_2),
            Self::Otlp => Some(translate::otlp_by_instance),
        }
    }

    /// Writes lanes of remote write 1.0 anew in this protocol, beside the old ones, which are
    /// removed.
    ///
    /// # Errors
    /// If they cannot be read or written.
    pub fn record(self, lanes: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
        let Some(translate) = self.translate() else { return Ok(lanes) };
        let anew = |lane: PathBuf| {
            let path = lane.with_extension(self.name());
            let (mut reader, mut bytes) = (LaneReader::open(&lane)?, Vec::new());
            let mut writer = LaneWriter::create(&path)?;
            while let Some(sample_count) = reader.next(&mut bytes)? {
                writer.push(&Body { bytes: translate(&bytes)?, sample_count })?;
            }
            std::fs::remove_file(&lane)?;
            writer.finish()
        };
        lanes.into_iter().map(anew).collect()
    }

    /// Whether a server takes it. Old ones answer remote write 2.0 as if they did and keep nothing:
    /// who does keep it says how much was written.
    ///
    /// # Errors
    /// If the server does not start or answer.
    pub fn is_taken_by(self, peer: &Peer, dir: &Path) -> Result<bool> {
        let request = match self {
            Self::RemoteWrite1 => return Ok(true),
            Self::RemoteWrite2 => {
                let symbols = write_v2::SymbolTable::default().into_symbols();
                let empty = write_v2::Request { symbols, ..write_v2::Request::default() };
                body::compress_snappy(&empty.encode_to_vec())?
            }
            Self::Otlp => Vec::new(),
        };
        let server = peer.start(dir)?;
        let way = self.way(peer.kind);
        let answer = Client::connect(server.address())?.post(way.path, way.headers, &request)?;
        server.kill()?;
        let told = self != Self::RemoteWrite2 || answer.samples_written.is_some();
        Ok(answer.status < 300 && told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Shape, Workload};

    #[test]
    fn every_protocol_has_a_name() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::named(protocol.name()).expect("it is one"), protocol);
        }
        let error = Protocol::named("rw3").expect_err("there is none").to_string();
        assert_eq!(error, "protocol is \"rw3\"; there are rw1, rw2, otlp");
    }

    #[test]
    fn lanes_written_anew_have_as_many_bodies_and_samples() {
        let read = |path: &Path| {
            let (mut reader, mut bytes) = (LaneReader::open(path).expect("a lane"), Vec::new());
            let mut all = Vec::new();
            while let Some(samples) = reader.next(&mut bytes).expect("whole") {
                all.push((samples, bytes.clone()));
            }
            all
        };
        for protocol in Protocol::ALL {
            let dir = tempfile::tempdir().expect("a directory");
            let shape = Shape {
                series_count: 64,
                scrape_count: 3,
                connection_count: 2,
                interval_ms: 15_000,
                start_ms: 1_700_000_000_000,
                seed: 5,
            };
            let (_, lanes) = Workload::record(&shape, dir.path()).expect("written");
            let before: Vec<_> = lanes.iter().map(|lane| read(lane)).collect();
            let anew = protocol.record(lanes.clone()).expect("written");
            assert_eq!(anew.len(), before.len());
            for ((lane, before), path) in lanes.iter().zip(before).zip(&anew) {
                let bodies = read(path);
                let counts = |bodies: &[(usize, Vec<u8>)]| -> Vec<usize> {
                    bodies.iter().map(|(samples, _)| *samples).collect()
                };
                assert_eq!(counts(&bodies), counts(&before));
                let same = protocol == Protocol::RemoteWrite1;
                assert_eq!((bodies == before, lane.exists()), (same, same));
            }
        }
    }
}
