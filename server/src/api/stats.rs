//! The `stats` part of an answer: what a query took, in Prometheus' form; with `stats=all` also the
//! samples of each step and `explain`, the tree of operators, which is ours.

use std::time::Duration;

use ephemeris_query::promql::explain::{Explanation, Operator};
use ephemeris_query::promql::result::QueryStats;

use super::json::write_string;
use super::number::{write_fixed, write_timestamp};

/// Which statistics an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsDetail {
    /// None.
    None,
    /// Sums over the query.
    Sums,
    /// Samples by step and by operator, too.
    All,
}

impl StatsDetail {
    /// What a parameter `stats` asks for, and a warning if it asks in another way than by `true` or
    /// `all`.
    #[must_use]
    pub fn from_parameter(stats: Option<&str>) -> (Self, Option<String>) {
        match stats {
            None | Some("") => (Self::None, None),
            Some("true") => (Self::Sums, None),
            Some("all") => (Self::All, None),
            Some(other) => {
                let shown: String = other.chars().take(100).collect();
                let text = format!("stats={shown:?} is deprecated; use \"true\" or \"all\"");
                (Self::Sums, Some(text))
            }
        }
    }
}

/// What an answer tells about what it took.
#[derive(Clone, Debug)]
pub struct AnswerStats {
    /// What the engine counted.
    pub query: QueryStats,
    /// How long the query waited for its turn.
    pub queued: Duration,
    /// How much of it is told.
    pub detail: StatsDetail,
}

/// Appends `,"stats":{…}`, if it is asked for.
pub(super) fn write_stats(out: &mut Vec<u8>, answer: &AnswerStats) {
    let (stats, queued) = (&answer.query, answer.queued);
    if answer.detail == StatsDetail::None {
        return;
    }
    let timings = [
        ("evalTotalTime", stats.total),
        ("resultSortTime", Duration::ZERO),
        ("queryPreparationTime", stats.prepare),
        ("innerEvalTime", stats.evaluate),
        ("execQueueTime", queued),
        ("execTotalTime", stats.total + queued),
    ];
    out.extend_from_slice(br#","stats":{"timings":{"#);
    for (at, (name, duration)) in timings.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_seconds(out, name, *duration);
    }
    out.extend_from_slice(br#"},"samples":{"#);
    let explanation = stats.explanation.as_ref().filter(|_| answer.detail == StatsDetail::All);
    if let Some(explanation) = explanation {
        out.extend_from_slice(br#""totalQueryableSamplesPerStep":["#);
        for (at, (time_ms, samples)) in explanation.samples_per_step.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b",[" } else { b"[" });
            write_timestamp(out, *time_ms);
            out.extend_from_slice(format!(",{samples}]").as_bytes());
        }
        out.extend_from_slice(b"],");
    }
    out.extend_from_slice(
        format!(
            r#""totalQueryableSamples":{},"samplesRead":{},"peakSamples":{},"series":{}}}"#,
            stats.samples_queryable, stats.samples_read, stats.samples_peak, stats.series
        )
        .as_bytes(),
    );
    if let Some(explanation) = explanation {
        write_explanation(out, explanation);
    }
    out.push(b'}');
}

fn write_explanation(out: &mut Vec<u8>, explanation: &Explanation) {
    out.extend_from_slice(br#","explain":{"operators":"#);
    write_operators(out, &explanation.operators);
    out.extend_from_slice(format!(r#","leftOut":{}}}"#, explanation.left_out).as_bytes());
}

/// The tree is no deeper than the parser lets a query be.
fn write_operators(out: &mut Vec<u8>, operators: &[Operator]) {
    out.push(b'[');
    for (at, operator) in operators.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"operator":"#);
        write_string(out, operator.name);
        out.extend_from_slice(br#","detail":"#);
        write_string(out, &operator.detail);
        out.extend_from_slice(
            format!(
                r#","series":{},"samplesRead":{},"pages":{},"bytes":{},"#,
                operator.series, operator.samples_read, operator.read.pages, operator.read.bytes
            )
            .as_bytes(),
        );
        write_seconds(out, "time", operator.took);
        if !operator.below.is_empty() {
            out.extend_from_slice(br#","below":"#);
            write_operators(out, &operator.below);
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn write_seconds(out: &mut Vec<u8>, name: &str, duration: Duration) {
    write_string(out, name);
    out.push(b':');
    write_fixed(out, duration.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use ephemeris_model::ReadStats;
    use serde_json::json;

    use super::*;

    fn told(detail: StatsDetail) -> serde_json::Value {
        let operator = |name, below| Operator {
            name,
            detail: "up{a=\"b\"}".to_owned(),
            series: 2,
            samples_read: 5,
            read: ReadStats { pages: 3, bytes: 40 },
            took: Duration::from_millis(500),
            below,
        };
        let explanation = Explanation {
            operators: vec![operator("aggregate", vec![operator("read", Vec::new())])],
            left_out: 1,
            samples_per_step: vec![(1000, 3), (1500, 4)],
        };
        let query = QueryStats {
            samples_queryable: 7,
            total: Duration::from_millis(1),
            explanation: Some(explanation),
            ..QueryStats::default()
        };
        let mut out = b"{\"x\":0".to_vec();
        write_stats(&mut out, &AnswerStats { query, queued: Duration::ZERO, detail });
        out.push(b'}');
        let mut all: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        all["stats"].take()
    }

    #[test]
    fn statistics_are_told_when_asked_for() {
        assert!(told(StatsDetail::None).is_null());
        let sums = told(StatsDetail::Sums);
        assert_eq!(sums["timings"]["evalTotalTime"], 0.001);
        let samples = json!({"totalQueryableSamples": 7, "samplesRead": 0, "peakSamples": 0,
            "series": 0});
        assert_eq!(sums["samples"], samples);
        assert!(sums["explain"].is_null());
    }

    #[test]
    fn all_of_them_are_by_step_and_by_operator() {
        let all = told(StatsDetail::All);
        let steps = json!([[1, 3], [1.5, 4]]);
        assert_eq!(all["samples"]["totalQueryableSamplesPerStep"], steps);
        let below = json!({"operator": "read", "detail": "up{a=\"b\"}", "series": 2,
            "samplesRead": 5, "pages": 3, "bytes": 40, "time": 0.5});
        assert_eq!(all["explain"]["operators"][0]["below"], json!([below]));
        assert_eq!(all["explain"]["leftOut"], 1);
    }

    #[test]
    fn other_values_are_warned_of() {
        let asked = StatsDetail::from_parameter;
        assert_eq!(asked(Some("")), (StatsDetail::None, None));
        assert_eq!(asked(Some("all")), (StatsDetail::All, None));
        let (detail, warning) = asked(Some("1"));
        assert_eq!(detail, StatsDetail::Sums);
        assert_eq!(warning.as_deref(), Some("stats=\"1\" is deprecated; use \"true\" or \"all\""));
    }
}
