//! Answers to range queries cut to some of their steps, and put together again.

use ephemeris_model::Labels;
use ephemeris_query::budget::Load;
use ephemeris_query::promql::result::MatrixSeries;

/// About what a series takes beside its labels and points.
const SERIES_BYTES: u64 = 160;
/// About what a histogram takes beside its buckets.
const HISTOGRAM_BYTES: u64 = 240;

/// The steps from `first` to `last`, both included, of `matrix`; series without any are left out.
pub(super) fn cut(matrix: &[MatrixSeries], (first, last): (i64, i64)) -> Vec<MatrixSeries> {
    matrix.iter().filter_map(|series| cut_series(series, (first, last))).collect()
}

fn cut_series(series: &MatrixSeries, steps: (i64, i64)) -> Option<MatrixSeries> {
    let floats = between(&series.floats, steps);
    let histograms = between(&series.histograms, steps);
    if floats.is_empty() && histograms.is_empty() {
        return None;
    }
    let (floats, histograms) = (floats.to_vec(), histograms.to_vec());
    Some(MatrixSeries { labels: series.labels.clone(), floats, histograms })
}

fn between<T>(points: &[(i64, T)], (first, last): (i64, i64)) -> &[(i64, T)] {
    let from = points.partition_point(|(at, _)| *at < first);
    let to = points.partition_point(|(at, _)| *at <= last);
    &points[from..to.max(from)]
}

/// Appends the points of `later`, all of whose steps come after those of `matrix`. Both are sorted
/// by labels, as is the result.
pub(super) fn append(matrix: Vec<MatrixSeries>, later: Vec<MatrixSeries>) -> Vec<MatrixSeries> {
    if matrix.is_empty() || later.is_empty() {
        return if matrix.is_empty() { later } else { matrix };
    }
    let mut joined = Vec::with_capacity(matrix.len().max(later.len()));
    let (mut left, mut right) = (matrix.into_iter().peekable(), later.into_iter().peekable());
    let before = |a: &Labels, b: Option<&MatrixSeries>| b.is_none_or(|b| *a < b.labels);
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => return joined,
            (Some(a), b) if before(&a.labels, b) => joined.extend(left.next()),
            (a, Some(b)) if before(&b.labels, a) => joined.extend(right.next()),
            _ => {
                let (Some(mut both), Some(mut more)) = (left.next(), right.next()) else {
                    return joined;
                };
                both.floats.append(&mut more.floats);
                both.histograms.append(&mut more.histograms);
                joined.push(both);
            }
        }
    }
}

/// What a matrix counts for in the budget of a query.
pub(super) fn load_of(matrix: &[MatrixSeries]) -> Load {
    let samples: usize = matrix.iter().map(|one| one.floats.len() + one.histograms.len()).sum();
    Load { samples: samples as u64, bytes: bytes_of(matrix) }
}

/// About what a matrix takes in memory.
pub(super) fn bytes_of(matrix: &[MatrixSeries]) -> u64 {
    matrix.iter().map(series_bytes).sum()
}

fn series_bytes(series: &MatrixSeries) -> u64 {
    let labels: usize =
        series.labels.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    let histograms = series.histograms.iter().map(|(_, one)| {
        let spans = one.positive_spans.len() + one.negative_spans.len();
        let buckets = one.positive_buckets.len() + one.negative_buckets.len();
        HISTOGRAM_BYTES + 8 * (spans + buckets + one.custom_values.len()) as u64
    });
    SERIES_BYTES + labels as u64 + 16 * series.floats.len() as u64 + histograms.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, steps: &[i64]) -> MatrixSeries {
        MatrixSeries {
            labels: Labels::from_pairs([("__name__", name)]),
            floats: steps.iter().map(|at| (*at, 0.5)).collect(),
            histograms: Vec::new(),
        }
    }

    fn shown(matrix: &[MatrixSeries]) -> Vec<(String, Vec<i64>)> {
        let steps = |one: &MatrixSeries| one.floats.iter().map(|(at, _)| *at).collect();
        let name = |one: &MatrixSeries| one.labels.metric_name().unwrap_or_default().to_owned();
        matrix.iter().map(|one| (name(one), steps(one))).collect()
    }

    #[test]
    fn what_is_cut_and_appended_is_whole_again() {
        let all = [series("a", &[1, 2]), series("b", &[1, 2, 3, 4]), series("c", &[3, 4])];
        for at in 0..=4 {
            let (left, right) = (cut(&all, (0, at)), cut(&all, (at + 1, 9)));
            assert_eq!(shown(&append(left, right)), shown(&all), "cut after {at}");
        }
        assert_eq!(shown(&cut(&all, (2, 2))), shown(&[series("a", &[2]), series("b", &[2])]));
        assert_eq!(shown(&cut(&all, (3, 2))), []);
    }
}
