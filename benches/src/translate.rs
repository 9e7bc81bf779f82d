//! The samples of a remote-write 1.0 body in the messages of other protocols.

use ephemeris_ingest::proto::otlp::metric::Data;
use ephemeris_ingest::proto::otlp::{
    Gauge, KeyValue, Metric, MetricsRequest, NumberPoint, Resource, ResourceMetrics, Scope,
    ScopeMetrics, Sum, number,
};
use ephemeris_ingest::proto::write_v1::{TimeSeries, WriteRequest};
use ephemeris_ingest::proto::write_v2;
use ephemeris_ingest::{Limits, body};
use prost::Message as _;

use crate::{BenchError, Result};

/// What the resources of a real sender say beside who they are; `target_info` has it.
const RESOURCE: [(&str, &str); 4] = [
    ("host.arch", "arm64"),
    ("telemetry.sdk.language", "rust"),
    ("telemetry.sdk.name", "opentelemetry"),
    ("telemetry.sdk.version", "0.33.1"),
];
/// Temporality of sums.
const CUMULATIVE: i32 = 2;

fn request(body: &[u8]) -> Result<WriteRequest> {
    let mut buffer = Vec::new();
    let message = body::decompress_snappy(body, &Limits::default(), &mut buffer)?;
    WriteRequest::decode(message).map_err(|e| BenchError(e.to_string()))
}

/// As a remote-write 2.0 body in snappy block format.
///
/// # Errors
/// If the body cannot be read.
pub fn remote_write_2(body: &[u8]) -> Result<Vec<u8>> {
    let request = request(body)?;
    let mut symbols = write_v2::SymbolTable::default();
    let timeseries = request
        .timeseries
        .iter()
        .map(|series| write_v2::TimeSeries {
            labels_refs: symbols.labels_refs(series.labels.iter().map(|l| (&l.name, &l.value))),
            samples: series
                .samples
                .iter()
                .map(|s| write_v2::Sample {
                    value: s.value,
                    timestamp: s.timestamp,
                    start_timestamp: 0,
                })
                .collect(),
            ..write_v2::TimeSeries::default()
        })
        .collect();
    let request = write_v2::Request { symbols: symbols.into_symbols(), timeseries };
    Ok(body::compress_snappy(&request.encode_to_vec())?)
}

/// As OTLP in which each instance is a resource with its metrics, a point each: what a Collector in
/// front of many senders hands on.
///
/// # Errors
/// If the body cannot be read.
pub fn otlp_by_instance(body: &[u8]) -> Result<Vec<u8>> {
    let mut resources: Vec<(String, ResourceMetrics)> = Vec::new();
    for series in &request(body)?.timeseries {
        let parts = Parts::of(series, &["job", "instance"]);
        let same = resources.last().is_some_and(|(instance, _)| *instance == parts.instance);
        if !same {
            let mut attributes = vec![
                KeyValue::text("service.name", &parts.job),
                KeyValue::text("service.instance.id", &parts.instance),
            ];
            attributes.extend(RESOURCE.map(|(key, value)| KeyValue::text(key, value)));
            resources.push((parts.instance.clone(), resource_metrics(attributes)));
        }
        if let Some((_, resource)) = resources.last_mut() {
            add(resource, parts);
        }
    }
    let resource_metrics = resources.into_iter().map(|(_, resource)| resource).collect();
    Ok(MetricsRequest { resource_metrics }.encode_to_vec())
}

/// As OTLP in which one resource has all points, `instance` being an attribute of them: what one
/// process sends that watches many things.
///
/// # Errors
/// If the body cannot be read.
pub fn otlp_by_metric(body: &[u8]) -> Result<Vec<u8>> {
    let request = request(body)?;
    let mut resource = None;
    for series in &request.timeseries {
        let parts = Parts::of(series, &["job"]);
        let resource = resource.get_or_insert_with(|| {
            let mut attributes = vec![KeyValue::text("service.name", &parts.job)];
            attributes.extend(RESOURCE.map(|(key, value)| KeyValue::text(key, value)));
            resource_metrics(attributes)
        });
        add(resource, parts);
    }
    Ok(MetricsRequest { resource_metrics: resource.into_iter().collect() }.encode_to_vec())
}

fn resource_metrics(attributes: Vec<KeyValue>) -> ResourceMetrics {
    let scope = Scope { name: "telemetry".to_owned(), ..Scope::default() };
    let scope = ScopeMetrics { scope: Some(scope), ..ScopeMetrics::default() };
    let resource = Some(Resource { attributes });
    ResourceMetrics { resource, scope_metrics: vec![scope], ..ResourceMetrics::default() }
}

/// A series, taken apart.
struct Parts {
    name: String,
    job: String,
    instance: String,
    points: Vec<NumberPoint>,
}

impl Parts {
    /// Labels named in `left_out` do not become attributes.
    fn of(series: &TimeSeries, left_out: &[&str]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let find = |name: &str| {
            let found = series.labels.iter().find(|l| l.name == name.as_bytes());
            found.map_or_else(String::new, |l| text(&l.value))
        };
        let labels = series.labels.iter().map(|l| (text(&l.name), text(&l.value)));
        let labels = labels.filter(|(n, _)| n != "__name__" && !left_out.contains(&n.as_str()));
        let attributes: Vec<_> = labels.map(|(n, v)| KeyValue::text(&n, &v)).collect();
        let points = series.samples.iter().map(|s| NumberPoint {
            time_unix_nano: s.timestamp.unsigned_abs() * 1_000_000,
            attributes: attributes.clone(),
            value: s.value.map(number::Value::Double),
            ..NumberPoint::default()
        });
        let points = points.collect();
        Self { name: find("__name__"), job: find("job"), instance: find("instance"), points }
    }
}

/// Adds the points of a series to its metric.
fn add(resource: &mut ResourceMetrics, parts: Parts) {
    let Some(scope) = resource.scope_metrics.first_mut() else { return };
    // The suffix comes back when it is translated.
    let counter = parts.name.strip_suffix("_total");
    let name = counter.unwrap_or(&parts.name);
    let at = scope.metrics.iter().position(|metric| metric.name == name).unwrap_or_else(|| {
        let data = match counter {
            Some(_) => Data::Sum(Sum {
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
                ..Sum::default()
            }),
            None => Data::Gauge(Gauge::default()),
        };
        let description = format!("what {name} is about");
        let name = name.to_owned();
        scope.metrics.push(Metric { name, description, data: Some(data), ..Metric::default() });
        scope.metrics.len() - 1
    });
    match scope.metrics.get_mut(at).and_then(|metric| metric.data.as_mut()) {
        Some(Data::Sum(sum)) => sum.data_points.extend(parts.points),
        Some(Data::Gauge(gauge)) => gauge.data_points.extend(parts.points),
        _ => {}
    }
}
