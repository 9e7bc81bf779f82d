//! Records a few metrics with the OpenTelemetry SDK and exports them three times, or some log
//! records.
//!
//! usage: `otel-rust http|grpc ENDPOINT cumulative|delta|logs`

use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    Compression, LogExporter, MetricExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, PeriodicReader, SdkMeterProvider, Stream, Temporality,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [protocol, endpoint, what] = &arguments[..] else {
        return Err("usage: otel-rust http|grpc ENDPOINT cumulative|delta|logs".into());
    };
    // The client of gRPC runs on it.
    let runtime = tokio::runtime::Runtime::new()?;
    let _entered = runtime.enter();
    match what.as_str() {
        "cumulative" => metrics(protocol, endpoint, Temporality::Cumulative, "cumulative"),
        "delta" => metrics(protocol, endpoint, Temporality::Delta, "delta"),
        "logs" => logs(protocol, endpoint),
        other => Err(format!("{other:?} is none of cumulative, delta and logs").into()),
    }
}

/// Each temporality with another compression.
fn metric_exporter(
    protocol: &str,
    endpoint: &str,
    temporality: Temporality,
) -> Result<MetricExporter> {
    let compression = match temporality {
        Temporality::Delta => Compression::Zstd,
        _ => Compression::Gzip,
    };
    let builder = MetricExporter::builder().with_temporality(temporality);
    Ok(match protocol {
        "http" => builder
            .with_http()
            .with_endpoint(endpoint)
            .with_compression(compression)
            .build()?,
        _ => builder
            .with_tonic()
            .with_endpoint(endpoint)
            .with_compression(compression)
            .build()?,
    })
}

fn metrics(protocol: &str, endpoint: &str, temporality: Temporality, name: &str) -> Result<()> {
    let exporter = metric_exporter(protocol, endpoint, temporality)?;
    let reader =
        PeriodicReader::builder(exporter).with_interval(Duration::from_secs(3600)).build();
    let resource = Resource::builder()
        .with_service_name("shop")
        .with_attribute(KeyValue::new("service.namespace", protocol.to_owned()))
        .with_attribute(KeyValue::new("service.instance.id", name.to_owned()))
        .build();
    let provider = SdkMeterProvider::builder()
        .with_reader(reader)
        .with_resource(resource)
        .with_view(|instrument: &Instrument| {
            let aggregation = Aggregation::Base2ExponentialHistogram {
                max_size: 160,
                max_scale: 20,
                record_min_max: true,
            };
            (instrument.name() == "exponential")
                .then(|| Stream::builder().with_aggregation(aggregation).build().ok())
                .flatten()
        })
        .build();
    let scope = InstrumentationScope::builder("test").with_version("1.0").build();
    let meter = provider.meter_with_scope(scope);
    let requests =
        meter.u64_counter("http.requests").with_unit("1").with_description("Requests.").build();
    let level = meter.i64_up_down_counter("level").with_unit("By").build();
    let explicit = meter
        .f64_histogram("explicit")
        .with_unit("s")
        .with_boundaries(vec![1.0, 5.0])
        .build();
    let exponential = meter.f64_histogram("exponential").with_unit("s").build();
    for i in [1_u32, 2, 3] {
        requests.add(i.into(), &[KeyValue::new("http.method", "GET")]);
        level.add(-i64::from(i), &[]);
        for value in [0.5 * f64::from(i), 2.0 * f64::from(i)] {
            explicit.record(value, &[]);
            exponential.record(value, &[]);
        }
        provider.force_flush()?;
        // Samples have times in milliseconds: the next ones come later.
        sleep(Duration::from_millis(2));
    }
    provider.shutdown()?;
    Ok(())
}

fn logs(protocol: &str, endpoint: &str) -> Result<()> {
    let exporter = match protocol {
        "http" => LogExporter::builder().with_http().with_endpoint(endpoint).build()?,
        _ => LogExporter::builder().with_tonic().with_endpoint(endpoint).build()?,
    };
    let resource = Resource::builder()
        .with_service_name("shop")
        .with_attribute(KeyValue::new("service.namespace", protocol.to_owned()))
        .build();
    let provider =
        SdkLoggerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let logger = provider.logger("test");
    let lines = [
        (Severity::Info, "started"),
        (Severity::Warn, "slow"),
        (Severity::Error, "{\"why\":\"disk is full\",\"free\":0}"),
    ];
    for (severity, line) in lines {
        let mut record = logger.create_log_record();
        record.set_timestamp(SystemTime::now());
        record.set_severity_number(severity);
        record.set_severity_text(severity.name());
        record.set_body(line.into());
        if severity == Severity::Warn {
            record.add_attribute("took_ms", 1500_i64);
            record.add_attribute("http.status_code", 200_i64);
        }
        logger.emit(record);
    }
    provider.force_flush()?;
    provider.shutdown()?;
    Ok(())
}
