//! Random queries: a range query gives at each step what an instant query gives at that time, and
//! the answer does not depend on the number of threads.

use std::collections::BTreeMap;

use ephemeris_model::TimestampMs;
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::engine::{Engine, EngineOptions, RangeQuery};
use ephemeris_query::promql::exec::batch::Point;
use ephemeris_query::promql::parse::parse;
use ephemeris_query::promql::result::AnswerValue;
use ephemeris_query::script::{MemorySource, Value, parse_series};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

const STEP_MS: i64 = 20_000;
const STEP_COUNT: i64 = 20;

/// One sample each 15 s, so that steps and samples seldom meet.
const DATA: &str = r#"
c{a="1", b="x"} 0+3x7 2+3x20
c{a="1", b="y"} 5 _ 9 _x6 10 11 _x3 40+1x9
c{a="2", b="x"} 100 90 95 stale _x2 7+2x20
g{a="1"} 1 -2 NaN 4 -0 0 Inf 3 2 1 _x25 5
g{a="2"} -Inf 1e300 1e300 -1e300 1e-300 2x20
g{a="3"} _x20 1+1x9
h{a="1"} {{schema:1 count:5 sum:8 z_bucket:1 z_bucket_w:0.01 buckets:[1 2 1]}}+{{schema:1 count:3 sum:2 buckets:[1 1 1]}}x8 {{schema:1 count:2 sum:1 buckets:[2]}}x9
h{a="2"} {{schema:0 count:3 sum:-1 n_buckets:[1 2] counter_reset_hint:gauge}}x4 _x3 1 2 3 {{schema:2 count:4 sum:4 buckets:[4]}}x9
h{a="3"} {{schema:-53 count:6 sum:9 custom_values:[1 2 4] buckets:[1 2 3]}}x6 {{schema:-53 count:9 sum:9 custom_values:[1 4] buckets:[4 5]}}x9
k_bucket{a="1", le="1"} 0+1x20
k_bucket{a="1", le="2"} 0+2x20
k_bucket{a="1", le="+Inf"} 0+3x20
"#;

fn source() -> MemorySource {
    let mut source = MemorySource::default();
    for text in DATA.lines().filter(|line| !line.is_empty()) {
        let line = parse_series(text).expect("a series line");
        let mut at = 0;
        for value in &line.values {
            match value {
                Value::Missing => {}
                Value::Float(value) => source.push(&line.labels, at, 0, *value).expect("in order"),
                Value::Histogram(histogram, _) => {
                    source.push_histogram(&line.labels, at, 0, histogram).expect("in order");
                }
            }
            at += 15_000;
        }
    }
    source
}

fn selector() -> impl Strategy<Value = String> {
    let names = vec!["c", "g", "h", "k_bucket", "c{a=\"1\"}", "{a=\"2\"}", "{__name__=~\"c|g\"}"];
    (select(names), modifier()).prop_map(|(name, modifier)| format!("{name}{modifier}"))
}

fn modifier() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "", "", " offset 1m", " offset -30s", " @ 120", " @ 95.5 offset 20s"])
}

fn matrix(vector: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let plain = (
        select(vec!["c", "g", "h", "{a=\"1\"}"]),
        select(vec!["15s", "45s", "1m", "2m30s", "10m", "7s"]),
        modifier(),
    )
        .prop_map(|(name, range, modifier)| format!("{name}[{range}]{modifier}"));
    let subquery = (vector, select(vec!["1m:15s", "2m:", "100s:7s", "1m:25s"]), modifier())
        .prop_map(|(vector, range, modifier)| format!("({vector})[{range}]{modifier}"));
    prop_oneof![3 => plain, 1 => subquery]
}

fn range_call(vector: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let names = vec![
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "changes",
        "resets",
        "deriv",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "sum_over_time",
        "count_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "last_over_time",
        "first_over_time",
        "present_over_time",
        "absent_over_time",
        "mad_over_time",
        "ts_of_max_over_time",
        "ts_of_first_over_time",
        "quantile_over_time(0.3, ",
        "quantile_over_time(0.9, ",
        "predict_linear",
        "double_exponential_smoothing",
    ];
    (select(names), matrix(vector)).prop_map(|(name, matrix)| match name {
        "predict_linear" => format!("predict_linear({matrix}, 60)"),
        "double_exponential_smoothing" => format!("{name}({matrix}, 0.4, 0.6)"),
        name if name.ends_with(' ') => format!("{name}{matrix})"),
        name => format!("{name}({matrix})"),
    })
}

fn extended_call() -> impl Strategy<Value = String> {
    let calls = vec![
        "rate(c[1m] smoothed)",
        "increase(c[50s] anchored)",
        "delta(g[1m] smoothed)",
        "changes(g[1m] anchored)",
        "resets(c[2m] anchored)",
        "increase(h[1m] anchored)",
        "c smoothed",
    ];
    select(calls).prop_map(str::to_owned)
}

fn call(vector: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let calls = vec![
        "abs(V)",
        "ceil(V)",
        "sqrt(V)",
        "sgn(V)",
        "ln(V)",
        "-(V)",
        "clamp(V, -1, 9)",
        "round(V, 0.3)",
        "timestamp(V)",
        "absent(V)",
        "hour(V)",
        "vector(scalar(V))",
        "histogram_quantile(0.6, V)",
        "histogram_fraction(0, 3, V)",
        "histogram_count(V)",
        "histogram_sum(V)",
        "histogram_avg(V)",
        "histogram_stddev(V)",
        "histogram_quantiles(V, \"q\", 0.1, 0.9)",
        "label_replace(V, \"a\", \"$1$1\", \"b\", \"(.*)\")",
        "label_join(V, \"j\", \"-\", \"a\", \"__name__\")",
        "info(V, {})",
        "(V)",
        "sum(V)",
        "avg by (a) (V)",
        "min without (a) (V)",
        "max by (b) (V)",
        "count(V)",
        "group by (a) (V)",
        "stddev(V)",
        "stdvar by (a) (V)",
        "quantile(0.4, V)",
        "count_values(\"v\", V)",
        "limit_ratio(0.5, V)",
    ];
    (select(calls), vector).prop_map(|(call, vector)| call.replace('V', &vector))
}

fn binary(vector: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let ops = vec![
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "atan2",
        "==",
        "!=",
        "> bool",
        "<",
        ">= bool",
        "and",
        "or",
        "unless",
        "and on(a)",
        "or on(a)",
        "unless ignoring(b)",
        "+ on(a) group_left",
        "</",
        ">/",
        "> on(a) group_right(b)",
        "* ignoring(b) group_left",
        "- fill(0)",
        "+ on(a) fill_left(1)",
    ];
    let operand = prop_oneof![
        4 => vector.clone(),
        1 => select(vec!["2", "time()", "scalar(g{a=\"2\"})", "-0.5"]).prop_map(str::to_owned),
    ];
    (vector, select(ops), operand).prop_map(|(left, op, right)| format!("({left}) {op} ({right})"))
}

/// What orders a vector stands outside only: sums of another order have other last bits.
fn query() -> impl Strategy<Value = String> {
    let outside = vec!["V", "V", "sort(V)", "sort_by_label(V, \"a\")"];
    let leaf = prop_oneof![4 => selector(), 1 => extended_call()].boxed();
    let vector = leaf.prop_recursive(4, 16, 2, |vector| {
        let vector = vector.boxed();
        prop_oneof![
            2 => range_call(vector.clone()),
            3 => call(vector.clone()),
            3 => binary(vector),
        ]
    });
    (select(outside), vector).prop_map(|(outside, vector)| outside.replace('V', &vector))
}

/// The samples of each step, by labels; values as text, since NaN differs from itself.
type Steps = Vec<BTreeMap<String, String>>;

fn shown(point: &Point) -> String {
    match point {
        Point::Float(value) if value.is_nan() => "NaN".to_owned(),
        Point::Float(value) => format!("{value:?}"),
        Point::Histogram(histogram) => format!("{histogram:?}"),
    }
}

fn by_instants(engine: &Engine, source: &MemorySource, query: &str) -> Vec<Result<Steps, String>> {
    let expr = parse(query).expect("a query");
    let one = |step: i64| {
        let budget = Budget::new(BudgetLimits::default());
        let at = TimestampMs(step * STEP_MS);
        let answer = engine.instant(source, query, &expr, at, &budget);
        match answer.map_err(|error| error.to_string())?.value {
            AnswerValue::Vector { samples, .. } => {
                let mut found = BTreeMap::new();
                for sample in samples {
                    let before = found.insert(sample.labels.to_string(), shown(&sample.point));
                    assert!(before.is_none(), "{query}: {} comes twice", sample.labels);
                }
                Ok(vec![found])
            }
            other => panic!("{query}: {other:?}"),
        }
    };
    (0..STEP_COUNT).map(one).collect()
}

fn by_range(engine: &Engine, source: &MemorySource, query: &str) -> Result<Steps, String> {
    let expr = parse(query).expect("a query");
    let budget = Budget::new(BudgetLimits::default());
    let end = TimestampMs((STEP_COUNT - 1) * STEP_MS);
    let range = RangeQuery { start: TimestampMs(0), end, step_ms: STEP_MS };
    let answer = engine.range(source, query, &expr, range, &budget);
    let AnswerValue::Matrix(series) = answer.map_err(|error| error.to_string())?.value else {
        panic!("{query}: not a matrix");
    };
    let mut steps: Steps = (0..STEP_COUNT).map(|_| BTreeMap::new()).collect();
    for series in series {
        let floats = series.floats.iter().map(|(at, value)| (*at, Point::Float(*value)));
        let histograms = series.histograms.iter();
        let histograms =
            histograms.map(|(at, h)| (*at, Point::Histogram(std::sync::Arc::clone(h))));
        for (at, point) in floats.chain(histograms) {
            let step = usize::try_from(at / STEP_MS).expect("a step");
            let before = steps[step].insert(series.labels.to_string(), shown(&point));
            assert!(before.is_none(), "{query}: {} comes twice", series.labels);
        }
    }
    Ok(steps)
}

fn engine(threads: usize, delayed_name_removal: bool) -> Engine {
    Engine::new(EngineOptions {
        delayed_name_removal,
        use_start_timestamps: true,
        threads,
        ..EngineOptions::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_range_query_is_an_instant_query_at_each_step(query in query(), delayed in any::<bool>()) {
        let source = source();
        if parse(&query).is_err() {
            return Ok(()); // a scalar where a vector must stand
        }
        let single = engine(1, delayed);
        let range = by_range(&single, &source, &query);
        let many = by_range(&engine(3, delayed), &source, &query);
        prop_assert_eq!(&range, &many, "{} with more threads", query);
        if delayed && query.contains(" or ") {
            // `or` joins series before names go, and Prometheus lets the first sample of the whole
            // range tell whether the name goes: step by step the answer may be another one.
            return Ok(());
        }
        let instants = by_instants(&single, &source, &query);
        match range {
            Ok(steps) => {
                for (step, (in_range, alone)) in steps.iter().zip(&instants).enumerate() {
                    let alone = alone.as_ref().map(|steps| &steps[0]);
                    prop_assert_eq!(Ok(in_range), alone, "{} at step {}", &query, step);
                }
            }
            // Two series over time that never meet may still end up with the same labels.
            Err(error) if error.ends_with("metrics with the same labelset") => {}
            Err(error) => {
                prop_assert!(instants.iter().any(Result::is_err), "{query}: {error}");
            }
        }
    }
}
