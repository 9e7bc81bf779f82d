//! What a query tells of its operators and of the samples it looked at.

use ephemeris_model::{FloatHistogram, Labels, Span, TimestampMs, stale_nan};
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::engine::{Engine, EngineOptions, RangeQuery};
use ephemeris_query::promql::explain::{Explanation, Operator};
use ephemeris_query::promql::parse::parse;
use ephemeris_query::promql::result::QueryStats;
use ephemeris_query::script::MemorySource;

/// A series with a sample every ten seconds, and three with one every twenty.
fn source() -> MemorySource {
    let mut source = MemorySource::default();
    let every = |ms: i64| (0..=600_000 / ms).map(|i| (i * ms, i as f64)).collect::<Vec<_>>();
    super::push_floats(&mut source, &Labels::from_pairs([("__name__", "one")]), &every(10_000));
    for n in ["1", "2", "3"] {
        let labels = Labels::from_pairs([("__name__", "three"), ("n", n)]);
        super::push_floats(&mut source, &labels, &every(20_000));
    }
    source
}

fn engine() -> Engine {
    Engine::new(EngineOptions { explain: true, threads: 2, ..EngineOptions::default() })
}

fn told(stats: QueryStats) -> (u64, Explanation) {
    (stats.samples_queryable, stats.explanation.expect("it was asked for"))
}

fn instant(query: &str, at_s: i64) -> (u64, Explanation) {
    let (source, expr) = (source(), parse(query).expect("a valid query"));
    let budget = Budget::new(BudgetLimits::default());
    let at = TimestampMs(at_s * 1000);
    let answer = engine().instant(&source, query, &expr, at, &budget).expect("an answer");
    told(answer.stats)
}

fn range(query: &str, (start_s, end_s, step_s): (i64, i64, i64)) -> (u64, Explanation) {
    let (source, expr) = (source(), parse(query).expect("a valid query"));
    let budget = Budget::new(BudgetLimits::default());
    let (start, end) = (TimestampMs(start_s * 1000), TimestampMs(end_s * 1000));
    let range = RangeQuery { start, end, step_ms: step_s * 1000 };
    let answer = engine().range(&source, query, &expr, range, &budget).expect("an answer");
    told(answer.stats)
}

/// Counts as Prometheus' documentation of `totalQueryableSamples` has them: each sample once for
/// each step that looks at it; those inside a subquery only where nothing above looks at it.
#[test]
fn samples_are_counted_by_each_step_that_looks_at_them() {
    for (query, total) in [
        ("one", 1),
        ("three", 3),
        ("one[60s]", 6),
        ("sum_over_time(one[60s])", 6),
        ("rate(three[60s])", 9),
        ("one + one", 2),
        ("max_over_time(one[60s:5s])", 12),
        ("one[60s:5s]", 12),
        ("max_over_time(sum_over_time(one[20s])[60s:10s])", 6),
        ("sum(three) + max_over_time(one[60s:5s])", 15),
        ("1 + time()", 0),
        ("absent(three)", 3),
    ] {
        let (sum, told) = instant(query, 201);
        assert_eq!(sum, total, "{query}");
        assert_eq!(told.samples_per_step, [(201_000, total)], "{query}");
    }
}

#[test]
fn a_range_query_counts_by_step_and_what_is_pinned_at_each() {
    let steps = (201, 221, 10);
    for (query, each) in [
        ("one", [1, 1, 1]),
        ("sum_over_time(three[30s])", [6, 3, 6]),
        ("sum_over_time(one[60s] @ 201)", [6, 6, 6]),
        ("max_over_time(one[60s:5s]) + one", [13, 13, 13]),
        ("3", [0, 0, 0]),
    ] {
        let (sum, told) = range(query, steps);
        let per_step: Vec<u64> = told.samples_per_step.iter().map(|(_, n)| *n).collect();
        assert_eq!(per_step, each, "{query}");
        assert_eq!(sum, each.iter().sum::<u64>(), "{query}");
        let times: Vec<i64> = told.samples_per_step.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [201_000, 211_000, 221_000]);
    }
}

/// Floats, histograms and staleness markers by turns: a float counts one, a histogram its size in
/// floats, less if its buckets are not asked for, and a marker nothing; the counts of steps make up
/// the sum.
#[test]
fn histograms_and_markers_are_counted_alike_in_all_and_by_step() {
    let mut source = MemorySource::default();
    let histogram = FloatHistogram {
        count: 3.0,
        sum: 5.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        ..FloatHistogram::default()
    };
    for (name, histograms) in [("floats", false), ("mixed", true)] {
        let labels = Labels::from_pairs([("__name__", name)]);
        for i in 0..60 {
            let at = i * 10_000;
            match i % 4 {
                3 => source.push(&labels, at, 0, stale_nan()).expect("in order"),
                2 if histograms => {
                    source.push_histogram(&labels, at, 0, &histogram).expect("in order");
                }
                _ => source.push(&labels, at, 0, 1.0).expect("in order"),
            }
        }
    }
    // Of each four steps one meets a marker and one a histogram, of 176 bytes and 24 more; a window
    // of 40 s has two floats and a histogram.
    for (query, total) in [
        ("floats", 30),
        ("mixed", 20 + 10 * 12),
        ("timestamp(mixed)", 30),
        ("count(mixed)", 20 + 10 * 12),
        ("count_over_time(mixed[40s])", 40 * (2 + 12)),
        ("histogram_count(mixed)", 20 + 10 * 11),
        ("sum_over_time(mixed[40s:10s])", 40 * (2 + 12)),
    ] {
        let expr = parse(query).expect("a valid query");
        let budget = Budget::new(BudgetLimits::default());
        let (start, end) = (TimestampMs(100_000), TimestampMs(490_000));
        let range = RangeQuery { start, end, step_ms: 10_000 };
        let answer = engine().range(&source, query, &expr, range, &budget).expect("an answer");
        let (sum, told) = told(answer.stats);
        let steps: u64 = told.samples_per_step.iter().map(|(_, n)| *n).sum();
        assert_eq!((sum, steps), (total, total), "{query}");
    }
}

/// Operators in brackets: name, detail, series.
fn brief(operator: &Operator) -> String {
    let below: Vec<String> = operator.below.iter().map(brief).collect();
    format!("{} `{}` {}({})", operator.name, operator.detail, operator.series, below.join(" "))
}

fn tree(query: &str) -> String {
    let (_, told) = instant(query, 201);
    told.operators.iter().map(brief).collect::<Vec<_>>().join(" ")
}

#[test]
fn operators_are_told_as_a_tree() {
    assert_eq!(tree("three"), "read `three` 3()");
    assert_eq!(
        tree("sum by (n) (rate(three{n=~\"1|2\"}[1m] offset 10s)) * 2"),
        "read `series of aggregate, each * number` 2(\
         aggregate `sum by (n)` 2(read `three{n=~\"1|2\"}[1m] offset 10000ms, rate` 2()))"
    );
    assert_eq!(
        tree("three / on (n) group_left () three or one"),
        "set `or` 4(read `three` 3() read `three` 3() read `one` 1())"
    );
    assert_eq!(
        tree("max_over_time(sort(three)[1m:30s])"),
        "read `series of function, max_over_time[1m:30s]` 3(function `sort` 3(read `three` 3()))"
    );
    assert_eq!(
        tree("scalar(one) + scalar(sum(one))"),
        "read `one` 1() aggregate `sum` 1(read `one` 1())"
    );
    assert_eq!(tree("1 + 1"), "");
}

#[test]
fn reads_are_told_where_they_happen_and_times_nest() {
    let (_, told) = instant("sum(sum_over_time(three[60s]))", 201);
    let top = &told.operators[0];
    let read = &top.below[0];
    assert_eq!((top.samples_read, read.samples_read, read.series), (0, 9, 3));
    assert!(read.took <= top.took);
    assert_eq!(told.left_out, 0);
    let untold = {
        let (source, expr) = (source(), parse("one").expect("valid"));
        let budget = Budget::new(BudgetLimits::default());
        let engine = Engine::default();
        engine.instant(&source, "one", &expr, TimestampMs(0), &budget).expect("an answer")
    };
    assert!(untold.stats.explanation.is_none());
}
