//! Random queries over every function, operator and modifier Prometheus 2.42 knows.
//!
//! Two right answers may differ in their last bits where an engine is free in the order of
//! additions or in its mathematics library. So that such bits stay what they are and never become
//! another sign, order or label, each expression carries how [`Exact`] it is, and operators that
//! jump (comparisons, `floor`, `%`, `changes`, `count_values`, …) or cancel (`-`) take operands
//! that are exact enough only. Left out, because two right answers differ:
//!
//! - `topk` and `bottomk` over values with ties, where any choice is right;
//! - subtraction of inexact values, whose relative error has no bound.
//!
//! Left out, because 2.42 and 3 differ by design:
//!
//! - samples on the edge of a window: 2.42 closes it on the left too (see `data`);
//! - `rate` and `increase` close to zero: 2.42 extrapolates to the zero of the counter before it
//!   bounds the extrapolation by the distance of samples, 3 after it; so counters only, which stay
//!   far from zero;
//! - `stddev` and `stdvar` of one NaN or infinity: 0 in 2.42, NaN in 3; so finite values only;
//! - the name of the left side of `atan2`: 2.42 keeps it, 3 drops it; so it has none here;
//! - parts of the date of NaN and infinities, which depend on the processor in Prometheus;
//! - `predict_linear` of a window with `@`: in 2.42 the window moves with the steps all the same;
//! - `timestamp` of a selector with both `@` and `offset`: 2.42 forgets the offset;
//! - subqueries without a step inside: 2.42 may answer something with `@` in them all the same;
//! - `absent` of series that get equal labels with their names removed: an error in Prometheus,
//!   answered here, since `absent` does not gather what it is about;
//! - `offset 0s`: an error in 2.42;
//! - `holt_winters` is `double_exponential_smoothing` in 3: it is renamed for this server.

use super::data::SPAN_MS;
use super::random::Random;
use super::words::{CALENDAR, COMPUTING, COUNTING, PICKING, SMOOTH, WHOLE};
use Exact::{Bits, Rounded, Sums};

/// How far the value of an expression is fixed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exact {
    /// Up to rounding.
    Rounded,
    /// To the bit.
    Bits,
    /// To the bit, and sums of a few are exact too.
    Sums,
}

/// An expression that is a vector.
struct Vector {
    text: String,
    exact: Exact,
}

/// Makes queries.
pub(crate) struct Queries {
    pub(crate) random: Random,
    /// Where the data begins, in milliseconds.
    pub(crate) start_ms: i64,
}

impl Queries {
    /// Any query whose answer is a vector.
    pub(crate) fn vector_query(&mut self) -> String {
        let depth = 1 + self.random.below(3);
        match self.random.below(12) {
            0 => {
                let inner = self.vector(depth, Bits).text;
                format!("{}({inner})", self.random.pick(&["sort", "sort_desc"]))
            }
            1 => {
                let name = self.random.pick(&["vector", "absent", "scalar"]);
                match name {
                    "vector" => format!("vector({})", self.scalar(depth)),
                    "absent" => format!("absent({})", self.selector().text),
                    name => format!("{name}({})", self.vector(depth, Rounded).text),
                }
            }
            2 => self.scalar(depth),
            _ => self.vector(depth, Rounded).text,
        }
    }

    /// A query whose answer is a matrix.
    pub(crate) fn matrix_query(&mut self) -> String {
        self.window(1).text
    }

    fn scalar(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 4 } else { 6 }) {
            0 => "time()".to_owned(),
            1 => "pi()".to_owned(),
            2 => self.random.pick(&["0x1F", "Inf", "-Inf", "NaN", "1e3", ".5", "-7"]).to_owned(),
            3 => format!("{}", self.random.below(100)),
            4 => format!("scalar({})", self.vector(depth - 1, Bits).text),
            _ => {
                let op = self.random.pick(&["+", "-", "*", "/", "%", "> bool", "== bool"]);
                format!("({} {op} {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
        }
    }

    /// A vector of at least this exactness.
    fn vector(&mut self, depth: usize, least: Exact) -> Vector {
        loop {
            let vector = if depth == 0 { self.selector() } else { self.composed(depth - 1) };
            if vector.exact >= least {
                return vector;
            }
        }
    }

    fn composed(&mut self, depth: usize) -> Vector {
        match self.random.below(16) {
            0 => self.selector(),
            1..=3 => self.over_window(depth),
            4 | 5 => self.call(depth),
            6..=8 => self.aggregation(depth),
            9 | 10 => self.arithmetic(depth),
            11 => self.comparison(depth),
            12 => self.set(depth),
            13 => self.join(),
            14 => self.with_scalar(depth),
            _ => self.template(),
        }
    }

    fn selector(&mut self) -> Vector {
        let text = self.selector_text();
        Vector { text: format!("{text}{}", self.modifiers()), exact: Sums }
    }

    fn selector_text(&mut self) -> String {
        let metrics = [
            "gauge",
            "gauge",
            "up",
            "distinct",
            "sparse",
            "requests_total",
            "build_info",
            "latency_count",
            "latency_bucket",
        ];
        let metric = self.random.pick(&metrics);
        let matchers = [
            "",
            "",
            "{job=\"a\"}",
            "{job!=\"a\"}",
            "{job=~\"a|b\"}",
            "{instance!~\"[01]\"}",
            "{job=~\".+\",instance=\"2\"}",
            "{code=\"500\"}",
            "{job=\"none\"}",
            "{version!=\"\"}",
            "{instance=~\"\"}",
        ];
        format!("{metric}{}", self.random.pick(&matchers))
    }

    fn modifiers(&mut self) -> String {
        let offset = match self.random.below(8) {
            0 => format!(" offset {}s", 1 + self.random.below(600)),
            1 => format!(" offset -{}s", 1 + self.random.below(300)),
            _ => String::new(),
        };
        let at = match self.random.below(12) {
            0 => " @ start()".to_owned(),
            1 => " @ end()".to_owned(),
            2 => {
                let steps = usize::try_from(SPAN_MS / 1000).expect("small");
                let at = self.start_ms / 1000 + i64::try_from(self.random.below(steps)).expect("");
                format!(" @ {at}.5")
            }
            _ => String::new(),
        };
        if self.random.once_in(2) { format!("{offset}{at}") } else { format!("{at}{offset}") }
    }

    /// A range vector: a selector or a subquery, with windows no step of a subquery ends at.
    fn window(&mut self, depth: usize) -> Vector {
        let seconds = 60 + self.random.below(600);
        if depth == 0 || !self.random.once_in(4) {
            let text = self.selector_text();
            let text = format!("{text}[{seconds}s]{}", self.modifiers());
            return Vector { text, exact: Sums };
        }
        let inner = self.vector(depth - 1, Bits);
        let step = self.random.pick(&["1m", "30s", "15s"]);
        // Its steps lie on whole seconds; so do outer steps inside another subquery.
        let text = format!("({})[{seconds}s250ms:{step}]{}", inner.text, self.modifiers());
        Vector { text, exact: inner.exact }
    }

    fn over_window(&mut self, depth: usize) -> Vector {
        if self.random.once_in(2) {
            let window = self.window(depth);
            let name = self.random.pick(&PICKING);
            let exact = match name {
                "sum_over_time" if window.exact == Sums => Sums,
                "sum_over_time" => Rounded,
                "idelta" => Bits,
                "count_over_time" | "present_over_time" | "changes" | "resets" => Sums,
                _ => window.exact,
            };
            return Vector { text: format!("{name}({})", window.text), exact };
        }
        let window = self.window(depth).text;
        let text = match self.random.below(14) {
            0 => format!("quantile_over_time({}, {window})", self.quantile()),
            1 => {
                let seconds = 30 + self.random.below(600);
                let window = format!("{}[{seconds}s] offset 7s", self.selector_text());
                format!("predict_linear({window}, {})", self.random.below(1000))
            }
            2 => format!("holt_winters({window}, 0.{}, 0.3)", 1 + self.random.below(8)),
            3 => format!("absent_over_time({window})"),
            4..=6 => {
                let metric = self.random.pick(&["requests_total", "latency_sum", "latency_bucket"]);
                let window =
                    format!("{metric}[{}s]{}", 30 + self.random.below(600), self.modifiers());
                format!("{}({window})", self.random.pick(&COUNTING))
            }
            _ => format!("{}({window})", self.random.pick(&COMPUTING)),
        };
        Vector { text, exact: Rounded }
    }

    fn quantile(&mut self) -> &'static str {
        self.random.pick(&["0", "0.1", "0.5", "0.9", "0.99", "1", "-1", "2", "NaN"])
    }

    fn call(&mut self, depth: usize) -> Vector {
        match self.random.below(7) {
            0 => {
                let inner = self.vector(depth, Bits);
                let text = format!("{}({})", self.random.pick(&SMOOTH), inner.text);
                Vector { text, exact: Rounded }
            }
            1 => {
                let inner = self.vector(depth, Bits);
                Vector {
                    text: format!("{}({})", self.random.pick(&WHOLE), inner.text),
                    exact: Bits,
                }
            }
            2 => {
                let inner = self.vector(depth, Rounded);
                let text = match self.random.below(4) {
                    0 => format!("clamp_max({}, {})", inner.text, self.random.below(100)),
                    1 => format!("clamp_min({}, {})", inner.text, self.random.below(100)),
                    2 => format!("clamp({}, -{}, 5.5)", inner.text, self.random.below(10)),
                    _ => format!("abs({})", inner.text),
                };
                Vector { text, exact: inner.exact }
            }
            3 => {
                let inner = match self.random.below(3) {
                    0 => format!("0 + {}", self.vector(depth, Rounded).text),
                    1 => format!("{} offset 77s", self.selector_text()),
                    _ => format!("{} @ end()", self.selector_text()),
                };
                Vector { text: format!("timestamp({inner})"), exact: Bits }
            }
            4 => {
                let dates = ["", "special{kind=\"epoch\"}", "timestamp(gauge)", "distinct * 4096"];
                let name = self.random.pick(&CALENDAR);
                Vector { text: format!("{name}({})", self.random.pick(&dates)), exact: Bits }
            }
            5 => {
                let inner = self.vector(depth, Rounded);
                let text = if self.random.once_in(2) {
                    let value = self.random.pick(&["$1", "x-$1", "", "${1}${1}"]);
                    let name = self.random.pick(&["to", "job", "instance"]);
                    let source = self.random.pick(&["job", "instance", "code", "none"]);
                    let pattern = self.random.pick(&["(.*)", "([ab])", "(.+)", "()"]);
                    let inner = inner.text;
                    format!("label_replace({inner}, {name:?}, {value:?}, {source:?}, {pattern:?})")
                } else {
                    format!("label_join({}, \"to\", \"-\", \"job\", \"instance\")", inner.text)
                };
                Vector { text, exact: inner.exact }
            }
            _ => {
                let inner = self.vector(depth, Rounded);
                let sign = self.random.pick(&["-", "+"]);
                Vector { text: format!("{sign}({})", inner.text), exact: inner.exact }
            }
        }
    }

    fn grouping(&mut self) -> &'static str {
        self.random.pick(&[
            "",
            "by (job)",
            "by (instance, job)",
            "by ()",
            "without (instance)",
            "without (job, code)",
            "without ()",
            "by (le)",
        ])
    }

    fn aggregation(&mut self, depth: usize) -> Vector {
        let grouping = self.grouping();
        let (text, exact) = match self.random.below(8) {
            0 => {
                let op = self.random.pick(&["topk", "bottomk"]);
                let inner = self.random.pick(&["distinct", "last_over_time(distinct[2m])"]);
                (format!("{op} {grouping} ({}, {inner})", self.random.below(5)), Sums)
            }
            1 => {
                let inner = self.vector(depth, Bits).text;
                (format!("count_values {grouping} (\"value\", {inner})"), Sums)
            }
            2 => {
                let inner = self.vector(depth, Rounded).text;
                (format!("quantile {grouping} ({}, {inner})", self.quantile()), Rounded)
            }
            3 => {
                let inner = self.vector(depth, Rounded).text;
                let op = self.random.pick(&["count", "group"]);
                (format!("{op} {grouping} ({inner})"), Sums)
            }
            4 => {
                let inner = self.vector(depth, Rounded);
                let op = self.random.pick(&["min", "max"]);
                (format!("{op} {grouping} ({})", inner.text), inner.exact)
            }
            5 => (format!("sum {grouping} ({})", self.vector(depth, Sums).text), Sums),
            6 => {
                let op = self.random.pick(&["stddev", "stdvar"]);
                let finite = self.random.pick(&["distinct", "up", "sparse", "requests_total"]);
                (format!("{op} {grouping} ({finite}{})", self.modifiers()), Rounded)
            }
            _ => (format!("avg {grouping} ({})", self.vector(depth, Sums).text), Rounded),
        };
        Vector { text, exact }
    }

    fn matching(&mut self) -> &'static str {
        self.random.pick(&[
            "",
            "on (job, instance)",
            "ignoring (code)",
            "on (job)",
            "ignoring (le, version)",
        ])
    }

    fn arithmetic(&mut self, depth: usize) -> Vector {
        let (lhs, rhs) = (self.vector(depth, Bits), self.vector(depth, Bits));
        let both = lhs.exact.min(rhs.exact);
        let op = self.random.pick(&["+", "-", "*", "/", "%", "^", "atan2"]);
        let exact = match op {
            "+" | "-" => both,
            "^" | "atan2" => Rounded,
            _ => Bits,
        };
        let matching = self.matching();
        let lhs = if op == "atan2" { format!("(0 + {})", lhs.text) } else { lhs.text };
        Vector { text: format!("({lhs} {op} {matching} {})", rhs.text), exact }
    }

    fn comparison(&mut self, depth: usize) -> Vector {
        let (lhs, rhs) = (self.vector(depth, Bits), self.vector(depth, Bits));
        let op = self.random.pick(&["==", "!=", ">", "<", ">=", "<="]);
        let (bool, exact) = if self.random.once_in(3) { ("bool", Sums) } else { ("", lhs.exact) };
        let matching = self.matching();
        Vector { text: format!("({} {op} {bool} {matching} {})", lhs.text, rhs.text), exact }
    }

    fn set(&mut self, depth: usize) -> Vector {
        let (lhs, rhs) = (self.vector(depth, Rounded), self.vector(depth, Rounded));
        let op = self.random.pick(&["and", "or", "unless"]);
        let exact = lhs.exact.min(rhs.exact);
        let matching = self.matching();
        Vector { text: format!("({} {op} {matching} {})", lhs.text, rhs.text), exact }
    }

    /// Many to one: series of an instance with what is said about it.
    fn join(&mut self) -> Vector {
        let many = self.random.pick(&["gauge", "requests_total", "sparse", "up"]);
        let include = self.random.pick(&["", "(version)"]);
        let op = self.random.pick(&["*", "+", "/", ">", "== bool"]);
        let modifiers = self.modifiers();
        let on = self.random.pick(&["on (job, instance)", "ignoring (version, code)"]);
        let text = if self.random.once_in(2) {
            format!("({many}{modifiers} {op} {on} group_left {include} build_info)")
        } else {
            format!("(build_info {op} {on} group_right {include} {many}{modifiers})")
        };
        Vector { text, exact: Bits }
    }

    fn with_scalar(&mut self, depth: usize) -> Vector {
        let vector = self.vector(depth, Bits).text;
        let scalar = self.scalar(depth.min(1));
        let op = self.random.pick(&["+", "-", "*", "/", "%", ">", "<=", "!=", "== bool", "< bool"]);
        let text = if self.random.once_in(2) {
            format!("({vector} {op} {scalar})")
        } else {
            format!("({scalar} {op} {vector})")
        };
        Vector { text, exact: Bits }
    }

    /// What dashboards ask.
    fn template(&mut self) -> Vector {
        let grouping = self.random.pick(&["by (job)", "by (job, code)", "without (instance)"]);
        let modifiers = self.modifiers();
        let seconds = 60 + self.random.below(600);
        let quantile = self.quantile();
        let text = match self.random.below(5) {
            0 => format!("sum {grouping} (rate(requests_total[{seconds}s]{modifiers}))"),
            1 => format!(
                "histogram_quantile({quantile}, \
                 sum by (job, le) (rate(latency_bucket[{seconds}s]{modifiers})))"
            ),
            2 => format!("histogram_quantile({quantile}, latency_bucket{modifiers})"),
            3 => format!("max_over_time(rate(requests_total[{seconds}s])[5m250ms:1m]{modifiers})"),
            _ => format!("rate(latency_sum[{seconds}s]) / rate(latency_count[{seconds}s])"),
        };
        Vector { text, exact: Rounded }
    }
}
