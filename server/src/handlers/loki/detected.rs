//! `detected_labels`, `detected_fields` and `detected_field/{name}/values`: what Grafana offers to
//! filter by. Labels come from the index, fields from the newest lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use ephemeris_model::{Direction, LogSource};
use ephemeris_query::budget::Budget;
use ephemeris_query::logs::ast::{Expr, LogExpr, LogfmtFlags, Stage};
use ephemeris_query::logs::engine::{EntryQuery, LogEngine};
use ephemeris_query::logs::parse::parse;
use ephemeris_query::logs::result::LogEntry;
use serde_json::{Value, json};

use super::error::LokiError;
use super::params;
use super::request::{LokiRequest, now_ns};
use super::tenants::Tenants;
use crate::api::stream::Prepared;
use crate::app::App;

/// Lines looked at, where nothing is asked for.
const LINES_DEFAULT: usize = 100;
/// Fields told, where nothing is asked for.
const FIELDS_DEFAULT: usize = 1000;
/// Labels that are told even if all their values are numbers.
const ALWAYS_TOLD: [&str; 4] = ["cluster", "namespace", "instance", "pod"];
const ERROR_LABELS: [&str; 2] = ["__error__", "__error_details__"];

fn whole(body: &Value) -> Prepared {
    Prepared::whole(format!("{body}\n").into_bytes())
}

/// Lists labels with the number of their values; labels that hold ids only are left out.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn labels(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let range = params::range(&request.form, now_ns(&app))?;
    let matchers = request.matchers("query")?;
    let run = move |_: &LokiRequest, source: &Tenants, _: &Budget| {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let list = source.streams(&[matchers], range)?;
        for labels in &list.streams {
            for (name, value) in labels.iter() {
                found.entry(name.to_owned()).or_default().insert(value.to_owned());
            }
        }
        let told = |(name, values): &(&String, &BTreeSet<String>)| {
            ALWAYS_TOLD.contains(&name.as_str()) || !values.iter().all(|value| is_id(value))
        };
        let labels: Vec<Value> = found
            .iter()
            .filter(told)
            .map(|(name, values)| json!({"label": name, "cardinality": values.len()}))
            .collect();
        let mut body = json!({"detectedLabels": labels});
        if !list.warnings.is_empty() {
            body["warnings"] = json!(list.warnings);
        }
        Ok(whole(&body))
    };
    request.run(&app, run).await
}

/// Whether a value is a number or a UUID.
fn is_id(value: &str) -> bool {
    let uuid = || {
        let parts: Vec<&str> = value.split('-').collect();
        parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
            && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    value.parse::<f64>().is_ok() || uuid()
}

/// A field and what was seen of it.
#[derive(Default)]
struct Field {
    kind: &'static str,
    values: BTreeSet<String>,
    /// Which parsers find it; none for structured metadata.
    parsers: BTreeSet<&'static str>,
}

type Fields = BTreeMap<String, Field>;

/// Lists the fields of lines and of structured metadata.
///
/// # Errors
/// If a parameter is wrong or the query fails.
pub async fn fields(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let (query, limit) = field_query(&app, &request)?;
    let run = move |request: &LokiRequest, source: &Tenants, budget: &Budget| {
        let found = find(request, source, query, budget)?;
        let one = |(name, field): (&String, &Field)| {
            let parsers = match field.parsers.len() {
                0 => Value::Null,
                _ => json!(field.parsers),
            };
            json!({
                "label": name,
                "type": field.kind,
                "cardinality": field.values.len(),
                "parsers": parsers,
            })
        };
        let fields: Vec<Value> = found.iter().take(limit).map(one).collect();
        Ok(whole(&json!({"fields": fields, "limit": limit})))
    };
    request.run(&app, run).await
}

/// Lists the values of a field.
///
/// # Errors
/// If a parameter is wrong or the query fails.
pub async fn values(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let (query, limit) = field_query(&app, &request)?;
    let run = move |request: &LokiRequest, source: &Tenants, budget: &Budget| {
        let mut found = find(request, source, query, budget)?;
        let values = found.remove(&name).map(|field| field.values).unwrap_or_default();
        let values: Vec<String> = values.into_iter().take(limit).collect();
        Ok(whole(&json!({"values": values, "limit": limit})))
    };
    request.run(&app, run).await
}

fn field_query(app: &App, request: &LokiRequest) -> Result<(EntryQuery, usize), LokiError> {
    let form = &request.form;
    let range = params::range(form, now_ns(app))?;
    let lines = params::count(form, "line_limit")?.unwrap_or(LINES_DEFAULT);
    let limit = params::count(form, "limit")?.or(params::count(form, "field_limit")?);
    let query = EntryQuery {
        start_ns: range.start,
        end_ns: range.end,
        direction: Direction::Backward,
        limit: lines.min(params::LIMIT_MAX),
        interval_ns: 0,
    };
    Ok((query, limit.unwrap_or(FIELDS_DEFAULT)))
}

/// Finds the fields of the lines a query asks for. Where it does not parse them itself, lines are
/// parsed as JSON, and those that are none as logfmt.
fn find(
    request: &LokiRequest,
    source: &Tenants,
    query: EntryQuery,
    budget: &Budget,
) -> Result<Fields, LokiError> {
    let Expr::Log(expr) = parse(request.form.get("query").unwrap_or_default())? else {
        return Err(LokiError::bad("a log query is wanted, not a metric query"));
    };
    let json_stage = Stage::Json(Vec::new());
    let logfmt_stage = Stage::Logfmt { flags: LogfmtFlags::default(), extractions: Vec::new() };
    let parses = |stage: &Stage| matches!(stage, Stage::Json(_) | Stage::Logfmt { .. });
    let plain: Vec<Stage> = expr.stages.iter().filter(|stage| !parses(stage)).cloned().collect();
    let with = |last: &Stage| {
        let stages = plain.iter().chain(std::iter::once(last)).cloned().collect();
        LogExpr { matchers: expr.matchers.clone(), stages }
    };
    let mut fields = Fields::new();
    let as_json = LogEngine.entries(source, &with(&json_stage), query, budget)?.entries;
    let is_json = |entry: &LogEntry| entry.parsed.get("__error__").is_none();
    for entry in &as_json {
        add_pairs(&mut fields, entry.metadata.iter(), None);
        if is_json(entry) {
            add_pairs(&mut fields, entry.parsed.iter(), Some("json"));
        }
    }
    if as_json.iter().all(is_json) {
        return Ok(fields);
    }
    let as_logfmt = LogEngine.entries(source, &with(&logfmt_stage), query, budget)?.entries;
    for (entry, seen) in as_logfmt.iter().zip(&as_json) {
        if !is_json(seen) && entry.parsed.get("__error__").is_none() {
            add_pairs(&mut fields, entry.parsed.iter(), Some("logfmt"));
        }
    }
    Ok(fields)
}

fn add_pairs<'a>(
    fields: &mut Fields,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    parser: Option<&'static str>,
) {
    for (name, value) in pairs {
        if ERROR_LABELS.contains(&name) {
            continue;
        }
        // A name that is taken by a label comes with a suffix; it is told as it is in the line.
        let name = name.strip_suffix("_extracted").unwrap_or(name);
        let field = fields.entry(name.to_owned()).or_default();
        if field.kind.is_empty() {
            field.kind = kind_of(value);
        }
        field.values.insert(value.to_owned());
        field.parsers.extend(parser);
    }
}

/// What kind of values a field holds, by one of them.
fn kind_of(value: &str) -> &'static str {
    if value.parse::<i64>().is_ok() {
        "int"
    } else if value.parse::<f64>().is_ok() {
        "float"
    } else if matches!(value, "true" | "false" | "TRUE" | "FALSE" | "True" | "False") {
        "boolean"
    } else if has_units(value, &["ns", "us", "\u{b5}s", "ms", "s", "m", "h"]) {
        "duration"
    } else if has_units(value, &["B", "kB", "KB", "KiB", "MB", "MiB", "GB", "GiB", "TB", "TiB"]) {
        "bytes"
    } else {
        "string"
    }
}

/// Whether a value is numbers with units behind them, as in `1h30m` or `5.2MB`.
fn has_units(value: &str, units: &[&str]) -> bool {
    let mut rest = value.strip_prefix('-').unwrap_or(value);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        if number.parse::<f64>().is_err() || !units.contains(&unit.trim()) {
            return false;
        }
        rest = next;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_a_value() {
        for (value, want) in [
            ("5", "int"),
            ("5.5", "float"),
            ("true", "boolean"),
            ("1h30m", "duration"),
            ("12.5ms", "duration"),
            ("5MB", "bytes"),
            ("1.2 KiB", "bytes"),
            ("x5", "string"),
            ("", "string"),
            ("5 apples", "string"),
        ] {
            assert_eq!(kind_of(value), want, "{value}");
        }
        assert!(is_id("b7e23ec2-8f0a-4f1e-9d3c-2f3b8a1c9d0e") && is_id("12") && !is_id("a12"));
    }
}
