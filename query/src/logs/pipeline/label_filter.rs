//! Label filters: which entries go on.

use ephemeris_model::{MatchOp, Matcher};

use super::ip::IpMatcher;
use super::state::{EXTRACTED, EntryState};
use crate::logs::ast::{CompareOp, Comparison, IpOp, LabelFilter};
use crate::logs::units::{parse_bytes, parse_float, parse_go_duration};

/// The error of an entry whose label cannot be compared.
const LABEL_FILTER_ERROR: &str = "LabelFilterErr";

/// A compiled label filter.
#[derive(Debug)]
pub(super) enum CompiledLabelFilter {
    Text(Matcher),
    Number(Comparison<f64>),
    Duration(Comparison<i64>),
    Bytes(Comparison<u64>),
    Ip { name: String, op: IpOp, ip: IpMatcher },
    And(Vec<CompiledLabelFilter>),
    Or(Vec<CompiledLabelFilter>),
}

impl CompiledLabelFilter {
    pub(super) fn new(filter: &LabelFilter) -> Result<Self, String> {
        let all = |filters: &[LabelFilter]| filters.iter().map(Self::new).collect();
        Ok(match filter {
            LabelFilter::Text(matcher) => Self::Text(matcher.clone()),
            LabelFilter::Number(comparison) => Self::Number(comparison.clone()),
            LabelFilter::Duration(comparison) => Self::Duration(comparison.clone()),
            LabelFilter::Bytes(comparison) => Self::Bytes(comparison.clone()),
            LabelFilter::Ip { name, op, pattern } => {
                Self::Ip { name: name.clone(), op: *op, ip: IpMatcher::new(pattern)? }
            }
            LabelFilter::And(filters) => {
                let filters: Result<_, String> = all(filters);
                Self::And(filters?)
            }
            LabelFilter::Or(filters) => {
                let filters: Result<_, String> = all(filters);
                Self::Or(filters?)
            }
        })
    }

    /// Whether it compares texts only, and cannot fail. A look at the error is none of them.
    pub(super) fn is_match(&self) -> bool {
        match self {
            Self::Text(matcher) => !matcher.name.starts_with("__"),
            Self::And(filters) | Self::Or(filters) => filters.iter().all(Self::is_match),
            _ => false,
        }
    }

    /// Whether the entry goes on. What cannot be compared goes on with an error.
    pub(super) fn keeps(&self, state: &mut EntryState) -> bool {
        match self {
            Self::Text(matcher) => matcher.matches(state.text_of(&matcher.name)),
            Self::Number(comparison) => compare(comparison, state, parse_float),
            Self::Duration(comparison) => compare(comparison, state, parse_go_duration),
            Self::Bytes(comparison) => compare(comparison, state, parse_bytes),
            Self::Ip { name, op, ip } => {
                if !state.error().is_empty() {
                    return true;
                }
                let Some(value) = state.get(name) else { return false };
                ip.is_in(value.as_bytes()) == (*op == IpOp::Found)
            }
            // Every part is evaluated: each may find an error.
            Self::And(filters) => {
                let mut keeps = true;
                for filter in filters {
                    keeps &= filter.keeps(state);
                }
                keeps
            }
            Self::Or(filters) => filters.iter().any(|filter| filter.keeps(state)),
        }
    }

    /// Hands out names of labels with the text each must have, in every entry that goes on.
    pub(super) fn texts(&self, visit: &mut dyn FnMut(&str, &str)) {
        match self {
            // A name that is made of another, or made up, may have come from elsewhere.
            Self::Text(Matcher { op: MatchOp::Equal, name, value, .. })
                if !value.is_empty() && !name.starts_with("__") && !name.ends_with(EXTRACTED) =>
            {
                visit(name, value);
            }
            Self::And(filters) => filters.iter().for_each(|filter| filter.texts(visit)),
            _ => {}
        }
    }

    /// Names of the labels it looks at.
    pub(super) fn names<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Text(matcher) => names.push(&matcher.name),
            Self::Number(Comparison { name, .. })
            | Self::Duration(Comparison { name, .. })
            | Self::Bytes(Comparison { name, .. })
            | Self::Ip { name, .. } => names.push(name),
            Self::And(filters) | Self::Or(filters) => {
                for filter in filters {
                    filter.names(names);
                }
            }
        }
    }
}

fn compare<T: PartialOrd>(
    comparison: &Comparison<T>,
    state: &mut EntryState,
    parse: impl Fn(&str) -> Result<T, String>,
) -> bool {
    let Some(text) = state.get(&comparison.name) else { return false };
    let value = match parse(text) {
        Ok(value) => value,
        Err(error) => {
            if state.error().is_empty() {
                state.fail(LABEL_FILTER_ERROR, &error);
            }
            return true;
        }
    };
    match comparison.op {
        CompareOp::Equal => value == comparison.value,
        CompareOp::NotEqual => value != comparison.value,
        CompareOp::Greater => value > comparison.value,
        CompareOp::GreaterOrEqual => value >= comparison.value,
        CompareOp::Less => value < comparison.value,
        CompareOp::LessOrEqual => value <= comparison.value,
    }
}
