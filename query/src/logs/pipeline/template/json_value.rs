//! `fromJson`.

use std::collections::BTreeMap;

use super::value::Value;
use crate::logs::pipeline::json::{self, Next, each_field, element, unescape};

/// Deepest value that is read.
const DEPTH_MAX: usize = 64;
/// Most elements of an array that are read.
const ELEMENTS_MAX: usize = 10_000;

/// The value a text holds; nothing if it is no JSON.
pub(super) fn from_json(text: &str) -> Value {
    let mut padded = text.trim().as_bytes().to_vec();
    // A number must be ended by something.
    padded.push(b' ');
    match json::value(&padded) {
        Ok((value, _)) => convert(value, DEPTH_MAX),
        Err(_) => Value::Nil,
    }
}

fn convert(value: json::Value<'_>, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Nil };
    match value {
        json::Value::Null => Value::Nil,
        json::Value::Text(text) => Value::Text(unescape(text)),
        json::Value::Plain(b"true") => Value::Bool(true),
        json::Value::Plain(b"false") => Value::Bool(false),
        json::Value::Plain(text) => {
            let number = std::str::from_utf8(text).unwrap_or_default();
            crate::logs::units::parse_float(number).map_or(Value::Nil, Value::Float)
        }
        json::Value::Object(text) => {
            let mut fields = BTreeMap::new();
            let walked = each_field(text, &mut |key, value| {
                fields.insert(unescape(key), convert(value, depth));
                Ok(Next::Continue)
            });
            if walked.is_ok() { Value::Map(fields) } else { Value::Nil }
        }
        json::Value::Array(text) => {
            let items = (0..ELEMENTS_MAX).map_while(|i| element(text, i));
            Value::List(items.map(|item| convert(item, depth)).collect())
        }
    }
}
