//! Texts as scripts send them.

use ephemeris_model::{BodyKind, MetricType};

use super::*;
use crate::remote_write::{self, Buffers};

fn run(text: &str, format: Format, grouping: &[(String, String)]) -> (Vec<String>, TextBatch) {
    let batch =
        read(text.as_bytes(), format, 7, grouping, &Limits::default()).expect("within limits");
    let mut lines = Vec::new();
    if !batch.body.is_empty() {
        let mut buffers = Buffers::default();
        let (kind, limits) = (BodyKind::RemoteWrite2Plain, Limits::default());
        let decoded = remote_write::decode(kind, &batch.body, &limits, &mut buffers).expect("good");
        assert!(decoded.rejects.is_empty(), "{}", decoded.rejects.summary());
        for (series, sample) in decoded.series.iter().zip(&decoded.samples) {
            let mut pairs = Vec::new();
            decoded.read_labels(series, &mut pairs).expect("pairs");
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            let pairs: Vec<_> =
                pairs.iter().map(|(n, v)| format!("{}={:?}", text(n), text(v))).collect();
            lines.push(format!("{} {} @{}", pairs.join(","), sample.value, sample.timestamp_ms));
        }
        for exemplar in &decoded.exemplars {
            lines.push(format!(
                "exemplar {} {} @{}",
                exemplar.labels, exemplar.value, exemplar.timestamp_ms
            ));
        }
        for m in &decoded.metadata {
            let metric_type = m.metric_type.as_str();
            lines.push(format!("meta {} {metric_type} {:?} {:?}", m.metric, m.help, m.unit));
        }
    }
    (lines, batch)
}

#[test]
fn lines_become_samples() {
    let text = "# HELP http_requests_total The \\\\ total.\n\
        # TYPE http_requests_total counter\n\
        http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
        # a comment\n\n\
        plain 12.47e3\n\
        odd{problem=\"a \\\"b\\\" \\n\",} -Inf -1\r\n\
        {\"with.dots\", \"l.b\"=\"v\"} +Inf\n\
        spaced { a = \"b\" , c=\"d\" }\t3\t4\n";
    let (lines, batch) = run(text, Format::Prometheus, &[]);
    assert_eq!(batch.errors, Vec::<String>::new());
    assert_eq!(
        lines,
        [
            "__name__=\"http_requests_total\",method=\"post\",code=\"200\" 1027 @1395066363000",
            "__name__=\"plain\" 12470 @7",
            "__name__=\"odd\",problem=\"a \\\"b\\\" \\n\" -inf @-1",
            "__name__=\"with.dots\",l.b=\"v\" inf @7",
            "__name__=\"spaced\",a=\"b\",c=\"d\" 3 @4",
            "meta http_requests_total counter \"The \\\\ total.\" \"\"",
        ]
    );
}

#[test]
fn open_metrics_has_seconds_units_and_exemplars() {
    let text = "# TYPE foo_seconds histogram\n# UNIT foo_seconds seconds\n\
        foo_seconds_bucket{le=\"1\"} 3 1520879607.789 # {trace_id=\"ab\"} 0.67 1520879607.5\n\
        # EOF\nnot read\n";
    let (lines, batch) = run(text, Format::OpenMetrics, &[]);
    assert_eq!(batch.refused, 0, "{:?}", batch.errors);
    assert_eq!(
        lines,
        [
            "__name__=\"foo_seconds_bucket\",le=\"1\" 3 @1520879607789",
            "exemplar {trace_id=\"ab\"} 0.67 @1520879607500",
            "meta foo_seconds histogram \"\" \"seconds\"",
        ]
    );
}

#[test]
fn bad_lines_are_named_and_the_others_stay() {
    let text = "good 1\nbad\nbad{a=\"b\" 1\nbad x\nbad 1 x\n{} 1\nbad{a} 1\nbad 1 2 3\n\
        # TYPE x strange\nbad{a=\"b} 1\ngood 2\n";
    let (lines, batch) = run(text, Format::Prometheus, &[]);
    assert_eq!(lines.len(), 2);
    assert_eq!(
        batch.errors,
        [
            "line 2: the line has no value",
            "line 3: labels are not closed by }",
            "line 4: \"x\" is no number",
            "line 5: \"x\" is no timestamp",
            "line 6: the line has no metric name",
            "line 7: label \"a\" has no value",
            "line 8: \"3\" after the sample",
            "line 9: \"strange\" is no type of a metric",
            "line 10: a quote is not closed",
        ]
    );
    assert_eq!(batch.refused, 9);
}

#[test]
fn grouping_labels_win() {
    let grouping = [("job".to_owned(), "j".to_owned())];
    let (lines, _) = run("x{job=\"own\",a=\"b\"} 1\n", Format::Prometheus, &grouping);
    assert_eq!(lines, ["__name__=\"x\",a=\"b\",job=\"j\" 1 @7"]);
    assert_eq!(metric_type("untyped"), Some(MetricType::Unknown));
}
