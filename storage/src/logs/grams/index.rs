//! Finds the rows of a text.

use super::{GRAM_BYTES, Layout, row_of, value_number};
use crate::encoding::{Damage, Input, put_varint};
use crate::metrics::codec::integers;

/// Rows looked at for all needles together, at most: each costs the reading of a value.
const ROWS_MAX: usize = 16;
/// Bounds of what a block may say.
const ROW_BITS_RANGE: std::ops::RangeInclusive<u32> = 10..=24;
const STRIPE_PAGES_MAX: u32 = 1 << 13;
const GROUPS_MAX: usize = 1 << 20;

/// How the rows of a block lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GramIndex {
    row_bits: u32,
    stripe_pages: u32,
    /// The first page of each group of streams, and the number of all pages.
    first_pages: Vec<u32>,
}

/// A page among those of a stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripePlace {
    /// The stripe.
    pub stripe: u32,
    /// Its place there.
    pub at: u32,
}

impl GramIndex {
    pub(super) fn new(row_bits: u32, stripe_pages: u32, group_pages: &[u32]) -> Self {
        let mut first_pages = vec![0];
        let mut total = 0_u32;
        for pages in group_pages {
            total = total.saturating_add(*pages);
            first_pages.push(total);
        }
        Self { row_bits, stripe_pages, first_pages }
    }

    /// Where a page of a group of streams lies; `None` if there is no such page.
    #[must_use]
    pub fn place(&self, group: u32, at: usize) -> Option<StripePlace> {
        let [first, end] = *self.first_pages.get(group as usize..)?.first_chunk()?;
        let page = first.checked_add(u32::try_from(at).ok()?).filter(|page| *page < end)?;
        Some(StripePlace { stripe: page / self.stripe_pages, at: page % self.stripe_pages })
    }

    /// For the pages of a stripe a bit: whether a page may hold all needles. `rows` hands the body
    /// of a value to what it is given.
    ///
    /// # Errors
    /// What `rows` returns, or if a body is damaged.
    pub fn candidates<E>(
        &self,
        stripe: u32,
        needles: &[Vec<u8>],
        mut rows: impl FnMut(u32, &mut dyn FnMut(&[u8]) -> Result<(), Damage>) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let total = self.first_pages.last().copied().unwrap_or(0);
        let before = stripe.saturating_mul(self.stripe_pages);
        let pages = total.saturating_sub(before).min(self.stripe_pages);
        let layout = Layout::of(pages, self.row_bits);
        let mut found = vec![0xff; layout.width];
        for row in self.rows_of(needles) {
            let value = u32::try_from(row / layout.value_rows).unwrap_or(u32::MAX);
            rows(value_number(stripe, value), &mut |body| {
                if body.len() != layout.width * layout.value_rows {
                    return Err(Damage("rows of grams have another length"));
                }
                let start = row % layout.value_rows * layout.width;
                let bits = body.get(start..start + layout.width).unwrap_or_default();
                found.iter_mut().zip(bits).for_each(|(found, bits)| *found &= bits);
                Ok(())
            })?;
            if found.iter().all(|bits| *bits == 0) {
                break;
            }
        }
        Ok(found)
    }

    /// Rows of the needles' grams, those first that few pages have as a rule: nearly every page
    /// has every four digits.
    fn rows_of(&self, needles: &[Vec<u8>]) -> Vec<usize> {
        let mut grams: Vec<[u8; GRAM_BYTES]> =
            needles.iter().flat_map(|needle| needle.array_windows().copied()).collect();
        grams.sort_unstable();
        grams.dedup();
        grams.sort_by_key(|gram| gram.iter().filter(|byte| byte.is_ascii_digit()).count());
        grams.iter().take(ROWS_MAX).map(|gram| row_of(*gram, self.row_bits)).collect()
    }

    /// Whether rows can say anything about a needle.
    #[must_use]
    pub fn knows(needles: &[Vec<u8>]) -> bool {
        needles.iter().any(|needle| needle.len() >= GRAM_BYTES)
    }

    /// Bytes of memory, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.first_pages.len() * 4 + 64
    }

    /// The body of its value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, u64::from(self.row_bits));
        put_varint(&mut out, u64::from(self.stripe_pages));
        put_varint(&mut out, self.first_pages.len() as u64);
        let first: Vec<i64> = self.first_pages.iter().map(|&page| i64::from(page)).collect();
        integers::encode(&first, &mut out);
        out
    }

    /// Reads the body of a value.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn decode(body: &[u8]) -> Result<Self, Damage> {
        const BAD: Damage = Damage("a number of the rows of grams is out of range");
        let mut input = Input::new(body);
        let (row_bits, stripe_pages) = (input.varint_u32()?, input.varint_u32()?);
        let is_known =
            ROW_BITS_RANGE.contains(&row_bits) && (1..=STRIPE_PAGES_MAX).contains(&stripe_pages);
        if !is_known {
            return Err(BAD);
        }
        let len = input.count_up_to(GROUPS_MAX)?;
        let mut first = Vec::new();
        integers::decode(&mut input, len, 0..len, &mut first)?;
        input.end()?;
        let page = |page: i64| u32::try_from(page).map_err(|_| BAD);
        let first_pages: Vec<u32> = first.into_iter().map(page).collect::<Result<_, _>>()?;
        let total = first_pages.last().copied().unwrap_or(0);
        // Numbers of values must fit below that of the index.
        let fits = u64::from(total / stripe_pages) << super::STRIPE_VALUES_BITS
            < u64::from(super::INDEX_NUMBER);
        if first_pages.first() != Some(&0) || !first_pages.is_sorted() || !fits {
            return Err(BAD);
        }
        Ok(Self { row_bits, stripe_pages, first_pages })
    }
}
