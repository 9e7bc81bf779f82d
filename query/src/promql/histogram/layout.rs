//! Spans: which buckets there are.

use ephemeris_model::{FloatHistogram, Span};

use super::buckets::indexed;
use super::is_custom;

/// Spans and counts of one side of a histogram, built from bucket to bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Side {
    pub(super) spans: Vec<Span>,
    pub(super) counts: Vec<f64>,
    /// Index after the last bucket.
    end: i32,
}

impl Side {
    /// Adds bucket `index`, which lies above all before. Spans that touch become one.
    pub(super) fn push(&mut self, index: i32, count: f64) {
        let gap = index.saturating_sub(self.end);
        match self.spans.last_mut() {
            Some(span) if gap <= 0 => span.length += 1,
            _ => {
                let offset = if self.spans.is_empty() { index } else { gap };
                self.spans.push(Span { offset, length: 1 });
            }
        }
        self.end = index.saturating_add(1);
        self.counts.push(count);
    }

    /// Adds `count` to bucket `index`, which is the last one or lies above it.
    pub(super) fn add(&mut self, index: i32, count: f64) {
        match self.counts.last_mut() {
            Some(last) if self.end == index.saturating_add(1) => *last += count,
            _ => self.push(index, count),
        }
    }
}

impl FromIterator<(i32, f64)> for Side {
    fn from_iter<I: IntoIterator<Item = (i32, f64)>>(buckets: I) -> Self {
        let mut side = Self::default();
        for (index, count) in buckets {
            side.push(index, count);
        }
        side
    }
}

/// Whether spans are as [`Side::push`] would make them: none empty, none touching the next.
fn is_tidy(spans: &[Span]) -> bool {
    spans.iter().all(|span| span.length > 0) && spans.iter().skip(1).all(|span| span.offset > 0)
}

/// Removes empty buckets, and the spans with them.
pub fn compact(histogram: &mut FloatHistogram) {
    compact_side(&mut histogram.positive_spans, &mut histogram.positive_buckets);
    compact_side(&mut histogram.negative_spans, &mut histogram.negative_buckets);
}

fn compact_side(spans: &mut Vec<Span>, counts: &mut Vec<f64>) {
    if is_tidy(spans) && counts.iter().all(|count| *count != 0.0) {
        return;
    }
    let side: Side = indexed(spans, counts).filter(|(_, count)| *count != 0.0).collect();
    *spans = side.spans;
    *counts = side.counts;
}

/// Index in `schema - by` of bucket `index` of `schema`.
pub(super) const fn coarser_index(index: i32, by: u32) -> i32 {
    let shift = if by > 31 { 31 } else { by };
    (index.saturating_sub(1) >> shift).saturating_add(1)
}

/// One side with each 2^`by` buckets become one.
pub(super) fn coarser(spans: &[Span], counts: &[f64], by: u32) -> Side {
    let mut side = Side::default();
    for (index, count) in indexed(spans, counts) {
        side.add(coarser_index(index, by), count);
    }
    side
}

/// Brings an exponential histogram to a lower `schema`. Does nothing where that is not lower.
pub fn reduce_resolution(histogram: &mut FloatHistogram, schema: i32) {
    if is_custom(histogram) || schema >= histogram.schema {
        return;
    }
    let by = histogram.schema.abs_diff(schema);
    let positive = coarser(&histogram.positive_spans, &histogram.positive_buckets, by);
    let negative = coarser(&histogram.negative_spans, &histogram.negative_buckets, by);
    (histogram.positive_spans, histogram.positive_buckets) = (positive.spans, positive.counts);
    (histogram.negative_spans, histogram.negative_buckets) = (negative.spans, negative.counts);
    histogram.schema = schema;
}

/// The buckets either side has, each with both counts (zero where a side has none).
pub(super) fn zip_union<'a>(
    a: impl Iterator<Item = (i32, f64)> + 'a,
    b: impl Iterator<Item = (i32, f64)> + 'a,
) -> impl Iterator<Item = (i32, f64, f64)> + 'a {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || {
        let index = match (a.peek(), b.peek()) {
            (Some((i, _)), Some((j, _))) => *i.min(j),
            (Some((i, _)), None) | (None, Some((i, _))) => *i,
            (None, None) => return None,
        };
        let from_a = a.next_if(|(i, _)| *i == index).map_or(0.0, |(_, count)| count);
        let from_b = b.next_if(|(i, _)| *i == index).map_or(0.0, |(_, count)| count);
        Some((index, from_a, from_b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::samples::any_histogram;
    use proptest::prelude::*;

    #[test]
    fn touching_spans_become_one() {
        let side: Side = [(-1, 1.0), (0, 2.0), (3, 3.0)].into_iter().collect();
        let wanted = [Span { offset: -1, length: 2 }, Span { offset: 2, length: 1 }];
        assert_eq!(side.spans, wanted);
    }

    #[test]
    fn a_bucket_and_its_neighbour_become_one() {
        // Schema 1 to 0: (1, 1.41] and (1.41, 2] become (1, 2].
        assert_eq!(coarser_index(1, 1), 1);
        assert_eq!(coarser_index(2, 1), 1);
        assert_eq!(coarser_index(0, 1), 0);
        assert_eq!(coarser_index(-1, 1), 0);
    }

    proptest! {
        #[test]
        fn compacting_keeps_what_is_there(mut histogram in any_histogram()) {
            let full = |h: &FloatHistogram| -> Vec<(i32, f64)> {
                indexed(&h.positive_spans, &h.positive_buckets).filter(|b| b.1 != 0.0).collect()
            };
            let before = full(&histogram);
            compact(&mut histogram);
            prop_assert!(is_tidy(&histogram.positive_spans));
            prop_assert_eq!(full(&histogram), before.clone());
            prop_assert_eq!(histogram.positive_buckets.len(), before.len());
        }

        #[test]
        fn lower_resolution_keeps_the_total(mut histogram in any_histogram()) {
            let total: f64 = histogram.positive_buckets.iter().sum();
            reduce_resolution(&mut histogram, -4);
            let after: f64 = histogram.positive_buckets.iter().sum();
            prop_assert_eq!(total, after);
        }
    }
}
