//! Values inside a template.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::time::Moment;
use crate::logs::units::format_float;
use crate::promql::text::quote;

/// A value, as Go's templates know it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Time(Moment),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    /// The labels of the entry: `.`
    Labels,
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Whether `if` takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(fields) => !fields.is_empty(),
            Self::Time(_) | Self::Labels => true,
        }
    }

    /// Its kind, as errors call it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Time(_) => "time.Time",
            Self::List(_) => "slice",
            Self::Map(_) | Self::Labels => "map",
        }
    }

    /// As a template writes it.
    pub(super) fn print(&self, out: &mut String) {
        match self {
            Self::Nil => out.push_str("<no value>"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) => out.push_str(&format_float(*value)),
            Self::Text(text) => out.push_str(text),
            Self::Time(time) => out.push_str(&time.print()),
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(' ');
                    }
                    item.print_inside(out);
                }
                out.push(']');
            }
            Self::Map(fields) => {
                out.push_str("map[");
                for (i, (name, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(' ');
                    }
                    out.push_str(name);
                    out.push(':');
                    value.print_inside(out);
                }
                out.push(']');
            }
            Self::Labels => out.push_str("map[]"),
        }
    }

    fn print_inside(&self, out: &mut String) {
        if matches!(self, Self::Nil) { out.push_str("<nil>") } else { self.print(out) }
    }

    /// As text, in quotes if it is one: `%q`.
    pub(super) fn quoted(&self) -> String {
        match self {
            Self::Text(text) => quote(text),
            other => other.to_text(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Nil => out.push_str("<nil>"),
            other => other.print(&mut out),
        }
        out
    }

    /// As sprig's `int64` reads it: what is no number is 0.
    #[expect(clippy::cast_possible_truncation, reason = "cut as Go's conversion cuts")]
    pub(super) fn to_int(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            Self::Float(value) => *value as i64,
            Self::Bool(value) => i64::from(*value),
            Self::Text(text) => {
                let number = crate::logs::units::parse_float(text.trim());
                text.trim().parse().unwrap_or_else(|_| number.map_or(0, |value| value as i64))
            }
            _ => 0,
        }
    }

    /// As sprig's `float64` reads it: what is no number is 0.
    pub(super) fn to_float(&self) -> f64 {
        match self {
            Self::Int(value) => *value as f64,
            Self::Float(value) => *value,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Text(text) => crate::logs::units::parse_float(text.trim()).unwrap_or(0.0),
            _ => 0.0,
        }
    }

    /// Order of two values of one kind, numbers among themselves.
    pub(super) fn compare(&self, other: &Self) -> Result<Ordering, String> {
        let incomparable = || Err("incompatible types for comparison".to_owned());
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Ok(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Ok(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => Ok(a.partial_cmp(b).unwrap_or(Ordering::Greater)),
            (Self::Time(a), Self::Time(b)) => Ok(a.cmp(b)),
            _ => incomparable(),
        }
    }

    /// Whether two values are the same; values of two kinds cannot be compared.
    pub(super) fn equals(&self, other: &Self) -> Result<bool, String> {
        match (self, other) {
            (Self::Nil, Self::Nil) => Ok(true),
            (Self::Nil, _) | (_, Self::Nil) => Ok(false),
            (Self::Bool(a), Self::Bool(b)) => Ok(a == b),
            _ => self.compare(other).map(Ordering::is_eq),
        }
    }
}
