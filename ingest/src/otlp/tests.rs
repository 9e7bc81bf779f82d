//! Requests as clients send them, and the series they become.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ephemeris_model::{BodyKind, HistogramCounts, WriteBatch, is_stale};

use super::*;
use crate::body::Limits;
use crate::remote_write::{self, Buffers};

/// Nothing is stored.
pub(super) struct Nothing;

impl Stored for Nothing {
    fn newest(&self, _: &[(&str, &str)]) -> Result<Option<StoredSample>, String> {
        Ok(None)
    }

    fn holds(&self, _: &[(&str, &str)], _: i64) -> Result<bool, String> {
        Ok(false)
    }
}

fn protobuf(json: &str) -> Vec<u8> {
    let mut message = Vec::new();
    json::metrics_to_protobuf(json.as_bytes(), 1 << 20, &mut message).expect("valid JSON");
    message
}

fn run(json: &str, options: &Options) -> Translated {
    let accumulator = Accumulator::new(100);
    let mut session = accumulator.session("t", &Nothing);
    let cache = &mut Cache::default();
    translate(&protobuf(json), options, &Limits::default(), &mut session, cache, None)
        .expect("well-formed")
}

/// The labels of all series, sorted.
pub(super) fn all_pairs(translated: &Translated) -> Vec<Vec<(String, String)>> {
    if translated.body.is_empty() {
        return Vec::new();
    }
    let (mut buffers, limits) = (Buffers::default(), Limits::default());
    let batch = remote_write::decode(BodyKind::LabelParts, &translated.body, &limits, &mut buffers)
        .expect("the decoder reads what is translated");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let labels = batch.series.iter().map(|series| {
        let mut pairs = Vec::new();
        batch.read_labels(series, &mut pairs).expect("pairs");
        let mut all: Vec<_> = pairs.iter().map(|(n, v)| (text(n), text(v))).collect();
        all.sort();
        all
    });
    labels.collect()
}

/// Each sample as `labels value @time start`, sorted.
fn lines(translated: &Translated) -> Vec<String> {
    if translated.body.is_empty() {
        return Vec::new();
    }
    let mut buffers = Buffers::default();
    let (kind, limits) = (BodyKind::LabelParts, Limits::default());
    let batch = remote_write::decode(kind, &translated.body, &limits, &mut buffers)
        .expect("the decoder reads what is translated");
    assert!(batch.rejects.is_empty(), "{}", batch.rejects.summary());
    assert_eq!(batch.samples.len(), translated.sample_points.len());
    assert_eq!(batch.histograms.len(), translated.histogram_points.len());
    shown(&batch)
}

fn shown(batch: &WriteBatch<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for series in &batch.series {
        let mut pairs = Vec::new();
        batch.read_labels(series, &mut pairs).expect("pairs");
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let sorted: BTreeMap<_, _> = pairs.iter().map(|(n, v)| (text(n), text(v))).collect();
        assert_eq!(sorted.len(), pairs.len(), "a label comes twice");
        let name = sorted.get("__name__").cloned().unwrap_or_default();
        let rest = sorted.iter().filter(|(n, _)| *n != "__name__");
        let rest: Vec<_> = rest.map(|(n, v)| format!("{n}={v}")).collect();
        let labels = format!("{name}{{{}}}", rest.join(","));
        for at in series.samples.start as usize..series.samples.end as usize {
            let sample = batch.samples[at];
            let start = batch.start_timestamps.get(at).filter(|s| **s != 0);
            let start = start.map_or(String::new(), |s| format!(" since {s}"));
            let value =
                if is_stale(sample.value) { "stale".to_owned() } else { sample.value.to_string() };
            out.push(format!("{labels} {value} @{}{start}", sample.timestamp_ms));
        }
        for at in series.histograms.start as usize..series.histograms.end as usize {
            let sample = &batch.histograms[at];
            let h = &sample.histogram;
            let HistogramCounts::Integer { count, zero_count, positive, negative } = &h.counts
            else {
                panic!("counts are integers");
            };
            let spans: Vec<_> = h.positive_spans.iter().map(|s| (s.offset, s.length)).collect();
            let sum = if is_stale(h.sum) { "stale".to_owned() } else { h.sum.to_string() };
            out.push(format!(
                "{labels} histogram {count} sum {sum} schema {} zero {zero_count} {spans:?} \
                 {positive:?} {negative:?} {:?} @{}",
                h.schema, h.custom_values, sample.timestamp_ms
            ));
        }
        for at in series.exemplars.start as usize..series.exemplars.end as usize {
            let exemplar = &batch.exemplars[at];
            out.push(format!("{labels} exemplar {} {}", exemplar.labels, exemplar.value));
        }
    }
    out.sort();
    out
}

/// A request with one metric of one resource.
fn request(resource: &str, metric: &str) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{resource}]}},
        "scopeMetrics":[{{"scope":{{"name":"lib","version":"1"}},"metrics":[{metric}]}}]}}]}}"#
    )
}

const RESOURCE: &str = r#"{"key":"service.name","value":{"stringValue":"shop"}},
    {"key":"service.namespace","value":{"stringValue":"eu"}},
    {"key":"service.instance.id","value":{"stringValue":"i1"}},
    {"key":"host.name","value":{"stringValue":"h"}}"#;

const TARGET: &str = "target_info{host_name=h,instance=i1,job=eu/shop} 1 @2000";

#[test]
fn a_counter_has_its_suffixes_and_its_start() {
    let metric = r#"{"name":"http.requests","unit":"1","description":"d","sum":{
        "aggregationTemporality":2,"isMonotonic":true,"dataPoints":[
        {"startTimeUnixNano":"1000000000","timeUnixNano":2000000000,"asInt":"7",
         "attributes":[{"key":"http.method","value":{"stringValue":"GET"}},
                       {"key":"ok","value":{"boolValue":true}}]}]}}"#;
    let got = run(&request(RESOURCE, metric), &Options::default());
    let labels = "{http_method=GET,instance=i1,job=eu/shop,ok=true}";
    assert_eq!(
        lines(&got),
        [format!("http_requests_total{labels} 7 @2000 since 1000"), TARGET.to_owned()]
    );
    assert_eq!((got.points, got.refused.points), (1, 0));
}

#[test]
fn names_and_labels_follow_the_options() {
    let metric = r#"{"name":"cpu.use","unit":"s","gauge":{"dataPoints":[
        {"timeUnixNano":"2000000000","asDouble":0.5,
         "attributes":[{"key":"a.b","value":{"intValue":"1"}}]}]}}"#;
    let options = Options {
        naming: Naming::NoTranslation,
        promoted: vec!["host.name".to_owned()],
        scope_labels: true,
        target_info: false,
        ..Options::default()
    };
    let got = run(&request(RESOURCE, metric), &options);
    let labels = "{a.b=1,host.name=h,instance=i1,job=eu/shop,otel_scope_name=lib,\
                  otel_scope_version=1}";
    assert_eq!(lines(&got), [format!("cpu.use{labels} 0.5 @2000")]);
}

#[test]
fn labels_that_collide_are_joined_in_order_of_their_keys() {
    let metric = r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"2000000000","asDouble":1,
        "attributes":[{"key":"a_b","value":{"stringValue":"3"}},
                      {"key":"a.b","value":{"stringValue":"1"}},
                      {"key":"a-b","value":{"stringValue":"0"}},
                      {"key":"job","value":{"stringValue":"mine"}},
                      {"key":"__name__","value":{"stringValue":"x"}},
                      {"key":"empty","value":{}}]}]}}"#;
    let got = run(&request(RESOURCE, metric), &Options::default());
    assert_eq!(lines(&got)[0], "g{a_b=0;1;3,instance=i1,job=eu/shop} 1 @2000");
}

#[test]
fn a_histogram_becomes_cumulative_buckets_with_exemplars() {
    let metric = r#"{"name":"d","unit":"s","histogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE",
        "dataPoints":[{"timeUnixNano":"2000000000","count":6,"sum":9.5,"bucketCounts":["1",2,3],
        "explicitBounds":[0.5,2],"exemplars":[{"timeUnixNano":"1500000000","asDouble":1.5,
        "traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"00000000000000FF",
        "filteredAttributes":[{"key":"k","value":{"stringValue":"v"}}]}]}]}}"#;
    let got = run(&request("", metric), &Options::default());
    assert_eq!(
        lines(&got),
        [
            "d_seconds_bucket{le=+Inf} 6 @2000",
            "d_seconds_bucket{le=0.5} 1 @2000",
            "d_seconds_bucket{le=2} 3 @2000",
            "d_seconds_bucket{le=2} exemplar {k=\"v\", span_id=\"00000000000000ff\", \
             trace_id=\"0102030405060708090a0b0c0d0e0f10\"} 1.5",
            "d_seconds_count{} 6 @2000",
            "d_seconds_sum{} 9.5 @2000",
        ]
    );
    let native = Options { histograms: ExplicitHistograms::Native, ..Options::default() };
    assert_eq!(
        lines(&run(&request("", metric), &native))[1],
        "d_seconds{} histogram 6 sum 9.5 schema -53 zero 0 [(0, 3)] [1, 2, 3] [] [0.5, 2.0] @2000"
    );
}

#[test]
fn exponential_histograms_become_native_ones_at_most_at_schema_8() {
    let point = |scale, positive| {
        format!(
            r#"{{"name":"e","exponentialHistogram":{{"aggregationTemporality":2,"dataPoints":[
            {{"timeUnixNano":"2000000000","count":"41","sum":5,"scale":{scale},"zeroCount":4,
            "positive":{positive}}}]}}}}"#
        )
    };
    let buckets = r#"{"offset":3,"bucketCounts":[10,0,0,20,5,"2"]}"#;
    let got = lines(&run(&request("", &point(2, buckets)), &Options::default()));
    assert_eq!(
        got,
        ["e{} histogram 41 sum 5 schema 2 zero 4 [(4, 6)] [10, 0, 0, 20, 5, 2] [] [] @2000"]
    );
    let got = lines(&run(&request("", &point(9, buckets)), &Options::default()));
    assert_eq!(got, ["e{} histogram 41 sum 5 schema 8 zero 4 [(2, 4)] [10, 0, 25, 2] [] [] @2000"]);
    let got = run(&request("", &point(-5, buckets)), &Options::default());
    assert_eq!((got.points, got.refused.points), (1, 1));
    assert!(got.refused.message().contains("scale -5"), "{}", got.refused.message());
    assert!(got.body.is_empty());
}

#[test]
fn a_summary_has_quantiles() {
    let metric = r#"{"name":"s","summary":{"dataPoints":[{"timeUnixNano":"2000000000","count":"3",
        "sum":6,"quantileValues":[{"quantile":0.5,"value":2},{"quantile":1,"value":"NaN"}]}]}}"#;
    assert_eq!(
        lines(&run(&request("", metric), &Options::default())),
        [
            "s_count{} 3 @2000",
            "s_sum{} 6 @2000",
            "s{quantile=0.5} 2 @2000",
            "s{quantile=1} NaN @2000",
        ]
    );
}

#[test]
fn a_point_without_value_ends_its_series() {
    for (metric, expected) in [
        (
            r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"2000000000","flags":1}]}}"#,
            "g{} stale @2000",
        ),
        (
            r#"{"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[
            {"timeUnixNano":"2000000000","flags":1}]}}"#,
            "e{} histogram 0 sum stale schema 0 zero 0 [] [] [] [] @2000",
        ),
    ] {
        assert_eq!(lines(&run(&request("", metric), &Options::default())), [expected]);
    }
}

#[test]
fn bad_points_are_counted_and_the_others_stay() {
    let metrics = r#"{"name":"a","gauge":{"dataPoints":[{"timeUnixNano":"2000000000"},
        {"asInt":1},{"timeUnixNano":"2000000000","asInt":1}]}},
        {"name":"@","gauge":{"dataPoints":[{"timeUnixNano":"2000000000","asInt":1}]}},
        {"name":"b","sum":{"dataPoints":[{"timeUnixNano":"2000000000","asInt":1}]}},
        {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[
            {"timeUnixNano":"2000000000","count":1,"bucketCounts":[1],"explicitBounds":[1,2]},
            {"timeUnixNano":"2000000000","count":2,"bucketCounts":[1,0],"explicitBounds":[1]}]}},
        {"name":"none"}"#;
    let got = run(&request("", metrics), &Options::default());
    assert_eq!(lines(&got), ["a{} 1 @2000"]);
    assert_eq!((got.points, got.refused.points), (7, 6));
    let message = got.refused.message();
    for text in [
        "1 rejected: point has no value: metric \"a\"",
        "1 rejected: point has no time",
        "name of metric has no usable character",
        "metric has no aggregation temporality",
        "histogram has 1 buckets and 2 bounds",
        "count of histogram is 2, but its buckets hold 1",
        "metric \"none\" has no data",
    ] {
        assert!(message.contains(text), "{text} is not in {message}");
    }
}

/// Time, start and value of the samples of each label set.
type Samples = BTreeMap<String, Vec<(i64, i64, f64)>>;

/// What a session stored.
#[derive(Default)]
struct Memory(Mutex<Samples>);

impl Memory {
    fn store(&self, translated: &Translated) {
        let mut all = self.0.lock().expect("no panic");
        for line in lines(translated) {
            let (labels, rest) = line.split_once("} ").expect("labels");
            let mut parts = rest.split(' ');
            let value = parts.next().and_then(|v| v.parse().ok()).expect("a value");
            let time = parts.next().and_then(|t| t[1..].parse().ok()).expect("a time");
            let start = parts.nth(1).map_or(0, |s| s.parse().expect("a start"));
            all.entry(format!("{labels}}}")).or_default().push((time, start, value));
        }
    }

    fn of(&self, labels: &[(&str, &str)]) -> Vec<(i64, i64, f64)> {
        let name = labels.iter().find(|(n, _)| *n == "__name__").map_or("", |(_, v)| v);
        let rest = labels.iter().filter(|(n, _)| *n != "__name__");
        let rest: Vec<_> = rest.map(|(n, v)| format!("{n}={v}")).collect();
        let key = format!("{name}{{{}}}", rest.join(","));
        self.0.lock().expect("no panic").get(&key).cloned().unwrap_or_default()
    }
}

impl Stored for Memory {
    fn newest(&self, labels: &[(&str, &str)]) -> Result<Option<StoredSample>, String> {
        let newest = self.of(labels).into_iter().max_by_key(|s| s.0);
        Ok(newest.map(|(timestamp_ms, start_ms, value)| StoredSample {
            timestamp_ms,
            start_ms,
            value,
            histogram: None,
        }))
    }

    fn holds(&self, labels: &[(&str, &str)], timestamp_ms: i64) -> Result<bool, String> {
        Ok(self.of(labels).iter().any(|s| s.0 == timestamp_ms))
    }
}

fn delta_sum(start: u32, time: u32, value: u32) -> String {
    let metric = format!(
        r#"{{"name":"c","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
        {{"startTimeUnixNano":"{start}000500000","timeUnixNano":"{time}000500000",
        "asInt":{value}}}]}}}}"#
    );
    request("", &metric)
}

fn add(accumulator: &Accumulator, memory: &Memory, json: &str) -> Translated {
    let mut session = accumulator.session("t", memory);
    let (options, limits) = (Options::default(), Limits::default());
    let got =
        translate(&protobuf(json), &options, &limits, &mut session, &mut Cache::default(), None)
            .expect("well-formed");
    memory.store(&got);
    session.commit();
    got
}

#[test]
fn deltas_are_added_up_and_go_on_after_a_restart() {
    let memory = Memory::default();
    let accumulator = Accumulator::new(100);
    let total = |got: &Translated| lines(got).join("\n");
    let got = add(&accumulator, &memory, &delta_sum(1, 2, 5));
    assert_eq!(total(&got), "c_total{} 5 @2000 since 1000");
    let got = add(&accumulator, &memory, &delta_sum(2, 3, 7));
    assert_eq!(total(&got), "c_total{} 12 @3000 since 1000");
    // Nothing but the store is left.
    let accumulator = Accumulator::new(100);
    let got = add(&accumulator, &memory, &delta_sum(2, 3, 7));
    assert_eq!((total(&got), got.refused.points), (String::new(), 0), "a repeat is harmless");
    let got = add(&accumulator, &memory, &delta_sum(3, 4, 1));
    assert_eq!(total(&got), "c_total{} 13 @4000 since 1000");
    let got = add(&accumulator, &memory, &delta_sum(6, 7, 2));
    assert_eq!(total(&got), "c_total{} 15 @7000 since 1000", "a gap loses nothing");
    let got = add(&accumulator, &memory, &delta_sum(1, 2, 5));
    assert_eq!((total(&got), got.refused.points), (String::new(), 0), "an older repeat");
    let got = add(&accumulator, &memory, &delta_sum(4, 5, 5));
    assert_eq!((total(&got), got.refused.points), (String::new(), 1), "late, and no repeat");
    assert!(got.refused.message().contains("delta point ends at 5000 ms, before 7000 ms"));
}

#[test]
fn totals_that_were_not_stored_are_forgotten() {
    let memory = Memory::default();
    let accumulator = Accumulator::new(100);
    add(&accumulator, &memory, &delta_sum(1, 2, 5));
    {
        let mut session = accumulator.session("t", &memory);
        let (options, limits) = (Options::default(), Limits::default());
        let message = protobuf(&delta_sum(2, 3, 7));
        translate(&message, &options, &limits, &mut session, &mut Cache::default(), None)
            .expect("well-formed");
    }
    let got = add(&accumulator, &memory, &delta_sum(2, 3, 7));
    assert_eq!(lines(&got), ["c_total{} 12 @3000 since 1000"]);
}

#[test]
fn delta_histograms_are_added_up_bucket_by_bucket() {
    let point = |start: u32, time: u32, counts: &str, count: u32| {
        let metric = format!(
            r#"{{"name":"h","histogram":{{"aggregationTemporality":1,"dataPoints":[
            {{"startTimeUnixNano":"{start}000000000","timeUnixNano":"{time}000000000",
            "count":{count},"sum":2.5,"explicitBounds":[1,2.5],"bucketCounts":{counts}}}]}}}}"#
        );
        request("", &metric)
    };
    let memory = Memory::default();
    for accumulator in [Accumulator::new(9), Accumulator::new(9)] {
        add(&accumulator, &memory, &point(1, 2, "[1,2,3]", 6));
    }
    let accumulator = Accumulator::new(9);
    let got = add(&accumulator, &memory, &point(2, 3, "[1,0,1]", 2));
    assert_eq!(
        lines(&got),
        [
            "h_bucket{le=+Inf} 8 @3000 since 1000",
            "h_bucket{le=1} 2 @3000 since 1000",
            "h_bucket{le=2.5} 4 @3000 since 1000",
            "h_count{} 8 @3000 since 1000",
            "h_sum{} 5 @3000 since 1000",
        ]
    );
}

#[test]
fn delta_exponential_histograms_meet_at_the_coarser_scale() {
    let point = |start: u32, time: u32, scale: i32, offset: i32| {
        let metric = format!(
            r#"{{"name":"e","exponentialHistogram":{{"aggregationTemporality":1,"dataPoints":[
            {{"startTimeUnixNano":"{start}000000000","timeUnixNano":"{time}000000000","count":3,
            "sum":1,"scale":{scale},"positive":{{"offset":{offset},"bucketCounts":[1,2]}}}}]}}}}"#
        );
        request("", &metric)
    };
    let accumulator = Accumulator::new(9);
    let mut last = String::new();
    for json in [point(1, 2, 3, 0), point(2, 3, 2, 1)] {
        let mut session = accumulator.session("t", &Nothing);
        let (options, limits) = (Options::default(), Limits::default());
        let got = translate(
            &protobuf(&json),
            &options,
            &limits,
            &mut session,
            &mut Cache::default(),
            None,
        )
        .expect("well");
        session.commit();
        last = lines(&got).join("\n");
    }
    assert_eq!(last, "e{} histogram 6 sum 2 schema 2 zero 0 [(1, 3)] [3, 1, 2] [] [] @3000");
}

#[test]
fn what_is_kept_in_memory_is_bounded() {
    let memory = Memory::default();
    let accumulator = Accumulator::new(1);
    for i in 0..50 {
        let metric = format!(
            r#"{{"name":"c{i}","sum":{{"aggregationTemporality":1,"isMonotonic":true,
            "dataPoints":[{{"timeUnixNano":"{}","asInt":1}}]}}}}"#,
            2_000_000_000_u64 + i
        );
        add(&accumulator, &memory, &request("", &metric));
    }
    assert!(format!("{accumulator:?}").matches("Running").count() <= 16);
}

#[test]
fn any_cut_of_a_message_is_an_error_or_a_shorter_message() {
    let message = protobuf(&delta_sum(1, 2, 3));
    let accumulator = Accumulator::new(9);
    for cut in 0..message.len() {
        let mut session = accumulator.session("t", &Nothing);
        let (options, limits) = (Options::default(), Limits::default());
        drop(translate(
            &message[..cut],
            &options,
            &limits,
            &mut session,
            &mut Cache::default(),
            None,
        ));
    }
}
