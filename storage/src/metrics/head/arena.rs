//! Memory of chunks: segments of 32, 32, 64, then 128 bytes, chained, never freed one by one.
//!
//! The first four bytes of a segment are the number of the next one, the rest is data. A number
//! counts units of 32 bytes over all slabs. Segments do not cross slabs.

/// Bytes in a unit; segments are whole units.
const UNIT_BYTES: usize = 32;
/// Bytes of a slab: what is asked of the allocator at once. The allocator cuts its pages of 512 KiB
/// without loss into pieces this small; of larger ones a part of each page is lost.
const SLAB_BYTES: usize = 16 << 10;
/// Units in a slab.
const SLAB_UNITS: usize = SLAB_BYTES / UNIT_BYTES;
/// Bytes of a segment that hold the number of the next.
pub(super) const LINK_BYTES: usize = 4;

/// Bytes of the `ordinal`-th segment of a chain.
pub(super) const fn segment_bytes(ordinal: u8) -> usize {
    match ordinal {
        0 | 1 => 32,
        2 => 64,
        _ => 128,
    }
}

/// Segments of the chunks of one extent.
#[derive(Default)]
pub(super) struct Arena {
    slabs: Vec<Box<[u8]>>,
    /// Units given out in the last slab.
    used: usize,
}

impl Arena {
    /// Bytes asked of the allocator.
    pub(super) fn bytes(&self) -> usize {
        self.slabs.len() * SLAB_BYTES
    }

    /// A new segment for place `ordinal` of a chain.
    pub(super) fn allocate(&mut self, ordinal: u8) -> u32 {
        let units = segment_bytes(ordinal) / UNIT_BYTES;
        if self.slabs.is_empty() || self.used + units > SLAB_UNITS {
            self.slabs.push(vec![0; SLAB_BYTES].into_boxed_slice());
            self.used = 0;
        }
        let unit = (self.slabs.len() - 1) * SLAB_UNITS + self.used;
        self.used += units;
        // 2^32 units are 128 GiB in one extent, which a generation's limits keep far away.
        u32::try_from(unit).unwrap_or(u32::MAX)
    }

    /// The bytes of segment `number`, which is at place `ordinal` of its chain.
    pub(super) fn segment(&self, number: u32, ordinal: u8) -> &[u8] {
        let at = number as usize;
        let start = at % SLAB_UNITS * UNIT_BYTES;
        &self.slabs[at / SLAB_UNITS][start..start + segment_bytes(ordinal)]
    }

    /// As [`Arena::segment`], to write.
    pub(super) fn segment_mut(&mut self, number: u32, ordinal: u8) -> &mut [u8] {
        let at = number as usize;
        let start = at % SLAB_UNITS * UNIT_BYTES;
        &mut self.slabs[at / SLAB_UNITS][start..start + segment_bytes(ordinal)]
    }
}
