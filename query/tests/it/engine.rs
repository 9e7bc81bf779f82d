//! The engine against a plain model, on any number of threads, within its budget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ephemeris_model::{Labels, TimestampMs, stale_nan};
use ephemeris_query::budget::{Budget, BudgetLimits};
use ephemeris_query::promql::engine::{Engine, EngineOptions, RangeQuery};
use ephemeris_query::promql::error::{ErrorKind, QueryError};
use ephemeris_query::promql::parse::parse;
use ephemeris_query::promql::result::{AnswerValue, MatrixSeries};
use ephemeris_query::script::MemorySource;
use proptest::prelude::*;

/// Series of the model: labels `a` and `b`, no name, samples by time.
pub(super) type Data = BTreeMap<(u8, u8), BTreeMap<i64, f64>>;

/// A vector of the model: values by labels `a` and `b`, absent if not there.
pub(super) type Vector = BTreeMap<(Option<u8>, Option<u8>), f64>;

pub(super) const LOOKBACK_MS: i64 = 300_000;

/// Queries the model can answer.
#[derive(Clone, Debug)]
pub(super) enum Query {
    Selector { b: Option<u8>, offset_ms: i64 },
    Over { function: &'static str, range_ms: i64, offset_ms: i64 },
    Subquery { function: &'static str, range_ms: i64, step_ms: i64, inner: Box<Query> },
    Aggregate { op: &'static str, inner: Box<Query> },
    Binary { op: &'static str, lhs: Box<Query>, rhs: Box<Query> },
    Scaled { inner: Box<Query>, factor: u8 },
}

impl Query {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Selector { b: None, offset_ms } => format!("{{a=~\".+\"}} offset {offset_ms}ms"),
            Self::Selector { b: Some(b), offset_ms } => {
                format!("{{b=\"{b}\"}} offset {offset_ms}ms")
            }
            Self::Over { function, range_ms, offset_ms } => {
                format!("{function}({{a=~\".+\"}}[{range_ms}ms] offset {offset_ms}ms)")
            }
            Self::Subquery { function, range_ms, step_ms, inner } => {
                format!("{function}(({})[{range_ms}ms:{step_ms}ms])", inner.text())
            }
            Self::Aggregate { op, inner } => format!("{op} by (a) ({})", inner.text()),
            Self::Binary { op, lhs, rhs } => format!("({} {op} {})", lhs.text(), rhs.text()),
            Self::Scaled { inner, factor } => format!("({factor} * {})", inner.text()),
        }
    }

    pub(super) fn evaluate(&self, data: &Data, at: i64) -> Vector {
        match self {
            Self::Selector { b, offset_ms } => {
                let at = at - offset_ms;
                let wanted = data.iter().filter(|((_, sb), _)| b.is_none_or(|b| b == *sb));
                let newest = |samples: &BTreeMap<i64, f64>| {
                    let (_, value) = samples.range(at - LOOKBACK_MS + 1..=at).next_back()?;
                    (!value.is_nan()).then_some(*value)
                };
                wanted.filter_map(|((a, b), s)| Some(((Some(*a), Some(*b)), newest(s)?))).collect()
            }
            Self::Over { function, range_ms, offset_ms } => {
                let (start, end) = (at - offset_ms - range_ms + 1, at - offset_ms);
                let over = |samples: &BTreeMap<i64, f64>| {
                    let window = samples.range(start..=end).map(|(_, v)| *v);
                    reduce(function, &window.filter(|v| !v.is_nan()).collect::<Vec<_>>())
                };
                data.iter()
                    .filter_map(|((a, b), s)| Some(((Some(*a), Some(*b)), over(s)?)))
                    .collect()
            }
            Self::Subquery { function, range_ms, step_ms, inner } => {
                let mut columns: BTreeMap<_, Vec<f64>> = BTreeMap::new();
                for t in (at - range_ms + 1..=at).filter(|t| t.rem_euclid(*step_ms) == 0) {
                    for (labels, value) in inner.evaluate(data, t) {
                        columns.entry(labels).or_default().push(value);
                    }
                }
                let reduced = columns.into_iter();
                reduced.filter_map(|(l, values)| Some((l, reduce(function, &values)?))).collect()
            }
            Self::Aggregate { op, inner } => {
                let mut groups: BTreeMap<_, Vec<f64>> = BTreeMap::new();
                for ((a, _), value) in inner.evaluate(data, at) {
                    groups.entry((a, None)).or_default().push(value);
                }
                let name = format!("{op}_over_time");
                groups.into_iter().filter_map(|(l, v)| Some((l, reduce(&name, &v)?))).collect()
            }
            Self::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (lhs.evaluate(data, at), rhs.evaluate(data, at));
                match *op {
                    "or" => rhs.into_iter().chain(lhs).collect(),
                    "and" => lhs.into_iter().filter(|(l, _)| rhs.contains_key(l)).collect(),
                    "unless" => lhs.into_iter().filter(|(l, _)| !rhs.contains_key(l)).collect(),
                    op => lhs
                        .into_iter()
                        .filter_map(|(labels, x)| {
                            let y = *rhs.get(&labels)?;
                            let value = match op {
                                "+" => x + y,
                                "-" => x - y,
                                _ => return (x > y).then_some((labels, x)),
                            };
                            Some((labels, value))
                        })
                        .collect(),
                }
            }
            Self::Scaled { inner, factor } => {
                let scaled = inner.evaluate(data, at).into_iter();
                scaled.map(|(labels, value)| (labels, value * f64::from(*factor))).collect()
            }
        }
    }
}

fn reduce(function: &str, values: &[f64]) -> Option<f64> {
    let (first, last) = (values.first()?, values.last()?);
    Some(match function {
        "sum_over_time" => values.iter().sum(),
        "count_over_time" => values.len() as f64,
        "max_over_time" => values.iter().copied().fold(*first, f64::max),
        "min_over_time" => values.iter().copied().fold(*first, f64::min),
        "last_over_time" => *last,
        "changes" => values.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64,
        other => panic!("the model does not know {other}"),
    })
}

/// Times that often meet the borders of windows, and sometimes just miss them.
pub(super) fn coarse(range: std::ops::Range<i64>) -> impl Strategy<Value = i64> + Clone {
    (range.start / 5_000..range.end / 5_000, prop_oneof![8 => Just(0), 1 => 0i64..3])
        .prop_map(|(multiple, more)| multiple * 5_000 + more)
}

pub(super) fn any_query() -> impl Strategy<Value = Query> {
    let over = prop_oneof![
        Just("sum_over_time"),
        Just("count_over_time"),
        Just("max_over_time"),
        Just("last_over_time"),
        Just("changes"),
    ];
    let offset = prop_oneof![Just(0i64), coarse(-90_000..90_000)];
    let leaf = prop_oneof![
        (proptest::option::of(0u8..3), offset.clone())
            .prop_map(|(b, offset_ms)| Query::Selector { b, offset_ms }),
        (over.clone(), coarse(5_000..400_000), offset).prop_map(
            |(function, range_ms, offset_ms)| { Query::Over { function, range_ms, offset_ms } }
        ),
    ];
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            (over.clone(), coarse(5_000..300_000), coarse(5_000..60_000), boxed()).prop_map(
                |(function, range_ms, step_ms, inner)| Query::Subquery {
                    function,
                    range_ms,
                    step_ms,
                    inner
                }
            ),
            (prop_oneof![Just("sum"), Just("count"), Just("max"), Just("min")], boxed())
                .prop_map(|(op, inner)| Query::Aggregate { op, inner }),
            (
                prop_oneof![
                    Just("+"),
                    Just("-"),
                    Just(">"),
                    Just("and"),
                    Just("or"),
                    Just("unless")
                ],
                boxed(),
                boxed()
            )
                .prop_map(|(op, lhs, rhs)| Query::Binary { op, lhs, rhs }),
            (boxed(), 1u8..5).prop_map(|(inner, factor)| Query::Scaled { inner, factor }),
        ]
    })
}

pub(super) fn any_data() -> impl Strategy<Value = Data> {
    let value = prop_oneof![6 => (0u32..50).prop_map(f64::from), 1 => Just(stale_nan())];
    let jittered = proptest::collection::btree_map(coarse(0..1_500_000), value.clone(), 0..40);
    let scraped = proptest::collection::vec(value, 0..60).prop_map(|values| {
        values.into_iter().enumerate().map(|(i, v)| (i as i64 * 15_000, v)).collect()
    });
    let samples = prop_oneof![jittered, scraped];
    proptest::collection::btree_map((0u8..4, 0u8..3), samples, 0..12)
}

pub(super) fn labels_of(a: Option<u8>, b: Option<u8>) -> Labels {
    let pair = |name: &str, v: Option<u8>| v.map(|v| (name.to_owned(), v.to_string()));
    Labels::from_pairs(pair("a", a).into_iter().chain(pair("b", b)))
}

pub(super) fn source_of(data: &Data) -> MemorySource {
    let mut source = MemorySource::default();
    for ((a, b), samples) in data {
        for (at, value) in samples {
            source.push(&labels_of(Some(*a), Some(*b)), *at, 0, *value).expect("times ascend");
        }
    }
    source
}

pub(super) fn run(
    source: &MemorySource,
    query: &str,
    (start, end, step_ms): (i64, i64, i64),
    options: EngineOptions,
) -> Result<Vec<MatrixSeries>, QueryError> {
    let expr = parse(query).expect("the query is valid");
    let range = RangeQuery { start: TimestampMs(start), end: TimestampMs(end), step_ms };
    let budget = Budget::new(BudgetLimits::default());
    let answer = Engine::new(options).range(source, query, &expr, range, &budget)?;
    match answer.value {
        AnswerValue::Matrix(matrix) => Ok(matrix),
        other => panic!("a range query gives a matrix, not {other:?}"),
    }
}

proptest! {
    #![proptest_config(super::cases(400))]

    #[test]
    fn answers_equal_those_of_the_model(
        data in any_data(),
        query in any_query(),
        start in coarse(-100_000..1_000_000),
        step_ms in coarse(5_000..100_000),
        steps in 0i64..20,
        delayed_name_removal in any::<bool>(),
    ) {
        let end = start + steps * step_ms;
        let mut expected: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        for at in (start..=end).step_by(step_ms as usize) {
            for ((a, b), value) in query.evaluate(&data, at) {
                expected.entry(labels_of(a, b)).or_default().push((at, value));
            }
        }
        let options = EngineOptions { delayed_name_removal, ..EngineOptions::default() };
        let text = query.text();
        let answer = run(&source_of(&data), &text, (start, end, step_ms), options);
        let mut got: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        for series in answer.expect("the query has an answer") {
            got.insert(series.labels, series.floats);
        }
        prop_assert_eq!(got, expected, "{}", text);
    }
}

/// Many series with values whose sums depend on the order of addition.
fn wide_source(count: usize) -> MemorySource {
    let mut source = MemorySource::default();
    for i in 0..count {
        let labels = Labels::from_pairs([
            ("__name__".to_owned(), "m".to_owned()),
            ("a".to_owned(), (i % 7).to_string()),
            ("i".to_owned(), i.to_string()),
        ]);
        let mut value = 0.1 * i as f64;
        for step in 0..30 {
            value += 1.0 / (1.0 + ((i * 7 + step) % 13) as f64);
            source.push(&labels, step as i64 * 15_000, 0, value).expect("times ascend");
        }
    }
    source
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let source = wide_source(1500);
    let queries = [
        "sum by (a) (rate(m[1m]))",
        "avg by (a) (m)",
        "stddev(m)",
        "quantile by (a) (0.3, m)",
        "topk(5, m)",
        "sum(max_over_time(rate(m[1m])[2m:15s]))",
        "m * on (a) group_left () avg by (a) (m)",
    ];
    for query in queries {
        let answer = |threads| {
            let options = EngineOptions { threads, ..EngineOptions::default() };
            let matrix = run(&source, query, (0, 450_000, 15_000), options);
            let bits = |series: MatrixSeries| {
                let floats: Vec<(i64, u64)> =
                    series.floats.iter().map(|(at, v)| (*at, v.to_bits())).collect();
                (series.labels, floats)
            };
            matrix.expect("an answer").into_iter().map(bits).collect::<Vec<_>>()
        };
        let one = answer(1);
        assert!(!one.is_empty(), "{query}");
        assert_eq!(one, answer(2), "{query}");
        assert_eq!(one, answer(7), "{query}");
    }
}

fn failure(query: &str, limits: BudgetLimits, cancel: Arc<AtomicBool>) -> QueryError {
    let source = wide_source(100);
    let expr = parse(query).expect("the query is valid");
    let budget = Budget::with_cancel(limits, cancel);
    let range = RangeQuery { start: TimestampMs(0), end: TimestampMs(450_000), step_ms: 15_000 };
    let engine = Engine::new(EngineOptions::default());
    engine.range(&source, query, &expr, range, &budget).expect_err("the budget is used up")
}

#[test]
fn a_budget_ends_a_query() {
    let off = || Arc::new(AtomicBool::new(false));
    let few = BudgetLimits { samples_max: 1000, ..BudgetLimits::default() };
    for query in ["m", "m + m", "sum by (i) (m)", "sum_over_time(m[1h:1s])", "m @ 0"] {
        let error = failure(query, few, off());
        assert_eq!(error.kind(), ErrorKind::Limit, "{query}");
        assert!(error.to_string().starts_with(
            "query processing would load too many samples into memory in query execution"
        ));
    }
    let series = BudgetLimits { series_max: 99, ..BudgetLimits::default() };
    let error = failure("count(m)", series, off());
    assert_eq!(error.to_string(), "query would touch 100 series; limit is 99 (query.series_max)");
    let late = BudgetLimits { timeout: Duration::ZERO, ..BudgetLimits::default() };
    let error = failure("sum(m)", late, off());
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Timeout, "query timed out in query execution")
    );
    let cancel = off();
    cancel.store(true, Ordering::Relaxed);
    let error = failure("sum(m)", BudgetLimits::default(), cancel);
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Canceled, "query was canceled in query execution")
    );
}

#[test]
fn a_fold_holds_groups_and_not_series() {
    let source = wide_source(1500);
    let query = "sum by (a) (rate(m[1m]))";
    let expr = parse(query).expect("the query is valid");
    // 31 steps and 7 groups in each of 16 stripes.
    let limits = BudgetLimits { samples_max: 16 * 31 * 7 * 3 + 31 * 7, ..BudgetLimits::default() };
    let budget = Budget::new(limits);
    let range = RangeQuery { start: TimestampMs(0), end: TimestampMs(450_000), step_ms: 15_000 };
    let answer = Engine::new(EngineOptions::default()).range(&source, query, &expr, range, &budget);
    let stats = answer.expect("1500 × 31 samples are never held").stats;
    assert_eq!(stats.series, 1500);
    assert_eq!(stats.samples_read, 1500 * 30);
}

#[test]
fn the_widest_ranges_end_in_an_error() {
    let source = wide_source(1);
    let whole = (i64::MIN, i64::MAX, 1);
    assert!(run(&source, "m", whole, EngineOptions::default()).is_err());
    let edges = (i64::MAX - 10, i64::MAX, 1);
    assert!(run(&source, "m offset -1d", edges, EngineOptions::default()).is_ok());
    let edges = (i64::MIN, i64::MIN + 10, 1);
    assert!(run(&source, "rate(m[1d] offset 1d)", edges, EngineOptions::default()).is_ok());
    assert!(run(&source, "sum_over_time(m[1d:1h])", edges, EngineOptions::default()).is_ok());
}
