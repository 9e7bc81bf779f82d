//! `absent` of series that have the same labels once their names are dropped. Scripts cannot tell:
//! they run with names removed at the end of a query.

use ephemeris_model::{Labels, TimestampMs};
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::engine::{Engine, EngineOptions};
use ephemeris_query::promql::parse::parse;
use ephemeris_query::promql::result::AnswerValue;
use ephemeris_query::script::MemorySource;

/// The number of series of the answer.
fn count(query: &str, delayed_name_removal: bool) -> Result<usize, String> {
    let mut source = MemorySource::default();
    for name in ["a", "b"] {
        let labels = Labels::from_pairs([("__name__", name), ("x", "1")]);
        super::push_floats(&mut source, &labels, &[(0, 1.0), (30_000, 2.0), (60_000, 3.0)]);
    }
    let engine = Engine::new(EngineOptions { delayed_name_removal, ..EngineOptions::default() });
    let expr = parse(query).expect("a valid query");
    let budget = Budget::new(BudgetLimits::default());
    let answer = engine.instant(&source, query, &expr, TimestampMs(60_000), &budget);
    match answer.map_err(|error| error.to_string())?.value {
        AnswerValue::Vector { samples, .. } => Ok(samples.len()),
        other => panic!("{other:?}"),
    }
}

const SAME: &str = "vector cannot contain metrics with the same labelset";

#[test]
fn the_same_labels_are_an_error_though_only_absence_is_asked_for() {
    for inner in ["rate(V[1m])", "-V", "V * 2", "present_over_time(V[1m])", "abs(V)"] {
        let query = format!("absent({})", inner.replace('V', "{__name__=~\"a|b\"}"));
        assert_eq!(count(&query, false), Err(SAME.to_owned()), "{query}");
        assert_eq!(count(&query, true), Ok(0), "{query}");
        let query = format!("absent({})", inner.replace('V', "{__name__=~\"c|d\"}"));
        assert_eq!(count(&query, false), Ok(1), "{query}");
    }
}

#[test]
fn windows_are_looked_at_before_names_go() {
    for query in [
        "absent_over_time({__name__=~\"a|b\"}[1m])",
        "absent_over_time({__name__=~\"a|b\"}[1m:30s])",
        "absent({__name__=~\"a|b\"})",
        "absent(a or b)",
        "absent(sum(a))",
    ] {
        assert_eq!(count(query, false), Ok(0), "{query}");
    }
}
