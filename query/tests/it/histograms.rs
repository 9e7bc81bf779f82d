//! Native histograms through range functions, aggregations and arithmetic, against a model that
//! knows nothing of spans, hints and compensated sums: a histogram is a map from bucket to count.
//!
//! All streams of a case are exponential, of any resolution, or all have custom bounds, which need
//! not be the same; both come as counters, with resets, and as gauges. Mixes with floats and of
//! the two kinds are left to Prometheus' scripts, as annotations are.

use std::collections::BTreeMap;

use ephemeris_model::{CounterResetHint, FloatHistogram, Labels, Span};
use ephemeris_query::promql::engine::EngineOptions;
use ephemeris_query::script::MemorySource;
use proptest::prelude::*;
use proptest::sample::select;

use super::engine::{coarse, labels_of, run};

/// Bounds of custom buckets; a sample has some of them.
const BOUNDS: [f64; 4] = [1.0, 2.0, 4.0, 8.0];
const FINEST: i32 = 2;
const ZERO_WIDTH: f64 = 0.001;
const CUSTOM: i32 = -53;

/// A histogram of the model. Buckets are numbered as in Prometheus: with `schema` bucket `i` ends at
/// `2^(i / 2^schema)`; custom ones end at `bounds[i]`, the last is open.
#[derive(Clone, Debug, Default, PartialEq)]
struct Bars {
    schema: i32,
    bounds: Vec<f64>,
    count: f64,
    sum: f64,
    zero: f64,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
}

impl Bars {
    fn is_custom(&self) -> bool {
        self.schema == CUSTOM
    }

    /// The same counts in buckets both have.
    fn like(&self, schema: i32, bounds: &[f64]) -> Self {
        let mut out = Self {
            schema,
            bounds: bounds.to_vec(),
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            ..self.clone()
        };
        let index = |i: i32| match self.is_custom() {
            true => match self.bounds.get(i as usize) {
                Some(own) => bounds.iter().filter(|bound| *bound < own).count() as i32,
                None => bounds.len() as i32,
            },
            // The end of a bucket stays, or goes up to the next end there is.
            false => {
                let merged = 2f64.powi(self.schema - schema);
                (f64::from(i) / merged).ceil() as i32
            }
        };
        for (i, n) in &self.positive {
            *out.positive.entry(index(*i)).or_default() += n;
        }
        for (i, n) in &self.negative {
            *out.negative.entry(index(*i)).or_default() += n;
        }
        out
    }

    /// Both in the finest buckets both have.
    fn alike(&self, other: &Self) -> (Self, Self) {
        let schema = self.schema.min(other.schema);
        let both = |bound: &f64| other.bounds.contains(bound);
        let bounds: Vec<f64> = self.bounds.iter().copied().filter(both).collect();
        (self.like(schema, &bounds), other.like(schema, &bounds))
    }

    fn plus(&self, other: &Self, sign: f64) -> Self {
        let (mut sum, other) = self.alike(other);
        sum.count += sign * other.count;
        sum.sum += sign * other.sum;
        sum.zero += sign * other.zero;
        for (i, n) in other.positive {
            *sum.positive.entry(i).or_default() += sign * n;
        }
        for (i, n) in other.negative {
            *sum.negative.entry(i).or_default() += sign * n;
        }
        sum
    }

    fn times(mut self, factor: f64) -> Self {
        self.count *= factor;
        self.sum *= factor;
        self.zero *= factor;
        self.positive.values_mut().chain(self.negative.values_mut()).for_each(|n| *n *= factor);
        self
    }

    /// Whether a counter that stands at `self` cannot have come there from `before`.
    fn is_reset_after(&self, before: &Self) -> bool {
        if self.count < before.count || self.zero < before.zero || self.schema > before.schema {
            return true;
        }
        let (now, before) = self.alike(before);
        let fell = |now: &BTreeMap<i32, f64>, before: &BTreeMap<i32, f64>| {
            before.iter().any(|(i, n)| now.get(i).copied().unwrap_or(0.0) < *n)
        };
        fell(&now.positive, &before.positive) || fell(&now.negative, &before.negative)
    }

    /// All buckets that hold something, from the lowest: ends and count.
    fn buckets(&self) -> Vec<(f64, f64, f64)> {
        let end = |i: i32| match self.is_custom() {
            true => match usize::try_from(i) {
                Ok(i) => self.bounds.get(i).copied().unwrap_or(f64::INFINITY),
                // The first bucket begins at 0, as its end is above that.
                Err(_) => 0.0,
            },
            false => 2f64.powf(f64::from(i) / 2f64.powi(self.schema)),
        };
        let negative = self.negative.iter().rev().map(|(i, n)| (-end(*i), -end(i - 1), *n));
        let positive = self.positive.iter().map(|(i, n)| (end(i - 1), end(*i), *n));
        let any = |side: &BTreeMap<i32, f64>| side.values().any(|n| *n != 0.0);
        let (has_negative, has_positive) = (any(&self.negative), any(&self.positive));
        let low = if has_positive && !has_negative { 0.0 } else { -ZERO_WIDTH };
        let high = if has_negative && !has_positive { 0.0 } else { ZERO_WIDTH };
        let all = negative.chain([(low, high, self.zero)]).chain(positive);
        all.filter(|(_, _, n)| *n != 0.0).collect()
    }

    fn quantile(&self, q: f64) -> f64 {
        let rank = q * self.count;
        let mut below = 0.0;
        for (low, high, n) in self.buckets() {
            if below + n >= rank {
                let share = (rank - below) / n;
                let in_zero = low.abs() <= ZERO_WIDTH && high.abs() <= ZERO_WIDTH;
                if high.is_infinite() {
                    return low;
                }
                if self.is_custom() || in_zero {
                    return low + (high - low) * share;
                }
                return low * (high / low).powf(share);
            }
            below += n;
        }
        f64::NAN
    }
}

/// One sample of a stream as it is drawn.
#[derive(Clone, Debug)]
struct Drawn {
    gap_ms: i64,
    /// Classes of observations: 0 is zero, others are buckets, negative ones below zero.
    seen: Vec<i32>,
    schema: i32,
    /// Which of [`BOUNDS`] it has.
    mask: u8,
    restarts: bool,
}

/// A stream: samples by time.
type Stream = Vec<(i64, Bars)>;

#[derive(Clone, Debug)]
struct Data {
    is_counter: bool,
    streams: BTreeMap<(u8, u8), Stream>,
}

fn stream(drawn: Vec<Drawn>, is_custom: bool, is_counter: bool) -> Stream {
    let mut finest = Bars {
        schema: if is_custom { CUSTOM } else { FINEST },
        bounds: if is_custom { BOUNDS.to_vec() } else { Vec::new() },
        ..Bars::default()
    };
    let (empty, mut at) = (finest.clone(), 0);
    let mut stream = Vec::new();
    for sample in drawn {
        at += sample.gap_ms;
        if sample.restarts || !is_counter {
            finest = empty.clone();
        }
        for class in sample.seen {
            let class = if is_custom { class.rem_euclid(5) } else { class };
            finest.count += 1.0;
            finest.sum += f64::from(class);
            match class {
                class if is_custom => *finest.positive.entry(class).or_default() += 1.0,
                0 => finest.zero += 1.0,
                1.. => *finest.positive.entry(class).or_default() += 1.0,
                _ => *finest.negative.entry(-class).or_default() += 1.0,
            }
        }
        let kept = |i: &usize| sample.mask & (1 << i) != 0;
        let bounds: Vec<f64> = match is_custom {
            true => (0..BOUNDS.len()).filter(kept).map(|i| BOUNDS[i]).collect(),
            false => Vec::new(),
        };
        let schema = if is_custom { CUSTOM } else { sample.schema };
        stream.push((at, finest.like(schema, &bounds)));
    }
    stream
}

fn any_data() -> impl Strategy<Value = Data> {
    let drawn = (
        prop_oneof![5 => Just(15_000i64), 1 => coarse(5_000..200_000)],
        proptest::collection::vec(-3..12i32, 0..5),
        prop_oneof![6 => Just(1), 1 => -1..=FINEST],
        prop_oneof![6 => Just(15u8), 1 => 1..16u8],
        prop_oneof![9 => Just(false), 1 => Just(true)],
    )
        .prop_map(|(gap_ms, seen, schema, mask, restarts)| Drawn {
            gap_ms: gap_ms.max(1),
            seen,
            schema,
            mask,
            restarts,
        });
    let streams = proptest::collection::btree_map(
        (0u8..3, 0u8..2),
        proptest::collection::vec(drawn, 1..40),
        1..6,
    );
    (any::<bool>(), any::<bool>(), streams).prop_map(|(is_custom, is_counter, streams)| Data {
        is_counter,
        streams: streams
            .into_iter()
            .map(|(labels, drawn)| (labels, stream(drawn, is_custom, is_counter)))
            .collect(),
    })
}

/// Buckets as spans.
fn spans(buckets: &BTreeMap<i32, f64>) -> (Vec<Span>, Vec<f64>) {
    let mut end = 0;
    let spans = buckets.keys().map(|i| {
        let span = Span { offset: i - end, length: 1 };
        end = i + 1;
        span
    });
    (spans.collect(), buckets.values().copied().collect())
}

fn source_of(data: &Data) -> MemorySource {
    let mut source = MemorySource::default();
    for ((a, b), stream) in &data.streams {
        for (at, bars) in stream {
            let (positive_spans, positive_buckets) = spans(&bars.positive);
            let (negative_spans, negative_buckets) = spans(&bars.negative);
            let histogram = FloatHistogram {
                schema: bars.schema,
                count: bars.count,
                sum: bars.sum,
                zero_threshold: if bars.is_custom() { 0.0 } else { ZERO_WIDTH },
                zero_count: bars.zero,
                reset_hint: match data.is_counter {
                    true => CounterResetHint::Unknown,
                    false => CounterResetHint::Gauge,
                },
                positive_spans,
                negative_spans,
                positive_buckets,
                negative_buckets,
                custom_values: bars.bounds.clone(),
            };
            let labels = labels_of(Some(*a), Some(*b));
            source.push_histogram(&labels, *at, 0, &histogram).expect("times ascend");
        }
    }
    source
}

/// Queries the model can answer with histograms.
#[derive(Clone, Debug)]
enum Query {
    Selector,
    Over { function: &'static str, range_ms: i64 },
    Aggregate { op: &'static str, inner: Box<Query> },
    Binary { op: &'static str, lhs: Box<Query>, rhs: Box<Query> },
    Scaled { op: &'static str, factor: f64, inner: Box<Query> },
}

type Vector = BTreeMap<(Option<u8>, Option<u8>), Bars>;

impl Query {
    fn text(&self) -> String {
        match self {
            Self::Selector => "{a=~\".+\"}".to_owned(),
            Self::Over { function, range_ms } => format!("{function}({{a=~\".+\"}}[{range_ms}ms])"),
            Self::Aggregate { op, inner } => format!("{op} by (a) ({})", inner.text()),
            Self::Binary { op, lhs, rhs } => format!("({} {op} {})", lhs.text(), rhs.text()),
            Self::Scaled { op, factor, inner } => format!("({} {op} {factor})", inner.text()),
        }
    }

    fn evaluate(&self, data: &Data, at: i64) -> Vector {
        let window = |stream: &Stream, range_ms: i64| -> Stream {
            stream.iter().filter(|(t, _)| *t > at - range_ms && *t <= at).cloned().collect()
        };
        let each = |value: &dyn Fn(&Stream) -> Option<Bars>| {
            let streams = data.streams.iter();
            streams.filter_map(|((a, b), s)| Some(((Some(*a), Some(*b)), value(s)?))).collect()
        };
        match self {
            Self::Selector => {
                each(&|s| window(s, super::engine::LOOKBACK_MS).pop().map(|(_, bars)| bars))
            }
            Self::Over { function, range_ms } => each(&|stream| {
                let start = at - range_ms;
                over(function, &window(stream, *range_ms), (start, at))
            }),
            Self::Aggregate { op, inner } => {
                let mut groups: BTreeMap<_, Vec<Bars>> = BTreeMap::new();
                for ((a, _), bars) in inner.evaluate(data, at) {
                    groups.entry((a, None)).or_default().push(bars);
                }
                let name = format!("{op}_over_time");
                groups.into_iter().map(|(labels, all)| (labels, folded(&name, &all))).collect()
            }
            Self::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (lhs.evaluate(data, at), rhs.evaluate(data, at));
                let sign = if *op == "-" { -1.0 } else { 1.0 };
                let pairs = lhs.into_iter();
                pairs.filter_map(|(l, x)| Some((l, x.plus(rhs.get(&l)?, sign)))).collect()
            }
            Self::Scaled { op, factor, inner } => {
                let factor = if *op == "/" { 1.0 / factor } else { *factor };
                let inner = inner.evaluate(data, at).into_iter();
                inner.map(|(labels, bars)| (labels, bars.times(factor))).collect()
            }
        }
    }
}

fn folded(name: &str, all: &[Bars]) -> Bars {
    let sum = all[1..].iter().fold(all[0].clone(), |sum, bars| sum.plus(bars, 1.0));
    if name == "avg_over_time" { sum.times(1.0 / all.len() as f64) } else { sum }
}

/// The value of a range function over `window`, which lies between two times.
fn over(function: &str, window: &Stream, (start, end): (i64, i64)) -> Option<Bars> {
    let all: Vec<Bars> = window.iter().map(|(_, bars)| bars.clone()).collect();
    let ((first_at, first), (last_at, last)) = (window.first()?, window.last()?);
    match function {
        "sum_over_time" | "avg_over_time" => return Some(folded(function, &all)),
        "last_over_time" => return Some(last.clone()),
        _ if all.len() < 2 => return None,
        _ => {}
    }
    let is_counter = function != "delta";
    let resets: Vec<usize> = match is_counter {
        true => (0..all.len() - 1).filter(|i| all[i + 1].is_reset_after(&all[*i])).collect(),
        false => Vec::new(),
    };
    // What was reset right away counts for nothing, so it need not have fitting buckets.
    let skips_first = resets.first() == Some(&0);
    let mut change = if skips_first { last.clone() } else { last.plus(first, -1.0) };
    for at in resets.into_iter().filter(|at| *at > 0) {
        change = change.plus(&all[at], 1.0);
    }
    if is_counter && !change.is_custom() {
        let counted = &all[usize::from(skips_first)..];
        let coarsest = counted.iter().map(|bars| bars.schema).min()?;
        change = change.like(coarsest, &[]);
    }
    // In seconds, as in Prometheus: what is just at the threshold is told by rounding.
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let sampled = seconds(last_at - first_at);
    let distance = sampled / (all.len() - 1) as f64;
    let stretch = |gap: i64| {
        let gap = seconds(gap);
        if gap >= distance * 1.1 { distance / 2.0 } else { gap }
    };
    let mut to_start = stretch(first_at - start);
    if is_counter && change.count > 0.0 {
        to_start = to_start.min(sampled * (first.count / change.count));
    }
    let mut factor = (sampled + to_start + stretch(end - last_at)) / sampled;
    if function == "rate" {
        factor /= seconds(end - start);
    }
    Some(change.times(factor))
}

fn any_query() -> impl Strategy<Value = Query> {
    let functions =
        vec!["rate", "increase", "delta", "sum_over_time", "avg_over_time", "last_over_time"];
    let over = (select(functions), coarse(15_000..400_000))
        .prop_map(|(function, range_ms)| Query::Over { function, range_ms: range_ms.max(1) });
    let leaf = prop_oneof![1 => Just(Query::Selector), 3 => over];
    leaf.prop_recursive(3, 6, 2, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            (select(vec!["sum", "avg"]), boxed())
                .prop_map(|(op, inner)| Query::Aggregate { op, inner }),
            (select(vec!["+", "-"]), boxed(), boxed()).prop_map(|(op, lhs, rhs)| Query::Binary {
                op,
                lhs,
                rhs
            }),
            (select(vec!["*", "/"]), select(vec![2.0, 0.5, 4.0]), boxed())
                .prop_map(|(op, factor, inner)| Query::Scaled { op, factor, inner }),
        ]
    })
}

/// Functions that make numbers of histograms.
const NUMBERS: [(&str, &str); 5] = [
    ("histogram_count", ""),
    ("histogram_sum", ""),
    ("histogram_avg", ""),
    ("histogram_quantile", "0.3719, "),
    ("histogram_quantile", "0.8317, "),
];

fn number(function: (&str, &str), bars: &Bars) -> f64 {
    match function {
        ("histogram_count", _) => bars.count,
        ("histogram_sum", _) => bars.sum,
        ("histogram_avg", _) => bars.sum / bars.count,
        (_, "0.3719, ") => bars.quantile(0.3719),
        _ => bars.quantile(0.8317),
    }
}

/// Equal up to rounding of counts of about `scale`.
fn is_close(got: f64, expected: f64, scale: f64) -> bool {
    got == expected
        || got.is_nan() && expected.is_nan()
        || (got - expected).abs() <= 1e-9 * got.abs().max(expected.abs()).max(scale)
}

/// A histogram of an answer as the model has them.
fn bars_of(histogram: &FloatHistogram) -> Bars {
    let side = |spans: &[Span], counts: &[f64]| {
        let (mut at, mut counts) = (0, counts.iter());
        let mut side = BTreeMap::new();
        for span in spans {
            at += span.offset;
            for _ in 0..span.length {
                side.insert(at, *counts.next().expect("a count for each bucket"));
                at += 1;
            }
        }
        side
    };
    Bars {
        schema: histogram.schema,
        bounds: histogram.custom_values.clone(),
        count: histogram.count,
        sum: histogram.sum,
        zero: histogram.zero_count,
        positive: side(&histogram.positive_spans, &histogram.positive_buckets),
        negative: side(&histogram.negative_spans, &histogram.negative_buckets),
    }
}

fn are_close(got: &Bars, expected: &Bars) -> bool {
    let sides = |a: &BTreeMap<i32, f64>, b: &BTreeMap<i32, f64>| {
        let of = |side: &BTreeMap<i32, f64>, i: &i32| side.get(i).copied().unwrap_or(0.0);
        a.keys().chain(b.keys()).all(|i| is_close(of(a, i), of(b, i), 1.0))
    };
    got.schema == expected.schema
        && got.bounds == expected.bounds
        && is_close(got.count, expected.count, 1.0)
        && is_close(got.sum, expected.sum, 10.0)
        && is_close(got.zero, expected.zero, 1.0)
        && sides(&got.positive, &expected.positive)
        && sides(&got.negative, &expected.negative)
}

proptest! {
    #![proptest_config(super::cases(1500))]

    #[test]
    fn histograms_equal_those_of_the_model(
        data in any_data(),
        query in any_query(),
        start in coarse(0..600_000),
        step_ms in coarse(5_000..100_000),
        steps in 0i64..8,
    ) {
        let (step_ms, text) = (step_ms.max(1), query.text());
        let end = start + steps * step_ms;
        let times = (start, end, step_ms);
        let answer = run(&source_of(&data), &text, times, EngineOptions::default());
        let mut got: BTreeMap<(Labels, i64), Bars> = BTreeMap::new();
        for series in answer.expect("the query has an answer") {
            prop_assert!(series.floats.is_empty(), "{}: {:?}", text, series);
            for (at, histogram) in &series.histograms {
                got.insert((series.labels.clone(), *at), bars_of(histogram));
            }
        }
        let mut expected = BTreeMap::new();
        for at in (start..=end).step_by(step_ms as usize) {
            for ((a, b), bars) in query.evaluate(&data, at) {
                expected.insert((labels_of(a, b), at), bars);
            }
        }
        prop_assert!(got.keys().eq(expected.keys()), "{}: {:?}, not {:?}", text, got, expected);
        for (place, bars) in &expected {
            let found = &got[place];
            prop_assert!(are_close(found, bars), "{} {:?}:\n{:?}, not\n{:?}", text, place, found, bars);
        }
    }

    #[test]
    fn numbers_of_histograms_equal_formulas(
        data in any_data(),
        query in any_query().prop_filter("counts stay above zero", |query| !query.text().contains(" - ")
            && !query.text().contains("delta")),
        function in select(NUMBERS.to_vec()),
        at in coarse(0..600_000),
    ) {
        let (name, args) = function;
        let text = format!("{name}({args}{})", query.text());
        let answer = run(&source_of(&data), &text, (at, at, 1), EngineOptions::default());
        let mut got = BTreeMap::new();
        for series in answer.expect("the query has an answer") {
            prop_assert_eq!(series.floats.len(), 1);
            got.insert(series.labels, series.floats[0].1);
        }
        let expected: BTreeMap<Labels, f64> = query
            .evaluate(&data, at)
            .into_iter()
            .map(|((a, b), bars)| (labels_of(a, b), number(function, &bars)))
            .collect();
        prop_assert!(got.keys().eq(expected.keys()), "{}: {:?}, not {:?}", text, got, expected);
        for (labels, value) in &expected {
            let found = got[labels];
            prop_assert!(is_close(found, *value, 1e-3), "{text} {labels}: {found}, not {value}");
        }
    }
}
