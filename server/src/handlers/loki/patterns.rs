//! `patterns`: lines that differ only in words with digits, counted over time. Only the newest
//! lines of the range are looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use ephemeris_model::Direction;
use ephemeris_query::budget::Budget;
use ephemeris_query::logs::ast::Expr;
use ephemeris_query::logs::engine::{EntryQuery, LogEngine};
use ephemeris_query::logs::parse::parse;
use serde_json::{Value, json};

use super::error::LokiError;
use super::labels::success;
use super::params;
use super::request::{LokiRequest, now_ns};
use super::tenants::Tenants;
use crate::api::stream::Prepared;
use crate::app::App;

/// Lines looked at.
const LINES_MAX: usize = 20_000;
/// Patterns told, the most frequent ones.
const PATTERNS_MAX: usize = 300;
/// Longest pattern, in bytes of its lines.
const LINE_BYTES_MAX: usize = 1000;
/// Stands for a word that differs.
const ANY: &str = "<_>";
const SECOND: i64 = 1_000_000_000;

/// Lists patterns with the number of their lines in each step.
///
/// # Errors
/// If a parameter is wrong or the query fails.
pub async fn patterns(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let range = params::range(&request.form, now_ns(&app))?;
    let step = params::step(&request.form, range)?.max(SECOND);
    let query = EntryQuery {
        start_ns: range.start,
        end_ns: range.end,
        direction: Direction::Backward,
        limit: LINES_MAX,
        interval_ns: 0,
    };
    let run = move |request: &LokiRequest, source: &Tenants, budget: &Budget| {
        let Expr::Log(expr) = parse(request.form.get("query").unwrap_or_default())? else {
            return Err(LokiError::bad("a log query is wanted, not a metric query"));
        };
        let found = LogEngine.entries(source, &expr, query, budget)?;
        let mut counts: BTreeMap<(String, String), BTreeMap<i64, u64>> = BTreeMap::new();
        for entry in &found.entries {
            let line = String::from_utf8_lossy(&entry.line);
            let level = entry.metadata.get("detected_level").unwrap_or("unknown");
            let at = entry.timestamp_ns.div_euclid(step) * step / SECOND;
            let of_pattern = counts.entry((pattern(&line), level.to_owned())).or_default();
            *of_pattern.entry(at).or_default() += 1;
        }
        let mut sorted: Vec<_> = counts.into_iter().collect();
        sorted.sort_by_key(|(_, samples)| std::cmp::Reverse(samples.values().sum::<u64>()));
        sorted.truncate(PATTERNS_MAX);
        let one = |((pattern, level), samples): &((String, String), BTreeMap<i64, u64>)| {
            let samples: Vec<Value> = samples.iter().map(|(at, n)| json!([at, n])).collect();
            json!({"pattern": pattern, "level": level, "samples": samples})
        };
        Ok(success(&Value::Array(sorted.iter().map(one).collect())))
    };
    request.run(&app, run).await
}

/// The line with each word that has a digit as `<_>`.
fn pattern(line: &str) -> String {
    let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
    let mut out = String::with_capacity(line.len());
    for (at, word) in line.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        let (before, value) = match word.split_once('=') {
            Some((key, value)) if !key.bytes().any(|b| b.is_ascii_digit()) => (key, value),
            _ => ("", word),
        };
        if !value.bytes().any(|b| b.is_ascii_digit()) {
            out.push_str(word);
            continue;
        }
        if !before.is_empty() {
            out.push_str(before);
            out.push('=');
        }
        out.push_str(ANY);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_digits_are_what_differs() {
        assert_eq!(pattern("GET /a/1 took 5ms ok"), "GET <_> took <_> ok");
        assert_eq!(pattern("level=info id=7f x"), "level=info id=<_> x");
        assert_eq!(pattern(""), "");
    }
}
