//! The row of a block: what the catalog knows of it without opening it.

use ephemeris_model::{TimeRange, TimestampMs};

use crate::encoding::{Damage, Input, put_varint, put_zigzag};

/// Version of the row's encoding, by what the block holds.
const VERSION_SAMPLES: u8 = 1;
const VERSION_ENTRIES: u8 = 2;
/// Entries that have the place of other blocks in the order of arrival.
const VERSION_ENTRIES_PLACED: u8 = 3;

/// Number of a block; never used twice in a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u32);

/// What the series of a block have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Samples.
    Samples,
    /// Log entries: its series are streams.
    Entries,
}

/// What the catalog knows of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockRow {
    /// Its number.
    pub id: BlockId,
    /// What its series have.
    pub payload: Payload,
    /// The partition: all its samples lie inside.
    pub range: TimeRange,
    /// Time of its earliest sample or exemplar.
    pub min_time: TimestampMs,
    /// Time of its latest sample or exemplar, inclusive.
    pub max_time: TimestampMs,
    /// How often its samples were merged: 0 for a block sealed from the head.
    pub level: u8,
    /// Size of its file.
    pub bytes: u64,
    /// Number of series.
    pub series_count: u64,
    /// Number of samples, histograms included, or of log entries.
    pub sample_count: u64,
    /// Its place in the order in which entries arrived: its own number, or for a block that was
    /// made of others that of the first of them.
    pub arrival: BlockId,
}

impl BlockRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let version = match self.payload {
            Payload::Samples => VERSION_SAMPLES,
            Payload::Entries if self.arrival == self.id => VERSION_ENTRIES,
            Payload::Entries => VERSION_ENTRIES_PLACED,
        };
        let mut out = vec![version, self.level];
        put_zigzag(&mut out, self.range.start.0);
        put_zigzag(&mut out, self.range.end.0);
        put_zigzag(&mut out, self.min_time.0);
        put_zigzag(&mut out, self.max_time.0);
        put_varint(&mut out, self.bytes);
        put_varint(&mut out, self.series_count);
        put_varint(&mut out, self.sample_count);
        if version == VERSION_ENTRIES_PLACED {
            put_varint(&mut out, u64::from(self.arrival.0));
        }
        out
    }

    pub(super) fn decode(id: BlockId, bytes: &[u8]) -> Result<Self, Damage> {
        let mut input = Input::new(bytes);
        let version = input.u8()?;
        let payload = match version {
            VERSION_SAMPLES => Payload::Samples,
            VERSION_ENTRIES | VERSION_ENTRIES_PLACED => Payload::Entries,
            _ => return Err(Damage("the version is not known")),
        };
        let level = input.u8()?;
        let mut time = || input.zigzag().map(TimestampMs);
        let range = TimeRange::new(time()?, time()?);
        let (min_time, max_time) = (time()?, time()?);
        let (bytes, series_count, sample_count) =
            (input.varint()?, input.varint()?, input.varint()?);
        let arrival = match version {
            VERSION_ENTRIES_PLACED => BlockId(input.varint_u32()?),
            _ => id,
        };
        input.end()?;
        Ok(Self {
            id,
            payload,
            range,
            min_time,
            max_time,
            level,
            bytes,
            series_count,
            sample_count,
            arrival,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_a_cut_one_is_damage() {
        let mut row = BlockRow {
            id: BlockId(5),
            payload: Payload::Entries,
            range: TimeRange::of_day(20_000),
            min_time: TimestampMs(-4),
            max_time: TimestampMs(i64::MAX),
            level: 2,
            bytes: 1 << 40,
            series_count: 3,
            sample_count: u64::MAX,
            arrival: BlockId(5),
        };
        for arrival in [5, 3] {
            row.arrival = BlockId(arrival);
            let bytes = row.encode();
            assert_eq!(BlockRow::decode(BlockId(5), &bytes).as_ref(), Ok(&row));
            for end in 0..bytes.len() {
                assert!(BlockRow::decode(BlockId(5), &bytes[..end]).is_err());
            }
        }
    }
}
