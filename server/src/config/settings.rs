//! The table of settings. A setting is added here and nowhere else.

use std::path::PathBuf;
use std::time::Duration;

use ephemeris_ingest::otlp::{DeltaMode, ExplicitHistograms, Naming};
use ephemeris_storage::{DiskReserve, Durability};

use super::value::{
    format_bytes, format_duration_ms, parse_bytes, parse_duration, parse_duration_ms,
};
use super::{Config, ConfigError, Switch};

/// One setting.
pub struct Setting {
    /// Its key in the file, with dots between levels; flag and variable follow from it.
    pub key: &'static str,
    /// What a value looks like, for the help.
    pub value: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// Checks a value and puts it in place.
    pub set: fn(&mut Config, &str) -> Result<(), String>,
    /// The value in place, as it would be written.
    pub show: fn(&Config) -> String,
}

impl Setting {
    /// Name of the flag without the dashes in front: `query.samples-max`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Name of the environment variable: `EPHEMERIS_QUERY_SAMPLES_MAX`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("EPHEMERIS_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// Puts `text` in place.
    ///
    /// # Errors
    /// If the value is not allowed; `origin` says where it was written.
    pub fn apply(&self, config: &mut Config, origin: &str, text: &str) -> Result<(), ConfigError> {
        (self.set)(config, text.trim())
            .map_err(|cause| ConfigError::Value { origin: origin.to_owned(), cause })
    }
}

/// Every setting, in the order in which the help lists them.
pub static SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        value: "DIR",
        help: "Where the data lies; created if missing, locked against a second process",
        set: |c, v| not_empty(v).map(|v| c.data_dir = v.into()),
        show: |c| c.data_dir.display().to_string(),
    },
    Setting {
        key: "listen",
        value: "ADDR",
        help: "Address of the API, remote write included",
        set: |c, v| address(v).map(|v| c.listen = v),
        show: |c| c.listen.clone(),
    },
    Setting {
        key: "otlp_http_listen",
        value: "ADDR|off",
        help: "Address for OTLP over HTTP; the same paths are on the main address too",
        set: |c, v| address_or_off(v).map(|v| c.otlp_http_listen = v),
        show: |c| c.otlp_http_listen.clone(),
    },
    Setting {
        key: "otlp_grpc_listen",
        value: "ADDR|off",
        help: "Address for OTLP over gRPC",
        set: |c, v| address_or_off(v).map(|v| c.otlp_grpc_listen = v),
        show: |c| c.otlp_grpc_listen.clone(),
    },
    Setting {
        key: "durability",
        value: "sync|buffered",
        help: "sync: a write is acknowledged after its WAL record is fsynced; \
               buffered: once the kernel has it, a power cut may lose the newest seconds",
        set: |c, v| {
            c.durability = match v {
                "sync" => Durability::Sync,
                "buffered" => Durability::Buffered,
                _ => return Err(format!("{v:?} is neither sync nor buffered")),
            };
            Ok(())
        },
        show: |c| match c.durability {
            Durability::Sync => "sync".to_owned(),
            Durability::Buffered => "buffered".to_owned(),
        },
    },
    Setting {
        key: "retention",
        value: "DURATION",
        help: "Samples older than this are refused, and dropped when they get there",
        set: |c, v| at_least_ms(v, 3_600_000, "1h").map(|v| c.retention_ms = v),
        show: |c| format_duration_ms(c.retention_ms.unsigned_abs()),
    },
    Setting {
        key: "retention_bytes",
        value: "BYTES",
        help: "Size of all sealed blocks beyond which the oldest days are deleted, never the \
               newest; 0 is no bound",
        set: |c, v| parse_bytes(v).map(|v| c.retention_bytes = v),
        show: |c| format_bytes(c.retention_bytes),
    },
    Setting {
        key: "log_delete_cancel",
        value: "DURATION",
        help: "How long a deletion of log entries can be taken back; they are hidden at once, and \
               removed from disk after this time",
        set: |c, v| parse_duration_ms(v).map(|v| c.log_delete_cancel_ms = v),
        show: |c| format_duration_ms(c.log_delete_cancel_ms.unsigned_abs()),
    },
    Setting {
        key: "disk_reserve",
        value: "auto|BYTES",
        help: "With less room on the disk writes get 503, and go on by themselves when there is \
               room again; auto is 1 % of the disk, at least 256 MiB and at most 5 GiB",
        set: |c, v| {
            c.disk_reserve = match v {
                "auto" => DiskReserve::Auto,
                bytes => DiskReserve::Bytes(parse_bytes(bytes)?),
            };
            Ok(())
        },
        show: |c| match c.disk_reserve {
            DiskReserve::Auto => "auto".to_owned(),
            DiskReserve::Bytes(bytes) => format_bytes(bytes),
        },
    },
    Setting {
        key: "memory_budget",
        value: "BYTES|PERCENT",
        help: "Memory the store may plan with; a percentage is of the machine or cgroup",
        set: |c, v| v.parse().map(|v| c.memory_budget = v),
        show: |c| c.memory_budget.to_string(),
    },
    Setting {
        key: "self_metrics_interval",
        value: "DURATION",
        help: "How often the server stores its own metrics in itself; 0 is never",
        set: |c, v| {
            let interval = parse_duration(v)?;
            if !interval.is_zero() && interval < Duration::from_millis(100) {
                return Err(format!("{v} is too short; 0 and from 100ms on are allowed"));
            }
            c.self_metrics_interval = interval;
            Ok(())
        },
        show: |c| duration(c.self_metrics_interval),
    },
    Setting {
        key: "shutdown_grace",
        value: "DURATION",
        help: "How long a shutdown may take to finish what runs and seal the heads",
        set: |c, v| parse_duration(v).map(|v| c.shutdown_grace = v),
        show: |c| duration(c.shutdown_grace),
    },
    Setting {
        key: "limits.labels_per_series_max",
        value: "N",
        help: "Labels of one series, the metric name included",
        set: |c, v| count(v, 1).map(|v| c.limits.labels_per_series_max = v),
        show: |c| c.limits.labels_per_series_max.to_string(),
    },
    Setting {
        key: "limits.label_name_bytes_max",
        value: "N",
        help: "Bytes of a label name",
        set: |c, v| count(v, 1).map(|v| c.limits.label_name_bytes_max = v),
        show: |c| c.limits.label_name_bytes_max.to_string(),
    },
    Setting {
        key: "limits.label_value_bytes_max",
        value: "N",
        help: "Bytes of a label value",
        set: |c, v| count(v, 1).map(|v| c.limits.label_value_bytes_max = v),
        show: |c| c.limits.label_value_bytes_max.to_string(),
    },
    Setting {
        key: "limits.active_series_max",
        value: "N",
        help: "Active series of one tenant; over it only new series are refused",
        set: |c, v| count(v, 1).map(|v| c.limits.active_series_max = v as u64),
        show: |c| c.limits.active_series_max.to_string(),
    },
    Setting {
        key: "limits.line_bytes_max",
        value: "BYTES",
        help: "Size of a log line",
        set: |c, v| size(v, 1 << 10, 1 << 30).map(|v| c.limits.line_bytes_max = usize_of(v)),
        show: |c| format_bytes(c.limits.line_bytes_max as u64),
    },
    Setting {
        key: "limits.metadata_pairs_max",
        value: "N",
        help: "Pairs of structured metadata of a log entry; up to 32768",
        set: |c, v| count_up_to(v, 1, 1 << 15).map(|v| c.limits.metadata_pairs_max = v),
        show: |c| c.limits.metadata_pairs_max.to_string(),
    },
    Setting {
        key: "limits.metadata_bytes_max",
        value: "BYTES",
        help: "Size of the structured metadata of a log entry",
        set: |c, v| size(v, 1, 1 << 30).map(|v| c.limits.metadata_bytes_max = usize_of(v)),
        show: |c| format_bytes(c.limits.metadata_bytes_max as u64),
    },
    Setting {
        key: "limits.samples_per_second_max",
        value: "N",
        help: "Samples one tenant may send in a second, ten seconds saved up; over it 429",
        set: |c, v| count(v, 1).map(|v| c.rates.samples_per_second_max = v as u64),
        show: |c| c.rates.samples_per_second_max.to_string(),
    },
    Setting {
        key: "limits.log_bytes_per_second_max",
        value: "BYTES",
        help: "Bytes of log lines a tenant may send in a second; ten times as many at once",
        set: |c, v| size(v, 1, 1 << 40).map(|v| c.rates.log_bytes_per_second_max = v),
        show: |c| format_bytes(c.rates.log_bytes_per_second_max),
    },
    Setting {
        key: "limits.new_series_per_second_max",
        value: "N",
        help: "New series one tenant may bring in a second, ten seconds saved up; over it 429",
        set: |c, v| count(v, 1).map(|v| c.rates.new_series_per_second_max = v as u64),
        show: |c| c.rates.new_series_per_second_max.to_string(),
    },
    Setting {
        key: "limits.compressed_bytes_max",
        value: "BYTES",
        help: "Size of the body of a write as received",
        set: |c, v| size(v, 1 << 10, 1 << 30).map(|v| c.bodies.compressed_bytes_max = usize_of(v)),
        show: |c| format_bytes(c.bodies.compressed_bytes_max as u64),
    },
    Setting {
        key: "limits.decompressed_bytes_max",
        value: "BYTES",
        help: "Size of the body of a write after decompression",
        set: |c, v| {
            size(v, 1 << 10, 1 << 30).map(|v| c.bodies.decompressed_bytes_max = usize_of(v))
        },
        show: |c| format_bytes(c.bodies.decompressed_bytes_max as u64),
    },
    Setting {
        key: "limits.batch_bytes_max",
        value: "BYTES",
        help: "Memory that series and samples of one decoded write may take",
        set: |c, v| size(v, 1 << 10, 1 << 32).map(|v| c.bodies.batch_bytes_max = usize_of(v)),
        show: |c| format_bytes(c.bodies.batch_bytes_max as u64),
    },
    Setting {
        key: "http.connections_max",
        value: "N",
        help: "Open connections; more wait to be accepted",
        set: |c, v| count(v, 1).map(|v| c.http.connections_max = v),
        show: |c| c.http.connections_max.to_string(),
    },
    Setting {
        key: "http.header_timeout",
        value: "DURATION",
        help: "Until the head of a request must have come",
        set: |c, v| positive(v).map(|v| c.http.header_timeout = v),
        show: |c| duration(c.http.header_timeout),
    },
    Setting {
        key: "http.body_timeout",
        value: "DURATION",
        help: "Until a body must have come; a second more for each 64 KiB",
        set: |c, v| positive(v).map(|v| c.http.body_timeout = v),
        show: |c| duration(c.http.body_timeout),
    },
    Setting {
        key: "http.idle_timeout",
        value: "DURATION",
        help: "How long a connection may lie idle between two requests",
        set: |c, v| positive(v).map(|v| c.http.idle_timeout = v),
        show: |c| duration(c.http.idle_timeout),
    },
    Setting {
        key: "http.bodies_bytes_max",
        value: "BYTES",
        help: "Size of all bodies being worked on; more wait, then get 503",
        set: |c, v| size(v, 1 << 20, 1 << 40).map(|v| c.http.bodies_bytes_max = v),
        show: |c| format_bytes(c.http.bodies_bytes_max),
    },
    Setting {
        key: "web_config_file",
        value: "FILE",
        help: "TLS and passwords, as in Prometheus' web configuration; none if empty",
        set: |c, v| {
            c.web_config_file = Some(PathBuf::from(v)).filter(|path| !path.as_os_str().is_empty());
            Ok(())
        },
        show: |c| {
            c.web_config_file.as_ref().map_or_else(String::new, |path| path.display().to_string())
        },
    },
    Setting {
        key: "http.cors_origins",
        value: "LIST",
        help: "Origins that may call from a browser: * for all, or a list separated by commas",
        set: |c, v| {
            v.clone_into(&mut c.http.cors_origins);
            Ok(())
        },
        show: |c| c.http.cors_origins.clone(),
    },
    Setting {
        key: "query.timeout",
        value: "DURATION",
        help: "Longest time a query may take",
        set: |c, v| positive(v).map(|v| c.query.timeout = v),
        show: |c| duration(c.query.timeout),
    },
    Setting {
        key: "query.concurrency_max",
        value: "N",
        help: "Queries that run at the same time, of all tenants",
        set: |c, v| count(v, 1).map(|v| c.query.concurrency_max = v.min(1024)),
        show: |c| c.query.concurrency_max.to_string(),
    },
    Setting {
        key: "query.queue_max",
        value: "N",
        help: "Queries that wait for their turn, of all tenants; more get 503",
        set: |c, v| count(v, 0).map(|v| c.query.queue_max = v),
        show: |c| c.query.queue_max.to_string(),
    },
    Setting {
        key: "query.tenant_concurrency_max",
        value: "N",
        help: "Queries of one tenant that run at the same time; the others are left to other tenants",
        set: |c, v| count(v, 1).map(|v| c.query.tenant_concurrency_max = v.min(1024)),
        show: |c| c.query.tenant_concurrency_max.to_string(),
    },
    Setting {
        key: "query.tenant_queue_max",
        value: "N",
        help: "Queries of one tenant that wait for their turn; more get 503",
        set: |c, v| count(v, 0).map(|v| c.query.tenant_queue_max = v),
        show: |c| c.query.tenant_queue_max.to_string(),
    },
    Setting {
        key: "query.queue_wait_max",
        value: "DURATION",
        help: "How long a query waits for its turn before it gets 503",
        set: |c, v| positive(v).map(|v| c.query.queue_wait_max = v),
        show: |c| duration(c.query.queue_wait_max),
    },
    Setting {
        key: "query.heavy_after",
        value: "DURATION",
        help: "A query that has run for longer works at lower priority; 0 is never",
        set: |c, v| parse_duration(v).map(|v| c.query.heavy_after = v),
        show: |c| duration(c.query.heavy_after),
    },
    Setting {
        key: "query.samples_max",
        value: "N",
        help: "Samples one query may hold at a time",
        set: |c, v| count(v, 1).map(|v| c.query.samples_max = v as u64),
        show: |c| c.query.samples_max.to_string(),
    },
    Setting {
        key: "query.lookback",
        value: "DURATION",
        help: "How far an instant selector looks back for the newest sample",
        set: |c, v| at_least_ms(v, 1, "1ms").map(|v| c.query.lookback_ms = v),
        show: |c| format_duration_ms(c.query.lookback_ms.unsigned_abs()),
    },
    Setting {
        key: "query.series_max",
        value: "N",
        help: "Series one query may touch",
        set: |c, v| count(v, 1).map(|v| c.query.series_max = v as u64),
        show: |c| c.query.series_max.to_string(),
    },
    Setting {
        key: "query.tails_max",
        value: "N",
        help: "Live tails of logs one tenant may have at the same time",
        set: |c, v| count(v, 0).map(|v| c.query.tails_max = v),
        show: |c| c.query.tails_max.to_string(),
    },
    Setting {
        key: "query.reuse_bytes_max",
        value: "SIZE",
        help: "Answers to range queries kept to be reused when a dashboard refreshes; at most 2 % \
               of memory_budget, 0 is off",
        set: |c, v| size(v, 0, 1 << 40).map(|v| c.query.reuse_bytes_max = v),
        show: |c| format_bytes(c.query.reuse_bytes_max),
    },
    Setting {
        key: "ingest.threads",
        value: "N",
        help: "Threads that decode and store writes; 0 is two a core",
        set: |c, v| count(v, 0).map(|v| c.ingest.threads = v.min(1024)),
        show: |c| c.ingest.threads.to_string(),
    },
    Setting {
        key: "ingest.queue_max",
        value: "N",
        help: "Writes that wait for a thread; more get 503",
        set: |c, v| count(v, 1).map(|v| c.ingest.queue_max = v),
        show: |c| c.ingest.queue_max.to_string(),
    },
    Setting {
        key: "otlp.translation_strategy",
        value: "STRATEGY",
        help: "Names of OTLP metrics and labels: UnderscoreEscapingWithSuffixes, \
               NoUTF8EscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes or NoTranslation",
        set: |c, v| choice(v, &Naming::ALL).map(|v| c.otlp.options.naming = v),
        show: |c| c.otlp.options.naming.as_str().to_owned(),
    },
    Setting {
        key: "otlp.promote_resource_attributes",
        value: "LIST",
        help: "Resource attributes that become labels of each OTLP series, separated by commas; \
               * for all",
        set: |c, v| {
            let names = v.split(',').map(str::trim).filter(|name| !name.is_empty());
            c.otlp.options.promoted = names.map(str::to_owned).collect();
            Ok(())
        },
        show: |c| c.otlp.options.promoted.join(","),
    },
    Setting {
        key: "otlp.promote_scope_metadata",
        value: "on|off",
        help: "Whether OTLP series get labels that name their scope (otel_scope_name and others)",
        set: |c, v| switch(v).map(|v| c.otlp.options.scope_labels = v),
        show: |c| show_switch(c.otlp.options.scope_labels),
    },
    Setting {
        key: "otlp.target_info",
        value: "on|off",
        help: "Whether resource attributes are stored as series target_info",
        set: |c, v| switch(v).map(|v| c.otlp.options.target_info = v),
        show: |c| show_switch(c.otlp.options.target_info),
    },
    Setting {
        key: "otlp.keep_identifying_resource_attributes",
        value: "on|off",
        help: "Whether target_info also has service.name, service.namespace, service.instance.id",
        set: |c, v| switch(v).map(|v| c.otlp.options.keep_identifying = v),
        show: |c| show_switch(c.otlp.options.keep_identifying),
    },
    Setting {
        key: "otlp.histograms",
        value: "classic|native",
        help: "OTLP histograms with explicit bounds: as _bucket, _sum and _count, or as native \
               histograms with custom buckets",
        set: |c, v| choice(v, &HISTOGRAMS).map(|v| c.otlp.options.histograms = v),
        show: |c| shown(c.otlp.options.histograms, &HISTOGRAMS),
    },
    Setting {
        key: "otlp.delta",
        value: "accumulate|keep",
        help: "Delta points of OTLP: added up to running totals, or stored as they come",
        set: |c, v| choice(v, &DELTAS).map(|v| c.otlp.options.delta = v),
        show: |c| shown(c.otlp.options.delta, &DELTAS),
    },
    Setting {
        key: "otlp.delta_series_max",
        value: "N",
        help: "Running totals of delta series kept in memory; others are read from the store",
        set: |c, v| count(v, 1).map(|v| c.otlp.delta_series_max = v),
        show: |c| c.otlp.delta_series_max.to_string(),
    },
    Setting {
        key: "otlp.cache_bytes_max",
        value: "SIZE",
        help: "What translation of OTLP remembers of resources, metrics and attributes it has met; \
               points of which nothing is remembered cost several times as much",
        set: |c, v| size(v, 0, 1 << 40).map(|v| c.otlp.cache_bytes_max = usize_of(v)),
        show: |c| format_bytes(c.otlp.cache_bytes_max as u64),
    },
    Setting {
        key: "ha.tenants",
        value: "LIST",
        help: "Tenants whose Prometheus agents come in pairs that send the same: of each cluster one \
               replica's samples are stored, without its replica label; * for all",
        set: |c, v| {
            v.clone_into(&mut c.pairs.tenants);
            Ok(())
        },
        show: |c| c.pairs.tenants.clone(),
    },
    Setting {
        key: "ha.cluster_label",
        value: "LABEL",
        help: "The label that agents of a pair have in common",
        set: |c, v| not_empty(v).map(|v| v.clone_into(&mut c.pairs.labels.cluster)),
        show: |c| c.pairs.labels.cluster.clone(),
    },
    Setting {
        key: "ha.replica_label",
        value: "LABEL",
        help: "The label by which agents of a pair differ; it is not stored",
        set: |c, v| not_empty(v).map(|v| v.clone_into(&mut c.pairs.labels.replica)),
        show: |c| c.pairs.labels.replica.clone(),
    },
    Setting {
        key: "ha.failover_timeout",
        value: "DURATION",
        help: "Silence of the chosen replica after which another one takes its place",
        set: |c, v| at_least_ms(v, 1_000, "1s").map(|v| c.pairs.failover_ms = v),
        show: |c| format_duration_ms(c.pairs.failover_ms.unsigned_abs()),
    },
    Setting {
        key: "ha.clusters_max",
        value: "N",
        help: "Clusters of agents of one tenant; series of more are refused",
        set: |c, v| count(v, 1).map(|v| c.pairs.clusters_max = v),
        show: |c| c.pairs.clusters_max.to_string(),
    },
    Setting {
        key: "head.chunk_bytes_max",
        value: "BYTES",
        help: "A generation of the head is sealed at this size of its chunks; with many series the \
               bound rises with them",
        set: |c, v| size(v, 64 << 10, 1 << 40).map(|v| c.head.chunk_bytes_max = v),
        show: |c| format_bytes(c.head.chunk_bytes_max),
    },
    Setting {
        key: "head.wal_bytes_max",
        value: "BYTES",
        help: "A generation of the head is sealed at this size of its WAL",
        set: |c, v| size(v, 1 << 20, 1 << 40).map(|v| c.head.wal_bytes_max = v),
        show: |c| format_bytes(c.head.wal_bytes_max),
    },
    Setting {
        key: "head.late_bytes_max",
        value: "BYTES",
        help: "A generation of the head is sealed at this size of its out-of-order samples",
        set: |c, v| size(v, 64 << 10, 1 << 40).map(|v| c.head.late_bytes_max = v),
        show: |c| format_bytes(c.head.late_bytes_max),
    },
    Setting {
        key: "head.age_max",
        value: "DURATION",
        help: "A generation of the head is sealed at this age",
        set: |c, v| at_least_ms(v, 1_000, "1s").map(|v| c.head.age_ms_max = v),
        show: |c| format_duration_ms(c.head.age_ms_max.unsigned_abs()),
    },
    Setting {
        key: "admin_api",
        value: "on|off",
        help: "Whether snapshots and deletion are offered under /api/v1/admin",
        set: |c, v| {
            c.admin_api = match v {
                "on" | "true" => Switch::On,
                "off" | "false" => Switch::Off,
                _ => return Err(format!("{v:?} is neither on nor off")),
            };
            Ok(())
        },
        show: |c| if c.admin_api == Switch::On { "on".to_owned() } else { "off".to_owned() },
    },
    Setting {
        key: "log_filter",
        value: "FILTER",
        help: "What is logged to standard error, as in info or debug,hyper=warn",
        set: |c, v| {
            let parsed: Result<tracing_subscriber::EnvFilter, _> = v.parse();
            parsed.map_err(|error| format!("{v:?} is no log filter: {error}"))?;
            v.clone_into(&mut c.log_filter);
            Ok(())
        },
        show: |c| c.log_filter.clone(),
    },
];

static HISTOGRAMS: [(ExplicitHistograms, &str); 2] =
    [(ExplicitHistograms::Classic, "classic"), (ExplicitHistograms::Native, "native")];

static DELTAS: [(DeltaMode, &str); 2] =
    [(DeltaMode::Accumulate, "accumulate"), (DeltaMode::Keep, "keep")];

fn shown<T: PartialEq + Copy>(value: T, choices: &[(T, &str)]) -> String {
    choices.iter().find(|(choice, _)| *choice == value).map_or("", |(_, name)| name).to_owned()
}

/// The setting with this key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn not_empty(text: &str) -> Result<&str, String> {
    if text.is_empty() { Err("the value is empty".to_owned()) } else { Ok(text) }
}

fn address(text: &str) -> Result<String, String> {
    let invalid = || format!("{text:?} is no address; write HOST:PORT, as in 127.0.0.1:9090");
    let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
    port.parse::<u16>().map_err(|_| invalid())?;
    // A port alone, as in `:9090`, is every address of the machine.
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Ok(format!("{host}:{port}"))
}

fn address_or_off(text: &str) -> Result<String, String> {
    if text == "off" { Ok(text.to_owned()) } else { address(text) }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(format!("{text:?} is neither on nor off")),
    }
}

fn show_switch(on: bool) -> String {
    if on { "on".to_owned() } else { "off".to_owned() }
}

/// The choice with this name.
fn choice<T: Copy>(text: &str, choices: &[(T, &str)]) -> Result<T, String> {
    choices.iter().find(|(_, name)| *name == text).map(|(choice, _)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(_, name)| *name).collect();
        format!("{text:?} is none of {}", names.join(", "))
    })
}

fn at_least_ms(text: &str, least_ms: i64, least: &str) -> Result<i64, String> {
    let duration_ms = parse_duration_ms(text)?;
    if duration_ms < least_ms {
        return Err(format!("{text} is too short; the least is {least}"));
    }
    Ok(duration_ms)
}

fn positive(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration.is_zero() {
        return Err("0 is not allowed here".to_owned());
    }
    Ok(duration)
}

fn count(text: &str, least: usize) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| format!("{text:?} is no whole number"))?;
    if number < least {
        return Err(format!("{number} is too small; the least is {least}"));
    }
    Ok(number)
}

fn count_up_to(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = count(text, least)?;
    if number > most {
        return Err(format!("{number} is too large; the most is {most}"));
    }
    Ok(number)
}

fn size(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if !(least..=most).contains(&bytes) {
        let (least, most) = (format_bytes(least), format_bytes(most));
        return Err(format!("{text} is out of bounds; {least} to {most} is allowed"));
    }
    Ok(bytes)
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn duration(duration: Duration) -> String {
    format_duration_ms(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_own_setting() {
        for setting in SETTINGS {
            let mut config = Config::default();
            let default = (setting.show)(&config);
            setting.apply(&mut config, setting.key, &default).expect("the default is allowed");
            assert_eq!((setting.show)(&config), default, "{}", setting.key);
        }
    }

    #[test]
    fn keys_are_unique() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[at + 1..].iter().all(|other| other.variable() != setting.variable()));
        }
    }

    #[test]
    fn bad_values_are_refused_with_their_origin() {
        for (key, value) in [
            ("listen", "localhost"),
            ("listen", "127.0.0.1:70000"),
            ("durability", "maybe"),
            ("retention", "1s"),
            ("memory_budget", "150%"),
            ("self_metrics_interval", "1ms"),
            ("http.connections_max", "0"),
            ("limits.compressed_bytes_max", "1TiB"),
            ("log_filter", "=,=,="),
        ] {
            let setting = find(key).expect("the key is in the table");
            let error = setting
                .apply(&mut Config::default(), &format!("--{}", setting.flag()), value)
                .expect_err("the value is not allowed");
            assert!(error.to_string().starts_with(&format!("--{}: ", setting.flag())), "{error}");
        }
    }
}
