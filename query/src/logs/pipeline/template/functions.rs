//! Functions of templates: Go's own, and those Loki adds from sprig. What works on text only lies
//! in `text_functions`.

use std::cmp::Ordering;

use super::Input;
use super::json_value::from_json;
use super::text_functions;
use super::time::Moment;
use super::value::Value;
use crate::logs::units::{parse_bytes, parse_go_duration};

const NAMES: &[&str] = &[
    "__line__",
    "__timestamp__",
    "and",
    "or",
    "not",
    "len",
    "index",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "slice",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "bytes",
    "duration",
    "duration_seconds",
    "unixEpochMillis",
    "unixEpochNanos",
    "toDateInZone",
    "unixToTime",
    "int",
    "float64",
    "add",
    "sub",
    "mul",
    "div",
    "mod",
    "addf",
    "subf",
    "mulf",
    "divf",
    "max",
    "min",
    "maxf",
    "minf",
    "ceil",
    "floor",
    "round",
    "fromJson",
    "date",
    "toDate",
    "now",
    "unixEpoch",
    "default",
];

pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || text_functions::is_known(name)
}

pub(super) fn call(name: &str, arguments: &[Value], input: &Input<'_>) -> Result<Value, String> {
    if text_functions::is_known(name) {
        return text_functions::call(name, arguments).map(Value::from_result);
    }
    match name {
        "__line__" => Ok(Value::text(String::from_utf8_lossy(input.line))),
        "__timestamp__" => Ok(Value::Time(Moment::from_nanos(input.timestamp_ns))),
        // The time of the entry at hand stands for now: an answer does not depend on when it is
        // made.
        "now" => Ok(Value::Time(Moment::from_nanos(input.timestamp_ns))),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => compare(name, arguments),
        "add" | "sub" | "mul" | "div" | "mod" | "max" | "min" => integers(name, arguments),
        "addf" | "subf" | "mulf" | "divf" | "maxf" | "minf" => Ok(floats(name, arguments)),
        "date" | "toDate" | "toDateInZone" | "unixEpoch" | "unixEpochMillis" | "unixEpochNanos"
        | "unixToTime" => time(name, arguments),
        "printf" => printf(arguments).map(Value::Text),
        "print" | "println" => Ok(Value::Text(print(name, arguments))),
        _ => other(name, arguments),
    }
}

fn argument(arguments: &[Value], at: usize) -> Result<&Value, String> {
    arguments.get(at).ok_or_else(|| {
        format!("wrong number of args: want at least {} got {}", at + 1, arguments.len())
    })
}

fn other(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let first = argument(arguments, 0)?;
    Ok(match name {
        "not" => Value::Bool(!first.is_true()),
        "len" => Value::Int(length(first)?),
        "index" => return index(first, &arguments[1..]),
        "slice" => return slice(first, &arguments[1..]),
        "bytes" => Value::Float(parse_bytes(&first.to_text())? as f64),
        "duration" | "duration_seconds" => {
            Value::Float(parse_go_duration(&first.to_text())? as f64 / 1e9)
        }
        "int" => Value::Int(first.to_int()),
        "float64" => Value::Float(first.to_float()),
        "ceil" => Value::Float(first.to_float().ceil()),
        "floor" => Value::Float(first.to_float().floor()),
        "round" => Value::Float(round(first.to_float(), argument(arguments, 1)?.to_int())),
        "fromJson" => from_json(&first.to_text()),
        "default" => {
            let value = arguments.get(1).unwrap_or(&Value::Nil);
            if value.is_true() { value.clone() } else { first.clone() }
        }
        "html" => Value::Text(text_functions::html(&first.to_text())),
        "js" => Value::Text(text_functions::js(&first.to_text())),
        "urlquery" => Value::Text(text_functions::url_encode(&first.to_text())),
        _ => return Err(format!("function {name:?} not defined")),
    })
}

fn length(value: &Value) -> Result<i64, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(fields) => fields.len(),
        other => return Err(format!("len of type {}", other.kind())),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    let mut value = value.clone();
    for key in keys {
        value = match value {
            Value::Map(mut fields) => {
                let text = key.to_text();
                fields.remove(&text).unwrap_or_else(|| Value::text(""))
            }
            Value::List(items) => {
                let at = usize::try_from(key.to_int()).unwrap_or(usize::MAX);
                let item = items.into_iter().nth(at);
                item.ok_or_else(|| format!("index out of range: {}", key.to_int()))?
            }
            Value::Text(text) => {
                let at = usize::try_from(key.to_int()).unwrap_or(usize::MAX);
                let byte = text.as_bytes().get(at).copied();
                Value::Int(i64::from(byte.ok_or("index out of range")?))
            }
            other => return Err(format!("can't index item of type {}", other.kind())),
        };
    }
    Ok(value)
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let at = |i: usize, default: usize| {
        bounds.get(i).map_or(default, |b| usize::try_from(b.to_int()).unwrap_or(usize::MAX))
    };
    let out_of_range = || "slice index out of range".to_owned();
    match value {
        Value::Text(text) => {
            let part = text.get(at(0, 0)..at(1, text.len()));
            part.map(Value::text).ok_or_else(out_of_range)
        }
        Value::List(items) => {
            let part = items.get(at(0, 0)..at(1, items.len()));
            part.map(|items| Value::List(items.to_vec())).ok_or_else(out_of_range)
        }
        other => Err(format!("can't slice item of type {}", other.kind())),
    }
}

fn compare(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let (first, second) = (argument(arguments, 0)?, argument(arguments, 1)?);
    let holds = match name {
        "eq" => {
            let mut any = false;
            for other in &arguments[1..] {
                any |= first.equals(other)?;
            }
            any
        }
        "ne" => !first.equals(second)?,
        "lt" => first.compare(second)? == Ordering::Less,
        "le" => first.compare(second)? != Ordering::Greater,
        "gt" => first.compare(second)? == Ordering::Greater,
        _ => first.compare(second)? != Ordering::Less,
    };
    Ok(Value::Bool(holds))
}

fn integers(name: &str, arguments: &[Value]) -> Result<Value, String> {
    argument(arguments, 0)?;
    let mut values = arguments.iter().map(Value::to_int);
    let first = values.next().unwrap_or_default();
    let result = values.try_fold(first, |a, b| match name {
        "add" => Some(a.wrapping_add(b)),
        "sub" => Some(a.wrapping_sub(b)),
        "mul" => Some(a.wrapping_mul(b)),
        "div" => a.checked_div(b),
        "mod" => a.checked_rem(b),
        "max" => Some(a.max(b)),
        _ => Some(a.min(b)),
    });
    result.map(Value::Int).ok_or_else(|| "runtime error: integer divide by zero".to_owned())
}

fn floats(name: &str, arguments: &[Value]) -> Value {
    let mut values = arguments.iter().map(Value::to_float);
    let first = values.next().unwrap_or_default();
    Value::Float(values.fold(first, |a, b| match name {
        "addf" => a + b,
        "subf" => a - b,
        "mulf" => a * b,
        "divf" => a / b,
        "maxf" => a.max(b),
        _ => a.min(b),
    }))
}

fn round(value: f64, places: i64) -> f64 {
    let factor = 10_f64.powi(i32::try_from(places.clamp(-300, 300)).unwrap_or(0));
    let scaled = value * factor;
    if scaled.is_finite() { scaled.round() / factor } else { value }
}

fn time(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let first = argument(arguments, 0)?;
    let moment = |value: &Value| match value {
        Value::Time(moment) => *moment,
        other => Moment::from_seconds(other.to_int()),
    };
    Ok(match name {
        "date" => {
            let layout = first.to_text();
            Value::Text(moment(argument(arguments, 1)?).utc().format(&layout))
        }
        "toDate" | "toDateInZone" => {
            let text = arguments.last().map(Value::to_text).unwrap_or_default();
            let read = Moment::parse(&first.to_text(), &text);
            Value::Time(read.unwrap_or_else(Moment::zero))
        }
        "unixEpoch" => Value::Text(moment(first).seconds().to_string()),
        "unixEpochMillis" => Value::Text(moment(first).millis().to_string()),
        "unixEpochNanos" => Value::Text(moment(first).nanos().to_string()),
        _ => Value::Time(unix_to_time(&first.to_text())?),
    })
}

/// A number of days, seconds, or parts of seconds since the epoch, told apart by its length.
fn unix_to_time(text: &str) -> Result<Moment, String> {
    let wrong = || format!("unable to parse time '{text}'");
    let number: i64 = text.parse().map_err(|_| wrong())?;
    let nanos = |factor: i64| number.checked_mul(factor).map(Moment::from_nanos).ok_or_else(wrong);
    match text.len() {
        5 => Ok(Moment::from_seconds(number.saturating_mul(86_400))),
        10 => Ok(Moment::from_seconds(number)),
        13 => nanos(1_000_000),
        16 => nanos(1_000),
        19 => nanos(1),
        _ => Err(wrong()),
    }
}

fn print(name: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in arguments.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        // `print` puts blanks only between what is no text.
        let between =
            name == "println" || (!is_text(value) && i > 0 && !is_text(&arguments[i - 1]));
        if i > 0 && between {
            out.push(' ');
        }
        out.push_str(&value.to_text());
    }
    if name == "println" {
        out.push('\n');
    }
    out
}

/// Widest field of `printf`.
const WIDTH_MAX: usize = 10_000;

fn printf(arguments: &[Value]) -> Result<String, String> {
    let format = argument(arguments, 0)?.to_text();
    let mut values = arguments[1..].iter();
    let mut out = String::new();
    let mut rest = format.as_str();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| c.is_alphabetic() || c == '%').unwrap_or(rest.len());
        let (options, behind) = rest.split_at(end);
        let Some(verb) = behind.chars().next() else {
            out.push_str("%!(NOVERB)");
            return Ok(out);
        };
        rest = &behind[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        match values.next() {
            Some(value) => push_formatted(&mut out, options, verb, value),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn push_formatted(out: &mut String, options: &str, verb: char, value: &Value) {
    let digits = options.trim_start_matches(['-', '+', ' ', '#', '0']);
    let flags = &options[..options.len() - digits.len()];
    let (width, precision) = digits.split_once('.').unwrap_or((digits, ""));
    let width = width.parse().unwrap_or(0_usize).min(WIDTH_MAX);
    let has_precision = digits.contains('.');
    let precision: usize = precision.parse().unwrap_or(0_usize).min(WIDTH_MAX);
    let mut text = match (verb, value) {
        ('d', Value::Int(value)) => value.to_string(),
        ('x', Value::Int(value)) => format!("{value:x}"),
        ('X', Value::Int(value)) => format!("{value:X}"),
        ('o', Value::Int(value)) => format!("{value:o}"),
        ('b', Value::Int(value)) => format!("{value:b}"),
        ('c', Value::Int(value)) => {
            u32::try_from(*value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
        }
        ('f' | 'F', Value::Float(value)) => {
            let places = if has_precision { precision } else { 6 };
            format!("{value:.places$}")
        }
        ('g', Value::Float(_)) | ('t', Value::Bool(_)) | ('v', _) => value.to_text(),
        ('s', Value::Text(text)) if has_precision => text.chars().take(precision).collect(),
        ('s', Value::Text(text)) => text.clone(),
        ('q', _) => value.quoted(),
        ('x', Value::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
        _ => format!("%!{verb}({}={})", value.kind(), value.to_text()),
    };
    if flags.contains('+')
        && matches!(value, Value::Int(_) | Value::Float(_))
        && !text.starts_with('-')
    {
        text.insert(0, '+');
    }
    let missing = width.saturating_sub(text.chars().count());
    if flags.contains('-') {
        out.push_str(&text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if flags.contains('0') && !matches!(value, Value::Text(_)) {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(&text);
    }
}
