//! Functions, aggregations and operators that compute, against formulas written as a textbook
//! writes them: two passes, no running sums, one moment at a time.
//!
//! The operands are the queries of `engine.rs`, whose values are whole numbers and exact, so that
//! operators that jump have one right answer. What is not here:
//!
//! - functions that pick or count (`max_over_time`, `changes`, `sum`, set operators, subqueries):
//!   in `engine.rs`;
//! - labels, joins of many to one, `topk`, `sort`, classic histograms, `@`: compared with a real
//!   Prometheus in `server/tests/clients/differential.rs`;
//! - native histograms, `anchored`, `smoothed`, `info`, `limitk`, `limit_ratio`, duration
//!   expressions: Prometheus' scripts, and the tests beside `histogram/` and `functions/`.

use std::collections::BTreeMap;

use ephemeris_model::Labels;
use ephemeris_query::promql::engine::EngineOptions;
use proptest::prelude::*;

use super::engine::{Data, Query, Vector, any_data, any_query, coarse, labels_of, run, source_of};

/// Functions of a range window, each with its formula.
const WINDOWS: [(&str, &str); 24] = [
    ("avg_over_time", ""),
    ("stddev_over_time", ""),
    ("stdvar_over_time", ""),
    ("mad_over_time", ""),
    ("first_over_time", ""),
    ("min_over_time", ""),
    ("present_over_time", ""),
    ("ts_of_first_over_time", ""),
    ("ts_of_last_over_time", ""),
    ("ts_of_max_over_time", ""),
    ("ts_of_min_over_time", ""),
    ("quantile_over_time", "0.3, "),
    ("quantile_over_time", "-1, "),
    ("quantile_over_time", "1.5, "),
    ("resets", ""),
    ("idelta", ""),
    ("irate", ""),
    ("rate", ""),
    ("increase", ""),
    ("delta", ""),
    ("deriv", ""),
    ("predict_linear", ", 100"),
    ("double_exponential_smoothing", ", 0.3, 0.6"),
    ("absent_over_time", ""),
];

/// The name of a function and its formula.
type Map = (&'static str, fn(f64) -> f64);

/// Functions of one value.
const MAPS: [Map; 33] = [
    ("abs", f64::abs),
    ("ceil", f64::ceil),
    ("floor", f64::floor),
    ("exp", f64::exp),
    ("ln", f64::ln),
    ("log2", f64::log2),
    ("log10", f64::log10),
    ("sqrt", f64::sqrt),
    ("sgn", |v| if v == 0.0 || v.is_nan() { v } else { v.signum() }),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("asin", f64::asin),
    ("acos", f64::acos),
    ("atan", f64::atan),
    ("sinh", f64::sinh),
    ("cosh", f64::cosh),
    ("tanh", f64::tanh),
    ("asinh", f64::asinh),
    ("acosh", f64::acosh),
    ("atanh", f64::atanh),
    ("deg", f64::to_degrees),
    ("rad", f64::to_radians),
    ("-", |v| -v),
    ("round", |v| (v + 0.5).floor()),
    ("clamp_min", |v| v.max(7.0)),
    ("clamp_max", |v| v.min(7.0)),
    ("clamp", |v| v.clamp(3.0, 7.0)),
    ("minute", |v| (v / 60.0).rem_euclid(60.0).floor()),
    ("hour", |v| (v / 3600.0).rem_euclid(24.0).floor()),
    ("day_of_week", |v| ((v / 86_400.0).floor() + 4.0).rem_euclid(7.0)),
    ("max_of", |v| v),
    ("timestamp", |v| v),
];

/// Arguments behind the vector.
fn map_args(function: &str) -> &'static str {
    match function {
        "clamp_min" | "clamp_max" => ", 7",
        "clamp" => ", 3, 7",
        _ => "",
    }
}

const AGGREGATIONS: [(&str, &str); 6] = [
    ("avg", ""),
    ("stddev", ""),
    ("stdvar", ""),
    ("group", ""),
    ("quantile", "0.7, "),
    ("quantile", "2, "),
];

const OPERATORS: [&str; 12] = [
    "*", "/", "%", "^", "atan2", "== bool", "!= bool", "< bool", "<= bool", "> bool", ">= bool",
    "<=",
];

/// A query whose outermost part computes.
#[derive(Clone, Debug)]
enum Outer {
    Window { function: (&'static str, &'static str), range_ms: i64, offset_ms: i64 },
    Map { function: usize, inner: Query },
    Aggregate { op: (&'static str, &'static str), inner: Query },
    Operator { op: &'static str, fill: (Option<u8>, Option<u8>), lhs: Query, rhs: Query },
}

impl Outer {
    fn text(&self) -> String {
        match self {
            Self::Window { function: (name, arg), range_ms, offset_ms } => {
                let window = format!("{{a=~\".+\"}}[{range_ms}ms] offset {offset_ms}ms");
                match arg.strip_prefix(',') {
                    Some(_) => format!("{name}({window}{arg})"),
                    None => format!("{name}({arg}{window})"),
                }
            }
            Self::Map { function, inner } => match MAPS[*function].0 {
                "max_of" => format!("({}) * max_of(-3, min_of(1, time()))", inner.text()),
                // A bare selector gives the time of its sample; what is computed, that of the step.
                "timestamp" => format!("timestamp(1 * {})", inner.text()),
                name => format!("{name}({}{})", inner.text(), map_args(name)),
            },
            Self::Aggregate { op: (name, arg), inner } => {
                format!("{name} by (a) ({arg}{})", inner.text())
            }
            Self::Operator { op, fill, lhs, rhs } => {
                let fill = match fill {
                    (None, None) => String::new(),
                    (Some(l), None) => format!("fill_left({l})"),
                    (None, Some(r)) => format!("fill_right({r})"),
                    (Some(l), Some(r)) if l == r => format!("fill({l})"),
                    (Some(l), Some(r)) => format!("fill_left({l}) fill_right({r})"),
                };
                format!("({} {op} {fill} {})", lhs.text(), rhs.text())
            }
        }
    }

    fn evaluate(&self, data: &Data, at: i64) -> Vector {
        match self {
            Self::Window { function: (name, arg), range_ms, offset_ms } => {
                let (start, end) = (at - offset_ms - range_ms, at - offset_ms);
                let mut vector = Vector::new();
                for ((a, b), samples) in data {
                    let window = samples.range(start + 1..=end);
                    let window: Vec<(f64, f64)> = window
                        .filter(|(_, value)| !value.is_nan())
                        .map(|(at, value)| (*at as f64, *value))
                        .collect();
                    let times = (start as f64, end as f64, at as f64);
                    if let Some(value) = over(name, arg, &window, times) {
                        vector.insert((Some(*a), Some(*b)), value);
                    }
                }
                if *name == "absent_over_time" {
                    return match vector.is_empty() {
                        true => Vector::from([((None, None), 1.0)]),
                        false => Vector::new(),
                    };
                }
                vector
            }
            Self::Map { function, inner } => {
                let (name, formula) = MAPS[*function];
                let value = |v: f64| match name {
                    "timestamp" => at as f64 / 1000.0,
                    "max_of" => v * (at as f64 / 1000.0).clamp(-3.0, 1.0),
                    _ => formula(v),
                };
                inner.evaluate(data, at).into_iter().map(|(l, v)| (l, value(v))).collect()
            }
            Self::Aggregate { op: (name, arg), inner } => {
                let mut groups: BTreeMap<_, Vec<f64>> = BTreeMap::new();
                for ((a, _), value) in inner.evaluate(data, at) {
                    groups.entry((a, None)).or_default().push(value);
                }
                let value = |values: &[f64]| match *name {
                    "avg" => mean(values),
                    "stddev" => variance(values).sqrt(),
                    "stdvar" => variance(values),
                    "group" => 1.0,
                    _ => quantile(number(arg), values),
                };
                groups.into_iter().map(|(labels, values)| (labels, value(&values))).collect()
            }
            Self::Operator { op, fill, lhs, rhs } => {
                let (lhs, rhs) = (lhs.evaluate(data, at), rhs.evaluate(data, at));
                let mut vector = Vector::new();
                for labels in lhs.keys().chain(rhs.keys()) {
                    let left = lhs.get(labels).copied().or(fill.0.map(f64::from));
                    let right = rhs.get(labels).copied().or(fill.1.map(f64::from));
                    if let (Some(left), Some(right)) = (left, right)
                        && let Some(value) = operate(op, left, right)
                    {
                        vector.insert(*labels, value);
                    }
                }
                vector
            }
        }
    }
}

impl Outer {
    /// The largest number that is added where the answer may be a small rest of it: on a line,
    /// what the slope adds up to over the time between samples and the moment asked.
    fn largest_term(&self, data: &Data, at: i64) -> f64 {
        let Self::Window { function: ("predict_linear", _), range_ms, offset_ms } = self else {
            return 1.0;
        };
        let end = at - offset_ms;
        let terms = data.values().map(|samples| {
            let window = samples.range(end - range_ms + 1..=end);
            let window: Vec<(f64, f64)> = window
                .filter(|(_, value)| !value.is_nan())
                .map(|(at, value)| (*at as f64, *value))
                .collect();
            if window.len() < 2 {
                return 1.0;
            }
            let seconds = (at as f64 + 100_000.0 - window[0].0) / 1000.0;
            (line(&window, at as f64).0 * seconds).abs()
        });
        terms.fold(1.0, f64::max)
    }
}

fn operate(op: &str, x: f64, y: f64) -> Option<f64> {
    let truth = |holds: bool| Some(f64::from(u8::from(holds)));
    match op {
        "*" => Some(x * y),
        "/" => Some(x / y),
        "%" => Some(x % y),
        "^" => Some(x.powf(y)),
        "atan2" => Some(x.atan2(y)),
        "== bool" => truth(x == y),
        "!= bool" => truth(x != y),
        "< bool" => truth(x < y),
        "<= bool" => truth(x <= y),
        "> bool" => truth(x > y),
        ">= bool" => truth(x >= y),
        "<=" => (x <= y).then_some(x),
        other => panic!("no formula for {other}"),
    }
}

/// The number in an argument such as `0.3, `.
fn number(arg: &str) -> f64 {
    arg.trim_matches([',', ' ']).parse().expect("a number")
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn quantile(q: f64, values: &[f64]) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

/// Slope by second and value at `at` of the least-squares line. Times are counted from the first,
/// so that they stay exact.
fn line(window: &[(f64, f64)], at: f64) -> (f64, f64) {
    let times: Vec<f64> = window.iter().map(|(t, _)| (t - window[0].0) / 1000.0).collect();
    let values: Vec<f64> = window.iter().map(|(_, v)| *v).collect();
    let (t, v) = (mean(&times), mean(&values));
    let both: f64 = times.iter().zip(&values).map(|(x, y)| (x - t) * (y - v)).sum();
    let square: f64 = times.iter().map(|x| (x - t).powi(2)).sum();
    let slope = both / square;
    (slope, v + slope * ((at - window[0].0) / 1000.0 - t))
}

/// The value of a window function; `times` are start and end of the window and the moment asked,
/// all times in milliseconds.
fn over(name: &str, arg: &str, window: &[(f64, f64)], times: (f64, f64, f64)) -> Option<f64> {
    let (start, end, at) = times;
    let values: Vec<f64> = window.iter().map(|(_, v)| *v).collect();
    let (first, last) = (window.first()?, window.last()?);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let newest_with =
        |wanted: f64| window.iter().rfind(|(_, v)| *v == wanted).map(|(t, _)| *t / 1000.0);
    let one = match name {
        "avg_over_time" => mean(&values),
        "stddev_over_time" => variance(&values).sqrt(),
        "stdvar_over_time" => variance(&values),
        "mad_over_time" => {
            let median = quantile(0.5, &values);
            let distances: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
            quantile(0.5, &distances)
        }
        "first_over_time" => first.1,
        "min_over_time" => min,
        "present_over_time" | "absent_over_time" => 1.0,
        "ts_of_first_over_time" => first.0 / 1000.0,
        "ts_of_last_over_time" => last.0 / 1000.0,
        "ts_of_max_over_time" => newest_with(max)?,
        "ts_of_min_over_time" => newest_with(min)?,
        "quantile_over_time" => quantile(number(arg), &values),
        "resets" => values.windows(2).filter(|pair| pair[1] < pair[0]).count() as f64,
        _ => return of_two(name, window, &values, (start, end, at)),
    };
    Some(one)
}

/// Functions that need two samples.
fn of_two(
    name: &str,
    window: &[(f64, f64)],
    values: &[f64],
    (start, end, at): (f64, f64, f64),
) -> Option<f64> {
    let [.., before, last] = window else { return None };
    match name {
        "idelta" => Some(last.1 - before.1),
        "irate" => {
            let more = if last.1 < before.1 { last.1 } else { last.1 - before.1 };
            Some(more / ((last.0 - before.0) / 1000.0))
        }
        "deriv" => Some(line(window, at).0),
        "predict_linear" => Some(line(window, at + 100_000.0).1),
        "double_exponential_smoothing" => {
            let (mut level, mut trend) = (values[0], values[1] - values[0]);
            for (i, value) in values.iter().enumerate().skip(1) {
                let next = 0.3 * value + 0.7 * (level + trend);
                if i + 1 < values.len() {
                    trend = 0.6 * (next - level) + 0.4 * trend;
                }
                level = next;
            }
            Some(level)
        }
        _ => Some(extrapolated(name, window, start, end)),
    }
}

/// `rate`, `increase`, `delta`: the change between the first and the last sample, stretched to
/// the window.
fn extrapolated(name: &str, window: &[(f64, f64)], start: f64, end: f64) -> f64 {
    let (first, last) = (window[0], window[window.len() - 1]);
    let mut change = last.1 - first.1;
    if name != "delta" {
        let resets = window.windows(2).filter(|pair| pair[1].1 < pair[0].1);
        change += resets.map(|pair| pair[0].1).sum::<f64>();
    }
    let sampled = last.0 - first.0;
    let distance = sampled / (window.len() - 1) as f64;
    let stretch = |gap: f64| if gap >= distance * 1.1 { distance / 2.0 } else { gap };
    let mut to_start = stretch(first.0 - start);
    if name != "delta" && change > 0.0 && first.1 >= 0.0 {
        // A counter is not extrapolated below zero.
        to_start = to_start.min(sampled * (first.1 / change));
    }
    let change = change * ((sampled + to_start + stretch(end - last.0)) / sampled);
    if name == "rate" { change / ((end - start) / 1000.0) } else { change }
}

fn any_outer() -> impl Strategy<Value = Outer> {
    let offset = prop_oneof![Just(0i64), coarse(-90_000..90_000)];
    let fill = || proptest::option::of(0u8..3);
    prop_oneof![
        2 => (0..WINDOWS.len(), coarse(5_000..400_000), offset).prop_map(
            |(i, range_ms, offset_ms)| Outer::Window { function: WINDOWS[i], range_ms, offset_ms }
        ),
        1 => (0..MAPS.len(), any_query()).prop_map(|(function, inner)| Outer::Map { function, inner }),
        1 => (0..AGGREGATIONS.len(), any_query())
            .prop_map(|(i, inner)| Outer::Aggregate { op: AGGREGATIONS[i], inner }),
        1 => (0..OPERATORS.len(), fill(), fill(), any_query(), any_query()).prop_map(
            |(i, left, right, lhs, rhs)| Outer::Operator {
                op: OPERATORS[i],
                fill: (left, right),
                lhs,
                rhs,
            }
        ),
    ]
}

/// Equal up to rounding. Differences of values up to 50 at times up to a day may leave a rest
/// where the right answer is zero.
/// `largest_term` is the largest of the numbers whose sum the answer is.
fn is_close(got: f64, expected: f64, largest_term: f64) -> bool {
    let scale = got.abs().max(expected.abs()).max(largest_term);
    got == expected || got.is_nan() && expected.is_nan() || (got - expected).abs() <= 1e-12 * scale
}

#[test]
fn rests_of_large_terms_are_close_and_wrong_answers_are_not() {
    assert!(is_close(1.7e-12, 0.0, 50.0));
    assert!(!is_close(1.7e-12, 0.0, 1.0));
    assert!(!is_close(1e-9, 0.0, 50.0));
    assert!(!is_close(f64::NAN, 0.0, 50.0));
}

proptest! {
    #![proptest_config(super::cases(2000))]

    #[test]
    fn answers_equal_formulas(
        data in any_data(),
        query in any_outer(),
        start in coarse(-100_000..1_000_000),
        step_ms in coarse(5_000..100_000),
        steps in 0i64..12,
    ) {
        let end = start + steps * step_ms;
        let mut expected: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        let mut largest_term = 1.0f64;
        for at in (start..=end).step_by(step_ms as usize) {
            largest_term = largest_term.max(query.largest_term(&data, at));
            for ((a, b), value) in query.evaluate(&data, at) {
                expected.entry(labels_of(a, b)).or_default().push((at, value));
            }
        }
        let text = query.text();
        let answer = run(&source_of(&data), &text, (start, end, step_ms), EngineOptions::default());
        let mut got: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        for series in answer.expect("the query has an answer") {
            got.insert(series.labels, series.floats);
        }
        prop_assert!(got.keys().eq(expected.keys()), "{}: {:?}, not {:?}", text, got, expected);
        for (labels, points) in &expected {
            let same = |(got, expected): (&(i64, f64), &(i64, f64))| {
                got.0 == expected.0 && is_close(got.1, expected.1, largest_term)
            };
            let found = &got[labels];
            prop_assert!(
                found.len() == points.len() && found.iter().zip(points).all(same),
                "{} {}: {:?}, not {:?}", text, labels, found, points
            );
        }
    }
}
