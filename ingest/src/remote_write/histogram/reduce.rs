//! Histograms of a resolution not in use yet (schemas 9 to 52) are reduced to the highest that
//! is: neighbouring buckets are merged. Nothing else is ever changed in a histogram.

use std::ops::Add;

use ephemeris_model::{Histogram, HistogramCounts, Span};

/// The highest schema in use.
pub(super) const SCHEMA_MAX: i32 = 8;
/// The highest schema the specification keeps for later.
pub(super) const SCHEMA_RESERVED_MAX: i32 = 52;

/// The histogram with a schema of at most [`SCHEMA_MAX`]. It was checked before, so spans cover
/// the buckets and indices have 32 bits.
pub(super) fn to_highest_schema(mut h: Histogram) -> Histogram {
    if !(SCHEMA_MAX + 1..=SCHEMA_RESERVED_MAX).contains(&h.schema) {
        return h;
    }
    let shift = h.schema - SCHEMA_MAX;
    match &mut h.counts {
        HistogramCounts::Integer { positive, negative, .. } => {
            reduce(&mut h.positive_spans, positive, shift);
            reduce(&mut h.negative_spans, negative, shift);
        }
        HistogramCounts::Float { positive, negative, .. } => {
            reduce(&mut h.positive_spans, positive, shift);
            reduce(&mut h.negative_spans, negative, shift);
        }
    }
    h.schema = SCHEMA_MAX;
    h
}

fn reduce<N: Copy + Add<Output = N>>(spans: &mut Vec<Span>, buckets: &mut Vec<N>, shift: i32) {
    let mut merged: Vec<(i64, N)> = Vec::with_capacity(buckets.len());
    let mut next_index = 0_i64;
    let mut remaining = buckets.iter();
    for span in spans.iter() {
        next_index += i64::from(span.offset);
        for &bucket in remaining.by_ref().take(span.length as usize) {
            // Bucket i holds (base^(i-1), base^i].
            let target = ((next_index - 1) >> shift) + 1;
            match merged.last_mut() {
                Some((last, sum)) if *last == target => *sum = *sum + bucket,
                _ => merged.push((target, bucket)),
            }
            next_index += 1;
        }
    }
    spans.clear();
    buckets.clear();
    let mut end = 0_i64;
    for (index, bucket) in merged {
        let gap = i32::try_from(index - end).unwrap_or(i32::MAX);
        match spans.last_mut() {
            Some(span) if gap == 0 => span.length += 1,
            _ => spans.push(Span { offset: gap, length: 1 }),
        }
        buckets.push(bucket);
        end = index + 1;
    }
}
