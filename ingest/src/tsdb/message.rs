//! What was read of a block, as a remote-write 2.0 message.

use prost::Message as _;

use super::Point;
use crate::body::Limits;
use crate::error::IngestError;
use crate::output::{FamilyInfo, NO_POINT, Output};

/// Bytes a float sample takes about.
const SAMPLE_BYTES: usize = 20;

/// A message being written, series by series. A series may come again in the next message.
#[derive(Debug)]
pub struct Message {
    out: Output,
    points: usize,
    bytes: usize,
    /// Samples before the open series.
    points_before: usize,
}

impl Default for Message {
    fn default() -> Self {
        let out = Output::new(Limits::default().batch_bytes_max);
        Self { out, points: 0, bytes: 0, points_before: 0 }
    }
}

impl Message {
    /// Samples so far.
    #[must_use]
    pub const fn points(&self) -> usize {
        self.points
    }

    /// About how many bytes the message has so far.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Begins a series.
    ///
    /// # Errors
    /// If the message is too large.
    pub fn open(&mut self, labels: &[(String, String)]) -> Result<(), IngestError> {
        let mut symbols = Vec::with_capacity(labels.len());
        for (name, value) in labels {
            symbols.push([self.out.symbol(name)?, self.out.symbol(value)?]);
            self.bytes += name.len() + value.len();
        }
        self.out.open(&symbols);
        self.points_before = self.points;
        Ok(())
    }

    /// Adds a sample to the open series.
    ///
    /// # Errors
    /// If the message is too large.
    pub fn push(&mut self, point: &Point) -> Result<(), IngestError> {
        self.points += 1;
        match point {
            Point::Float { timestamp_ms, value } => {
                self.bytes += SAMPLE_BYTES;
                self.out.sample(NO_POINT, *timestamp_ms, *value, 0)
            }
            Point::Histogram(histogram) => {
                let message = histogram.encode_to_vec();
                self.bytes += message.len();
                self.out.histogram(NO_POINT, &message)
            }
        }
    }

    /// Ends the open series; without a sample it is left out.
    ///
    /// # Errors
    /// If the message is too large.
    pub fn close(&mut self) -> Result<(), IngestError> {
        match self.points - self.points_before {
            0 => Ok(()),
            _ => self.out.close(FamilyInfo::default()),
        }
    }

    /// The message, not compressed ([`ephemeris_model::BodyKind::RemoteWrite2Plain`]).
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out.finish().0
    }
}
