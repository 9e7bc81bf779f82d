//! The rules a histogram has to keep.

use ephemeris_model::{FloatHistogram, Span};
use thiserror::Error;

use super::is_custom;

/// Why a histogram is not valid.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the texts say it")]
pub enum HistogramError {
    #[error(
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, \
         or -53 for custom buckets, got schema {0}"
    )]
    Schema(i32),
    #[error("{side} side has {got} buckets; its spans have {wanted}")]
    Spans { side: &'static str, got: usize, wanted: u64 },
    #[error("{side} side: span {span} begins {offset} buckets after the one before")]
    SpanOffset { side: &'static str, span: usize, offset: i32 },
    #[error("{what} is negative: {value}")]
    Negative { what: &'static str, value: f64 },
    #[error("custom bounds must ascend: {before} comes before {after}")]
    BoundsOrder { before: f64, after: f64 },
    #[error("custom bounds must be finite, got {0}")]
    BoundNotFinite(f64),
    #[error("{buckets} buckets need at least {needed} custom bounds, got {bounds}")]
    TooFewBounds { buckets: u64, needed: u64, bounds: usize },
    #[error("a histogram with custom buckets has {0}, which it must not")]
    CustomWith(&'static str),
    #[error("a histogram with exponential buckets has custom bounds, which it must not")]
    ExponentialWithBounds,
}

/// Checks a histogram as it may come from outside.
///
/// # Errors
/// The first rule that is broken.
pub fn validate(histogram: &FloatHistogram) -> Result<(), HistogramError> {
    if is_custom(histogram) {
        validate_custom(histogram)?;
    } else if !(-4..=8).contains(&histogram.schema) {
        return Err(HistogramError::Schema(histogram.schema));
    } else if !histogram.custom_values.is_empty() {
        return Err(HistogramError::ExponentialWithBounds);
    }
    spans_fit("positive", &histogram.positive_spans, histogram.positive_buckets.len())?;
    spans_fit("negative", &histogram.negative_spans, histogram.negative_buckets.len())?;
    not_negative("the count of observations", histogram.count)?;
    not_negative("the count of the zero bucket", histogram.zero_count)?;
    not_negative("the zero threshold", histogram.zero_threshold)?;
    for count in histogram.positive_buckets.iter().chain(&histogram.negative_buckets) {
        not_negative("the count of a bucket", *count)?;
    }
    Ok(())
}

fn validate_custom(histogram: &FloatHistogram) -> Result<(), HistogramError> {
    let bounds = &histogram.custom_values;
    if let Some(bound) = bounds.iter().find(|bound| !bound.is_finite()) {
        return Err(HistogramError::BoundNotFinite(*bound));
    }
    if let Some(pair) = bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(HistogramError::BoundsOrder { before: pair[0], after: pair[1] });
    }
    if histogram.zero_count != 0.0 {
        return Err(HistogramError::CustomWith("a populated zero bucket"));
    }
    if histogram.zero_threshold != 0.0 {
        return Err(HistogramError::CustomWith("a zero threshold"));
    }
    if !histogram.negative_spans.is_empty() || !histogram.negative_buckets.is_empty() {
        return Err(HistogramError::CustomWith("negative buckets"));
    }
    if let Some(first) = histogram.positive_spans.first().filter(|span| span.offset < 0) {
        return Err(HistogramError::SpanOffset { side: "positive", span: 0, offset: first.offset });
    }
    let reach = |span: &Span| u64::from(span.offset.unsigned_abs()) + u64::from(span.length);
    let buckets: u64 = histogram.positive_spans.iter().map(reach).sum();
    if buckets > bounds.len() as u64 + 1 {
        let (needed, bounds) = (buckets - 1, bounds.len());
        return Err(HistogramError::TooFewBounds { buckets, needed, bounds });
    }
    Ok(())
}

fn spans_fit(side: &'static str, spans: &[Span], got: usize) -> Result<(), HistogramError> {
    if let Some((i, span)) = spans.iter().enumerate().skip(1).find(|(_, span)| span.offset < 0) {
        return Err(HistogramError::SpanOffset { side, span: i, offset: span.offset });
    }
    let wanted: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if wanted == got as u64 { Ok(()) } else { Err(HistogramError::Spans { side, got, wanted }) }
}

fn not_negative(what: &'static str, value: f64) -> Result<(), HistogramError> {
    if value < 0.0 { Err(HistogramError::Negative { what, value }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::samples::{any_histogram, custom, exponential};
    use proptest::prelude::*;

    fn broken(change: impl Fn(&mut FloatHistogram)) -> String {
        let mut histogram = custom(&[1.0, 2.0], &[1.0, 2.0, 3.0]);
        change(&mut histogram);
        validate(&histogram).expect_err("a rule is broken").to_string()
    }

    #[test]
    fn each_rule_has_its_text() {
        assert_eq!(validate(&custom(&[1.0, 2.0], &[1.0, 2.0, 3.0])), Ok(()));
        assert!(broken(|h| h.schema = 9).contains("got schema 9"));
        assert!(broken(|h| h.schema = 0).contains("exponential"));
        assert!(broken(|h| h.custom_values[1] = 1.0).contains("must ascend"));
        assert!(broken(|h| h.custom_values[1] = f64::NAN).contains("must be finite"));
        assert!(broken(|h| h.zero_count = 1.0).contains("zero bucket"));
        assert!(broken(|h| h.positive_buckets.truncate(1)).contains("spans have 3"));
        assert!(broken(|h| h.custom_values.truncate(1)).contains("at least 2 custom bounds"));
        assert!(broken(|h| h.count = -1.0).contains("is negative"));
        assert!(broken(|h| h.positive_spans[0].offset = -1).contains("begins -1"));
        let mut negative = exponential(0, &[(0, -1.0)], &[]);
        negative.count = 1.0;
        assert!(validate(&negative).is_err());
    }

    proptest! {
        #[test]
        fn what_tests_are_made_of_is_valid(histogram in any_histogram()) {
            prop_assert_eq!(validate(&histogram), Ok(()));
        }
    }
}
