//! The manifest of a block: what it is, what a reader must understand, which tenants it holds.

use ephemeris_model::{TimeRange, TimestampMs};

use crate::catalog::Payload;
use crate::encoding::{Damage, Input, put_varint, put_zigzag};
use crate::index::{IndexPlace, ItemRef};
use crate::series::TenantId;

/// Version of the block format.
pub const FORMAT_VERSION: u16 = 1;
/// Version of the order of series.
const SORT_ORDER_VERSION: u8 = 1;
/// Features a reader must know, by bit: the block holds log entries.
const FEATURE_ENTRIES: u32 = 1;
const FEATURES_KNOWN: u32 = FEATURE_ENTRIES;

/// The manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What its series have.
    pub payload: Payload,
    /// The partition.
    pub range: TimeRange,
    /// Time of the earliest sample.
    pub min_time: TimestampMs,
    /// Time of the latest sample, inclusive.
    pub max_time: TimestampMs,
    /// How often the samples were merged.
    pub level: u8,
    /// Number of series.
    pub series_count: u32,
    /// Number of samples, histograms included, or of log entries.
    pub sample_count: u64,
    /// Number of samples that are histograms.
    pub histogram_count: u64,
    /// Number of pages of values, or of values with pages of log entries.
    pub value_page_count: u32,
    /// Number of distinct time vectors.
    pub time_vector_count: u32,
    /// The tenants, ascending; their series follow one another.
    pub tenants: Vec<TenantPlace>,
}

/// A tenant's part of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantPlace {
    /// The tenant.
    pub tenant: TenantId,
    /// Its first series.
    pub first_series: u32,
    /// Its index.
    pub index: IndexPlace,
}

impl Manifest {
    /// The manifest's body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        let features = if self.payload == Payload::Entries { FEATURE_ENTRIES } else { 0 };
        out.extend_from_slice(&features.to_le_bytes());
        out.extend_from_slice(&[SORT_ORDER_VERSION, self.level]);
        for time in [self.range.start, self.range.end, self.min_time, self.max_time] {
            put_zigzag(&mut out, time.0);
        }
        put_varint(&mut out, u64::from(self.series_count));
        put_varint(&mut out, self.sample_count);
        put_varint(&mut out, self.histogram_count);
        put_varint(&mut out, u64::from(self.value_page_count));
        put_varint(&mut out, u64::from(self.time_vector_count));
        put_varint(&mut out, self.tenants.len() as u64);
        for place in &self.tenants {
            put_varint(&mut out, u64::from(place.tenant.0));
            put_varint(&mut out, u64::from(place.index.series_count));
            put_varint(&mut out, u64::from(place.index.first_label_page));
            place.index.names.put(&mut out);
        }
        out
    }

    /// Reads a manifest's body.
    ///
    /// # Errors
    /// If it is damaged or needs a newer version.
    pub fn decode(body: &[u8]) -> Result<Self, Damage> {
        let mut input = Input::new(body);
        if input.u16()? != FORMAT_VERSION {
            return Err(Damage("its format version is not known"));
        }
        let features = input.u32()?;
        if features & !FEATURES_KNOWN != 0 {
            return Err(Damage("it needs features of a newer version"));
        }
        let entries = features & FEATURE_ENTRIES != 0;
        let payload = if entries { Payload::Entries } else { Payload::Samples };
        if input.u8()? != SORT_ORDER_VERSION {
            return Err(Damage("its order of series is not known"));
        }
        let level = input.u8()?;
        let mut time = || input.zigzag().map(TimestampMs);
        let range = TimeRange::new(time()?, time()?);
        let (min_time, max_time) = (time()?, time()?);
        let series_count = input.varint_u32()?;
        let (sample_count, histogram_count) = (input.varint()?, input.varint()?);
        let (value_page_count, time_vector_count) = (input.varint_u32()?, input.varint_u32()?);
        let tenants = read_tenants(&mut input, series_count)?;
        input.end()?;
        Ok(Self {
            payload,
            range,
            min_time,
            max_time,
            level,
            series_count,
            sample_count,
            histogram_count,
            value_page_count,
            time_vector_count,
            tenants,
        })
    }
}

fn read_tenants(input: &mut Input<'_>, series_count: u32) -> Result<Vec<TenantPlace>, Damage> {
    const WRONG: Damage = Damage("the series of its tenants do not add up");
    let mut next = 0u32;
    let count = input.count()?;
    let mut tenants: Vec<TenantPlace> = Vec::with_capacity(count);
    for _ in 0..count {
        let tenant = TenantId(input.varint_u32()?);
        let index = IndexPlace {
            series_count: input.varint_u32()?,
            first_label_page: input.varint_u32()?,
            names: ItemRef::read(input)?,
        };
        if tenants.last().is_some_and(|last| last.tenant >= tenant) {
            return Err(Damage("its tenants are out of order"));
        }
        tenants.push(TenantPlace { tenant, first_series: next, index });
        next = next.checked_add(index.series_count).ok_or(WRONG)?;
    }
    if next == series_count { Ok(tenants) } else { Err(WRONG) }
}
