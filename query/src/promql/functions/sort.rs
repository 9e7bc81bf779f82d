//! `sort`, `sort_desc`, `sort_by_label` and `sort_by_label_desc`.

use std::cmp::Ordering;

use ephemeris_model::is_stale;

use super::notes::{NoteKind, Notes};
use super::vector::{QueryKind, VectorCall};
use super::{Function, FunctionError};
use crate::promql::exec::batch::StepSeries;

/// Sorts by the value of the only step, NaN last. Histograms are left out.
pub(super) fn by_value(call: &VectorCall<'_>, series: &mut Vec<StepSeries>, notes: &mut Notes) {
    for one in series.iter_mut() {
        one.histograms.clear();
    }
    series.retain(|one| !one.is_empty());
    if call.kind == QueryKind::Range {
        notes.add_for_call(NoteKind::SortInRange, "");
        return;
    }
    let value = |one: &StepSeries| one.values.iter().copied().find(|v| !is_stale(*v));
    series.sort_by(|a, b| {
        let (Some(x), Some(y)) = (value(a), value(b)) else { return Ordering::Equal };
        let ordering = match call.function {
            Function::SortDesc => y.partial_cmp(&x),
            _ => x.partial_cmp(&y),
        };
        ordering.unwrap_or_else(|| x.is_nan().cmp(&y.is_nan()))
    });
}

/// Sorts by the values of labels in natural order; ties by all labels.
pub(super) fn by_label(
    call: &VectorCall<'_>,
    series: &mut [StepSeries],
    notes: &mut Notes,
) -> Result<(), FunctionError> {
    if call.kind == QueryKind::Range {
        notes.add_for_call(NoteKind::SortInRange, "");
        return Ok(());
    }
    let names: Vec<&str> = call.texts(0).collect();
    series.sort_by(|a, b| {
        let by_names = names.iter().map(|name| {
            let value = a.labels.get(name).unwrap_or_default();
            natural_order(value, b.labels.get(name).unwrap_or_default())
        });
        let ordering = by_names.fold(Ordering::Equal, Ordering::then);
        let ordering = ordering.then_with(|| a.labels.cmp(&b.labels));
        match call.function {
            Function::SortByLabelDesc => ordering.reverse(),
            _ => ordering,
        }
    });
    Ok(())
}

/// Order in which runs of digits count as numbers: `node9` before `node10`.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    while !x.is_empty() && !y.is_empty() {
        let ((run_x, rest_x), (run_y, rest_y)) = (first_run(x), first_run(y));
        let is_number = |run: &str| run.starts_with(|c: char| c.is_ascii_digit());
        let ordering = if is_number(run_x) && is_number(run_y) {
            let (run_x, run_y) = (run_x.trim_start_matches('0'), run_y.trim_start_matches('0'));
            run_x.len().cmp(&run_y.len()).then_with(|| run_x.cmp(run_y))
        } else {
            run_x.cmp(run_y)
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
        (x, y) = (rest_x, rest_y);
    }
    // One is the beginning of the other, or they differ in leading zeros alone.
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// The digits, or the other characters, at the start of `text`, and what follows them.
fn first_run(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::functions::vector::{VectorArg, call_vector};
    use ephemeris_model::Labels;
    use proptest::prelude::*;

    fn series(values: &[f64]) -> Vec<StepSeries> {
        let one = |(i, value): (usize, &f64)| {
            let mut one = StepSeries::absent(Labels::from_pairs([("i", i.to_string())]), 1);
            one.values[0] = *value;
            one
        };
        values.iter().enumerate().map(one).collect()
    }

    fn sorted(function: Function, kind: QueryKind, values: &[f64]) -> (Vec<f64>, bool) {
        let call = VectorCall { function, args: &[], step_count: 1, kind };
        let mut notes = Notes::default();
        let sorted = call_vector(&call, series(values), &mut notes).expect("no arguments");
        (sorted.iter().map(|one| one.values[0]).collect(), !notes.is_empty())
    }

    #[test]
    fn nan_comes_last_either_way() {
        let values = [2.0, f64::NAN, 1.0, 3.0];
        let (up, noted) = sorted(Function::Sort, QueryKind::Instant, &values);
        assert_eq!(up[..3], [1.0, 2.0, 3.0]);
        assert!(up[3].is_nan() && !noted);
        let (down, _) = sorted(Function::SortDesc, QueryKind::Instant, &values);
        assert_eq!(down[..3], [3.0, 2.0, 1.0]);
        assert!(down[3].is_nan());
    }

    #[test]
    fn a_range_query_keeps_its_order_and_says_so() {
        let (values, noted) = sorted(Function::Sort, QueryKind::Range, &[2.0, 1.0]);
        assert_eq!(values, [2.0, 1.0]);
        assert!(noted);
    }

    #[test]
    fn numbers_in_labels_count_as_numbers() {
        let sorted_text = |mut texts: Vec<&'static str>| {
            texts.sort_by(|a, b| natural_order(a, b));
            texts
        };
        assert_eq!(sorted_text(vec!["100", "12", "9", "0"]), ["0", "9", "12", "100"]);
        assert_eq!(sorted_text(vec!["4m1000", "4m600", "4m5"]), ["4m5", "4m600", "4m1000"]);
        assert_eq!(sorted_text(vec!["1.111.3", "1.11.3", "1.2.3"]), ["1.2.3", "1.11.3", "1.111.3"]);
        assert_eq!(sorted_text(vec!["a1", "a", ""]), ["", "a", "a1"]);
    }

    #[test]
    fn ties_are_settled_by_all_labels() {
        let args = [VectorArg::Text("job".into())];
        let function = Function::SortByLabelDesc;
        let call = VectorCall { function, args: &args, step_count: 1, kind: QueryKind::Instant };
        let sorted = call_vector(&call, series(&[0.0, 1.0, 2.0]), &mut Notes::default());
        let order: Vec<f64> = sorted.expect("valid").iter().map(|one| one.values[0]).collect();
        assert_eq!(order, [2.0, 1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn natural_order_is_an_order(a in "[a0-2]{0,5}", b in "[a0-2]{0,5}", c in "[a0-2]{0,5}") {
            prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
            if natural_order(&a, &b).is_le() && natural_order(&b, &c).is_le() {
                prop_assert!(natural_order(&a, &c).is_le());
            }
            prop_assert_eq!(natural_order(&a, &b) == Ordering::Equal, a == b);
        }
    }
}
