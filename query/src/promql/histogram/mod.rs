//! Arithmetic of native histograms, as Prometheus' specification of them has it.
//!
//! | file | holds |
//! |---|---|
//! | `buckets` | bounds of schemas, buckets one after the other |
//! | `layout` | spans: walk, build, compact, reduce the resolution |
//! | `zero` | widening zero buckets until those of two histograms agree |
//! | `custom` | histograms with custom bounds: brought to the bounds both have |
//! | `arithmetic` | `+ - * /`, equality |
//! | `sum` | sums and means with compensation |
//! | `reset` | whether a counter was reset between two histograms |
//! | `quantile` | quantiles, fractions, variance |
//! | `trim` | `</` and `>/` |
//! | `text` | as `count_values` and errors show a histogram |
//! | `validate` | the rules a histogram has to keep |
//!
//! Histograms that come from outside may break every rule: spans and buckets that do not fit are
//! cut to the shorter of the two, and nothing here panics on them.

mod arithmetic;
mod buckets;
mod custom;
mod layout;
mod quantile;
mod reset;
mod sum;
mod text;
mod trim;
mod validate;
mod zero;

pub use arithmetic::{Combined, add, divide, equal, multiply, negate, subtract};
pub use buckets::{Bucket, all_buckets, negative_buckets, positive_buckets};
pub use layout::{compact, reduce_resolution};
pub use quantile::{NanEffect, fraction, quantile, variance};
pub use reset::is_reset;
pub use sum::{HistogramMean, HistogramSum};
pub use text::text;
pub use trim::{trim_lower, trim_upper};
pub use validate::{HistogramError, validate};

use ephemeris_model::FloatHistogram;
use ephemeris_model::histogram::CUSTOM_BUCKETS_SCHEMA;

/// Exponential and custom buckets cannot be combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incompatible;

/// Whether the bounds of the buckets are custom.
#[must_use]
pub const fn is_custom(histogram: &FloatHistogram) -> bool {
    histogram.schema == CUSTOM_BUCKETS_SCHEMA
}

#[cfg(test)]
mod damage;
#[cfg(test)]
pub(crate) mod samples;
