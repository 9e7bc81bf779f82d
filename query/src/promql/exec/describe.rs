//! Operators in words, for a query that explains itself: near to PromQL, short, not to be parsed.

use ephemeris_model::{METRIC_NAME, MatchOp, Matcher};

use crate::promql::ast::{BinaryOp, Cardinality, Extension, Grouping, VectorMatching};
use crate::promql::plan::{RangeInput, Samples, Side, Subquery, Times, Vector};
use crate::promql::print::format_duration;

/// Matchers told of one selector at most.
const MATCHERS_MAX: usize = 20;

/// What an operator is, in a word; empty for those that tell of themselves where they read.
pub(super) const fn name(vector: &Vector) -> &'static str {
    match vector {
        Vector::Selector(_)
        | Vector::Windows(_)
        | Vector::Map(_)
        | Vector::WithScalar(_)
        | Vector::Negate(_) => "",
        Vector::Whole(_) => "function",
        Vector::Aggregate(_) => "aggregate",
        Vector::Join(_) => "join",
        Vector::Set(_) => "set",
        Vector::FromScalar(_) => "vector",
        Vector::Absent(_) => "absent",
        Vector::Info(_) => "info",
        Vector::Invariant(_) => "once",
    }
}

/// What an operator is exactly, without those below it.
pub(super) fn detail(vector: &Vector) -> String {
    match vector {
        Vector::Whole(whole) => whole.function.name().to_owned(),
        Vector::Aggregate(node) => format!("{}{}", node.op.as_str(), grouping(&node.grouping)),
        Vector::Join(join) => matching(join.op, &join.matching),
        Vector::Set(set) => matching(set.op, &set.matching),
        Vector::Invariant(_) => "the same at each step".to_owned(),
        Vector::FromScalar(_) => "of a scalar".to_owned(),
        Vector::Absent(_) | Vector::Info(_) => String::new(),
        other => chain(other),
    }
}

/// A selector and what is done to each of its series, in this order.
pub(super) fn chain(mut vector: &Vector) -> String {
    let mut links = Vec::new();
    loop {
        vector = match vector {
            Vector::Selector(selector) => {
                links.push(selected(&selector.samples, ""));
                break;
            }
            Vector::Windows(windows) => {
                let function = windows.function.name();
                match &windows.input {
                    RangeInput::Samples(samples) => {
                        links.push(function.to_owned());
                        let range = format!("[{}]", format_duration(samples.range_ms));
                        links.push(selected(samples, &range));
                        break;
                    }
                    RangeInput::Subquery(inner) => {
                        links.push(format!("{function}{}", subquery(inner)));
                        &inner.input
                    }
                }
            }
            Vector::Map(map) => {
                links.push(map.function.name().to_owned());
                &map.input
            }
            Vector::WithScalar(node) => {
                let op = node.op.as_str();
                links.push(match node.scalar_side {
                    Side::Left => format!("number {op} each"),
                    Side::Right => format!("each {op} number"),
                });
                &node.vector
            }
            Vector::Negate(inner) => {
                links.push("-".to_owned());
                inner
            }
            other => {
                links.push(format!("series of {}", name(other)));
                break;
            }
        };
    }
    links.reverse();
    links.join(", ")
}

fn selected(samples: &Samples, range: &str) -> String {
    let is_name = |m: &&Matcher| m.name == METRIC_NAME && m.op == MatchOp::Equal;
    let metric = samples.matchers.iter().find(is_name);
    let others = samples.matchers.iter().filter(|m| metric.is_none_or(|name| *name != **m));
    let mut others: Vec<String> = others.take(MATCHERS_MAX).map(ToString::to_string).collect();
    if samples.matchers.len() > MATCHERS_MAX {
        others.push("…".to_owned());
    }
    let mut text = metric.map_or_else(String::new, |m| m.value.clone());
    if !others.is_empty() || metric.is_none() {
        text.push_str(&format!("{{{}}}", others.join(",")));
    }
    text.push_str(range);
    text.push_str(match samples.extension {
        Extension::None => "",
        Extension::Anchored => " anchored",
        Extension::Smoothed => " smoothed",
    });
    text.push_str(&times(&samples.times));
    text
}

fn subquery(node: &Subquery) -> String {
    let (range, step) = (format_duration(node.range_ms), format_duration(node.step_ms));
    format!("[{range}:{step}]{}", times(&node.times))
}

fn times(times: &Times) -> String {
    let mut text = String::new();
    if let Some(at) = times.at_ms {
        text.push_str(&format!(" @ {at}ms"));
    }
    if times.offset_ms != 0 {
        text.push_str(&format!(" offset {}ms", times.offset_ms));
    }
    text
}

fn grouping(grouping: &Grouping) -> String {
    match (grouping.without, grouping.labels.is_empty()) {
        (true, _) => format!(" without ({})", grouping.labels.join(", ")),
        (false, true) => String::new(),
        (false, false) => format!(" by ({})", grouping.labels.join(", ")),
    }
}

fn matching(op: BinaryOp, matching: &VectorMatching) -> String {
    let word = if matching.on { "on" } else { "ignoring" };
    let side = match matching.cardinality {
        Cardinality::ManyToOne => " group_left",
        Cardinality::OneToMany => " group_right",
        Cardinality::OneToOne | Cardinality::ManyToMany => "",
    };
    match matching.on || !matching.labels.is_empty() {
        true => format!("{} {word} ({}){side}", op.as_str(), matching.labels.join(", ")),
        false => format!("{}{side}", op.as_str()),
    }
}
