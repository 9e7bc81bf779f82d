//! `/api/v1/status/…`, `/api/v1/features` and `/version`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::num::NonZero;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ephemeris_model::{METRIC_NAME, Matcher, Select, Source, TimeRange};
use ephemeris_query::promql::functions::Function;
use ephemeris_storage::Reader;
use serde_json::{Map, Value, json};

use super::labels::on_reader;
use super::tree::{AGGREGATIONS, OPERATORS};
use crate::api::json::success;
use crate::api::stream::Prepared;
use crate::api::time::format_rfc3339;
use crate::api::{ApiError, Form, Tenant};
use crate::app::{App, Phase};
use crate::config::settings::SETTINGS;
use crate::config::value::format_duration_ms;

/// Entries of each list of `/status/tsdb`.
const TSDB_LIMIT_DEFAULT: usize = 10;
const TSDB_LIMIT_MAX: usize = 10_000;
/// How far back a series was written to be counted there, in milliseconds.
const TSDB_RECENT_MS: i64 = 3_600_000;

fn answer(data: &Value) -> Prepared {
    Prepared::whole(success(data, &[]))
}

/// Version and build. Without `features`, so that Grafana takes it for Prometheus.
pub async fn build_info() -> Prepared {
    answer(&build_json())
}

/// The same without the envelope.
pub async fn version() -> Json<Value> {
    Json(build_json())
}

/// The version of Prometheus whose API this is, our own behind the plus. Grafana takes the first
/// part for Prometheus' and falls back to older calls below 2.24.
const VERSION: &str = concat!("3.14.0+ephemeris.", env!("CARGO_PKG_VERSION"));

fn build_json() -> Value {
    json!({
        "version": VERSION,
        "revision": option_env!("EPHEMERIS_REVISION").unwrap_or(""),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })
}

/// The queries of the tenant that run or wait now, the oldest first.
pub async fn active_queries(State(app): State<Arc<App>>, tenant: Tenant) -> Prepared {
    let queries = app.active.of_tenant(tenant.as_str());
    let shown = queries.iter().map(|(number, query)| {
        json!({
            "id": number,
            "query": query.text,
            "start": query.start_ms as f64 / 1000.0,
            "end": query.end_ms as f64 / 1000.0,
            "step": query.step_ms as f64 / 1000.0,
            "durationSeconds": query.began.elapsed().as_secs_f64(),
            "seriesTouched": query.budget.series_touched(),
            "samplesRead": query.budget.samples_read(),
            "dashboard": query.origin.dashboard,
            "panel": query.origin.panel,
        })
    });
    answer(&Value::Array(shown.collect()))
}

/// The settings as YAML.
pub async fn config(State(app): State<Arc<App>>) -> Prepared {
    let mut yaml = String::new();
    for setting in SETTINGS {
        let _ = writeln!(yaml, "{}: {:?}", setting.key, (setting.show)(&app.config));
    }
    answer(&json!({"yaml": yaml}))
}

/// The settings by the names of their flags.
pub async fn flags(State(app): State<Arc<App>>) -> Prepared {
    let flags: BTreeMap<String, String> =
        SETTINGS.iter().map(|s| (s.flag(), (s.show)(&app.config))).collect();
    answer(&json!(flags))
}

/// What the tenant sent since the start, and what was refused of it.
pub async fn ingest(State(app): State<Arc<App>>, tenant: Tenant) -> Prepared {
    answer(&app.arrivals.to_json(tenant.as_str()))
}

/// What the process runs on.
pub async fn runtime_info(State(app): State<Arc<App>>) -> Prepared {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let threads = read("/proc/self/status")
        .lines()
        .find_map(|line| line.strip_prefix("Threads:")?.trim().parse::<u64>().ok());
    let damages = app.store_if_open().map_or(0, |store| store.stats().wal_damages);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    answer(&json!({
        "startTime": format_rfc3339(app.started.0),
        "CWD": std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
        "hostname": read("/proc/sys/kernel/hostname"),
        "serverTime": format_rfc3339(app.clock.now().0),
        "reloadConfigSuccess": true,
        "lastConfigTime": format_rfc3339(app.started.0),
        "corruptionCount": damages,
        "goroutineCount": threads.unwrap_or(0),
        "GOMAXPROCS": cores,
        "GOMEMLIMIT": app.memory_budget_bytes,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": format_duration_ms(app.config.retention_ms.unsigned_abs()),
    }))
}

/// How far the replay of the WAL is; served before the server is ready.
pub async fn wal_replay(State(app): State<Arc<App>>) -> Prepared {
    let current = u8::from(app.phase() != Phase::Starting);
    answer(&json!({"min": 0, "max": 1, "current": current}))
}

/// Cardinality of the tenant: metrics, labels and pairs with the most series.
///
/// # Errors
/// If a parameter is wrong or the store cannot answer.
pub async fn tsdb(
    State(app): State<Arc<App>>,
    tenant: Tenant,
    form: Form,
) -> Result<Prepared, ApiError> {
    let limit = form.limit("limit")?.unwrap_or(TSDB_LIMIT_DEFAULT);
    if limit > TSDB_LIMIT_MAX {
        let cause = format!("limit must not exceed {TSDB_LIMIT_MAX}");
        return Err(ApiError::parameter("limit", cause));
    }
    let now = app.clock.now();
    on_reader(&app, tenant, move |reader| {
        let counts = Cardinality::read(reader, TimeRange::new(now + -TSDB_RECENT_MS, now + 1))?;
        Ok(answer(&json!({
            "headStats": {
                "numSeries": counts.series,
                "numLabelPairs": counts.pairs.len(),
                "chunkCount": counts.series,
                "minTime": now.0 - TSDB_RECENT_MS,
                "maxTime": now.0,
            },
            "seriesCountByMetricName": top(counts.metrics, limit),
            "labelValueCountByLabelName": top(counts.values, limit),
            "memoryInBytesByLabelName": top(counts.bytes, limit),
            "seriesCountByLabelValuePair": top(counts.pairs, limit),
        })))
    })
    .await
}

/// Series counted in several ways.
#[derive(Default)]
struct Cardinality {
    series: usize,
    metrics: HashMap<String, u64>,
    values: HashMap<String, u64>,
    bytes: HashMap<String, u64>,
    pairs: HashMap<String, u64>,
}

impl Cardinality {
    fn read(reader: &Reader, range: TimeRange) -> Result<Self, ApiError> {
        let mut counts = Self::default();
        let any = Matcher::new(ephemeris_model::MatchOp::NotEqual, METRIC_NAME, "")
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let set = reader.select(&Select { matchers: vec![any], range })?;
        counts.series = set.len();
        for index in 0..set.len() {
            for (name, value) in set.labels(index).iter() {
                counts.add(name, value);
            }
        }
        Ok(counts)
    }

    fn add(&mut self, name: &str, value: &str) {
        if name == METRIC_NAME {
            bump(&mut self.metrics, value, 1);
        }
        let pair = format!("{name}={value}");
        if let Some(count) = self.pairs.get_mut(&pair) {
            *count += 1;
            return;
        }
        self.pairs.insert(pair, 1);
        bump(&mut self.values, name, 1);
        bump(&mut self.bytes, name, value.len() as u64);
    }
}

fn bump(counts: &mut HashMap<String, u64>, key: &str, by: u64) {
    match counts.get_mut(key) {
        Some(count) => *count += by,
        None => drop(counts.insert(key.to_owned(), by)),
    }
}

fn top(counts: HashMap<String, u64>, limit: usize) -> Vec<Value> {
    let mut list: Vec<(String, u64)> = counts.into_iter().collect();
    list.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list.truncate(limit);
    list.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// What this server can do, by category.
pub async fn features() -> Prepared {
    let all = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), Value::Bool(true)))
            .collect::<Map<_, _>>()
            .into()
    };
    let functions: Vec<&str> = Function::ALL.iter().map(|function| function.name()).collect();
    let operators: Vec<&str> = AGGREGATIONS
        .iter()
        .map(|(_, name)| *name)
        .chain(OPERATORS.iter().map(|op| op.as_str()))
        .chain(["@", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"])
        .collect();
    answer(&json!({
        "api": all(&["admin", "label_values_match",
            "query_stats", "query_warnings", "remote_write_receiver", "search", "time_range_series",
            "time_range_labels"]),
        "promql": all(&["anchored", "at_modifier", "bool", "by", "duration_expr",
            "experimental_functions", "group_left", "group_right", "ignoring",
            "negative_offset", "offset", "on", "smoothed", "subqueries", "without"]),
        "promql_functions": all(&functions),
        "promql_operators": all(&operators),
        "rules": {},
        "scrape": {},
        "service_discovery": {},
        "templating": {},
        "tsdb": all(&["exemplars", "native_histograms", "out_of_order"]),
        "otlp_receiver": {},
        "ui": {},
        "prometheus": {},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_ties_by_name() {
        let mut counts = Cardinality::default();
        for (name, value) in [("__name__", "up"), ("__name__", "up"), ("b", "x"), ("a", "yy")] {
            counts.add(name, value);
        }
        assert_eq!(top(counts.metrics, 9), [json!({"name": "up", "value": 2})]);
        let pairs = top(counts.pairs, 2);
        assert_eq!(pairs[1], json!({"name": "a=yy", "value": 1}));
        assert_eq!(top(counts.bytes, 1)[0]["value"], 2);
    }
}
