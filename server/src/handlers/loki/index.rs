//! `index/stats`, `index/volume` and `index/volume_range`: answered from counts of pages; lines are
//! read only where a page crosses a border.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use ephemeris_model::{
    Direction, Labels, LineSearches, LogColumns, LogSelect, LogSource, MatchOp, Matcher, NanoRange,
    StreamSet,
};
use ephemeris_query::budget::Budget;
use ephemeris_query::logs::error::LogQueryError;
use serde_json::{Map, Value, json};

use super::error::LokiError;
use super::params;
use super::request::{LokiRequest, now_ns};
use super::tenants::Tenants;
use crate::api::stream::Prepared;
use crate::app::App;

const VOLUMES_DEFAULT: usize = 100;

/// A selection for counting.
pub(super) fn counted(matchers: Vec<Matcher>, range: NanoRange) -> LogSelect {
    LogSelect {
        matchers,
        range,
        direction: Direction::Forward,
        columns: LogColumns { lines: false, metadata: false },
        filters: LineSearches::default(),
        hints: Vec::new(),
    }
}

/// Counts streams, entries and bytes.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn stats(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let range = params::range(&request.form, now_ns(&app))?;
    let matchers = request.matchers("query")?;
    let run = move |_: &LokiRequest, source: &Tenants, budget: &Budget| {
        let set = source.select_streams(&counted(matchers, range))?;
        let (mut streams, mut entries, mut bytes) = (0, 0, 0);
        for index in 0..set.len() {
            budget.check().map_err(LogQueryError::from)?;
            let count = set.count(index, range)?;
            streams += u64::from(count.entries > 0);
            entries += count.entries;
            bytes += count.bytes;
        }
        let mut body =
            json!({"streams": streams, "chunks": streams, "bytes": bytes, "entries": entries});
        let warnings = set.warnings();
        if !warnings.is_empty() {
            body["warnings"] = json!(warnings);
        }
        Ok(Prepared::whole(format!("{body}\n").into_bytes()))
    };
    request.run(&app, run).await
}

/// Bytes in each of some ranges, by label set.
type Sums = Vec<(Labels, Vec<u64>)>;

/// What volumes are told of.
struct Volumes {
    matchers: Vec<Matcher>,
    /// Labels of the answer; all, if there is none.
    names: Vec<String>,
    by_label: bool,
    limit: usize,
}

impl Volumes {
    fn read(request: &LokiRequest) -> Result<Self, LokiError> {
        let form = &request.form;
        let mut matchers = request.matchers("query")?;
        let target = form.get("targetLabels").unwrap_or_default();
        let mut names: Vec<String> =
            target.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect();
        for name in &names {
            if matchers.iter().all(|matcher| matcher.name != *name) {
                let any = Matcher::new(MatchOp::Regex, name, ".+");
                matchers.push(any.map_err(|error| LokiError::bad(error.to_string()))?);
            }
        }
        if names.is_empty() {
            names = matchers.iter().map(|matcher| matcher.name.clone()).collect();
        }
        let by_label = match form.get("aggregateBy").unwrap_or("series") {
            "series" => false,
            "labels" => true,
            other => return Err(LokiError::bad(format!("invalid aggregateBy '{other}'"))),
        };
        let limit = params::count(form, "limit")?.unwrap_or(VOLUMES_DEFAULT);
        Ok(Self { matchers, names, by_label, limit })
    }

    /// The label sets a stream counts for.
    fn keys(&self, labels: &Labels) -> Vec<Labels> {
        let kept = if self.names.is_empty() { labels.clone() } else { labels.keep(&self.names) };
        if !self.by_label {
            return vec![kept];
        }
        kept.iter().map(|(name, _)| Labels::from_sorted([(name, "")])).collect()
    }

    /// Bytes by label set in each of `ranges`, largest in sum first; and what they lack.
    fn count(
        &self,
        source: &Tenants,
        ranges: &[NanoRange],
        budget: &Budget,
    ) -> Result<(Sums, Vec<String>), LokiError> {
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let whole = NanoRange { start: first.start, end: last.end };
        let set = source.select_streams(&counted(self.matchers.clone(), whole))?;
        let mut volumes: BTreeMap<Labels, Vec<u64>> = BTreeMap::new();
        for index in 0..set.len() {
            budget.check().map_err(LogQueryError::from)?;
            let counts = counts(&*set, index, ranges)?;
            for key in self.keys(&set.labels(index)) {
                let sums = volumes.entry(key).or_insert_with(|| vec![0; ranges.len()]);
                sums.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += count);
            }
        }
        let mut sorted: Sums = volumes.into_iter().collect();
        sorted.retain(|(_, sums)| sums.iter().any(|sum| *sum > 0));
        sorted.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.iter().sum::<u64>()));
        sorted.truncate(self.limit);
        Ok((sorted, set.warnings()))
    }
}

/// Bytes of a stream in each range; the ranges follow one another.
fn counts(set: &dyn StreamSet, index: usize, ranges: &[NanoRange]) -> Result<Vec<u64>, LokiError> {
    if let [range] = ranges {
        return Ok(vec![set.count(index, *range)?.bytes]);
    }
    let mut counts = Vec::with_capacity(ranges.len());
    for range in ranges {
        counts.push(set.count(index, *range)?.bytes);
    }
    Ok(counts)
}

/// The metric of a volume; of labels the name counts, with an empty value.
fn metric(labels: &Labels) -> Value {
    let pairs = labels.iter().map(|(name, value)| (name.to_owned(), json!(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn envelope(kind: &str, result: &[Value], warnings: &[String]) -> Prepared {
    let data = json!({"resultType": kind, "result": result});
    super::labels::success_with(&data, warnings)
}

/// A time in seconds, with decimals where they are needed.
fn seconds(ns: i64) -> Value {
    let ms = ns.div_euclid(1_000_000);
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

/// Bytes by label set.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn volume(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let range = params::range(&request.form, now_ns(&app))?;
    let volumes = Volumes::read(&request)?;
    let run = move |_: &LokiRequest, source: &Tenants, budget: &Budget| {
        let (found, warnings) = volumes.count(source, &[range], budget)?;
        let one = |(labels, sums): &(Labels, Vec<u64>)| {
            let sum: u64 = sums.iter().sum();
            json!({"metric": metric(labels), "value": [seconds(range.end), sum.to_string()]})
        };
        Ok(envelope("vector", &found.iter().map(one).collect::<Vec<_>>(), &warnings))
    };
    request.run(&app, run).await
}

/// Bytes by label set in each step.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn volume_range(
    State(app): State<Arc<App>>,
    request: LokiRequest,
) -> Result<Prepared, LokiError> {
    let range = params::range(&request.form, now_ns(&app))?;
    let step = params::step(&request.form, range)?;
    let volumes = Volumes::read(&request)?;
    let run = move |_: &LokiRequest, source: &Tenants, budget: &Budget| {
        let mut ranges = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let end = start.saturating_add(step).min(range.end);
            ranges.push(NanoRange { start, end });
            start = end;
        }
        let (found, warnings) = volumes.count(source, &ranges, budget)?;
        let one = |(labels, sums): &(Labels, Vec<u64>)| {
            let filled = ranges.iter().zip(sums).filter(|(_, sum)| **sum > 0);
            let points: Vec<Value> =
                filled.map(|(range, sum)| json!([seconds(range.start), sum.to_string()])).collect();
            json!({"metric": metric(labels), "values": points})
        };
        Ok(envelope("matrix", &found.iter().map(one).collect::<Vec<_>>(), &warnings))
    };
    request.run(&app, run).await
}
