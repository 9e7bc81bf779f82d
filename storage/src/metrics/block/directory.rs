//! The directory: for a group of 4,096 series, the page each one is in, its flags and the number
//! of its time vector.
//!
//! ```text
//! group  := series count varint, starts of value pages, of histogram pages, of exemplars,
//!           flag runs, vector runs
//! starts := count varint, ( first number varint if there are any ), first series step varint ×
//! flags  := ( length varint, flags u8 ) ×           until all series are covered
//! vector := ( length varint, step zigzag ) ×        until all series are covered
//! ```

use crate::encoding::{Damage, Input, put_varint, put_zigzag};

/// Series in a group.
pub(super) const GROUP_SERIES: u32 = 4096;
/// The series has histograms.
pub(super) const HAS_HISTOGRAMS: u8 = 1;
/// The series has start timestamps.
pub(super) const HAS_STARTS: u8 = 2;
/// The series has exemplars.
pub(super) const HAS_EXEMPLARS: u8 = 4;
/// None of the samples is a staleness marker. Blocks written before this was noted lack it.
pub(super) const NEVER_STALE: u8 = 8;
const FLAGS_KNOWN: u8 = HAS_HISTOGRAMS | HAS_STARTS | HAS_EXEMPLARS | NEVER_STALE;

/// The values of one section that hold a group's series; numbers follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Starts {
    /// Number of the first value.
    pub(super) first_number: u32,
    /// The first series of each value, from the group's start.
    pub(super) series: Vec<u16>,
}

impl Starts {
    /// The value that holds `series`: its number, its first series and the first one after it.
    #[must_use]
    pub(super) fn find(&self, series: u16, series_count: u16) -> Option<(u32, u16, u16)> {
        let at = self.series.partition_point(|&start| start <= series).checked_sub(1)?;
        let number = self.first_number.checked_add(u32::try_from(at).ok()?)?;
        let end = self.series.get(at + 1).copied().unwrap_or(series_count);
        Some((number, self.series[at], end))
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.series.len() as u64);
        if self.series.is_empty() {
            return;
        }
        put_varint(out, u64::from(self.first_number));
        let mut last = 0;
        for &start in &self.series {
            put_varint(out, u64::from(start - last));
            last = start;
        }
    }

    fn read(input: &mut Input<'_>) -> Result<Self, Damage> {
        const WRONG: Damage = Damage("the starts of pages are out of order");
        let count = input.count()?;
        if count == 0 {
            return Ok(Self::default());
        }
        let first_number = input.varint_u32()?;
        let mut series: Vec<u16> = Vec::with_capacity(count);
        for _ in 0..count {
            let step = u16::try_from(input.varint()?).map_err(|_| WRONG)?;
            let start = series.last().map_or(Some(step), |last| last.checked_add(step));
            let ascends = series.is_empty() || step > 0;
            series.push(start.filter(|_| ascends).ok_or(WRONG)?);
        }
        Ok(Self { first_number, series })
    }
}

/// A group of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// Pages of values.
    pub(super) value_pages: Starts,
    /// Pages of histograms.
    pub(super) histogram_pages: Starts,
    /// Values of exemplars.
    pub(super) exemplars: Starts,
    /// Flags by series.
    pub(super) flags: Vec<u8>,
    /// Number of the time vector by series.
    pub(super) vectors: Vec<u32>,
}

impl Group {
    /// Number of series.
    #[must_use]
    pub(super) fn series_count(&self) -> u16 {
        u16::try_from(self.flags.len()).unwrap_or(u16::MAX)
    }

    /// Bytes of memory.
    #[must_use]
    pub(super) fn bytes(&self) -> usize {
        5 * self.flags.len() + 256
    }

    /// The group's body.
    #[must_use]
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.flags.len() as u64);
        for starts in [&self.value_pages, &self.histogram_pages, &self.exemplars] {
            starts.put(&mut out);
        }
        for run in self.flags.chunk_by(|a, b| a == b) {
            put_varint(&mut out, run.len() as u64);
            out.push(run[0]);
        }
        let mut last = 0;
        for run in self.vectors.chunk_by(|a, b| a == b) {
            put_varint(&mut out, run.len() as u64);
            put_zigzag(&mut out, i64::from(run[0]) - last);
            last = i64::from(run[0]);
        }
        out
    }

    /// Reads a group's body.
    ///
    /// # Errors
    /// If it is damaged.
    pub(super) fn decode(body: &[u8]) -> Result<Self, Damage> {
        let mut input = Input::new(body);
        let count = input.count_up_to(GROUP_SERIES as usize)?;
        let (value_pages, histogram_pages, exemplars) =
            (Starts::read(&mut input)?, Starts::read(&mut input)?, Starts::read(&mut input)?);
        let mut flags = Vec::with_capacity(count);
        while flags.len() < count {
            let length = input.count_up_to(count - flags.len())?;
            let flag = input.u8()?;
            if length == 0 || flag & !FLAGS_KNOWN != 0 {
                return Err(Damage("the flags of series are not known"));
            }
            flags.resize(flags.len() + length, flag);
        }
        let mut vectors = Vec::with_capacity(count);
        let mut last = 0i64;
        while vectors.len() < count {
            let length = input.count_up_to(count - vectors.len())?;
            last = last.wrapping_add(input.zigzag()?);
            let vector = u32::try_from(last).map_err(|_| Damage("a time vector is not known"))?;
            if length == 0 {
                return Err(Damage("a run of time vectors is empty"));
            }
            vectors.resize(vectors.len() + length, vector);
        }
        input.end()?;
        Ok(Self { value_pages, histogram_pages, exemplars, flags, vectors })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn starts(count: u16) -> impl Strategy<Value = Starts> {
        (any::<u32>(), proptest::collection::btree_set(0..count, 0..5)).prop_map(
            |(first_number, series)| {
                let series: Vec<u16> = series.into_iter().collect();
                Starts { first_number: if series.is_empty() { 0 } else { first_number }, series }
            },
        )
    }

    proptest! {
        #[test]
        fn a_group_comes_back(
            flags in proptest::collection::vec(0u8..16, 300),
            vectors in proptest::collection::vec(0u32..3, 300),
            (value_pages, histogram_pages, exemplars) in (starts(300), starts(300), starts(300)),
        ) {
            let group = Group { value_pages, histogram_pages, exemplars, flags, vectors };
            prop_assert_eq!(Group::decode(&group.encode()), Ok(group));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(0u8..20, 0..60)) {
            let _ = Group::decode(&bytes);
        }
    }

    #[test]
    fn a_series_is_found_in_its_page() {
        let starts = Starts { first_number: 7, series: vec![2, 5] };
        assert_eq!(starts.find(1, 9), None);
        assert_eq!(starts.find(4, 9), Some((7, 2, 5)));
        assert_eq!(starts.find(5, 9), Some((8, 5, 9)));
    }
}
