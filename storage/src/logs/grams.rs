//! Which pages may hold a text: rows of 4-grams over pages.
//!
//! Every four neighbouring bytes of a page's lines are hashed to a row, in which the page has a
//! bit. A page whose bit is missing in a row of a text does not hold that text. Up to 512
//! neighbouring pages make a stripe, a matrix of its own that never joins another.
//! `docs/formats/log-block.md` draws it.

mod index;
mod writer;

#[cfg(test)]
mod tests;

pub use index::GramIndex;
pub(crate) use writer::GramWriter;

/// Bytes of a gram.
pub(crate) const GRAM_BYTES: usize = 4;
/// Rows are numbered by so many bits.
const ROW_BITS: u32 = if cfg!(test) { 10 } else { 18 };
/// Pages of a stripe.
const STRIPE_PAGES: u32 = if cfg!(test) { 16 } else { 512 };
/// A block of fewer pages has no rows: reading all is as good.
const PAGES_MIN: u32 = if cfg!(test) { 2 } else { 8 };
/// A value holds about this much of a stripe.
const VALUE_BYTES: usize = 16 << 10;
/// Values of a stripe at most, as a power of two.
const STRIPE_VALUES_BITS: u32 = 10;
/// The number of the value that tells of all others.
pub(crate) const INDEX_NUMBER: u32 = 1 << 31;

/// The row of a gram.
#[expect(clippy::inline_always, reason = "it is called for every byte of every line")]
#[inline(always)]
const fn row_of(gram: [u8; GRAM_BYTES], row_bits: u32) -> usize {
    (u32::from_le_bytes(gram).wrapping_mul(0x9e37_79b1) >> (32 - row_bits)) as usize
}

/// How the matrix of a stripe is cut into values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// Bytes of a row: a bit for each page.
    width: usize,
    /// Rows in a value.
    value_rows: usize,
}

impl Layout {
    const fn of(pages: u32, row_bits: u32) -> Self {
        let width = pages.div_ceil(8) as usize;
        let rows = 1 << row_bits;
        let least = rows >> STRIPE_VALUES_BITS;
        let divisor = if width == 0 { 1 } else { width };
        let wanted = (VALUE_BYTES / divisor).next_power_of_two();
        let wanted = if wanted < least { least } else { wanted };
        Self { width, value_rows: if wanted > rows { rows } else { wanted } }
    }
}

/// The number of a value of a stripe.
const fn value_number(stripe: u32, value: u32) -> u32 {
    stripe << STRIPE_VALUES_BITS | value
}
