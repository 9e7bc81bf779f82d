//! Series that have the same labels once names are removed: one series if no step has a sample of
//! two of them, else an error.

use ephemeris_model::{Labels, is_stale};
use rustc_hash::FxHashMap;

use super::batch::StepSeries;
use crate::promql::error::QueryError;

/// Whether series with the same labels may become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// They may not.
    Never,
    /// They may where they have no step in common.
    PerStep,
}

/// The error Prometheus has for two samples with the same labels.
pub(super) fn same_labelset() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}

/// Makes one series of those with the same labels.
pub(super) fn same_labels(
    series: Vec<StepSeries>,
    overlap: Overlap,
) -> Result<Vec<StepSeries>, QueryError> {
    let mut places: FxHashMap<Labels, usize> = FxHashMap::default();
    places.reserve(series.len());
    let mut merged: Vec<StepSeries> = Vec::with_capacity(series.len());
    for one in series {
        match places.get(&one.labels) {
            None => {
                places.insert(one.labels.clone(), merged.len());
                merged.push(one);
            }
            Some(_) if overlap == Overlap::Never => return Err(same_labelset()),
            Some(at) => merge_into(&mut merged[*at], &one)?,
        }
    }
    Ok(merged)
}

/// Adds the samples of `other` to those of `series`. Whether the name goes at the end is told by
/// the sample that comes first, as Prometheus has it.
fn merge_into(series: &mut StepSeries, other: &StepSeries) -> Result<(), QueryError> {
    if first_step(other) < first_step(series) {
        series.drop_name = other.drop_name;
    }
    for step in 0..other.values.len() {
        let Some(point) = other.point(step) else { continue };
        if !is_stale(series.values[step]) || matches!(series.histograms.get(step), Some(Some(_))) {
            return Err(same_labelset());
        }
        series.set(step, Some(point));
    }
    Ok(())
}

fn first_step(series: &StepSeries) -> usize {
    let count = series.values.len();
    (0..count).find(|step| series.point(*step).is_some()).unwrap_or(count)
}

#[cfg(test)]
mod tests {
    use super::super::batch::ABSENT;
    use super::*;

    fn series(values: [f64; 2]) -> StepSeries {
        StepSeries { values: values.to_vec(), ..StepSeries::absent(Labels::empty(), 0) }
    }

    #[test]
    fn series_that_do_not_overlap_become_one() {
        let both = vec![series([1.0, ABSENT]), series([ABSENT, 2.0])];
        let merged = same_labels(both.clone(), Overlap::PerStep).expect("no step in common");
        assert_eq!(merged[0].values, [1.0, 2.0]);
        assert_eq!(merged.len(), 1);
        assert!(same_labels(both, Overlap::Never).is_err());
        let going = StepSeries { drop_name: true, ..series([1.0, ABSENT]) };
        let merged = same_labels(vec![series([ABSENT, 2.0]), going], Overlap::PerStep);
        let merged = merged.expect("no step in common");
        assert_eq!((merged.len(), merged[0].drop_name), (1, true), "the first sample tells");
        let clash = vec![series([1.0, 1.0]), series([ABSENT, 2.0])];
        assert!(same_labels(clash, Overlap::PerStep).is_err());
    }
}
