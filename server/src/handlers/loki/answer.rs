//! Answers to queries as JSON, in the order of keys clients rely on.

use ephemeris_query::logs::labels::LabelSet;
use ephemeris_query::logs::result::{
    Categories, EntriesAnswer, LogEntry, LogStats, MetricAnswer, MetricValue,
};
use serde_json::json;

use crate::api::json::write_string;
use crate::api::number::{write_fixed, write_timestamp, write_unsigned};
use crate::tails::Dropped;

/// The answer to a log query.
pub(super) fn streams(answer: &EntriesAnswer, categories: Categories) -> Vec<u8> {
    let mut out = head(&answer.warnings, "streams");
    if categories == Categories::Apart {
        out.extend_from_slice(br#""encodingFlags":["categorize-labels"],"#);
    }
    out.extend_from_slice(br#""result":"#);
    write_streams(&mut out, answer, categories);
    end(out, &answer.stats)
}

/// A frame of a tail.
pub(super) fn tail(answer: &EntriesAnswer, dropped: &[Dropped], categories: Categories) -> String {
    let mut out = br#"{"streams":"#.to_vec();
    write_streams(&mut out, answer, categories);
    if !dropped.is_empty() {
        out.extend_from_slice(br#","dropped_entries":"#);
        list(&mut out, dropped.iter(), |out, entry| {
            out.extend_from_slice(b"{\"timestamp\":\"");
            write_nanos(out, entry.timestamp_ns);
            out.extend_from_slice(b"\",\"labels\":");
            write_labels(out, &LabelSet::from(&entry.labels));
            out.push(b'}');
        });
    }
    if categories == Categories::Apart {
        out.extend_from_slice(br#","encodingFlags":["categorize-labels"]"#);
    }
    out.push(b'}');
    // What is written is ASCII and strings, so nothing is lost.
    String::from_utf8_lossy(&out).into_owned()
}

fn write_streams(out: &mut Vec<u8>, answer: &EntriesAnswer, categories: Categories) {
    list(out, answer.streams(categories).iter(), |out, (labels, entries)| {
        out.extend_from_slice(br#"{"stream":"#);
        write_labels(out, labels);
        out.extend_from_slice(br#","values":"#);
        list(out, entries.iter(), |out, entry| write_entry(out, entry, categories));
        out.push(b'}');
    });
}

/// The answer to a metric query.
pub(super) fn metric(answer: &MetricAnswer) -> Vec<u8> {
    let kind = match &answer.value {
        MetricValue::Scalar { .. } => "scalar",
        MetricValue::Vector { .. } => "vector",
        MetricValue::Matrix(_) => "matrix",
    };
    let mut out = head(&answer.warnings, kind);
    out.extend_from_slice(br#""result":"#);
    match &answer.value {
        MetricValue::Scalar { at_ns, value } => write_point(&mut out, *at_ns, *value),
        MetricValue::Vector { at_ns, samples } => {
            list(&mut out, samples.iter(), |out, (labels, value)| {
                out.extend_from_slice(br#"{"metric":"#);
                write_labels(out, labels);
                out.extend_from_slice(br#","value":"#);
                write_point(out, *at_ns, *value);
                out.push(b'}');
            });
        }
        MetricValue::Matrix(series) => list(&mut out, series.iter(), |out, one| {
            out.extend_from_slice(br#"{"metric":"#);
            write_labels(out, &one.labels);
            out.extend_from_slice(br#","values":"#);
            list(out, one.points.iter(), |out, (at, value)| write_point(out, *at, *value));
            out.push(b'}');
        }),
    }
    end(out, &answer.stats)
}

fn head(warnings: &[String], kind: &str) -> Vec<u8> {
    let mut out = br#"{"status":"success","#.to_vec();
    if !warnings.is_empty() {
        out.extend_from_slice(br#""warnings":"#);
        list(&mut out, warnings.iter(), |out, text| write_string(out, text));
        out.push(b',');
    }
    out.extend_from_slice(br#""data":{"resultType":""#);
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(br#"","#);
    out
}

fn end(mut out: Vec<u8>, stats: &LogStats) -> Vec<u8> {
    out.extend_from_slice(br#","stats":"#);
    out.extend_from_slice(stats_json(stats).to_string().as_bytes());
    out.extend_from_slice(b"}}\n");
    out
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "rates are rounded"
)]
fn stats_json(stats: &LogStats) -> serde_json::Value {
    let seconds = stats.total.as_secs_f64();
    let rate = |count: u64| if seconds > 0.0 { (count as f64 / seconds) as u64 } else { 0 };
    json!({
        "summary": {
            "bytesProcessedPerSecond": rate(stats.bytes),
            "linesProcessedPerSecond": rate(stats.lines),
            "totalBytesProcessed": stats.bytes,
            "totalLinesProcessed": stats.lines,
            "execTime": seconds,
            "queueTime": 0,
            "subqueries": 0,
            "totalEntriesReturned": stats.lines_kept,
        },
        "querier": {"store": {"chunk": {"decompressedBytes": stats.bytes, "decompressedLines": stats.lines}}},
        "store": {"totalChunksRef": 0, "totalChunksDownloaded": 0, "decompressedBytes": stats.bytes,
            "decompressedLines": stats.lines},
        "ingester": {"totalReached": 1, "totalChunksMatched": stats.streams, "totalBatches": 0,
            "totalLinesSent": stats.lines_kept},
    })
}

fn write_entry(out: &mut Vec<u8>, entry: &LogEntry, categories: Categories) {
    out.extend_from_slice(b"[\"");
    write_nanos(out, entry.timestamp_ns);
    out.extend_from_slice(b"\",");
    write_string(out, &String::from_utf8_lossy(&entry.line));
    if categories == Categories::Apart {
        out.extend_from_slice(b",{");
        for (name, labels) in [("structuredMetadata", &entry.metadata), ("parsed", &entry.parsed)] {
            if labels.is_empty() {
                continue;
            }
            if !out.ends_with(b"{") {
                out.push(b',');
            }
            write_string(out, name);
            out.push(b':');
            write_labels(out, labels);
        }
        out.push(b'}');
    }
    out.push(b']');
}

pub(super) fn write_nanos(out: &mut Vec<u8>, ns: i64) {
    if ns < 0 {
        out.push(b'-');
    }
    write_unsigned(out, ns.unsigned_abs());
}

fn write_point(out: &mut Vec<u8>, at_ns: i64, value: f64) {
    out.push(b'[');
    write_timestamp(out, at_ns.div_euclid(1_000_000));
    out.extend_from_slice(b",\"");
    write_fixed(out, value);
    out.extend_from_slice(b"\"]");
}

pub(super) fn write_labels(out: &mut Vec<u8>, labels: &LabelSet) {
    out.push(b'{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_string(out, value);
    }
    out.push(b'}');
}

fn list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use ephemeris_model::Labels;
    use serde_json::Value;

    use super::*;

    fn set(pairs: &[(&str, &str)]) -> LabelSet {
        LabelSet::from_pairs(pairs.iter().copied())
    }

    fn entry(timestamp_ns: i64, line: &str, metadata: LabelSet, parsed: LabelSet) -> LogEntry {
        let stream = set(&[("test", "test")]);
        LogEntry { timestamp_ns, line: line.as_bytes().into(), stream, metadata, parsed }
    }

    /// The frames Loki's own clients are tested with.
    #[test]
    fn frames_of_a_tail_are_lokis() {
        let foo = || set(&[("foo", "a"), ("bar", "b")]);
        let entries = vec![
            entry(123_456_789_012_345, "super line", set(&[]), set(&[])),
            entry(123_456_789_012_346, "super line with labels", foo(), set(&[])),
            entry(123_456_789_012_347, "with labels msg=text", foo(), set(&[("msg", "text")])),
        ];
        let answer = EntriesAnswer { entries, warnings: Vec::new(), stats: LogStats::default() };
        let labels = Labels::from_pairs([("test", "test")]);
        let dropped = [Dropped { timestamp_ns: 123_456_789_022_345, labels }];
        let frame = tail(&answer, &dropped, Categories::Apart);
        let frame: Value = serde_json::from_str(&frame).expect("JSON");
        assert_eq!(
            frame,
            json!({
                "streams": [{"stream": {"test": "test"}, "values": [
                    ["123456789012345", "super line", {}],
                    ["123456789012346", "super line with labels", {
                        "structuredMetadata": {"foo": "a", "bar": "b"}
                    }],
                    ["123456789012347", "with labels msg=text", {
                        "structuredMetadata": {"foo": "a", "bar": "b"},
                        "parsed": {"msg": "text"}
                    }],
                ]}],
                "dropped_entries": [
                    {"timestamp": "123456789022345", "labels": {"test": "test"}}
                ],
                "encodingFlags": ["categorize-labels"],
            })
        );
        let none = EntriesAnswer { entries: Vec::new(), ..answer };
        assert_eq!(tail(&none, &[], Categories::Merged), "{\"streams\":[]}");
    }
}
